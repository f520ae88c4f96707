using System.Globalization;
using OrleansStreams.Benchmarks.Paths;
using OrleansStreams.Benchmarks.Reports;
using OrleansStreams.Tests.Cluster;

namespace OrleansStreams.Benchmarks.Cluster;

/// <summary>
/// Silo processes, a PostgreSQL server and an external client, all on this machine: how long partitions stay away when a silo goes, and what three silos do beside
/// one. The silos share the machine's cores with the client and the database, so the ratio says what a cluster costs there, not what it brings on machines of its own.
/// </summary>
internal static class ClusterReport
{
    private const int Silos = 3;
    private const int Partitions = 12;
    private const int ValueBytes = 100;
    private const long Records = 1_000_000;

    public static async Task RunAsync(ReportOptions options)
    {
        ReportTable.Title(string.Create(
            CultureInfo.InvariantCulture,
            $"{Environment.ProcessorCount} cores, {Silos} silo processes, PostgreSQL and an external client on this machine, default configuration"));
        await FailoverAsync(2 * options.Repeats);
        await ThroughputAsync(options);
    }

    private static async Task FailoverAsync(int runs)
    {
        await using var cluster = await SiloCluster.StartAsync(Silos, "--sample", "false");
        await using var client = await cluster.ConnectAsync();
        await using var probe = await FailoverProbe.StartAsync(client.Streams, "probed", Partitions);
        Line($"ms to the first acknowledgement on all {Partitions} partitions", "median", "least", "most");
        await MeasureAsync("a silo killed (SIGKILL)", silo => silo.Kill());
        await MeasureAsync("a silo stopped (SIGTERM)", silo => silo.Terminate());

        async Task MeasureAsync(string what, Action<SiloProcess> fault)
        {
            var times = new List<double>();
            for (var run = 0; run < runs; run++)
            {
                // The oldest: the partitions of those before it were spread over it and the others.
                var silo = cluster.Silos[0];
                times.Add((await probe.MeasureAsync(() => fault(silo))).TotalMilliseconds);
                await silo.EndedAsync();
                await cluster.AddAsync();
            }

            Line(string.Create(CultureInfo.InvariantCulture, $"{what}, {runs} times"), Figure(Statistics.Median(times)), Figure(times.Min()), Figure(times.Max()));
        }
    }

    private static async Task ThroughputAsync(ReportOptions options)
    {
        var one = await RatesAsync(1, options);
        var three = await RatesAsync(Silos, options);
        Line($"records/s, {ValueBytes} B, {Partitions} partitions, idempotent", "1 silo", $"{Silos} silos", "ratio");
        Line("produce", Figure(one.Produce), Figure(three.Produce), Ratio(three.Produce / one.Produce));
        Line("consume", Figure(one.Consume), Figure(three.Consume), Ratio(three.Consume / one.Consume));
        Line("consume in batches", Figure(one.Batches), Figure(three.Batches), Ratio(three.Batches / one.Batches));
    }

    private static async Task<(double Produce, double Consume, double Batches)> RatesAsync(int silos, ReportOptions options)
    {
        await using var cluster = await SiloCluster.StartAsync(silos, "--sample", "false");
        await using var client = await cluster.ConnectAsync();
        var paths = new PathBenchmarks(client.Streams);
        var records = options.Scaled(Records);
        await OnceAsync("warm", Math.Min(records, 200_000));
        var rates = new List<(double Produce, double Consume, double Batches)>();
        for (var run = 0; run < options.Repeats; run++)
        {
            await cluster.Database.ExecuteAsync("CHECKPOINT");
            rates.Add(await OnceAsync(string.Create(CultureInfo.InvariantCulture, $"t-{run}"), records));
        }

        return (Statistics.Median(rates.Select(rate => rate.Produce)), Statistics.Median(rates.Select(rate => rate.Consume)), Statistics.Median(rates.Select(rate => rate.Batches)));

        async Task<(double Produce, double Consume, double Batches)> OnceAsync(string topic, long count)
        {
            await paths.CreateTopicAsync(topic, Partitions);
            var produce = await paths.ProduceAsync(topic, count, ValueBytes);
            var consume = await paths.ConsumeAsync(topic, Partitions, count);
            var batches = await paths.ConsumeBatchesAsync(topic, Partitions, count);
            return (produce.PerSecond, consume.PerSecond, batches.PerSecond);
        }
    }

    private static void Line(string name, string first, string second, string third) => Console.WriteLine($"{name,-58}{first,14}{second,14}{third,10}");

    private static string Figure(double value) => value.ToString("#,0", CultureInfo.InvariantCulture);

    private static string Ratio(double value) => value.ToString("0.00", CultureInfo.InvariantCulture);
}
