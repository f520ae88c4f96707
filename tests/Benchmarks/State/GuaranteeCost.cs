using System.Globalization;
using Microsoft.Extensions.DependencyInjection;
using OrleansStreams.Benchmarks.Paths;
using OrleansStreams.Benchmarks.Reports;
using OrleansStreams.Processing;
using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.Benchmarks.State;

/// <summary>
/// What exactly-once costs over the other guarantees, from the log to the log in one silo: a windowed count, which writes little, and a copy of each event, which writes as much as it reads. Their
/// runs take turns, so that all meet the same machine.
/// </summary>
internal sealed class GuaranteeCost(ReportOptions options)
{
    private const string Input = "guarantee-input";
    private const string Output = "guarantee-output";
    private const long Counted = 5_000_000;
    private const long Copied = 1_000_000;
    private const int ValueBytes = 100;
    private const double CountPerCore = 4e6;

    private static readonly ProcessingGuarantee[] s_guarantees = Enum.GetValues<ProcessingGuarantee>();

    public async Task RunAsync()
    {
        await using var silo = await BenchmarkSilo.StartAsync(configure: Register);
        var paths = new PathBenchmarks(silo.Client);
        var records = options.Scaled(Counted);
        WarmMemory.Touch(ThroughputReport.PhaseBytes(records, ValueBytes));
        await paths.CreateTopicAsync(Output, 1);
        await paths.CreateTopicAsync(Input, 1);
        await paths.ProduceAsync(Input, records, ValueBytes);
        await CompareAsync(silo, "windowed count", Count, records);
        await CompareAsync(silo, "copy of 100 B", Copy, Math.Min(records, options.Scaled(Copied)));
    }

    private const string Count = "count";
    private const string Copy = "copy";

    // The first run warms up.
    private void Register(IServiceCollection services)
    {
        for (var run = 0; run <= options.Repeats; run++)
        {
            foreach (var guarantee in s_guarantees)
            {
                var own = new StreamApplicationOptions { Guarantee = guarantee };
                services.AddStreamApplication(Name(Count, guarantee, run), (builder, _) => DescribeCount(builder), own);
                services.AddStreamApplication(Name(Copy, guarantee, run), (builder, _) => DescribeCopy(builder), own);
            }
        }
    }

    private async Task CompareAsync(BenchmarkSilo silo, string what, string application, long records)
    {
        var costs = s_guarantees.ToDictionary(guarantee => guarantee, _ => new List<Cost>());
        for (var run = 0; run <= options.Repeats; run++)
        {
            foreach (var guarantee in s_guarantees)
            {
                var cost = await RunAsync(silo, Name(application, guarantee, run), records);
                if (run > 0)
                {
                    costs[guarantee].Add(cost);
                }
            }
        }

        var exactly = costs[ProcessingGuarantee.ExactlyOnce];
        var cost15 = Line($"{what}, exactly once, 1 task, events/s (bound: at least once)", exactly, costs[ProcessingGuarantee.AtLeastOnce]);
        ReportTable.Against(cost15, "to cost <= 15 %", cost15.Ratio >= 0.85);
        ReportTable.Line(Line($"{what}, exactly once, 1 task, events/s (bound: at most once)", exactly, costs[ProcessingGuarantee.AtMostOnce]));
        var perCore = 1e6 / Statistics.Median(exactly.Select(cost => cost.CpuSecondsPerMillion));
        var measurement = new Measurement($"{what}, exactly once, events for a second of one core, all threads", perCore, application == Count ? CountPerCore : null);
        if (application == Count)
        {
            ReportTable.Against(measurement with { Ratio = perCore / CountPerCore }, ">= 4 M events/s on one core", perCore >= CountPerCore);
        }
        else
        {
            ReportTable.Line(measurement);
        }
    }

    private static Measurement Line(string name, List<Cost> ours, List<Cost> bound) => new(
        name,
        Statistics.Median(ours.Select(cost => cost.PerSecond)),
        Statistics.Median(bound.Select(cost => cost.PerSecond)),
        Statistics.Median(ours.Zip(bound, (x, y) => x.PerSecond / y.PerSecond)),
        Statistics.Median(ours.Select(cost => cost.CpuSecondsPerMillion)),
        Statistics.Median(ours.Select(cost => cost.AllocatedBytesPerUnit)));

    /// <summary>From the start to the last commit. What the topic holds beyond <paramref name="records"/> may be processed, too, and counts.</summary>
    private static async Task<Cost> RunAsync(BenchmarkSilo silo, string application, long records)
    {
        var processed = 0L;
        var cost = await Cost.OfAsync(records, async () =>
        {
            var applications = silo.Client.Applications;
            await applications.StartAsync(application);
            while ((await applications.GetStatusAsync(application)).Tasks.Sum(task => task.RecordsIn) < records)
            {
                await Task.Delay(5);
            }

            // Stopping ends with the last commit.
            await applications.StopAsync(application);
            processed = (await applications.GetStatusAsync(application)).Tasks.Sum(task => task.RecordsIn);
        });
        return cost with { Units = Math.Max(records, processed) };
    }

    private static void DescribeCount(StreamsBuilder builder) => builder
        .Stream(Input, Consumed.With(Serdes.Utf8, Serdes.Memory))
        .GroupByKey()
        .WindowedBy(TumblingWindows.Of(TimeSpan.FromMilliseconds(Workload.WindowMs)))
        .Count(Materialized.As("counts", Serdes.Int64))
        .Map((windowed, count) => (windowed.Key, count))
        .To(Output, Produced.With(Serdes.Utf8, Serdes.Int64));

    private static void DescribeCopy(StreamsBuilder builder) => builder
        .Stream(Input, Consumed.With(Serdes.Memory, Serdes.Memory)).To(Output, Produced.With(Serdes.Memory, Serdes.Memory));

    private static string Name(string application, ProcessingGuarantee guarantee, int run) => string.Create(CultureInfo.InvariantCulture, $"{application}-{guarantee}-{run}");
}
