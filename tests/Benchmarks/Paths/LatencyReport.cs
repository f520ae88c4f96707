using System.Globalization;
using OrleansStreams.Benchmarks.Reports;

namespace OrleansStreams.Benchmarks.Paths;

/// <summary>End-to-end latency at 5,000/s and at half of the measured maximum, beside the flush of the same run.</summary>
internal static class LatencyReport
{
    private const double SteadyRate = 5_000;

    public static async Task RunAsync(ReportOptions options, BenchmarkSilo silo, double produceMaximum)
    {
        await MeasureAsync(options, silo, "5,000/s", SteadyRate, TimeSpan.FromSeconds(Math.Max(1, 5 * options.Scale)));
        var half = produceMaximum / 2;
        await MeasureAsync(
            options, silo, string.Create(CultureInfo.InvariantCulture, $"half of the maximum ({half:#,0}/s)"), half, TimeSpan.FromSeconds(Math.Max(0.5, 2 * options.Scale)));
        ReportTable.Note("(records of 100 B; bound: one write and flush of 4 KiB onto allocated blocks, by turns with ours)");
    }

    /// <summary>Medians of the percentiles, ours and the flush's.</summary>
    public static async Task<(LatencyPercentiles Ours, LatencyPercentiles Flush)> MediansAsync(
        ReportOptions options, BenchmarkSilo silo, string topic, int valueBytes, double perSecond, TimeSpan duration)
    {
        var latency = new LatencyBenchmark(silo);
        await latency.RunAsync($"{topic}-warm", valueBytes, perSecond, TimeSpan.FromSeconds(1));
        var ours = new List<LatencyPercentiles>();
        var flushes = new List<LatencyPercentiles>();
        for (var run = 0; run < options.Repeats; run++)
        {
            WarmMemory.Touch(ThroughputReport.PhaseBytes((long)(perSecond * duration.TotalSeconds), valueBytes));
            ours.Add(await latency.RunAsync(string.Create(CultureInfo.InvariantCulture, $"{topic}-{run}"), valueBytes, perSecond, duration));
            flushes.Add(LatencyBenchmark.Flush(silo.Folder, count: 2_000));
        }

        return (LatencyPercentiles.MedianOf(ours), LatencyPercentiles.MedianOf(flushes));
    }

    private static async Task MeasureAsync(ReportOptions options, BenchmarkSilo silo, string rate, double perSecond, TimeSpan duration)
    {
        var (ours, flush) = await MediansAsync(options, silo, string.Create(CultureInfo.InvariantCulture, $"latency-{(long)perSecond}"), 100, perSecond, duration);
        ReportTable.Line(new Measurement($"end-to-end latency p50 at {rate}, ms", ours.P50, flush.P50, ours.P50 / flush.P50));
        ReportTable.Line(new Measurement($"end-to-end latency p99 at {rate}, ms", ours.P99, flush.P99, ours.P99 / flush.P99));
        ReportTable.Line(new Measurement($"end-to-end latency p99.9 at {rate}, ms", ours.P999, flush.P999, ours.P999 / flush.P999));
    }
}
