using System.Buffers;
using System.Diagnostics;
using System.Globalization;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Microsoft.Extensions.Logging.Abstractions;
using OrleansStreams.Benchmarks.Reports;
using OrleansStreams.Processing;
using OrleansStreams.Processing.Journal;
using OrleansStreams.Records;
using OrleansStreams.Storage;
using OrleansStreams.Storage.Files;
using OrleansStreams.Topologies;

namespace OrleansStreams.Benchmarks.State;

/// <summary>
/// Restarts a task with a gigabyte of state: opens its journal in files and restores the engine, as a task does before it processes anything. The files were just written, so that the
/// page cache has them. Rows are structs of 104 bytes.
/// </summary>
internal static class RestartReport
{
    private const long Keys = 8_000_000;
    private const int BatchRecords = 1000;
    private const int BatchesPerCommit = 8;

    public static async Task RunAsync(ReportOptions options)
    {
        var folder = Directory.CreateTempSubdirectory("streams-restart-").FullName;
        try
        {
            var keys = options.Scaled(Keys);
            var (stateBytes, pauses) = await WriteAsync(folder, keys);
            var journalBytes = new DirectoryInfo(folder).EnumerateFiles("*", SearchOption.AllDirectories).Where(file => file.FullName.Contains("journals", StringComparison.Ordinal)).Sum(file => file.Length);
            var seconds = new List<double>();
            for (var run = 0; run < Math.Min(options.Repeats, 3); run++)
            {
                seconds.Add(await RestoreAsync(folder, keys));
            }

            var median = Statistics.Median(seconds);
            var name = string.Create(CultureInfo.InvariantCulture, $"restart with {stateBytes / 1e9:0.00} GB of state, {keys:#,0} keys, s (bound: allowed)");
            ReportTable.Line(new Measurement(name, median, 60, median / 60));
            var speed = stateBytes / 1e9 / (median / 60);
            ReportTable.Line(new Measurement("restore from files, GB of state/min (bound: wanted)", speed, 1, speed));
            pauses.Sort();
            ReportTable.Line(new Measurement("commits with parts of snapshots meanwhile, longest, ms (bound: allowed)", pauses[^1], 50, pauses[^1] / 50));
            ReportTable.Note(string.Create(CultureInfo.InvariantCulture, $"journal {journalBytes / 1e9:0.00} GB; {pauses.Count} commits of {BatchRecords * BatchesPerCommit:#,0} changes, median {Statistics.Percentile(CollectionsMarshal.AsSpan(pauses), 0.5):0.00} ms, 99th percentile {Statistics.Percentile(CollectionsMarshal.AsSpan(pauses), 0.99):0.00} ms"));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static async Task<(long StateBytes, List<double> Pauses)> WriteAsync(string folder, long keys)
    {
        await using var storage = Storage(folder);
        var plan = Plan();
        var journal = await TaskJournal.OpenAsync(storage, TaskJournal.IdOf(plan.Application, plan.TaskId), Options, CancellationToken.None);
        var engine = new TaskEngine(plan);
        engine.Begin(1, [0], null);
        var pauses = new List<double>();
        for (var key = 0L; key < keys;)
        {
            for (var number = 0; number < BatchesPerCommit; number++, key += BatchRecords)
            {
                engine.ProcessBatch(0, Batch(engine.PositionOf(0), key));
            }

            var begin = Stopwatch.GetTimestamp();
            var commit = engine.Drain();
            pauses.Add(Stopwatch.GetElapsedTime(begin).TotalMilliseconds);
            await journal.AppendAsync(commit, 0);
            if (commit.EndsSnapshot)
            {
                await journal.TruncateAsync(CancellationToken.None);
            }
        }

        var bytes = engine.StateBytes;
        await journal.DisposeAsync();
        return (bytes, pauses);
    }

    private static async Task<double> RestoreAsync(string folder, long keys)
    {
        GC.Collect();
        await using var storage = Storage(folder);
        var plan = Plan();
        var begin = Stopwatch.GetTimestamp();
        var journal = await TaskJournal.OpenAsync(storage, TaskJournal.IdOf(plan.Application, plan.TaskId), Options, CancellationToken.None);
        var engine = new TaskEngine(plan);
        await journal.RestoreAsync(entry => engine.Restore(entry.Span), CancellationToken.None);
        var seconds = Stopwatch.GetElapsedTime(begin).TotalSeconds;
        await journal.DisposeAsync();
        return engine.Progress.StateEntries >= keys ? seconds : throw new InvalidOperationException("The restored state is not the one that was written.");
    }

    private static FileLogStorage Storage(string folder) => new(new FileLogStorageOptions { RootPath = folder }, TimeProvider.System, NullLogger<FileLogStorage>.Instance);

    private static LogOptions Options => new ProcessingOptions().Journal with { Flush = FlushMode.OperatingSystem };

    private static TaskPlan Plan()
    {
        var builder = new StreamsBuilder();
        builder.Table("rows", Consumed.With(Serdes.Int64, new RowSerde()), Materialized.As("rows", new RowSerde()));
        return new TaskPlan { Application = "restart", SubTopology = builder.Build().SubTopologies[0], Partition = 0, Outputs = [], Writers = [[]] };
    }

    private static byte[] Batch(long baseOffset, long firstKey)
    {
        var builder = new RecordBatchBuilder(initialBytes: BatchRecords * 140);
        var (key, value) = (new byte[8], new byte[Unsafe.SizeOf<Row>()]);
        for (var record = 0; record < BatchRecords; record++)
        {
            BitConverter.TryWriteBytes(key, StateReport.Scattered((int)(firstKey + record)));
            BitConverter.TryWriteBytes(value, firstKey + record);
            builder.Append(firstKey + record, key, false, value, false, null);
        }

        var batch = builder.Build();
        RecordBatch.StampOffsetAndEpoch(batch, baseOffset, 0);
        return batch;
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
