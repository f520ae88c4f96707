using System.Globalization;
using OrleansStreams.Benchmarks.Reports;
using OrleansStreams.Processing;
using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.Benchmarks.State;

/// <summary>A count by key through the task engine with its commits, without the log: batches in, journal entries out.</summary>
internal static class EngineThroughput
{
    private const long Events = 4_000_000;
    private const int BatchRecords = 1000;

    // As many as change 1 MiB, at which a task commits, when all of them have keys of their own.
    private const int BatchesPerCommit = 16;

    public static async Task ReportAsync(int few, int many, ReportOptions options)
    {
        var rates = new List<double>();
        foreach (var keys in (int[])[few, many])
        {
            var engine = Preloaded(keys);
            var batches = Batches(options.Scaled(Events), number => new Random(number).Next(keys)).ToArray();
            var measured = await Measurement.MedianOfAsync(
                string.Create(CultureInfo.InvariantCulture, $"count through the engine with commits, {keys:#,0} keys, events/s"),
                options.Repeats,
                _ => Task.FromResult(Cost.Of(batches.Length * (long)BatchRecords, () => Run(engine, batches))));
            ReportTable.Line(measured);
            rates.Add(measured.Ours);
        }

        ReportTable.Line(new Measurement("that of many keys to that of few", rates[1], rates[0], rates[1] / rates[0]));
    }

    private static TaskEngine Preloaded(int keys)
    {
        var builder = new StreamsBuilder();
        builder.Stream("events", Consumed.With(Serdes.Int64, Serdes.Int64)).GroupByKey().Count(Materialized.As("counts", Serdes.Int64));
        var sub = builder.Build().SubTopologies[0];
        var engine = new TaskEngine(new TaskPlan { Application = "state", SubTopology = sub, Partition = 0, Outputs = [], Writers = [[]] });
        engine.Begin(1, [0], null);
        foreach (var batches in Batches(keys, number => number).Chunk(BatchesPerCommit))
        {
            Run(engine, batches);
        }

        engine.Drain();
        return engine;
    }

    private static void Run(TaskEngine engine, byte[][] batches)
    {
        for (var number = 1; number <= batches.Length; number++)
        {
            var batch = batches[number - 1];
            RecordBatch.StampOffsetAndEpoch(batch, engine.PositionOf(0), 0);
            engine.ProcessBatch(0, batch);
            if (number % BatchesPerCommit == 0)
            {
                engine.Drain();
            }
        }
    }

    private static IEnumerable<byte[]> Batches(long events, Func<int, int> keyOf)
    {
        var (key, value) = (new byte[8], new byte[8]);
        for (var number = 0; number < events;)
        {
            var builder = new RecordBatchBuilder(initialBytes: 32 * 1024);
            for (var record = 0; record < BatchRecords; record++, number++)
            {
                BitConverter.TryWriteBytes(key, StateReport.Scattered(keyOf((int)Math.Min(number, events - 1))));
                builder.Append(number, key, false, value, false, null);
            }

            yield return builder.Build();
        }
    }
}
