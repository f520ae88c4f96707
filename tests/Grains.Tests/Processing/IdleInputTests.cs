using Microsoft.Extensions.Logging.Abstractions;
using OrleansStreams.Log;
using OrleansStreams.Processing.Sources;
using OrleansStreams.Records;
using OrleansStreams.Storage;
using OrleansStreams.Topologies;
using static OrleansStreams.Processing.EngineFixture;
using static OrleansStreams.Processing.TaskTopics;

namespace OrleansStreams.Processing;

/// <summary>A running task whose inputs fall silent and speak again: what waits to be read is never taken for silence.</summary>
public sealed class IdleInputTests
{
    private const string Other = Input + "1";
    private static readonly TimeSpan s_idle = TimeSpan.FromSeconds(3);

    [Fact]
    public void A_backlog_that_grew_while_a_task_was_down_is_not_late_although_its_topic_was_idle_before() => Turns.Run(async () =>
    {
        var time = new ManualTime();
        await using var storage = new MemoryLogStorage();
        var topics = new ManyTopics(time);
        topics.Add(Input, ("a", 5));
        topics.Add(Other, ("b", 5));
        await using (var first = Of(time, storage, topics))
        {
            var run = first.Start();
            await Turns.UntilAsync(() => first.Status().RecordsIn == 2);

            // The other topic is silent, this one is not.
            for (var second = 0; second < 8; second++)
            {
                topics.Add(Input, ("a", 20 + second));
                await AdvanceAsync(time);
            }

            await AdvanceUntilAsync(time, () => topics.Records(Output).Count == 2);
            topics.Records(Output).ShouldBe(["a 0-10=1", "b 0-10=1"]);
            await first.StopAsync();
            await run;
        }

        for (var at = 30; at < 100; at++)
        {
            topics.Add(Input, ("a", at));
        }

        topics.Add(Other, ("b", 12));
        topics.Add(Other, ("b", 31), ("b", 32), ("b", 90));
        topics.Hold(Other);
        await using var again = Of(time, storage, topics);
        var runAgain = again.Start();
        await Turns.UntilAsync(() => again.Status().RecordsIn == 2 + 8 + 70);
        topics.Records(Output).ShouldBe(["a 0-10=1", "b 0-10=1"], "nobody knows yet what the other topic has");
        topics.LetGo(Other);
        await Turns.UntilAsync(() => again.Status().RecordsIn == 2 + 8 + 70 + 4);
        await SettleAsync();
        again.Status().LateRecords.ShouldBe(1, "what was behind before is late; that does not make the rest so");
        topics.Records(Output).Where(text => text[0] == 'b').ShouldBe(["b 0-10=1", "b 30-40=2"]);
        await again.StopAsync();
        await runAgain;
    });

    [Fact]
    public void A_task_that_was_idle_when_it_stopped_tells_its_readers_that_it_is_not_before_it_reads() => Turns.Run(async () =>
    {
        var time = new ManualTime();
        await using var storage = new MemoryLogStorage();
        var topics = new ManyTopics(time);
        topics.Add(Input, ("a", 5));
        await using (var first = Of(time, storage, topics, inputs: 1, carries: true))
        {
            var run = first.Start();
            await Turns.UntilAsync(() => first.Status().RecordsIn == 1);
            await AdvanceUntilAsync(time, () => topics.Markers(Output).Count > 0 && topics.Markers(Output)[^1].IsIdle);
            await first.StopAsync();
            await run;
        }

        topics.Add(Input, ("a", 50));
        topics.Hold(Input);
        await using var again = Of(time, storage, topics, inputs: 1, carries: true);
        var runAgain = again.Start();
        await Turns.UntilAsync(() => !topics.Markers(Output)[^1].IsIdle);
        again.Status().RecordsIn.ShouldBe(1);
        await again.StopAsync();
        await runAgain;
    });

    [Fact]
    public void An_input_that_is_held_because_it_is_ahead_does_not_turn_idle_with_records_that_nobody_reads() => Turns.Run(async () =>
    {
        var time = new ManualTime();
        await using var storage = new MemoryLogStorage();
        var topics = new ManyTopics(time);
        topics.Add(Input, ("a", 1000));
        topics.Add(Other, ("b", 5));
        await using var task = Of(time, storage, topics, drift: TimeSpan.FromMilliseconds(100));
        var run = task.Start();

        // The slow one is idle; the fast one is read to its end, and then the slow one comes back.
        await AdvanceUntilAsync(time, () => task.Status().RecordsIn == 2);
        for (var second = 0; second < 8; second++)
        {
            await AdvanceAsync(time);
        }

        topics.Add(Input, ("a", 1001));
        await AdvanceUntilAsync(time, () => task.Status().RecordsIn == 3);
        topics.Add(Other, ("b", 800));
        await AdvanceUntilAsync(time, () => task.Status().RecordsIn == 4);
        await AdvanceAsync(time);
        topics.Add(Input, ("a", 1002));
        for (var second = 0; second < 8; second++)
        {
            topics.Add(Other, ("b", 810 + second));
            await AdvanceAsync(time);
        }

        await AdvanceUntilAsync(time, () => task.Status().RecordsIn >= 12);
        topics.Add(Other, ("b", 5000));
        await AdvanceUntilAsync(time, () => task.Status().RecordsIn == 14);
        topics.Add(Input, ("a", 6000));
        await AdvanceUntilAsync(time, () => topics.Records(Output).Exists(text => text[0] == 'a'));
        topics.Records(Output).Where(text => text[0] == 'a').ShouldBe(["a 1000-1010=3"]);
        await task.StopAsync();
        await run;
    });

    private static async Task AdvanceAsync(ManualTime time)
    {
        time.Advance(TimeSpan.FromSeconds(1));
        await SettleAsync();
    }

    /// <summary>Lets the clock go on until a condition holds.</summary>
    private static async Task AdvanceUntilAsync(ManualTime time, Func<bool> holds)
    {
        for (var began = TimeProvider.System.GetTimestamp(); !holds();)
        {
            TimeProvider.System.GetElapsedTime(began).ShouldBeLessThan(TimeSpan.FromSeconds(20), "it never came");
            await AdvanceAsync(time);
        }
    }

    private static StreamTask Of(TimeProvider time, ILogStorage storage, ManyTopics topics, int inputs = 2, bool carries = false, TimeSpan? drift = null)
    {
        var watermarks = WatermarkStrategy.Monotonic().WithIdleness(s_idle);
        var consumed = Consumed.With(Serdes.Utf8, Serdes.Int64).WithWatermarks(drift is { } bound ? watermarks.WithAlignment(bound) : watermarks);
        var builder = new StreamsBuilder();
        var stream = builder.Stream(Input, consumed);
        stream = inputs == 1 ? stream : stream.Merge(builder.Stream(Other, consumed));
        if (carries)
        {
            stream.To(Output, Produced.With(Serdes.Utf8, Serdes.Int64));
        }
        else
        {
            stream.GroupByKey().WindowedBy(TumblingWindows.Of(TimeSpan.FromMilliseconds(10))).Count(Materialized.As("store", Serdes.Int64))
                .Map((window, count) => (window.Key, $"{window.WindowStartMs}-{window.WindowEndMs}={count}")).To(Output, Produced.With(Serdes.Utf8, Serdes.Utf8));
        }

        var plan = Plan(builder.Build().SubTopologies[0]);
        plan = plan with { Outputs = [.. plan.Outputs.Select(output => output with { PartitionCount = 1, CarriesWatermarks = carries })] };
        var options = new ProcessingOptions { CommitInterval = TimeSpan.Zero, FetchWait = TimeSpan.FromSeconds(1) };
        return new StreamTask(plan, new TaskEnvironment(topics, storage, new PhysicalSourceFiles(), options, time, NullLogger.Instance), 0);
    }
}
