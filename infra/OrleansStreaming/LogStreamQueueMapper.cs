using OrleansStreams.Records;

namespace OrleansStreams.Streaming;

/// <summary>Queue N is partition N of the topic; a stream is in the partition that its record's key hashes to, as for any producer.</summary>
internal sealed class LogStreamQueueMapper : IConsistentRingStreamQueueMapper
{
    private readonly QueueId[] _queues;

    public LogStreamQueueMapper(string topic, int partitions) => _queues = [.. Enumerable.Range(0, partitions).Select(partition =>
    {
        // Spread evenly over the ring, for balancers that divide the ring.
        var hash = (uint)((ulong)partition * (1UL << 32) / (ulong)partitions);
        return QueueId.GetQueueId(topic, (uint)partition, hash);
    })];

    public static int PartitionOf(QueueId queue) => (int)queue.GetNumericId();

    public IEnumerable<QueueId> GetAllQueues() => _queues;

    public QueueId GetQueueForStream(StreamId streamId) => _queues[PartitionOf(StreamRecordFormat.KeyOf(streamId))];

    public IEnumerable<QueueId> GetQueuesForRange(IRingRange range) => _queues.Where(queue => range.InRange(queue.GetUniformHashCode()));

    /// <summary>The partition of a stream, by its record's key.</summary>
    public int PartitionOf(ReadOnlySpan<byte> key) => KeyHash.PartitionFor(key, _queues.Length);
}
