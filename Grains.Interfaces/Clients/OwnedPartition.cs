using OrleansStreams.Log;

namespace OrleansStreams.Clients;

/// <summary>A partition that a consumer reads, and how far it is.</summary>
internal sealed class OwnedPartition(TopicPartition partition)
{
    public TopicPartition Partition => partition;

    public PartitionFetcher? Fetcher { get; set; }

    /// <summary>The offset after the last finished record.</summary>
    public long Position { get; set; }

    /// <summary>The offset last committed, or -1.</summary>
    public long Committed { get; set; } = -1;

    public bool Paused { get; set; }
}
