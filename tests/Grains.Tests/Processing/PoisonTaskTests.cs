using Microsoft.Extensions.Logging.Abstractions;
using OrleansStreams.Errors;
using OrleansStreams.Log;
using OrleansStreams.Processing.Sources;
using OrleansStreams.Records;
using OrleansStreams.Storage;
using OrleansStreams.Topologies;
using static OrleansStreams.Processing.EngineFixture;

namespace OrleansStreams.Processing;

/// <summary>Tasks that meet poison records, and tasks whose state becomes too large.</summary>
public sealed class PoisonTaskTests
{
    private const string Dead = "dead";

    [Theory]
    [InlineData(ProcessingGuarantee.ExactlyOnce)]
    [InlineData(ProcessingGuarantee.AtLeastOnce)]
    [InlineData(ProcessingGuarantee.AtMostOnce)]
    public void A_poison_record_does_not_hold_up_its_partition(ProcessingGuarantee guarantee) => Turns.Run(async () =>
    {
        await using var storage = new MemoryLogStorage();
        var topics = new TaskTopics();
        string[] keys = ["a", "bad1", "b", "bad2", "bad3", "c"];
        for (var i = 0; i < keys.Length; i++)
        {
            topics.Add((keys[i], i));
        }

        topics.End();
        await using var task = Of(storage, topics, ErrorPolicy.DeadLetter(Dead), guarantee);
        await task.Start();

        task.State.ShouldBe(StreamTaskState.Completed);
        topics.Records(Output).Select(KeyOf).Order(StringComparer.Ordinal).ShouldBe(["a", "b", "c"]);
        topics.Records(Dead).Count.ShouldBe(3);
        var status = task.Status();
        (status.SkippedRecords, status.DeadLetters, status.RecordsIn).ShouldBe((3, 3, 6));
    });

    [Fact]
    public void Wherever_the_process_dies_each_poison_record_is_one_dead_letter() => Turns.Run(async () =>
    {
        for (var death = 1; ; death++)
        {
            foreach (var afterwards in (bool[])[false, true])
            {
                await using var storage = new MemoryLogStorage();
                var topics = new TaskTopics { DiesAt = death, DiesAfterwards = afterwards };
                topics.Add(("a", 1), ("bad1", 2), ("b", 3));
                topics.Add(("bad2", 4), ("bad3", 5), ("c", 6));
                topics.End();
                var run = Of(storage, topics, ErrorPolicy.DeadLetter(Dead)).Start();
                await Task.WhenAny(run, topics.Died);
                if (run.IsCompleted)
                {
                    death.ShouldBeGreaterThan(2);
                    return;
                }

                await using var next = Of(storage, topics, ErrorPolicy.DeadLetter(Dead));
                await next.Start();
                topics.Records(Output).Select(KeyOf).Order(StringComparer.Ordinal).ShouldBe(["a", "b", "c"]);
                topics.Records(Dead).Count.ShouldBe(3);
            }
        }
    });

    [Fact]
    public void A_task_that_failed_goes_on_with_another_policy_and_policies_may_change_at_every_start() => Turns.Run(async () =>
    {
        await using var storage = new MemoryLogStorage();
        var topics = new TaskTopics();
        ErrorPolicy[] policies = [ErrorPolicy.DeadLetter(Dead), ErrorPolicy.Fail, ErrorPolicy.DeadLetter("other"), ErrorPolicy.Skip, ErrorPolicy.DeadLetter(Dead), ErrorPolicy.DeadLetter("other")];
        for (var i = 0; i < policies.Length; i++)
        {
            topics.Add(($"good{i}", 2 * i), ($"bad{i}", (2 * i) + 1));
            await using var task = Of(storage, topics, policies[i], snapshotBytesMin: i % 2);
            var run = task.Start();
            await TaskTopics.UntilAsync(() => run.IsCompleted || task.Status().RecordsIn == 2 * (i + 1));
            await task.StopAsync();
            await run;
            task.State.ShouldBe(policies[i] == ErrorPolicy.Fail ? StreamTaskState.Failed : StreamTaskState.Stopped);
        }

        topics.Records(Output).Select(KeyOf).Order(StringComparer.Ordinal).ShouldBe(Enumerable.Range(0, policies.Length).Select(i => $"good{i}"));
        topics.Records(Dead).Select(KeyOf).Order(StringComparer.Ordinal).ShouldBe(["bad0", "bad4"]);
        topics.Records("other").Select(KeyOf).Order(StringComparer.Ordinal).ShouldBe(["bad1", "bad2", "bad5"]);
    });

    [Fact]
    public void A_damaged_batch_fails_the_task_whatever_the_policy()
    {
        var engine = Begun(Plan(Describe(ErrorPolicy.Skip)));
        var batch = Batch(0, ("a", 1), ("b", 2));
        batch[^8] ^= 0x40;
        var damaged = batch.AsMemory(0, batch.Length);
        RecordBatch.StampOffsetAndEpoch(batch, 0, 0);
        batch.AsSpan(61).Fill(0xFF);
        Should.Throw<StreamsException>(() => engine.ProcessBatch(0, damaged)).Code.ShouldBe(StreamsErrorCode.CorruptBatch);
    }

    [Fact]
    public void A_state_that_outgrows_its_bound_is_refused_before_it_is_committed_and_goes_on_with_a_higher_one() => Turns.Run(async () =>
    {
        await using var storage = new MemoryLogStorage();
        var topics = new TaskTopics();
        topics.Add(("a", 1));
        await using (var task = Of(storage, topics, ErrorPolicy.Fail, stateBytesMax: 200_000))
        {
            var run = task.Start();
            await TaskTopics.UntilAsync(() => task.Status().RecordsIn == 1);
            (await task.QueryAsync(new StateQuery("seen", "a"u8.ToArray(), 0, 0, 1))).Entries.Length.ShouldBe(1);
            topics.Add([.. Enumerable.Range(0, 20_000).Select(i => ((string?)$"a-key-of-some-bytes-{i}", 2L))]);
            await run;
            task.State.ShouldBe(StreamTaskState.Failed);
            task.Error!.Code.ShouldBe(StreamsErrorCode.StateTooLarge);
            task.Error.Message.ShouldContain("its bound is 200000 (ProcessingOptions.StateBytesMax");
            task.Status().WillRestart.ShouldBeFalse();
            task.Status().RecordsIn.ShouldBe(1);
        }

        topics.End();
        await using var next = Of(storage, topics, ErrorPolicy.Fail, stateBytesMax: 100_000_000);
        await next.Start();
        next.State.ShouldBe(StreamTaskState.Completed);
        next.Status().StateEntries.ShouldBe(20_001);

        // What a journal holds is loaded up to the bound and no further.
        await using var low = Of(storage, topics, ErrorPolicy.Fail, stateBytesMax: 200_000);
        await low.Start();
        low.Error.ShouldNotBeNull().Code.ShouldBe(StreamsErrorCode.StateTooLarge);
    });

    private static StreamTask Of(
        ILogStorage storage,
        TaskTopics topics,
        ErrorPolicy errors,
        ProcessingGuarantee guarantee = ProcessingGuarantee.ExactlyOnce,
        long stateBytesMax = long.MaxValue,
        long snapshotBytesMin = 1000)
    {
        var options = new ProcessingOptions { CommitInterval = TimeSpan.Zero, StateBytesMax = stateBytesMax, Guarantee = guarantee };
        var plan = Plan(Describe(errors), snapshotBytesMin: snapshotBytesMin, maxMessageBytes: 1 << 20) with { Guarantee = guarantee };
        return new StreamTask(plan, new TaskEnvironment(topics, storage, new PhysicalSourceFiles(), options, new ManualTime(), NullLogger.Instance), 0);
    }

    /// <summary>Counts, and fails behind the count.</summary>
    private static SubTopology Describe(ErrorPolicy errors)
    {
        var builder = new StreamsBuilder();
        builder.OnError(errors).Stream(Input, Consumed.With(Serdes.Utf8, Serdes.Int64)).GroupByKey().Count(Materialized.As("seen", Serdes.Int64)).ToStream()
            .Map((key, count) => key!.StartsWith("bad", StringComparison.Ordinal) ? throw new InvalidOperationException("bad") : (key, $"{count}"))
            .To(Output, Produced.With(Serdes.Utf8, Serdes.Utf8));
        return builder.Build().SubTopologies.ShouldHaveSingleItem();
    }

    private static string KeyOf(string text) => text.Split(' ')[0];
}
