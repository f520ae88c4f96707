using System.Globalization;
using OrleansStreams.Benchmarks.Reports;
using OrleansStreams.Log;
using OrleansStreams.Processing;
using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.Benchmarks.Paths;

/// <summary>
/// How old a result is when somebody can read it: from the moment at which an event was due to be produced, through an exactly-once table by key, to the arrival of the table's change at a
/// consumer of the result topic, which is behind the commit. The bound: the commit interval and 10 ms.
/// </summary>
internal static class ResultLatencyReport
{
    private const double EventsPerSecond = 50_000;
    private const double AllowedMs = 10;
    private const int ValueBytes = 100;
    private static readonly LatencyBenchmark.Stamp s_stamp = new(sizeof(long));
    private static readonly byte[][] s_keys = [.. Enumerable.Range(0, 10_000).Select(BitConverter.GetBytes)];

    public static async Task RunAsync(ReportOptions options)
    {
        var interval = new ProcessingOptions().CommitInterval.TotalMilliseconds;
        ReportTable.Title(string.Create(
            CultureInfo.InvariantCulture,
            $"results: event in to committed result consumed, {EventsPerSecond:#,0} events/s, commit interval {interval} ms, flush always, median of {options.Repeats}"));
        ReportTable.Columns();
        var runs = options.Repeats + 1;
        await using var silo = await BenchmarkSilo.StartAsync(configure: services =>
        {
            for (var run = 0; run < runs; run++)
            {
                var (input, output) = (Input(run), Output(run));
                services.AddStreamApplication(Name(run), (topology, _) => Build(topology, input, output));
            }
        });
        var latencies = new List<LatencyPercentiles>();
        for (var run = 0; run < runs; run++)
        {
            // The first run warms up.
            var latency = await MeasureAsync(silo, run, TimeSpan.FromSeconds(Math.Max(2, 6 * options.Scale)));
            if (run > 0)
            {
                latencies.Add(latency);
            }
        }

        var (p50, p99, p999) = LatencyPercentiles.MedianOf(latencies);
        var bound = interval + AllowedMs;
        ReportTable.Line(new Measurement("result latency p50, ms (bound: interval and 10 ms)", p50, bound, p50 / bound));
        ReportTable.Line(new Measurement("result latency p99, ms (bound: interval and 10 ms)", p99, bound, p99 / bound));
        ReportTable.Line(new Measurement("result latency p99.9, ms (bound: interval and 10 ms)", p999, bound, p999 / bound));
    }

    private static async Task<LatencyPercentiles> MeasureAsync(BenchmarkSilo silo, int run, TimeSpan duration)
    {
        foreach (var topic in (string[])[Input(run), Output(run)])
        {
            await silo.Client.Admin.CreateTopicAsync(topic, 1, new TopicConfig { RetentionMs = -1 });
        }

        await silo.Client.Applications.StartAsync(Name(run));
        var latency = await new LatencyBenchmark(silo).RunAsync(Input(run), Output(run), s_keys, ValueBytes, EventsPerSecond, duration);
        await silo.Client.Applications.StopAsync(Name(run));
        return latency;
    }

    /// <summary>The newest event of each key: every event changes the table, and so is a result.</summary>
    private static void Build(StreamsBuilder builder, string input, string output) => builder
        .Stream(input, Consumed.With(Serdes.Bytes, s_stamp))
        .GroupByKey()
        .Reduce((_, newest) => newest, Materialized.As("newest", s_stamp))
        .ToStream()
        .To(output, Produced.With(Serdes.Bytes, s_stamp));

    private static string Name(int run) => string.Create(CultureInfo.InvariantCulture, $"newest-{run}");

    private static string Input(int run) => string.Create(CultureInfo.InvariantCulture, $"events-{run}");

    private static string Output(int run) => string.Create(CultureInfo.InvariantCulture, $"results-{run}");
}
