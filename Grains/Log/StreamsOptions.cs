using OrleansStreams.Storage;

namespace OrleansStreams.Log;

/// <summary>Limits and timers of the silo's partitions and topics. Registered as a singleton; the same values hold for every grain.</summary>
public sealed record StreamsOptions
{
    /// <summary>
    /// Bytes that a partition holds unacknowledged at most; past it a producer is refused with PartitionBusy and tries again. One request
    /// is taken whatever its size when nothing else is pending.
    /// </summary>
    public long PendingBytesMax { get; init; } = 32L * 1024 * 1024;

    /// <summary>Record batches in one produce request at most.</summary>
    public int RequestBatchesMax { get; init; } = 10_000;

    /// <summary>Bytes that one fetch answers at most (a single larger batch is still answered whole).</summary>
    public int FetchBytesMax { get; init; } = 16 * 1024 * 1024;

    /// <summary>The longest long poll; below the host's response timeout.</summary>
    public TimeSpan FetchWaitMax { get; init; } = TimeSpan.FromSeconds(20);

    /// <summary>Partitions of one topic at most.</summary>
    public int TopicPartitionsMax { get; init; } = 10_000;

    /// <summary>Idempotent producers that a partition remembers at most; past it the one that was silent for longest is forgotten.</summary>
    public int PartitionProducersMax { get; init; } = 10_000;

    /// <summary>How long a silent producer is remembered.</summary>
    public TimeSpan ProducerExpiry { get; init; } = TimeSpan.FromDays(1);

    /// <summary>Bytes appended between two checkpoints of a partition's producers: the bound of what opening has to scan.</summary>
    public long CheckpointIntervalBytes { get; init; } = 32L * 1024 * 1024;

    /// <summary>How often a partition looks after retention, silent producers and its topic's configuration.</summary>
    public TimeSpan MaintenanceInterval { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>How long a partition is unused before it is closed, to be opened by its next request; looked at every <see cref="MaintenanceInterval"/>.</summary>
    public TimeSpan PartitionIdleTimeout { get; init; } = TimeSpan.FromMinutes(2);

    /// <summary>When acknowledged appends have reached the disk.</summary>
    public FlushMode Flush { get; init; } = FlushMode.Always;

    /// <summary>The interval of <see cref="FlushMode.Interval"/>.</summary>
    public TimeSpan FlushInterval { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>Bytes of log between two index entries.</summary>
    public int IndexIntervalBytes { get; init; } = 16 * 1024;

    /// <summary>Bytes of the table of keys with which a partition is compacted at most; a log with more keys takes several passes.</summary>
    public long CompactionMapBytes { get; init; } = 16L * 1024 * 1024;

    /// <summary>Bytes that a compaction reads before it lets other requests of the partition take their turns.</summary>
    public int CompactionReadBytes { get; init; } = 1024 * 1024;

    /// <summary>Partitions of a silo that are compacted at the same time at most; others wait for their next maintenance.</summary>
    public int CompactionsMax { get; init; } = 2;
}
