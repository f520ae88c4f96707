using System.Buffers;
using System.Diagnostics;
using System.Globalization;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using OrleansStreams.Benchmarks.Reports;
using OrleansStreams.Processing;
using OrleansStreams.Processing.Journal;
using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.Benchmarks.State;

/// <summary>
/// Restarts a task with a gigabyte of state: opens its journal in files and restores the engine, as a task does before it processes anything. Once when the state was just filled, and once when its
/// rows have been overwritten again and again, at the moment at which there is most to read: just before a snapshot has ended. The files were just written, so that the page cache has them. Rows are
/// structs of 104 bytes.
/// </summary>
internal static class RestartReport
{
    private const long Keys = 8_000_000;
    private const int BatchRecords = 1000;
    private const int BatchesPerCommit = 8;

    public static async Task RunAsync(ReportOptions options)
    {
        var keys = options.Scaled(Keys);
        await RestartAsync("filled", keys, options, engine => FillAsync(engine, keys));
        await RestartAsync("overwritten steadily", keys, options, async engine =>
        {
            var pauses = await FillAsync(engine, keys);
            pauses.AddRange(await OverwriteAsync(engine, keys));
            return pauses;
        });
    }

    private static async Task RestartAsync(string what, long keys, ReportOptions options, Func<JournaledEngine, Task<List<double>>> write)
    {
        var engine = await JournaledEngine.BeginAsync(Plan());
        var pauses = await write(engine);
        var stateBytes = engine.Engine.StateBytes;
        var folder = await engine.CloseAsync();
        try
        {
            var journalBytes = new DirectoryInfo(folder).EnumerateFiles("*", SearchOption.AllDirectories).Where(file => file.FullName.Contains("journals", StringComparison.Ordinal)).Sum(file => file.Length);
            engine = null;
            var seconds = new List<double>();
            for (var run = 0; run < Math.Min(options.Repeats, 3); run++)
            {
                seconds.Add(await RestoreAsync(folder, keys));
            }

            var median = Statistics.Median(seconds);
            var name = string.Create(CultureInfo.InvariantCulture, $"restart with {stateBytes / 1e9:0.00} GB of state, {what}, s");
            ReportTable.Against(new Measurement(name, median, 60, median / 60), "< 60 s", median < 60);
            var speed = stateBytes / 1e9 / (median / 60);
            ReportTable.Against(new Measurement("restore from files, GB of state/min (bound: wanted)", speed, 1, speed), ">= 1 GB/min", speed >= 1);
            pauses.Sort();
            ReportTable.Pause("commits with parts of snapshots meanwhile, longest, ms", pauses[^1]);
            ReportTable.Note(string.Create(CultureInfo.InvariantCulture, $"journal {journalBytes / 1e9:0.00} GB; {pauses.Count} commits of {BatchRecords * BatchesPerCommit:#,0} changes, median {Statistics.Percentile(CollectionsMarshal.AsSpan(pauses), 0.5):0.00} ms, 99th percentile {Statistics.Percentile(CollectionsMarshal.AsSpan(pauses), 0.99):0.00} ms"));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static async Task<List<double>> FillAsync(JournaledEngine engine, long keys)
    {
        var pauses = new List<double>();
        for (var key = 0L; key < keys;)
        {
            for (var number = 0; number < BatchesPerCommit; number++, key += BatchRecords)
            {
                var first = key;
                engine.Process(Batch(record => first + record));
            }

            await engine.CommitAsync();
            pauses.Add(engine.LastPauseMs);
        }

        return pauses;
    }

    /// <summary>Overwrites rows at random until a snapshot has ended that was begun meanwhile, and then until nine tenths of the next one are written.</summary>
    private static async Task<List<double>> OverwriteAsync(JournaledEngine engine, long keys)
    {
        var pauses = new List<double>();
        var random = new Random(1);
        var (target, length, now) = (engine.Snapshots + 2, 0, 0);
        while (engine.Snapshots < target || now < 0.9 * length)
        {
            for (var number = 0; number < BatchesPerCommit; number++)
            {
                engine.Process(Batch(_ => random.NextInt64(keys)));
            }

            var snapshots = engine.Snapshots;
            await engine.CommitAsync();
            pauses.Add(engine.LastPauseMs);
            now += engine.IsSnapshotUnderWay ? 1 : 0;
            if (engine.Snapshots > snapshots)
            {
                (length, now) = (now, 0);
            }
        }

        return pauses;
    }

    private static async Task<double> RestoreAsync(string folder, long keys)
    {
        GC.Collect();
        await using var storage = JournaledEngine.Storage(folder);
        var plan = Plan();
        var begin = Stopwatch.GetTimestamp();
        var journal = await TaskJournal.OpenAsync(storage, TaskJournal.IdOf(plan.Application, plan.TaskId), JournaledEngine.Options, CancellationToken.None);
        var engine = new TaskEngine(plan);
        await journal.RestoreAsync(entry => engine.Restore(entry.Span), CancellationToken.None);
        var seconds = Stopwatch.GetElapsedTime(begin).TotalSeconds;
        await journal.DisposeAsync();
        return engine.Progress.StateEntries >= keys ? seconds : throw new InvalidOperationException("The restored state is not the one that was written.");
    }

    private static TaskPlan Plan()
    {
        var builder = new StreamsBuilder();
        builder.Table("rows", Consumed.With(Serdes.Int64, new RowSerde()), Materialized.As("rows", new RowSerde()));
        return new TaskPlan { Application = "restart", SubTopology = builder.Build().SubTopologies[0], Partition = 0, Outputs = [], Writers = [[]] };
    }

    private static byte[] Batch(Func<int, long> keyOf)
    {
        var builder = new RecordBatchBuilder(initialBytes: BatchRecords * 140);
        var (key, value) = (new byte[8], new byte[Unsafe.SizeOf<Row>()]);
        for (var record = 0; record < BatchRecords; record++)
        {
            var number = keyOf(record);
            BitConverter.TryWriteBytes(key, StateReport.Scattered((int)number));
            BitConverter.TryWriteBytes(value, number);
            builder.Append(number, key, false, value, false, null);
        }

        return builder.Build();
    }

    [InlineArray(13)]
    private struct Row
    {
        private long _first;
    }

    private sealed class RowSerde : ISerde<Row>
    {
        public string Name => "row";

        public void Serialize(Row value, IBufferWriter<byte> to)
        {
            MemoryMarshal.Write(to.GetSpan(Unsafe.SizeOf<Row>()), in value);
            to.Advance(Unsafe.SizeOf<Row>());
        }

        public Row Deserialize(ReadOnlySpan<byte> bytes) => MemoryMarshal.Read<Row>(bytes);
    }
}
