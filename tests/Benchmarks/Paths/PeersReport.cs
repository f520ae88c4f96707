using System.Globalization;
using OrleansStreams.Benchmarks.Reports;
using OrleansStreams.Storage;

namespace OrleansStreams.Benchmarks.Paths;

/// <summary>Our lines in the shape in which other brokers on the same machine are measured: one stream, one producer, one consumer.</summary>
internal static class PeersReport
{
    private const double SteadyRate = 5_000;

    public static async Task RunAsync(ReportOptions options)
    {
        Console.WriteLine("peer mode value_bytes publish_per_s consume_per_s p50_ms p99_ms");
        await RunAsync(options, "fsync", FlushMode.Always);
        await RunAsync(options, "os", FlushMode.OperatingSystem);
    }

    private static async Task RunAsync(ReportOptions options, string mode, FlushMode flush)
    {
        await using var silo = await BenchmarkSilo.StartAsync(flush);
        var throughput = new ThroughputReport(options, silo, mode, flush);
        foreach (var valueBytes in (int[])[100, 1024])
        {
            var records = options.Scaled(valueBytes == 100 ? 5_000_000 : 1_000_000);
            await throughput.WarmUpAsync(valueBytes, Math.Min(records, 500_000));
            var (produce, consume) = await throughput.PairAsync(valueBytes, 1, records, Workload.Batches(records, valueBytes));
            var (latency, _) = await LatencyReport.MediansAsync(
                options, silo, string.Create(CultureInfo.InvariantCulture, $"peers-{valueBytes}"), valueBytes, SteadyRate, TimeSpan.FromSeconds(Math.Max(1, 5 * options.Scale)));
            Console.WriteLine(string.Create(
                CultureInfo.InvariantCulture, $"orleans-streams {mode} {valueBytes} {produce.Ours:0} {consume.Ours:0} {latency.P50:0.000} {latency.P99:0.000}"));
        }
    }
}
