using Microsoft.Extensions.Logging.Abstractions;
using OrleansStreams.Log;
using OrleansStreams.Processing.Sources;
using OrleansStreams.Records;
using OrleansStreams.Storage;
using OrleansStreams.Topologies;
using static OrleansStreams.Processing.EngineFixture;
using static OrleansStreams.Processing.TaskTopics;

namespace OrleansStreams.Processing;

/// <summary>A task with a fast input and a slow one.</summary>
public sealed class AlignmentTests
{
    private const string Slow = "slow";

    [Fact]
    public void A_source_that_is_too_far_ahead_is_not_read_until_the_other_has_caught_up() => Turns.Run(async () =>
    {
        var time = new ManualTime();
        await using var storage = new MemoryLogStorage();
        var topics = new TwoTopics(time, Enumerable.Range(0, 100).Select(i => Batch(i, ("fast", 10 * i))));
        await using var task = Of(time, storage, topics, idle: null);
        var run = task.Start();
        await SettleAsync();
        topics.Fetched(Input).ShouldBeLessThanOrEqualTo(2, "the slow one has not begun, so one batch is processed and one was fetched meanwhile");

        topics.Add(Batch(0, ("slow", 200)));
        await Turns.UntilAsync(() => topics.Fetched(Input) >= 32);
        await SettleAsync();
        topics.Fetched(Input).ShouldBeLessThanOrEqualTo(34, "the one of time 310 is more than 100 ms ahead of 199; one or two more are fetched by then");
        for (var minute = 0; minute < 5; minute++)
        {
            time.Advance(TimeSpan.FromMinutes(1));
            await SettleAsync();
        }

        topics.Fetched(Input).ShouldBeLessThanOrEqualTo(34, "it has no idle timeout");
        topics.Add(Batch(1, ("slow", 5000)));
        await Turns.UntilAsync(() => task.Status().RecordsIn == 102);
        await task.StopAsync();
        await run;
    });

    [Fact]
    public void A_source_that_is_ahead_goes_on_when_the_other_is_idle() => Turns.Run(async () =>
    {
        var time = new ManualTime();
        await using var storage = new MemoryLogStorage();
        var topics = new TwoTopics(time, Enumerable.Range(0, 100).Select(i => Batch(i, ("fast", 10 * i))));
        await using var task = Of(time, storage, topics, idle: TimeSpan.FromSeconds(3));
        var run = task.Start();
        await SettleAsync();
        topics.Fetched(Input).ShouldBeLessThanOrEqualTo(2);
        for (var second = 0; second < 6; second++)
        {
            time.Advance(TimeSpan.FromSeconds(1));
            await SettleAsync();
        }

        await Turns.UntilAsync(() => topics.Fetched(Input) == 100);
        await task.StopAsync();
        await run;
    });

    private static StreamTask Of(TimeProvider time, ILogStorage storage, TwoTopics topics, TimeSpan? idle)
    {
        var watermarks = WatermarkStrategy.BoundedOutOfOrderness(TimeSpan.Zero).WithAlignment(TimeSpan.FromMilliseconds(100));
        var consumed = Consumed.With(Serdes.Utf8, Serdes.Int64).WithWatermarks(idle is { } timeout ? watermarks.WithIdleness(timeout) : watermarks);
        var builder = new StreamsBuilder();
        builder.Stream(Input, consumed).Merge(builder.Stream(Slow, consumed)).Filter((_, _) => false).To(Output, Produced.With(Serdes.Utf8, Serdes.Int64));
        var options = new ProcessingOptions { CommitInterval = TimeSpan.Zero };
        return new StreamTask(Plan(builder.Build().SubTopologies[0]), new TaskEnvironment(topics, storage, new PhysicalSourceFiles(), options, time, NullLogger.Instance), 0);
    }

    /// <summary>Each fetch answers one batch, or none after its wait.</summary>
    private sealed class TwoTopics(TimeProvider time, IEnumerable<byte[]> fast) : ITaskTopics
    {
        private readonly byte[][] _fast = [.. fast];
        private readonly List<byte[]> _slow = [];
        private readonly Dictionary<string, long> _fetched = [];
        private TaskCompletionSource _changed = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public long Fetched(string topic) => _fetched.GetValueOrDefault(topic);

        public void Add(byte[] batch)
        {
            _slow.Add(batch);
            var changed = _changed;
            _changed = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            changed.SetResult();
        }

        public async Task<FetchResult> FetchAsync(TopicPartition partition, FetchRequest request, CancellationToken cancellationToken)
        {
            var batches = partition.Topic == Slow ? (IReadOnlyList<byte[]>)_slow : _fast;
            if (request.Offset >= batches.Count)
            {
                await Task.WhenAny(_changed.Task, Task.Delay(TimeSpan.FromMilliseconds(request.MaxWaitMs), time, cancellationToken));
                cancellationToken.ThrowIfCancellationRequested();
            }

            if (request.Offset >= batches.Count)
            {
                return new FetchResult(default, request.Offset, batches.Count, 0);
            }

            _fetched[partition.Topic] = Math.Max(Fetched(partition.Topic), request.Offset + 1);
            return new FetchResult(batches[(int)request.Offset], request.Offset + 1, batches.Count, 0);
        }

        public Task<ProduceResult> AppendAsync(TopicPartition partition, ReadOnlyMemory<byte> batches) => throw new InvalidOperationException("nothing is written");

        public Task<PartitionOffsets> GetOffsetsAsync(TopicPartition partition) => Task.FromResult(new PartitionOffsets(0, 0, 0, 0, 1));

        public Task<TopicDescription> DescribeAsync(string topic) => throw new InvalidOperationException("a task describes no topics");

        public Task<TopicDescription> CreateAsync(string topic, int partitions, TopicConfig config) => throw new InvalidOperationException("a task creates no topics");

        public Task DeleteRecordsAsync(TopicPartition partition, long beforeOffset) => throw new InvalidOperationException("this task has no repartition topic");

        public Task<long> AllocateProducerIdAsync() => Task.FromResult(7L);
    }
}
