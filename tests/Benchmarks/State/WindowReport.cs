using System.Diagnostics;
using System.Globalization;
using System.Text;
using OrleansStreams.Benchmarks.Reports;
using OrleansStreams.Processing;
using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.Benchmarks.State;

/// <summary>A windowed count through the task engine with its commits, without the log; and what it costs at worst that its windows become many.</summary>
internal static class WindowReport
{
    private const long Events = 10_000_000;
    private const long Windows = 10_000_000;
    private const int Keys = 1000;
    private const int BatchRecords = 1000;
    private const int BatchesPerCommit = 16;

    public static async Task RunAsync(ReportOptions options)
    {
        var keys = Enumerable.Range(0, Keys).Select(key => Encoding.UTF8.GetBytes(string.Create(CultureInfo.InvariantCulture, $"key-{key:D4}"))).ToArray();
        var random = new Random(1);
        var batches = Batches(options.Scaled(Events), number => (keys[random.Next(Keys)], number / 100)).ToArray();
        ReportTable.Line(await Measurement.MedianOfAsync(
            "windowed count through the engine with commits, events/s", options.Repeats, _ => Task.FromResult(Cost.Of(batches.Length * (long)BatchRecords, () => Count(batches)))));
        ReportTable.Pause(string.Create(CultureInfo.InvariantCulture, $"{options.Scaled(Windows):#,0} windows that open, longest batch of 1,000, ms"), Open((int)options.Scaled(Windows)));
    }

    private static void Count(byte[][] batches)
    {
        var engine = Begun();
        for (var number = 1; number <= batches.Length; number++)
        {
            Process(engine, batches[number - 1]);
            if (number % BatchesPerCommit == 0)
            {
                engine.Drain();
            }
        }
    }

    /// <summary>The longest batch, in ms, of events that open a window each; commits and collections between batches are not among it.</summary>
    private static double Open(int windows)
    {
        var engine = Begun();
        var longest = 0.0;
        var number = 0;
        foreach (var batch in Batches(windows, at => (BitConverter.GetBytes(StateReport.Scattered((int)at)), 0)))
        {
            var begin = Stopwatch.GetTimestamp();
            Process(engine, batch);
            longest = Math.Max(longest, Stopwatch.GetElapsedTime(begin).TotalMilliseconds);
            if (++number % BatchesPerCommit == 0)
            {
                engine.Drain();
            }
        }

        return longest;
    }

    private static TaskEngine Begun()
    {
        var builder = new StreamsBuilder();
        builder.Stream("events", Consumed.With(Serdes.Memory, Serdes.Memory)).GroupByKey().WindowedBy(TumblingWindows.Of(TimeSpan.FromSeconds(1))).Count(Materialized.As("counts", Serdes.Int64));
        var engine = new TaskEngine(new TaskPlan { Application = "windows", SubTopology = builder.Build().SubTopologies[0], Partition = 0, Outputs = [], Writers = [[]] });
        engine.Begin(1, [0], null);
        return engine;
    }

    private static void Process(TaskEngine engine, byte[] batch)
    {
        RecordBatch.StampOffsetAndEpoch(batch, engine.PositionOf(0), 0);
        engine.ProcessBatch(0, batch);
    }

    private static IEnumerable<byte[]> Batches(long events, Func<long, (byte[] Key, long Time)> eventOf)
    {
        var value = new byte[8];
        for (var number = 0L; number < events;)
        {
            var builder = new RecordBatchBuilder(initialBytes: 32 * 1024);
            for (var record = 0; record < BatchRecords; record++, number++)
            {
                var (key, time) = eventOf(number);
                builder.Append(time, key, false, value, false, null);
            }

            yield return builder.Build();
        }
    }
}
