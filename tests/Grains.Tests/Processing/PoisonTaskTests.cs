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

    [Theory]
    [InlineData(ProcessingGuarantee.ExactlyOnce)]
    [InlineData(ProcessingGuarantee.AtLeastOnce)]
    [InlineData(ProcessingGuarantee.AtMostOnce)]
    public void A_poison_record_in_the_middle_of_what_was_fetched_and_not_committed_costs_no_other_record(ProcessingGuarantee guarantee) => Turns.Run(async () =>
    {
        await using var storage = new MemoryLogStorage();
        var topics = new TaskTopics { FetchBatches = 3 };
        string[][] batches = [["a"], ["b", "c", "d"], ["e", "bad1", "f", "bad2"], ["g"], ["bad3", "h"], ["i"], ["j", "bad4"]];
        foreach (var batch in batches)
        {
            topics.Add([.. batch.Select(key => ((string?)key, 1L))]);
        }

        topics.End();

        // The clock stands still: nothing is committed but what must be.
        await using var task = Of(storage, topics, ErrorPolicy.DeadLetter(Dead), guarantee, commitInterval: TimeSpan.FromMinutes(1));
        await task.Start();

        task.State.ShouldBe(StreamTaskState.Completed);
        topics.Records(Output).Order(StringComparer.Ordinal).ShouldBe("abcdefghij".Select(key => $"{key} 1"));
        topics.Records(Dead).Count.ShouldBe(4);
        var status = task.Status();
        (status.SkippedRecords, status.DeadLetters, status.RecordsIn, status.StateEntries).ShouldBe((4, 4, 14, 10));
        topics.Producers.ShouldBe(guarantee == ProcessingGuarantee.ExactlyOnce ? 1 : 2, "partitions remember no more than so many producers");
    });

    [Fact]
    public void A_bounded_run_ends_although_its_state_is_made_anew_before_anything_is_committed() => Turns.Run(async () =>
    {
        await using var storage = new MemoryLogStorage();
        var topics = new TaskTopics { FetchBatches = 3 };
        topics.Add(("a", 1), ("bad", 2), ("b", 3));
        var builder = new StreamsBuilder();
        var consumed = Consumed.With(Serdes.Utf8, Serdes.Int64);
        var both = builder.OnError(ErrorPolicy.Skip).Stream(Input, consumed).Merge(builder.Stream("empty", consumed));
        var sub = Fail(both.GroupByKey().Count(Materialized.As("seen", Serdes.Int64)), builder);

        // The second input is at its end before anything is read, which nothing but its offsets says.
        var plan = Plan(sub, maxMessageBytes: 1 << 20) with { EndOffsets = [3, 0] };
        await using var task = Of(storage, topics, plan, new ProcessingOptions { CommitInterval = TimeSpan.FromMinutes(1) });
        await task.Start();
        task.State.ShouldBe(StreamTaskState.Completed);
        topics.Records(Output).Order(StringComparer.Ordinal).ShouldBe(["a 1", "b 1"]);
    });

    [Fact]
    public void A_record_that_fails_before_it_comes_to_a_store_or_an_output_costs_no_restore()
    {
        var consumed = Consumed.With(Serdes.Utf8, Serdes.Int64);
        KeyValueStoreDefinition<string, long> declared = Stores.KeyValue("store", Serdes.Utf8, Serdes.Int64);
        (string What, Action<KStream<string, long>> Describe)[] topologies =
        [
            ("filter", events => events.Filter((key, _) => Good(key)).GroupByKey().Count(Materialized.As("counts", Serdes.Int64))),
            ("map", events => events.MapValues((key, value) => Good(key) ? value : 0).ToTable(Materialized.As("table", Serdes.Int64))),
            ("flat map", events => events.FlatMapValues((key, value) => Good(key) ? [value] : (long[])[]).GroupByKey().Count(Materialized.As("counts", Serdes.Int64))),
            ("peek", events => events.Peek((key, _) => Good(key)).Process(() => new Counter(declared), Processed.With(declared)).To(Output, Produced.With(Serdes.Utf8, Serdes.Int64))),
            ("split", events => events.Split().Branch("good", (key, _) => Good(key), branch => branch.GroupByKey().Count(Materialized.As("counts", Serdes.Int64))).NoDefaultBranch()),
        ];
        foreach (var (what, describe) in topologies)
        {
            var builder = new StreamsBuilder();
            describe(builder.OnError(ErrorPolicy.Skip).Stream(Input, consumed));
            var engine = Begun(Plan(builder.Build().SubTopologies[0]));
            Should.NotThrow(() => engine.ProcessBatch(0, Batch(0, ("a", 1), ("bad1", 2), ("b", 3), ("bad2", 4), ("a", 5))), what);
            (engine.Progress.SkippedRecords, engine.Progress.StateEntries).ShouldBe((2, 2), what);
        }
    }

    [Fact]
    public void A_key_that_cannot_be_read_by_the_window_right_behind_the_source_costs_no_restore()
    {
        var builder = new StreamsBuilder();
        builder.OnError(ErrorPolicy.Skip).Stream(Input, Consumed.With(Serdes.Int64, Serdes.Int64)).GroupByKey().WindowedBy(TumblingWindows.Of(TimeSpan.FromDays(1)))
            .Count(Materialized.As("counts", Serdes.Int64));
        var engine = Begun(Plan(builder.Build().SubTopologies[0]));
        Should.NotThrow(() => engine.ProcessBatch(0, Batch(0, ("8 bytes.", 1), ("no int64", 2), ("short", 3), (null, 4))));
        (engine.Progress.SkippedRecords, engine.Progress.StateEntries).ShouldBe((2, 2));
    }

    [Fact]
    public void A_record_that_fails_behind_a_store_or_an_output_costs_a_restore()
    {
        Action<KStream<string, long>>[] topologies =
        [
            events => events.ToTable(Materialized.As("table", Serdes.Int64)).ToStream().Peek((key, _) => Good(key)).To(Output, Produced.With(Serdes.Utf8, Serdes.Int64)),
            events =>
            {
                events.To(Output, Produced.With(Serdes.Utf8, Serdes.Int64));
                events.ForEach((key, _) => Good(key));
            },
        ];
        foreach (var describe in topologies)
        {
            var builder = new StreamsBuilder();
            describe(builder.OnError(ErrorPolicy.Skip).Stream(Input, Consumed.With(Serdes.Utf8, Serdes.Int64)));
            Should.Throw<PoisonRecordException>(() => Begun(Plan(builder.Build().SubTopologies[0])).ProcessBatch(0, Batch(0, ("bad", 2)))).Record.Offset.ShouldBe(0);
        }
    }

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
            await Turns.UntilAsync(() => run.IsCompleted || task.Status().RecordsIn == 2 * (i + 1));
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
            await Turns.UntilAsync(() => task.Status().RecordsIn == 1);
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
        long snapshotBytesMin = 1000,
        TimeSpan commitInterval = default)
    {
        var options = new ProcessingOptions { CommitInterval = commitInterval, StateBytesMax = stateBytesMax, Guarantee = guarantee };
        return Of(storage, topics, Plan(Describe(errors), snapshotBytesMin: snapshotBytesMin, maxMessageBytes: 1 << 20) with { Guarantee = guarantee }, options);
    }

    private static StreamTask Of(ILogStorage storage, TaskTopics topics, TaskPlan plan, ProcessingOptions options) =>
        new(plan, new TaskEnvironment(topics, storage, new PhysicalSourceFiles(), options, new ManualTime(), NullLogger.Instance), 0);

    /// <summary>Counts, and fails behind the count.</summary>
    private static SubTopology Describe(ErrorPolicy errors)
    {
        var builder = new StreamsBuilder();
        return Fail(builder.OnError(errors).Stream(Input, Consumed.With(Serdes.Utf8, Serdes.Int64)).GroupByKey().Count(Materialized.As("seen", Serdes.Int64)), builder);
    }

    private static SubTopology Fail(KTable<string, long> counts, StreamsBuilder builder)
    {
        counts.ToStream().Map((key, count) => (key, Good(key) ? $"{count}" : "")).To(Output, Produced.With(Serdes.Utf8, Serdes.Utf8));
        return builder.Build().SubTopologies.ShouldHaveSingleItem();
    }

    private static bool Good(string key) => key.StartsWith("bad", StringComparison.Ordinal) ? throw new InvalidOperationException("bad") : true;

    private sealed class Counter(KeyValueStoreDefinition<string, long> counts) : IStreamProcessor<string, long, string, long>
    {
        private IKeyValueState<string, long> _counts = null!;

        public void Init(IProcessorContext<string, long> context) => _counts = context.GetStore(counts);

        public void Process(ProcessorRecord<string, long> record) => _counts.Put(record.Key, _counts.TryGet(record.Key, out var count) ? count + 1 : 1);
    }

    private static string KeyOf(string text) => text.Split(' ')[0];
}
