using System.Collections.Concurrent;
using System.Diagnostics.Metrics;

namespace OrleansStreams.Silo.Http.Metrics;

/// <summary>What a family is in the Prometheus text format.</summary>
internal enum MetricKind
{
    Counter,
    Gauge,
    Histogram,
}

/// <summary>All series of one metric: several instruments of the same name (two silos in a process) add up.</summary>
internal sealed class MetricFamily
{
    /// <summary>Series past this bound go to one that is labelled as overflow: labels taken from outside must not eat the memory.</summary>
    public const int SeriesMax = 2_000;

    private static readonly double[] SecondsBounds = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
    private static readonly double[] OtherBounds = [1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 100_000, 1_000_000];
    private static readonly KeyValuePair<string, object?>[] Overflow = [new("overflow", "true")];

    private readonly ConcurrentDictionary<KeyValuePair<string, object?>[], MetricSeries> series = new(TagComparer.Instance);
    private readonly double[]? bounds;

    public MetricFamily(string name, MetricKind kind, Instrument instrument)
    {
        Name = name;
        Kind = kind;
        Help = instrument.Description ?? instrument.Name;
        IsObservable = instrument.IsObservable;
        bounds = kind == MetricKind.Histogram ? BoundsOf(instrument) : null;
    }

    public string Name { get; }

    public MetricKind Kind { get; }

    public string Help { get; }

    public bool IsObservable { get; }

    /// <summary>The series in an order that is the same at every scrape.</summary>
    public IEnumerable<MetricSeries> Series => series.Values.OrderBy(one => one.Labels, StringComparer.Ordinal);

    public void Record(double value, ReadOnlySpan<KeyValuePair<string, object?>> tags, bool isGauge)
    {
        // The lookup by span allocates nothing for a series that is there.
        if (!series.GetAlternateLookup<ReadOnlySpan<KeyValuePair<string, object?>>>().TryGetValue(tags, out var one))
        {
            var key = series.Count < SeriesMax ? tags.ToArray() : Overflow;
            one = series.GetOrAdd(key, static (tags, bounds) => new MetricSeries(PrometheusText.Labels(tags), bounds), bounds);
        }

        if (isGauge)
        {
            one.Set(value);
        }
        else
        {
            one.Add(value);
        }
    }

    /// <summary>Before observable instruments are asked again: what they no longer name is gone.</summary>
    public void ForgetObservations() => series.Clear();

    private static double[] BoundsOf(Instrument instrument)
    {
        var advised = instrument switch
        {
            Histogram<double> histogram => histogram.Advice?.HistogramBucketBoundaries?.ToArray(),
            Histogram<float> histogram => histogram.Advice?.HistogramBucketBoundaries?.Select(bound => (double)bound).ToArray(),
            Histogram<long> histogram => histogram.Advice?.HistogramBucketBoundaries?.Select(bound => (double)bound).ToArray(),
            Histogram<int> histogram => histogram.Advice?.HistogramBucketBoundaries?.Select(bound => (double)bound).ToArray(),
            _ => null,
        };
        return advised ?? (instrument.Unit == "s" ? SecondsBounds : OtherBounds);
    }

    /// <summary>Tags are equal whatever their order.</summary>
    private sealed class TagComparer : IEqualityComparer<KeyValuePair<string, object?>[]>,
        IAlternateEqualityComparer<ReadOnlySpan<KeyValuePair<string, object?>>, KeyValuePair<string, object?>[]>
    {
        public static readonly TagComparer Instance = new();

        public bool Equals(KeyValuePair<string, object?>[]? x, KeyValuePair<string, object?>[]? y) => Equals(x.AsSpan(), y ?? []);

        public bool Equals(ReadOnlySpan<KeyValuePair<string, object?>> alternate, KeyValuePair<string, object?>[] other)
        {
            if (alternate.Length != other.Length)
            {
                return false;
            }

            foreach (var tag in alternate)
            {
                if (!Contains(other, tag))
                {
                    return false;
                }
            }

            return true;
        }

        public int GetHashCode(KeyValuePair<string, object?>[] obj) => GetHashCode((ReadOnlySpan<KeyValuePair<string, object?>>)obj);

        public int GetHashCode(ReadOnlySpan<KeyValuePair<string, object?>> alternate)
        {
            var hash = alternate.Length;
            foreach (var tag in alternate)
            {
                // A sum, because the order must not matter.
                hash += HashCode.Combine(tag.Key, tag.Value);
            }

            return hash;
        }

        public KeyValuePair<string, object?>[] Create(ReadOnlySpan<KeyValuePair<string, object?>> alternate) => alternate.ToArray();

        private static bool Contains(KeyValuePair<string, object?>[] tags, KeyValuePair<string, object?> wanted)
        {
            foreach (var tag in tags)
            {
                if (tag.Key == wanted.Key && Equals(tag.Value, wanted.Value))
                {
                    return true;
                }
            }

            return false;
        }
    }
}
