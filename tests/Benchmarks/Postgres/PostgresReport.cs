using System.Globalization;
using OrleansStreams.Benchmarks.Paths;
using OrleansStreams.Benchmarks.Reports;
using OrleansStreams.Silo.Hosting;
using OrleansStreams.Storage;
using OrleansStreams.Storage.Postgres;
using OrleansStreams.Tests.Postgres;

namespace OrleansStreams.Benchmarks.Postgres;

/// <summary>
/// Produce and consume with the logs in a PostgreSQL server of this run, each beside a binary COPY of the same batches over as many connections. The
/// server's own work is not in the CPU figures, which count this process.
/// </summary>
internal static class PostgresReport
{
    private const long SmallRecords = 2_000_000;
    private const long LargeRecords = 300_000;

    public static async Task RunAsync(ReportOptions options)
    {
        using var server = await PostgresServer.StartAsync();
        var copy = new CopyBounds(server);
        await copy.CreateAsync();
        var version = await server.ExecuteAsync("SHOW server_version");
        ReportTable.Title(string.Create(
            CultureInfo.InvariantCulture,
            $"{Environment.ProcessorCount} cores, PostgreSQL {version} on this machine, synchronous_commit = on (durability: disk), medians of {options.Repeats}; bound: COPY of the same batches"));
        ReportTable.Columns();
        foreach (var valueBytes in (int[])[100, 1024])
        {
            var records = options.Scaled(valueBytes == 100 ? SmallRecords : LargeRecords);
            var batches = Workload.Batches(records, valueBytes);
            foreach (var partitions in (int[])[1, 16])
            {
                await MeasureAsync(options, server, copy, valueBytes, partitions, records, batches);
            }

            await StorageAloneAsync(options, server, copy, valueBytes, records, batches);
        }
    }

    private static async Task MeasureAsync(
        ReportOptions options, PostgresServer server, CopyBounds copy, int valueBytes, int partitions, long records, List<byte[]> batches)
    {
        var schema = PostgresServer.NewSchema();
        var silo = await BenchmarkSilo.StartAsync(folder => new SiloSettings { DataPath = folder, PostgreSql = server.ConnectionString, PostgreSqlSchema = schema });
        var paths = new PathBenchmarks(silo.Client);
        var what = string.Create(CultureInfo.InvariantCulture, $"{Size(valueBytes)}, {partitions} partition{(partitions == 1 ? "" : "s")}");
        var connections = Math.Min(partitions, server.Options(schema).WriterConnections);
        await WarmUpAsync(paths, copy, valueBytes, Math.Min(records, 300_000), batches);
        WarmMemory.Touch(2 * ThroughputReport.PhaseBytes(records, valueBytes));
        ReportTable.Line(await Measurement.MedianOfAsync(
            $"produce {what}, records/s",
            options.Repeats,
            async run =>
            {
                await paths.CreateTopicAsync(Topic(run), partitions);
                await server.ExecuteAsync("CHECKPOINT");
                return await paths.ProduceAsync(Topic(run), records, valueBytes);
            },
            () => copy.InAsync(batches, connections, records)));
        ReportTable.Line(await Measurement.MedianOfAsync($"consume {what}, records/s", options.Repeats, run => paths.ConsumeAsync(Topic(run), partitions, records), () => copy.OutAsync(records)));
        await silo.DisposeAsync();
        await server.ExecuteAsync($"DROP SCHEMA {schema} CASCADE");

        static string Topic(int run) => string.Create(CultureInfo.InvariantCulture, $"t-{run}");
    }

    /// <summary>The log storage without client and grains, the ready batches appended to as many logs as COPY has connections.</summary>
    private static async Task StorageAloneAsync(ReportOptions options, PostgresServer server, CopyBounds copy, int valueBytes, long records, List<byte[]> batches)
    {
        foreach (var logs in (int[])[1, 4])
        {
            var schema = PostgresServer.NewSchema();
            await using (var database = server.Database(server.Options(schema)))
            await using (var storage = new PostgresLogStorage(database))
            {
                ReportTable.Line(await Measurement.MedianOfAsync(
                    string.Create(CultureInfo.InvariantCulture, $"storage alone {Size(valueBytes)}, {logs} log{(logs == 1 ? "" : "s")}, records/s"),
                    options.Repeats,
                    async run =>
                    {
                        await server.ExecuteAsync("CHECKPOINT");
                        return await Cost.OfAsync(records, () => Task.WhenAll(Enumerable.Range(0, logs).Select(log => Task.Run(() => AppendAsync(storage, $"alone/{run}/{log}", batches, log, logs)))));
                    },
                    () => copy.InAsync(batches, logs, records)));
            }

            await server.ExecuteAsync($"DROP SCHEMA {schema} CASCADE");
        }
    }

    private static async Task AppendAsync(ILogStorage storage, string name, List<byte[]> batches, int first, int step)
    {
        const int UnderWay = 64;
        await using var log = await storage.OpenAsync(new LogId(name), new LogOptions());
        var appends = new Queue<Task>();
        for (var next = first; next < batches.Count; next += step)
        {
            appends.Enqueue(log.AppendAsync(log.NextOffset, [batches[next]]).AsTask());
            if (appends.Count == UnderWay)
            {
                await appends.Dequeue();
            }
        }

        await Task.WhenAll(appends);
    }

    private static async Task WarmUpAsync(PathBenchmarks paths, CopyBounds copy, int valueBytes, long records, List<byte[]> batches)
    {
        await paths.CreateTopicAsync("warm", 1);
        for (var round = 0; round < 3; round++)
        {
            await paths.ProduceAsync("warm", records, valueBytes);
            await paths.ConsumeAsync("warm", 1, records);
        }

        await copy.InAsync(batches, 1, records);
    }

    private static string Size(int valueBytes) => valueBytes == 1024 ? "1 KiB" : string.Create(CultureInfo.InvariantCulture, $"{valueBytes} B");
}
