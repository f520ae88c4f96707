using Microsoft.Extensions.Logging;
using OrleansStreams.Storage;

namespace OrleansStreams.Log;

/// <summary>What partitions and topics log. Event ids 1000 to 1099.</summary>
internal static partial class LogMessages
{
    [LoggerMessage(1000, LogLevel.Information, "Topic {Topic} created with id {TopicId} and {PartitionCount} partitions")]
    public static partial void TopicCreated(this ILogger logger, string topic, string topicId, int partitionCount);

    [LoggerMessage(1001, LogLevel.Information, "Topic {Topic} deleted")]
    public static partial void TopicDeleted(this ILogger logger, string topic);

    [LoggerMessage(1002, LogLevel.Warning, "Partition {Partition} could not be told of its topic's change; it asks by itself")]
    public static partial void PartitionNotTold(this ILogger logger, Exception exception, TopicPartition partition);

    [LoggerMessage(1010, LogLevel.Debug, "Partition {Partition} opened at leader epoch {LeaderEpoch}, offsets {StartOffset} to {EndOffset}, {Producers} producers")]
    public static partial void PartitionOpened(this ILogger logger, string partition, int leaderEpoch, long startOffset, long endOffset, int producers);

    [LoggerMessage(1011, LogLevel.Warning, "Partition {Partition} failed and is opened anew: {Reason}")]
    public static partial void PartitionFailed(this ILogger logger, string partition, string reason);

    [LoggerMessage(1012, LogLevel.Warning, "Partition {Partition} could not be closed cleanly; the next opening recovers it")]
    public static partial void PartitionCloseFailed(this ILogger logger, Exception exception, string partition);

    [LoggerMessage(1013, LogLevel.Warning, "Partition {Partition}: maintenance failed and is tried again later")]
    public static partial void MaintenanceFailed(this ILogger logger, Exception exception, string partition);

    [LoggerMessage(1014, LogLevel.Debug, "Partition {Partition} dropped a produce request that asked for no acknowledgement")]
    public static partial void OneWayAppendDropped(this ILogger logger, Exception exception, string partition);

    [LoggerMessage(1015, LogLevel.Warning, "Partition {Partition}: compaction failed and is tried again later; nothing of the log was lost")]
    public static partial void CompactionFailed(this ILogger logger, Exception exception, string partition);

    [LoggerMessage(1016, LogLevel.Warning, "Partition {Partition} could not be opened for its upkeep, which is tried again later")]
    public static partial void WakeFailed(this ILogger logger, Exception exception, string partition);

    [LoggerMessage(1017, LogLevel.Warning, "The partitions that retention or compaction is due for could not be found and are looked for again later: {Reason}")]
    public static partial void SweepFailed(this ILogger logger, string reason);
}
