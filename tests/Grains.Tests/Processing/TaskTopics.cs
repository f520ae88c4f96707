using OrleansStreams.Errors;
using OrleansStreams.Log;
using OrleansStreams.Records;
using OrleansStreams.Storage;

namespace OrleansStreams.Processing;

/// <summary>
/// Topics for tasks alone: one input partition that is given batch by batch, outputs that drop what they have by producer and sequence and refuse what a partition refuses. The process "dies" at a
/// chosen append, to an output or (with <see cref="JournalsOf"/>) to a journal: before or after it took effect, the call is never answered.
/// </summary>
internal sealed class TaskTopics : ITaskTopics
{
    private readonly List<byte[]> _batches = [];
    private readonly Dictionary<(TopicPartition Partition, long Producer), int> _next = [];
    private readonly Dictionary<TopicPartition, List<string>> _records = [];
    private TaskCompletionSource _changed = NewSource();
    private TaskCompletionSource _died = NewSource();
    private long _producers;
    private long _asked = -1;

    /// <summary>The append, from 1 on, at which the process dies; 0 for none.</summary>
    public int DiesAt { get; set; }

    public bool DiesAfterwards { get; set; }

    public int Appends { get; private set; }

    public Task Died => _died.Task;

    /// <summary>Batches that a fetch answers with at most.</summary>
    public int FetchBatches { get; init; } = 1;

    /// <summary>The largest batch of an output, where it isn't a mebibyte.</summary>
    public Dictionary<string, int> MaxMessageBytes { get; } = [];

    /// <summary>The outputs that are compacted.</summary>
    public HashSet<string> Compacted { get; } = [];

    /// <summary>Producer ids that were given out.</summary>
    public long Producers => _producers;

    public long EndOffset { get; private set; }

    /// <summary>All that was added has been given to the task, which asks for more.</summary>
    public bool IsRead => _asked == EndOffset;

    public void Add(params (string? Key, long Time)[] records) => Add(EngineFixture.Batch(EndOffset, records), records.Length);

    public void End() => Add(EngineFixture.End(EndOffset), 1);

    /// <summary>The records of a topic, partition by partition, as "key value".</summary>
    public List<string> Records(string topic) =>
        [.. _records.Where(pair => pair.Key.Topic == topic).OrderBy(pair => pair.Key.Partition).SelectMany(pair => pair.Value)];

    /// <summary>Lets the tasks go on until they wait, for a hundred batches of several turns each.</summary>
    public static async Task SettleAsync()
    {
        for (var i = 0; i < 200; i++)
        {
            await Turns.Settle();
        }
    }

    public async Task<FetchResult> FetchAsync(TopicPartition partition, FetchRequest request, CancellationToken cancellationToken)
    {
        _asked = request.Offset;
        while (request.Offset >= EndOffset)
        {
            await _changed.Task.WaitAsync(cancellationToken);
        }

        byte[][] found = [.. _batches.Where(batch => RecordBatchHeader.Read(batch).NextOffset > request.Offset).Take(FetchBatches)];
        return new FetchResult(found.SelectMany(batch => batch).ToArray(), RecordBatchHeader.Read(found[^1]).NextOffset, EndOffset, 0);
    }

    public async Task<ProduceResult> AppendAsync(TopicPartition partition, ReadOnlyMemory<byte> batches)
    {
        await AppendAsync(() =>
        {
            Append(partition, batches);
            return ValueTask.CompletedTask;
        });
        return new ProduceResult(0, -1, 0, false);
    }

    /// <summary>Appends, unless the process dies at it.</summary>
    public async ValueTask AppendAsync(Func<ValueTask> append)
    {
        var dies = ++Appends == DiesAt;
        if (dies && !DiesAfterwards)
        {
            await DieAsync();
        }

        await append();
        if (dies)
        {
            await DieAsync();
        }
    }

    /// <summary>Storage at whose appends the process dies, too.</summary>
    public ILogStorage JournalsOf(ILogStorage storage) => new DyingLogStorage(storage, this);

    private void Append(TopicPartition partition, ReadOnlyMemory<byte> batches)
    {
        for (var rest = batches; !rest.IsEmpty;)
        {
            var header = RecordBatchHeader.Read(rest.Span);
            Check(partition.Topic, rest[..header.TotalBytes]);
            var next = _next.GetValueOrDefault((partition, header.ProducerId));
            header.BaseSequence.ShouldBeLessThanOrEqualTo(next, "a sequence was left out");
            if (header.BaseSequence == next)
            {
                _next[(partition, header.ProducerId)] = next + header.RecordCount;
                ModelPartition.ReadBatches(rest[..header.TotalBytes], _records.TryGetValue(partition, out var found) ? found : _records[partition] = []);
            }

            rest = rest[header.TotalBytes..];
        }
    }

    private void Check(string topic, ReadOnlyMemory<byte> batch)
    {
        if (batch.Length > MaxMessageBytes.GetValueOrDefault(topic, 1 << 20))
        {
            throw new StreamsException(StreamsErrorCode.RecordTooLarge, $"a batch of {batch.Length} bytes for {topic}", WriteOutcome.NotWritten);
        }

        for (var reader = new RecordBatchReader(batch); Compacted.Contains(topic) && !reader.Header.IsControl && reader.TryRead(out var record);)
        {
            if (record.KeyIsNull)
            {
                throw new StreamsException(StreamsErrorCode.InvalidRecord, $"a null key for {topic}", WriteOutcome.NotWritten);
            }
        }
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
