using System.Globalization;
using System.Text;

namespace OrleansStreams.Silo.Http.Metrics;

/// <summary>The Prometheus text exposition format, version 0.0.4.</summary>
internal static class PrometheusText
{
    public const string ContentType = "text/plain; version=0.0.4; charset=utf-8";

    /// <summary>The metric's name: letters, digits, '_' and ':' only, its unit, and _total for counters.</summary>
    public static string MetricName(string name, string? unit, MetricKind kind)
    {
        var text = new StringBuilder(Sanitise(name, allowColon: true));
        var suffix = unit switch
        {
            "s" => "_seconds",
            "ms" => "_milliseconds",
            "us" => "_microseconds",
            "By" or "bytes" => "_bytes",
            "%" => "_percent",
            _ => string.Empty,
        };
        if (!text.ToString().EndsWith(suffix, StringComparison.Ordinal))
        {
            text.Append(suffix);
        }

        if (kind == MetricKind.Counter && !text.ToString().EndsWith("_total", StringComparison.Ordinal))
        {
            text.Append("_total");
        }

        return text.ToString();
    }

    /// <summary>Labels in the order of their names, escaped, without braces; tags that become the same name are joined, since a name may stand only once.</summary>
    public static string Labels(IEnumerable<KeyValuePair<string, object?>> tags)
    {
        var labels = new SortedDictionary<string, string>(StringComparer.Ordinal);
        foreach (var (key, value) in tags)
        {
            var name = Sanitise(key, allowColon: false);
            var text = Convert.ToString(value, CultureInfo.InvariantCulture) ?? string.Empty;
            labels[name] = labels.TryGetValue(name, out var other) ? $"{other};{text}" : text;
        }

        return string.Join(',', labels.Select(label => $"{label.Key}=\"{Escape(label.Value).Replace("\"", "\\\"", StringComparison.Ordinal)}\""));
    }

    public static void WriteFamily(StringBuilder output, MetricFamily family)
    {
        output.Append("# HELP ").Append(family.Name).Append(' ').Append(Escape(family.Help)).Append('\n');
        output.Append("# TYPE ").Append(family.Name).Append(' ').Append(family.Kind switch
        {
            MetricKind.Counter => "counter",
            MetricKind.Gauge => "gauge",
            _ => "histogram",
        }).Append('\n');
        foreach (var series in family.Series)
        {
            if (family.Kind == MetricKind.Histogram)
            {
                WriteHistogram(output, family.Name, series);
            }
            else
            {
                WriteSample(output, family.Name, series.Labels, series.Value);
            }
        }
    }

    private static void WriteHistogram(StringBuilder output, string name, MetricSeries series)
    {
        var (buckets, sum) = series.Histogram();
        foreach (var (bound, count) in buckets)
        {
            var separator = series.Labels.Length == 0 ? string.Empty : ",";
            WriteSample(output, name + "_bucket", $"{series.Labels}{separator}le=\"{Number(bound)}\"", count);
        }

        WriteSample(output, name + "_sum", series.Labels, sum);
        WriteSample(output, name + "_count", series.Labels, buckets[^1].Count);
    }

    private static void WriteSample(StringBuilder output, string name, string labels, double value)
    {
        output.Append(name);
        if (labels.Length > 0)
        {
            output.Append('{').Append(labels).Append('}');
        }

        output.Append(' ').Append(Number(value)).Append('\n');
    }

    private static string Number(double value) =>
        double.IsPositiveInfinity(value) ? "+Inf"
        : double.IsNegativeInfinity(value) ? "-Inf"
        : value.ToString("R", CultureInfo.InvariantCulture);

    private static string Escape(string text) => text.Replace("\\", "\\\\", StringComparison.Ordinal).Replace("\n", "\\n", StringComparison.Ordinal);

    private static string Sanitise(string name, bool allowColon)
    {
        var text = new StringBuilder(name.Length);
        foreach (var letter in name)
        {
            if (text.Length == 0 && char.IsAsciiDigit(letter))
            {
                text.Append('_');
            }

            text.Append(char.IsAsciiLetterOrDigit(letter) || (letter == ':' && allowColon) ? letter : '_');
        }

        return text.Length == 0 ? "_" : text.ToString();
    }
}
