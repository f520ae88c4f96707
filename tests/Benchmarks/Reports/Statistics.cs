namespace OrleansStreams.Benchmarks.Reports;

/// <summary>Medians and percentiles.</summary>
internal static class Statistics
{
    public static double Median(IEnumerable<double> values)
    {
        double[] sorted = [.. values.Order()];
        return Percentile(sorted, 0.5);
    }

    /// <summary>The value that the given part of the values does not exceed (nearest rank).</summary>
    public static double Percentile(ReadOnlySpan<double> sorted, double part) => sorted[Math.Clamp((int)Math.Ceiling(part * sorted.Length) - 1, 0, sorted.Length - 1)];
}
