using System.Globalization;
using Microsoft.Extensions.Logging.Abstractions;
using OrleansStreams.Log;
using OrleansStreams.Processing.Sources;
using OrleansStreams.Records;
using OrleansStreams.Storage;
using OrleansStreams.Topologies;
using static OrleansStreams.Processing.EngineFixture;
using static OrleansStreams.Processing.TaskTopics;

namespace OrleansStreams.Processing;

/// <summary>A running task that joins a stream with a table: in which order it takes their records.</summary>
public sealed class ReadByTimeTests
{
    [Fact]
    public void With_all_input_there_before_each_record_meets_the_table_as_of_its_time_however_batches_are_cut_and_wherever_it_crashes()
    {
        for (var seed = 0; seed < 60; seed++)
        {
            var at = seed;
            Turns.Run(() => RunAsync(at));
        }
    }

    [Fact]
    public void A_stream_waits_for_rows_that_are_written_but_not_fetched_and_for_no_others() => Turns.Run(async () =>
    {
        var time = new ManualTime();
        await using var storage = new MemoryLogStorage();
        var topics = new ManyTopics(time);
        topics.AddTexts("stream", ("k", "a", 20));
        topics.AddTexts("table", ("k", "1", 10));
        topics.Hold("table");
        await using var task = Of(time, storage, topics, isLeft: true, extracts: false);
        var run = task.Start();
        await SettleAsync();
        topics.Records(Output).ShouldBeEmpty("the row is there and its fetch is not answered");
        topics.LetGo("table");
        await Turns.UntilAsync(() => topics.Records(Output).Count == 1);
        topics.AddTexts("stream", ("k", "b", 1000), ("k", "c", 2000));
        await Turns.UntilAsync(() => topics.Records(Output).Count == 3);
        topics.AddTexts("table", ("k", "2", 1500));
        await Turns.UntilAsync(() => task.Status().RecordsIn == 5);
        topics.AddTexts("stream", ("k", "d", 1400));
        await Turns.UntilAsync(() => topics.Records(Output).Count == 4);
        topics.Records(Output).ShouldBe(["k a1", "k b1", "k c1", "k d2"], "nothing is waited for that nobody has written yet, and a table has no past");
        await task.StopAsync();
        await run;
    });

    [Fact]
    public void A_window_behind_a_table_that_never_changes_closes_when_the_streams_time_has_come() => Turns.Run(async () =>
    {
        var time = new ManualTime();
        await using var storage = new MemoryLogStorage();
        var topics = new ManyTopics(time);
        topics.AddTexts("table", ("k", "1", 10));
        topics.AddTexts("stream", ("k", "a", 1000), ("k", "b", 1001), ("k", "c", 1020));
        var builder = new StreamsBuilder();
        var texts = Consumed.With(Serdes.Utf8, Serdes.Utf8);
        builder.Stream("stream", texts).Join(builder.Table("table", texts), (value, row) => value + row).GroupByKey().WindowedBy(TumblingWindows.Of(TimeSpan.FromMilliseconds(10)))
            .Count(Materialized.As("counts", Serdes.Int64)).Map((window, count) => (window.Key, $"{window.WindowStartMs}={count}")).To(Output, Produced.With(Serdes.Utf8, Serdes.Utf8));
        await using var task = Of(time, storage, topics, builder);
        var run = task.Start();
        await Turns.UntilAsync(() => topics.Records(Output).Count == 1);
        topics.Records(Output).ShouldBe(["k 1000=2"]);
        topics.End("stream");
        await SettleAsync();
        task.State.ShouldBe(StreamTaskState.Running, "the end waits for the table too");
        topics.End("table");
        await run;
        task.State.ShouldBe(StreamTaskState.Completed);
        topics.Records(Output).ShouldBe(["k 1000=2", "k 1020=1"]);
    });

    [Fact]
    public void A_record_without_a_valid_time_is_skipped_where_it_stands_and_holds_nobody_up() => Turns.Run(async () =>
    {
        var time = new ManualTime();
        await using var storage = new MemoryLogStorage();
        var topics = new ManyTopics(time);
        topics.AddTexts("table", ("k", "1", 10), ("k", "bad", 11), ("k", "2", 30));
        topics.AddTexts("stream", ("k", "bad", 5), ("k", "a", 20), ("k", "b", 40));
        topics.End("stream");
        topics.End("table");
        var builder = new StreamsBuilder();
        var texts = Consumed.With(Serdes.Utf8, Serdes.Utf8).WithEventTime((_, value, timestamp) => value == "bad" ? throw new FormatException("no time") : timestamp)
            .WithInvalidTimestamps(InvalidTimestampPolicy.Skip);
        builder.Stream("stream", texts).Join(builder.Table("table", texts), (value, row) => value + row).To(Output, Produced.With(Serdes.Utf8, Serdes.Utf8));
        await using var task = Of(time, storage, topics, builder);
        await task.Start();
        (task.State, task.Status().SkippedRecords).ShouldBe((StreamTaskState.Completed, 2));
        topics.Records(Output).ShouldBe(["k a1", "k b2"]);
    });

    private static async Task RunAsync(int seed)
    {
        var random = new Random(seed);
        var time = new ManualTime();
        await using var storage = new MemoryLogStorage();
        var (stream, table) = (Records(random, "s"), Records(random, "t"));
        var topics = new ManyTopics(time)
        {
            Answering = async _ =>
            {
                for (var turns = random.Next(12); turns > 0; turns--)
                {
                    await Task.Yield();
                }
            },
        };
        var (isLeft, extracts) = (random.Next(2) == 0, random.Next(3) == 0);
        Cut(topics, "stream", stream, random, extracts);
        Cut(topics, "table", table, random, extracts);
        for (var crash = random.Next(4); crash > 0; crash--)
        {
            // What is not stopped is fenced by the next run.
            var crashed = Of(time, storage, topics, isLeft, extracts);
            _ = crashed.Start();
            for (var turns = random.Next(400); turns > 0; turns--)
            {
                await Task.Yield();
            }
        }

        await using var last = Of(time, storage, topics, isLeft, extracts);
        await last.Start();
        last.State.ShouldBe(StreamTaskState.Completed, $"seed {seed}: {last.Error?.Message}");
        topics.Records(Output).ShouldBe(Model(stream, table, isLeft), $"seed {seed}");
    }

    /// <summary>Each record with the row that its key has at its time.</summary>
    private static List<string> Model(List<(string Key, string? Value, long Time)> stream, List<(string Key, string? Value, long Time)> table, bool isLeft)
    {
        var results = new List<string>();
        foreach (var (key, value, time) in stream.Where(record => record.Value is not null))
        {
            var found = table.LastOrDefault(row => row.Key == key && row.Time <= time).Value;
            if (found is not null || isLeft)
            {
                results.Add($"{key} {value}{found ?? "_"}");
            }
        }

        return results;
    }

    private static List<(string Key, string? Value, long Time)> Records(Random random, string name)
    {
        var (records, time) = (new List<(string, string?, long)>(), 1L);
        for (var number = random.Next(40); number > 0; number--)
        {
            time += random.Next(4);
            records.Add(($"k{random.Next(3)}", random.Next(6) == 0 ? null : string.Create(CultureInfo.InvariantCulture, $"{name}{number}"), time));
        }

        return records;
    }

    private static void Cut(ManyTopics topics, string topic, List<(string Key, string? Value, long Time)> records, Random random, bool extracts)
    {
        for (var at = 0; at < records.Count;)
        {
            var count = Math.Min(random.Next(1, 9), records.Count - at);
            topics.AddTexts(topic, [.. records.GetRange(at, count).Select(record => (record.Key, record.Value, extracts ? 1000 - record.Time : record.Time))]);
            at += count;
        }

        topics.End(topic);
    }

    private static StreamTask Of(TimeProvider time, ILogStorage storage, ManyTopics topics, bool isLeft, bool extracts)
    {
        var builder = new StreamsBuilder();
        var texts = Consumed.With(Serdes.Utf8, Serdes.Utf8);
        texts = extracts ? texts.WithEventTime((_, _, timestamp) => 1000 - timestamp) : texts;
        var (stream, table) = (builder.Stream("stream", texts), builder.Table("table", texts));
        (isLeft ? stream.LeftJoin(table, (value, row) => value + (row ?? "_")) : stream.Join(table, (value, row) => value + row)).To(Output, Produced.With(Serdes.Utf8, Serdes.Utf8));
        return Of(time, storage, topics, builder);
    }

    private static StreamTask Of(TimeProvider time, ILogStorage storage, ManyTopics topics, StreamsBuilder builder)
    {
        var plan = Plan(builder.Build().SubTopologies[0]);
        plan = plan with { Outputs = [.. plan.Outputs.Select(output => output with { PartitionCount = 1 })] };
        var options = new ProcessingOptions { CommitInterval = TimeSpan.Zero, FetchWait = TimeSpan.FromSeconds(1), TurnLength = TimeSpan.Zero };
        return new StreamTask(plan, new TaskEnvironment(topics, storage, new PhysicalSourceFiles(), options, time, NullLogger.Instance), 0);
    }
}
