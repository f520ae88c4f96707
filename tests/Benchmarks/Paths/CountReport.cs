using System.Globalization;
using Microsoft.Extensions.DependencyInjection;
using OrleansStreams.Benchmarks.Reports;
using OrleansStreams.Processing;
using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.Benchmarks.Paths;

/// <summary>Counts by key and window, exactly once, beside a dictionary in a plain loop.</summary>
internal sealed class CountReport(ReportOptions options)
{
    private const string Topic = "count-input";
    private const string Output = "counts";
    private const long Records = 5_000_000;

    // The first run warms up.
    private int Applications => options.Repeats + 1;

    /// <summary>Registers an application a run: each begins at the start of the topic.</summary>
    public void Register(IServiceCollection services)
    {
        for (var run = 0; run < Applications; run++)
        {
            services.AddStreamApplication(Application(run), (topology, _) => Build(topology));
        }
    }

    public async Task RunAsync(BenchmarkSilo silo)
    {
        var records = options.Scaled(Records);
        var paths = new PathBenchmarks(silo.Client);
        var batches = Workload.Batches(records, 100);
        WarmMemory.Touch(ThroughputReport.PhaseBytes(records, 100));
        await paths.CreateTopicAsync(Output, 1);
        await paths.CreateTopicAsync(Topic, 1);
        await paths.ProduceAsync(Topic, records, 100);
        await CountAsync(silo, options.Repeats, records);
        ReportTable.Line(await Measurement.MedianOfAsync(
            "windowed count, exactly once, 1 task, flush always, events/s",
            options.Repeats,
            run => CountAsync(silo, run, records),
            () => RawBounds.CountByKeyAndWindow(batches, records)));
        await paths.DeleteTopicAsync(Topic);
    }

    /// <summary>From the start to the commit of the last record.</summary>
    private static Task<Cost> CountAsync(BenchmarkSilo silo, int run, long records) => Cost.OfAsync(records, async () =>
    {
        var applications = silo.Client.Applications;
        await applications.StartAsync(Application(run));
        while ((await applications.GetStatusAsync(Application(run))).Tasks.Sum(task => task.RecordsIn) < records)
        {
            await Task.Delay(5);
        }

        // Stopping ends with the last commit: the figure covers everything that exactly-once costs.
        await applications.StopAsync(Application(run));
    });

    private static void Build(StreamsBuilder builder) => builder
        .Stream(Topic, Consumed.With(Serdes.Utf8, Serdes.Memory).WithWatermarks(WatermarkStrategy.BoundedOutOfOrderness(TimeSpan.Zero)))
        .GroupByKey()
        .WindowedBy(TumblingWindows.Of(TimeSpan.FromMilliseconds(Workload.WindowMs)))
        .Count(Materialized.As("counts", Serdes.Int64))
        .Map((windowed, count) => (windowed.Key, count))
        .To(Output, Produced.With(Serdes.Utf8, Serdes.Int64));

    private static string Application(int run) => string.Create(CultureInfo.InvariantCulture, $"count-{run}");
}
