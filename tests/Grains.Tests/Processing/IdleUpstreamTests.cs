using OrleansStreams.Log;
using OrleansStreams.Processing.Watermarks;
using OrleansStreams.Records;
using OrleansStreams.Topologies;
using static OrleansStreams.Processing.EngineFixture;

namespace OrleansStreams.Processing;

/// <summary>Two upstream tasks and a downstream one, step by step: what they tell each other of idleness.</summary>
public sealed class IdleUpstreamTests
{
    private static readonly TimeSpan s_idle = TimeSpan.FromMilliseconds(50);

    [Fact]
    public async Task A_window_waits_for_every_upstream_task_but_for_those_that_say_they_are_idle_until_they_are_active_again()
    {
        var (topics, first, second, downstream) = await StagesAsync(WatermarkStrategy.BoundedOutOfOrderness(TimeSpan.Zero).WithIdleness(s_idle));
        first.ProcessBatch(0, Batch(0, ("a", 1), ("a", 100)));
        Commit(topics, first);
        Drain(topics, downstream).ShouldBeEmpty("the other task has told nothing");

        second.MarkSilent(0, 0);
        second.AdvanceTime(49);
        second.HasChanges.ShouldBeFalse();
        second.AdvanceTime(50);
        second.HasChanges.ShouldBeTrue();
        Commit(topics, second).ShouldBe(["idle"]);
        second.AdvanceTime(60);
        second.HasChanges.ShouldBeFalse("it is told once");
        Drain(topics, downstream).ShouldBe(["a 0=1"]);

        // Its old watermark holds nobody up; once it has caught up, it does.
        second.ProcessBatch(0, Batch(0, ("b", 200)));
        Commit(topics, second).ShouldBe(["active", "b", "199"], "nobody passes by the record when he knows that it comes");
        first.ProcessBatch(0, Batch(2, ("a", 300)));
        Commit(topics, first);
        Drain(topics, downstream).ShouldBe(["a 100=1"], "199 is the least now");
        downstream.Watermarks.Watermark.ShouldBe(199);
    }

    [Fact]
    public async Task What_was_told_is_remembered_over_a_restart_and_not_told_again()
    {
        var (topics, first, second, downstream) = await StagesAsync(WatermarkStrategy.BoundedOutOfOrderness(TimeSpan.Zero).WithIdleness(s_idle));
        first.ProcessBatch(0, Batch(0, ("a", 100)));
        second.MarkSilent(0, 0);
        second.AdvanceTime(50);
        Commit(topics, first);
        Commit(topics, second, out var entry);
        var restored = new TaskEngine(second.Plan);
        restored.Restore(entry);
        topics.Deliver(restored.Undelivered, second.Plan.Name);
        restored.HasChanges.ShouldBeFalse();
        restored.AdvanceTime(1000);
        restored.HasChanges.ShouldBeFalse("it is as idle as before");
        Drain(topics, downstream);
        downstream.Watermarks.Watermark.ShouldBe(99);

        var again = new TaskEngine(downstream.Plan);
        again.Restore(downstream.Drain().Entry.Span);
        first.ProcessBatch(0, Batch(1, ("a", 150)));
        Commit(topics, first);
        Drain(topics, again);
        again.Watermarks.Watermark.ShouldBe(149, "the idle one is still idle for the restarted reader");
    }

    [Fact]
    public async Task A_task_whose_upstream_tasks_are_all_idle_tells_its_own_readers_so()
    {
        var builder = new StreamsBuilder();
        var repartitioned = Repartitioned.With(Serdes.Utf8, Serdes.Int64);
        var idle = Consumed.With(Serdes.Utf8, Serdes.Int64).WithWatermarks(WatermarkStrategy.BoundedOutOfOrderness(TimeSpan.Zero).WithIdleness(s_idle));
        builder.Stream(Input, idle).Repartition(repartitioned.WithName("one")).Repartition(repartitioned.WithName("two")).To(Output, Produced.With(Serdes.Utf8, Serdes.Int64));
        var (topics, plans) = await PlansAsync(builder, 1);
        var engines = plans.Select(Begun).ToArray();
        engines[0].MarkSilent(0, 0);
        engines[0].AdvanceTime(50);
        Commit(topics, engines[0]).ShouldBe(["idle"]);
        Take(topics, engines[1]);
        Commit(topics, engines[1]).ShouldBe(["idle"]);
        Take(topics, engines[2]);
        engines[2].Watermarks.IsIdle(0).ShouldBeTrue();
        engines[0].ProcessBatch(0, Batch(0, ("a", 7)));
        Commit(topics, engines[0]).ShouldBe(["active", "a", "6"]);
        Take(topics, engines[1]);
        Commit(topics, engines[1]).ShouldBe(["active", "a", "6"]);
        Take(topics, engines[2]);
        (engines[2].Watermarks.IsIdle(0), engines[2].Watermarks.Watermark).ShouldBe((false, 6));
    }

    [Fact]
    public async Task A_file_without_watermarks_closes_windows_behind_a_repartitioning_at_its_end_and_one_with_them_before()
    {
        foreach (var watermarks in (WatermarkStrategy?[])[null, WatermarkStrategy.Monotonic()])
        {
            var builder = new StreamsBuilder();
            var rows = builder.FileSource<string, long>("rows", "/rows", (line, _) => ("k", 1, line[0] - '0'), watermarks: watermarks);
            Window(rows.Repartition(Repartitioned.With(Serdes.Utf8, Serdes.Int64)), 5);
            var (topics, plans) = await PlansAsync(builder, 1);
            var file = new TaskEngine(plans[0]);
            file.Begin(7, [], new Sources.FilePosition(0, 0, 4, 1));
            var downstream = Begun(plans[1]);
            file.ProcessLine("1"u8, new Sources.FilePosition(2, 1, 4, 1));
            file.ProcessLine("7"u8, new Sources.FilePosition(4, 2, 4, 1));
            Commit(topics, file);
            Drain(topics, downstream).ShouldBe(watermarks is null ? [] : ["k 0=1"]);
            file.EndOfFile();
            Commit(topics, file).ShouldBe(["end"]);
            Drain(topics, downstream).ShouldBe(watermarks is null ? ["k 0=1", "k 5=1"] : ["k 5=1"]);
            downstream.IsCompleted.ShouldBeTrue();
        }
    }

    private static async Task<(MemoryTopics Topics, TaskEngine First, TaskEngine Second, TaskEngine Downstream)> StagesAsync(WatermarkStrategy watermarks)
    {
        var builder = new StreamsBuilder();
        Window(
            builder.Stream(Input, Consumed.With(Serdes.Utf8, Serdes.Int64).WithWatermarks(watermarks))
                .Repartition(Repartitioned.With(Serdes.Utf8, Serdes.Int64).WithNumberOfPartitions(1)),
            10);
        var (topics, plans) = await PlansAsync(builder, 2);
        var second = new TaskEngine(plans[1]);
        second.Begin(8, [0], null);
        second.Drain();
        return (topics, Begun(plans[0]), second, Begun(plans[2]));
    }

    private static void Window(KStream<string, long> stream, long size) => stream.GroupByKey().WindowedBy(TumblingWindows.Of(TimeSpan.FromMilliseconds(size)))
        .Count(Materialized.As("store", Serdes.Int64)).Map((window, count) => (window.Key, $"{window.WindowStartMs}={count}")).To(Output, Produced.With(Serdes.Utf8, Serdes.Utf8));

    private static async Task<(MemoryTopics Topics, TaskPlan[] Plans)> PlansAsync(StreamsBuilder builder, int inputPartitions)
    {
        var topics = new MemoryTopics();
        await topics.CreateAsync(Input, inputPartitions, TopicConfig.Default);
        await topics.CreateAsync(Output, 1, TopicConfig.Default);
        var plan = await ApplicationPlan.ResolveAsync("app", builder.Build(), topics, create: true);
        return (topics, [.. plan.Tasks.Select(task => plan.TaskOf(task, new ProcessingOptions()))]);
    }

    private static List<string> Commit(MemoryTopics topics, TaskEngine engine) => Commit(topics, engine, out _);

    /// <summary>Commits and delivers; what was delivered, a text per record or marker.</summary>
    private static List<string> Commit(MemoryTopics topics, TaskEngine engine, out byte[] entry)
    {
        var commit = engine.Drain();
        entry = commit.Entry.Span.ToArray();
        topics.Deliver(commit.Outbox, engine.Plan.Name);
        var texts = new List<string>();
        foreach (var item in commit.Outbox)
        {
            for (var rest = item.Batches; !rest.IsEmpty; rest = rest[RecordBatchHeader.Read(rest.Span).TotalBytes..])
            {
                var reader = new RecordBatchReader(rest);
                if (WatermarkMarker.TryRead(rest, out _, out var watermark, out var isIdle))
                {
                    texts.Add(isIdle ? "idle" : watermark == WatermarkTracker.End ? "end" : watermark == WatermarkTracker.None ? "active" : $"{watermark}");
                }

                while (!reader.Header.IsControl && reader.TryRead(out var record))
                {
                    texts.Add(System.Text.Encoding.UTF8.GetString(record.Key));
                }
            }
        }

        return texts;
    }

    private static void Take(MemoryTopics topics, TaskEngine engine)
    {
        while (topics.BatchAt(engine.Plan.PartitionOf(0), engine.PositionOf(0)) is { } batch)
        {
            engine.ProcessBatch(0, batch);
        }
    }

    private static List<string> Drain(MemoryTopics topics, TaskEngine engine)
    {
        Take(topics, engine);
        return Read(engine.Drain().Outbox, Output);
    }
}
