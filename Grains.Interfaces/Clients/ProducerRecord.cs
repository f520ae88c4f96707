using System.Collections.Immutable;
using System.Runtime.CompilerServices;
using OrleansStreams.Log;
using OrleansStreams.Records;

namespace OrleansStreams.Clients;

/// <summary>A record to send.</summary>
/// <param name="Topic">The topic.</param>
/// <param name="Key">The key; null for none. Records with one key go to one partition (murmur2, Kafka's default).</param>
/// <param name="Value">The value; null for a tombstone.</param>
public readonly record struct ProducerRecord<TKey, TValue>(string Topic, TKey? Key, TValue? Value)
{
    /// <summary>The partition, or null to let the key decide.</summary>
    public int? Partition { get; init; }

    /// <summary>The timestamp in ms since the Unix epoch, or null for now.</summary>
    public long? Timestamp { get; init; }

    /// <summary>Headers.</summary>
    public IReadOnlyList<RecordHeader>? Headers { get; init; }
}

/// <summary>Where a record stands.</summary>
/// <param name="Partition">The partition.</param>
/// <param name="Offset">The offset; -1 with <see cref="Acks.None"/>, and for a duplicate so old that its offset is forgotten.</param>
/// <param name="Timestamp">The timestamp in ms since the Unix epoch.</param>
public readonly record struct RecordMetadata(TopicPartition Partition, long Offset, long Timestamp)
{
    /// <summary>
    /// Whether the record was not stored because one with its idempotency key (<see cref="IdempotencyKey"/>) was before: offset and timestamp are
    /// those of that one. A retry inside the producer does not count.
    /// </summary>
    public bool IsDuplicate { get; init; }
}

/// <summary>A record on its way: await it for the acknowledgement. Costs nothing when nobody does; one object serves a whole batch.</summary>
public readonly struct PendingDelivery
{
    private readonly PendingBatch _batch;
    private readonly int _index;
    private readonly long _timestamp;

    internal PendingDelivery(PendingBatch batch, int index, long timestamp)
    {
        _batch = batch;
        _index = index;
        _timestamp = timestamp;
    }

    /// <summary>The acknowledgement.</summary>
    /// <exception cref="StreamsException">Why the record could not be delivered, and whether it may have been written.</exception>
    public async Task<RecordMetadata> AsTask()
    {
        _batch.IsObserved = true;
        var result = await _batch.Completion;
        if (!result.Duplicates.IsDefaultOrEmpty && FindDuplicate(result.Duplicates, _index) is { } original)
        {
            return new RecordMetadata(_batch.Partition, original.Offset, original.Timestamp) { IsDuplicate = true };
        }

        return new RecordMetadata(_batch.Partition, result.BaseOffset < 0 ? -1 : result.BaseOffset + _index, result.LogAppendTime >= 0 ? result.LogAppendTime : _timestamp);
    }

    private static DuplicateRecord? FindDuplicate(ImmutableArray<DuplicateRecord> duplicates, int index)
    {
        var at = duplicates.BinarySearch(new DuplicateRecord(index, 0, 0), Comparer<DuplicateRecord>.Create(static (a, b) => a.Index.CompareTo(b.Index)));
        return at >= 0 ? duplicates[at] : null;
    }

    /// <summary>Makes the value awaitable.</summary>
    public TaskAwaiter<RecordMetadata> GetAwaiter() => AsTask().GetAwaiter();
}
