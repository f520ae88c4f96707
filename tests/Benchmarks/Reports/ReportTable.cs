using System.Globalization;

namespace OrleansStreams.Benchmarks.Reports;

/// <summary>Prints measurements as a table for people, a line at a time as they come.</summary>
internal static class ReportTable
{
    private const int NameWidth = 58;

    public static void Title(string text) => Console.WriteLine($"\n{text}");

    public static void Columns() => Console.WriteLine($"{"measure".PadRight(NameWidth)}{"ours",14}{"raw bound",14}{"ratio",8}{"CPU s/M",10}{"alloc B",10}");

    public static void Line(Measurement measurement) => Console.WriteLine(
        $"{measurement.Name.PadRight(NameWidth)}{Figure(measurement.Ours),14}{Figure(measurement.Bound),14}{Fixed(measurement.Ratio),8}{Fixed(measurement.CpuSecondsPerMillion, "0.000"),10}{Fixed(measurement.AllocatedBytesPerUnit, "0.0"),10}");

    /// <summary>A line with what the project wants of it, and whether that is so.</summary>
    public static void Against(Measurement measurement, string target, bool isMet)
    {
        Line(measurement);
        Note($"{(isMet ? "met" : "MISSED")}: wanted {target}");
    }

    /// <summary>The longest that something held processing up, beside the 50 ms that it may.</summary>
    public static void Pause(string name, double ms) => Against(new Measurement(name, ms, 50, ms / 50), "<= 50 ms", ms <= 50);

    public static void Note(string text) => Console.WriteLine($"  {text}");

    private static string Figure(double? value) => Fixed(value, value < 1000 ? "0.00" : "#,0");

    private static string Fixed(double? value, string format = "0.00") => value?.ToString(format, CultureInfo.InvariantCulture) ?? "";
}
