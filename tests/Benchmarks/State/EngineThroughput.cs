using System.Globalization;
using OrleansStreams.Benchmarks.Reports;
using OrleansStreams.Processing;
using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.Benchmarks.State;

/// <summary>A count by key through the task engine with its commits and their journal in files: batches in, entries appended.</summary>
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
            await using var engine = await PreloadedAsync(keys);
            var batches = Batches(options.Scaled(Events), number => new Random(number).Next(keys)).ToArray();
            var measured = await Measurement.MedianOfAsync(
                string.Create(CultureInfo.InvariantCulture, $"count through the engine with its journal, {keys:#,0} keys, events/s"),
                options.Repeats,
                _ => Cost.OfAsync(batches.Length * (long)BatchRecords, () => RunAsync(engine, batches)));
            ReportTable.Line(measured);
            rates.Add(measured.Ours);
        }

        ReportTable.Against(new Measurement("that of many keys to that of few", rates[1], rates[0], rates[1] / rates[0]), ">= 50 %", rates[1] >= 0.5 * rates[0]);
    }

    /// <summary>An engine that has counted each of so many keys once.</summary>
    public static async Task<JournaledEngine> PreloadedAsync(int keys)
    {
        var builder = new StreamsBuilder();
        builder.Stream("events", Consumed.With(Serdes.Int64, Serdes.Int64)).GroupByKey().Count(Materialized.As("counts", Serdes.Int64));
        var sub = builder.Build().SubTopologies[0];
        var engine = await JournaledEngine.BeginAsync(new TaskPlan { Application = "state", SubTopology = sub, Partition = 0, Outputs = [], Writers = [[]] });
        foreach (var batches in Batches(keys, number => number).Chunk(BatchesPerCommit))
        {
            await RunAsync(engine, batches);
        }

        await engine.CommitAsync();
        return engine;
    }

    private static async Task RunAsync(JournaledEngine engine, byte[][] batches)
    {
        for (var number = 1; number <= batches.Length; number++)
        {
            engine.Process(batches[number - 1]);
            if (number % BatchesPerCommit == 0)
            {
                await engine.CommitAsync();
            }
        }
    }

    /// <summary>Events in batches of a thousand.</summary>
    public static IEnumerable<byte[]> Batches(long events, Func<int, int> keyOf)
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
