using OrleansStreams.Log;
using OrleansStreams.Records;

namespace OrleansStreams.Processing;

/// <summary>
/// Topics for tasks alone: one input partition that is given batch by batch, outputs that drop what they have by producer and sequence. The process "dies" at a chosen append: before or
/// after it took effect, the call is never answered.
/// </summary>
internal sealed class TaskTopics : ITaskTopics
{
    private readonly List<byte[]> _batches = [];
    private readonly Dictionary<(TopicPartition Partition, long Producer), int> _next = [];
    private readonly Dictionary<TopicPartition, List<string>> _records = [];
    private TaskCompletionSource _changed = NewSource();
    private TaskCompletionSource _died = NewSource();
    private long _producers;

    /// <summary>The append, from 1 on, at which the process dies; 0 for none.</summary>
    public int DiesAt { get; set; }

    public bool DiesAfterwards { get; set; }

    public int Appends { get; private set; }

    public Task Died => _died.Task;

    public long EndOffset { get; private set; }

    public void Add(params (string? Key, long Time)[] records) => Add(EngineFixture.Batch(EndOffset, records), records.Length);

    public void End() => Add(EngineFixture.End(EndOffset), 1);

    /// <summary>The records of a topic, partition by partition, as "key value".</summary>
    public List<string> Records(string topic) =>
        [.. _records.Where(pair => pair.Key.Topic == topic).OrderBy(pair => pair.Key.Partition).SelectMany(pair => pair.Value)];

    /// <summary>Lets the tasks run until a condition holds.</summary>
    public static async Task UntilAsync(Func<bool> holds)
    {
        for (var turns = 0; !holds(); turns++)
        {
            turns.ShouldBeLessThan(1_000_000, "it never came");
            await Task.Yield();
        }
    }

    public async Task<FetchResult> FetchAsync(TopicPartition partition, FetchRequest request, CancellationToken cancellationToken)
    {
        while (request.Offset >= EndOffset)
        {
            await _changed.Task.WaitAsync(cancellationToken);
        }

        var batch = _batches.First(batch => RecordBatchHeader.Read(batch).NextOffset > request.Offset);
        return new FetchResult(batch, RecordBatchHeader.Read(batch).NextOffset, EndOffset, 0);
    }

    public async Task<ProduceResult> AppendAsync(TopicPartition partition, ReadOnlyMemory<byte> batches)
    {
        Appends++;
        if (Appends == DiesAt && !DiesAfterwards)
        {
            await DieAsync();
        }

        for (var rest = batches; !rest.IsEmpty;)
        {
            var header = RecordBatchHeader.Read(rest.Span);
            var next = _next.GetValueOrDefault((partition, header.ProducerId));
            header.BaseSequence.ShouldBeLessThanOrEqualTo(next, "a sequence was left out");
            if (header.BaseSequence == next)
            {
                _next[(partition, header.ProducerId)] = next + header.RecordCount;
                ModelPartition.ReadBatches(rest[..header.TotalBytes], _records.TryGetValue(partition, out var found) ? found : _records[partition] = []);
            }

            rest = rest[header.TotalBytes..];
        }

        if (Appends == DiesAt)
        {
            await DieAsync();
        }

        return new ProduceResult(0, -1, 0, false);
    }

    public Task<PartitionOffsets> GetOffsetsAsync(TopicPartition partition) => Task.FromResult(new PartitionOffsets(0, 0, 0, 0, 1));

    public Task<long> AllocateProducerIdAsync() => Task.FromResult(++_producers);

    public Task<TopicDescription> DescribeAsync(string topic) => throw new InvalidOperationException("a task describes no topics");

    public Task<TopicDescription> CreateAsync(string topic, int partitions, TopicConfig config) => throw new InvalidOperationException("a task creates no topics");

    public Task DeleteRecordsAsync(TopicPartition partition, long beforeOffset) => Task.CompletedTask;

    private void Add(byte[] batch, int offsets)
    {
        _batches.Add(batch);
        EndOffset += offsets;
        var changed = _changed;
        _changed = NewSource();
        changed.SetResult();
    }

    private Task DieAsync()
    {
        _died.TrySetResult();
        return NewSource().Task;
    }

    private static TaskCompletionSource NewSource() => new(TaskCreationOptions.RunContinuationsAsynchronously);
}
