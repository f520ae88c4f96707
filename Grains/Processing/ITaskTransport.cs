using OrleansStreams.Log;

namespace OrleansStreams.Processing;

/// <summary>A task's way to the partitions. Passing failures are the implementation's to retry.</summary>
internal interface ITaskTransport
{
    Task<long> AllocateProducerIdAsync();

    Task<PartitionOffsets> GetOffsetsAsync(TopicPartition partition);

    Task<FetchResult> FetchAsync(TopicPartition partition, long offset, CancellationToken cancellationToken);

    /// <summary>Delivers a stamped batch; one that is there already counts as delivered.</summary>
    Task DeliverAsync(TopicPartition partition, ReadOnlyMemory<byte> batch, CancellationToken cancellationToken);
}
