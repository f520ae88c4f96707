using Microsoft.Extensions.Logging.Abstractions;
using OrleansStreams.Errors;
using OrleansStreams.Log;
using OrleansStreams.Processing.Sources;
using OrleansStreams.Records;
using OrleansStreams.Storage;
using OrleansStreams.Topologies;
using static OrleansStreams.Processing.EngineFixture;

namespace OrleansStreams.Processing;

/// <summary>The task alone, one turn at a time, with topics that answer as the test wants.</summary>
public sealed class StreamTaskTests
{
    [Fact]
    public void What_a_failed_task_had_delivered_is_not_delivered_again_by_its_next_run() => Turns.Run(async () =>
    {
        var time = new ManualTime();
        await using var storage = new MemoryLogStorage();
        var topics = new FakeTopics();
        var isBroken = true;
        topics.Add(Batch(0, ("good", 1)));
        var first = Of(time, storage, topics, key => isBroken && key == "bad");
        var run = first.Start();
        await topics.AppendedAsync(1);
        topics.Add(Batch(1, ("bad", 2)));
        await run;
        first.State.ShouldBe(StreamTaskState.Failed);
        first.Error!.Code.ShouldBe(StreamsErrorCode.InvalidInput);

        // Partitions that forgot the producer meanwhile would take a second delivery for new records.
        isBroken = false;
        await using var second = Of(time, storage, topics, _ => isBroken);
        var secondRun = second.Start();
        await topics.AppendedAsync(2);
        await second.StopAsync();
        await secondRun;
        topics.Delivered().ShouldBe(["good", "bad"]);
    });

    [Fact]
    public void What_may_not_have_been_delivered_before_a_crash_is_delivered_again() => Turns.Run(async () =>
    {
        var time = new ManualTime();
        await using var storage = new MemoryLogStorage();
        var topics = new FakeTopics { Answer = new TaskCompletionSource() };
        topics.Add(Batch(0, ("good", 1)));
        var first = Of(time, storage, topics, _ => false);
        var run = first.Start();
        await topics.AppendedAsync(1);

        // The delivery is on its way when a newer run opens the journal.
        await using var second = Of(time, storage, topics, _ => false);
        var secondRun = second.Start();
        await topics.AppendedAsync(2);
        topics.Answer.SetResult();
        await second.StopAsync();
        await secondRun;
        await first.StopAsync();
        await run;
        topics.Delivered().ShouldBe(["good", "good"], "the same batch with the same sequence, of which the partition keeps one");
    });

    [Fact]
    public void A_task_that_waits_for_its_commit_does_not_spin() => Turns.Run(async () =>
    {
        var time = new CountingTime();
        await using var storage = new MemoryLogStorage();
        var topics = new FakeTopics { Answer = new TaskCompletionSource() };
        topics.Add(Batch(0, ("a", 1)));
        await using var task = Of(time, storage, topics, _ => false);
        var run = task.Start();
        await topics.AppendedAsync(1);

        // More changes, no more input, and the commit interval is long over, while the partition does not answer.
        topics.Add(Batch(1, ("b", 2)));
        await Turns.Settle();
        time.Advance(TimeSpan.FromMinutes(1));
        await Turns.Settle();
        var looks = time.Looks;
        await Turns.Settle();
        var looksLater = time.Looks;
        topics.Answer.SetResult();
        looksLater.ShouldBe(looks, "it looks at the clock in every round");
        await topics.AppendedAsync(2);
        await task.StopAsync();
        await run;
        topics.Delivered().ShouldBe(["a", "b"]);
    });

    [Fact]
    public void A_partition_that_does_not_answer_shows_in_the_status_until_it_does() => Turns.Run(async () =>
    {
        var time = new ManualTime();
        await using var storage = new MemoryLogStorage();
        var topics = new FakeTopics { Failure = new StreamsException(StreamsErrorCode.DiskFull, "the disk is full", WriteOutcome.NotWritten) };
        topics.Add(Batch(0, ("a", 1)));
        await using var task = Of(time, storage, topics, _ => false);
        var run = task.Start();
        await topics.AppendedAsync(1);
        await Turns.Settle();
        task.Status().Error.ShouldBe("tries again: the disk is full");
        task.State.ShouldBe(StreamTaskState.Running);

        topics.Failure = null;
        time.Advance(TimeSpan.FromSeconds(1));
        await topics.AppendedAsync(2);
        await Turns.Settle();
        task.Status().Error.ShouldBeNull();
        await task.StopAsync();
        await run;
    });

    [Fact]
    public void A_wall_clock_punctuator_is_called_although_no_record_comes_also_by_the_next_run() => Turns.Run(async () =>
    {
        var time = new ManualTime();
        await using var storage = new MemoryLogStorage();
        var topics = new FakeTopics();
        await using (var first = Ticking(time, storage, topics))
        {
            var run = first.Start();
            await Turns.Settle();
            topics.Delivered().ShouldBeEmpty();
            time.Advance(TimeSpan.FromMilliseconds(700));
            await Turns.Settle();
            time.Advance(TimeSpan.FromMilliseconds(300));
            await topics.AppendedAsync(1);
            time.Advance(TimeSpan.FromMilliseconds(800));
            await Turns.Settle();
            await first.StopAsync();
            await run;
        }

        // The second call is due where the first run had it, not an interval after the second run's beginning.
        await using var second = Ticking(time, storage, topics);
        var secondRun = second.Start();
        await Turns.Settle();
        topics.Delivered().ShouldBe(["1"]);
        time.Advance(TimeSpan.FromMilliseconds(200));
        await topics.AppendedAsync(2);
        await second.StopAsync();
        await secondRun;
        topics.Delivered().ShouldBe(["1", "2"]);
    });

    private static StreamTask Ticking(TimeProvider time, ILogStorage storage, FakeTopics topics)
    {
        var builder = new StreamsBuilder();
        builder.Stream(Input, Consumed.With(Serdes.Utf8, Serdes.Int64)).Process(() => new Ticker(), Processed.With(Ticker.Ticks)).To(Output, Produced.With(Serdes.Utf8, Serdes.Int64));
        return new StreamTask(
            Plan(builder.Build().SubTopologies[0]), new TaskEnvironment(topics, storage, new PhysicalSourceFiles(), new ProcessingOptions { CommitInterval = TimeSpan.Zero }, time, NullLogger.Instance), 0);
    }

    private static StreamTask Of(TimeProvider time, ILogStorage storage, FakeTopics topics, Func<string, bool> fails)
    {
        var builder = new StreamsBuilder();
        builder.Stream(Input, Consumed.With(Serdes.Utf8, Serdes.Int64))
            .Map((key, _) => fails(key) ? throw new InvalidOperationException("broken") : (key, 1L))
            .To(Output, Produced.With(Serdes.Utf8, Serdes.Int64));
        var options = new ProcessingOptions { CommitInterval = TimeSpan.Zero };
        return new StreamTask(Plan(builder.Build().SubTopologies[0]), new TaskEnvironment(topics, storage, new PhysicalSourceFiles(), options, time, NullLogger.Instance), 0);
    }

    private sealed class Ticker : IStreamProcessor<string, long, string, long>
    {
        public static readonly KeyValueStoreDefinition<string, long> Ticks = Stores.KeyValue("ticks", Serdes.Utf8, Serdes.Int64);

        public void Init(IProcessorContext<string, long> context)
        {
            var ticks = context.GetStore(Ticks);
            context.Schedule(TimeSpan.FromSeconds(1), PunctuationType.WallClock, now =>
            {
                var tick = ticks.TryGet("n", out var last) ? last + 1 : 1;
                ticks.Put("n", tick);
                context.Forward(new(tick.ToString(System.Globalization.CultureInfo.InvariantCulture), tick, now));
            });
        }

        public void Process(ProcessorRecord<string, long> record) => throw new InvalidOperationException("no record comes");
    }

    /// <summary>A clock that counts who looks at it.</summary>
    private sealed class CountingTime : ManualTime
    {
        public int Looks { get; private set; }

        public override long GetTimestamp()
        {
            Looks++;
            return base.GetTimestamp();
        }
    }

    private sealed class FakeTopics : ITaskTopics
    {
        private readonly List<byte[]> _batches = [];
        private readonly List<ReadOnlyMemory<byte>> _appended = [];
        private TaskCompletionSource _changed = new(TaskCreationOptions.RunContinuationsAsynchronously);

        /// <summary>When set, appends are answered only when it completes.</summary>
        public TaskCompletionSource? Answer { get; init; }

        public StreamsException? Failure { get; set; }

        public void Add(byte[] batch)
        {
            _batches.Add(batch);
            Change();
        }

        /// <summary>The keys of all records that were delivered, in order.</summary>
        public List<string> Delivered()
        {
            var texts = new List<string>();
            _appended.ForEach(batches => ModelPartition.ReadBatches(batches, texts));
            return [.. texts.Select(text => text.Split(' ')[0])];
        }

        public async Task AppendedAsync(int count)
        {
            while (_appended.Count < count)
            {
                await _changed.Task.WaitAsync(TimeSpan.FromSeconds(20));
            }
        }

        public async Task<FetchResult> FetchAsync(TopicPartition partition, FetchRequest request, CancellationToken cancellationToken)
        {
            while (request.Offset >= _batches.Count)
            {
                await _changed.Task.WaitAsync(cancellationToken);
            }

            return new FetchResult(_batches[(int)request.Offset], request.Offset + 1, _batches.Count, 0);
        }

        public async Task<ProduceResult> AppendAsync(TopicPartition partition, ReadOnlyMemory<byte> batches)
        {
            _appended.Add(batches.ToArray());
            Change();
            if (Failure is not null)
            {
                throw Failure;
            }

            await (Answer?.Task ?? Task.CompletedTask);
            return new ProduceResult(0, -1, 0, false);
        }

        public Task<PartitionOffsets> GetOffsetsAsync(TopicPartition partition) => Task.FromResult(new PartitionOffsets(0, 0, 0, 0, 1));

        public Task<TopicDescription> CreateAsync(string topic, int partitions, TopicConfig config) => throw new InvalidOperationException("a task creates no topics");

        public Task DeleteRecordsAsync(TopicPartition partition, long beforeOffset) => throw new InvalidOperationException("this task has no repartition topic");

        public Task<TopicDescription> DescribeAsync(string topic) => throw new InvalidOperationException("a task describes no topics");

        public Task<long> AllocateProducerIdAsync() => Task.FromResult(7L);

        private void Change()
        {
            var changed = _changed;
            _changed = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            changed.SetResult();
        }
    }
}
