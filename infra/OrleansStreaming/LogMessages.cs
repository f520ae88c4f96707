using OrleansStreams.Log;

namespace OrleansStreams.Streaming;

/// <summary>What the stream provider logs. Event ids 1700 to 1799.</summary>
internal static partial class LogMessages
{
    [LoggerMessage(1700, LogLevel.Information, "Queue {Partition} is read from offset {Offset}")]
    public static partial void QueueOpened(this ILogger logger, TopicPartition partition, long offset);

    [LoggerMessage(1701, LogLevel.Warning, "Queue {Partition} could not be read and is tried again in {Milliseconds} ms")]
    public static partial void ReadFailed(this ILogger logger, Exception exception, TopicPartition partition, double milliseconds);

    [LoggerMessage(1702, LogLevel.Warning, "Queue {Partition}: offset {Offset} is outside of the log, which is read from offset {Start} now; what was between is gone")]
    public static partial void OffsetLost(this ILogger logger, TopicPartition partition, long offset, long start);

    [LoggerMessage(1703, LogLevel.Warning, "Queue {Partition}: the checkpoint at offset {Offset} could not be committed and is tried again")]
    public static partial void CommitFailed(this ILogger logger, Exception exception, TopicPartition partition, long offset);

    [LoggerMessage(1704, LogLevel.Error, "Queue {Partition}: the event at offset {Offset} of stream {Stream} failed {Attempts} times for subscription {Subscription}; it is in the topic {DeadLetters}")]
    public static partial void DeadLetter(this ILogger logger, Exception? exception, TopicPartition partition, long offset, StreamId stream, Guid subscription, int attempts, string deadLetters);

    [LoggerMessage(1705, LogLevel.Error, "Queue {Partition}: the event at offset {Offset} could not be written to the topic {DeadLetters}; it is tried again")]
    public static partial void DeadLetterFailed(this ILogger logger, Exception exception, TopicPartition partition, long offset, string deadLetters);

    [LoggerMessage(1706, LogLevel.Warning, "Queues could not be spread anew; the next change of the cluster tries it again")]
    public static partial void BalanceFailed(this ILogger logger, Exception exception);

    [LoggerMessage(1707, LogLevel.Warning, "The agent of stream {Stream} could not be woken: a new subscription is served from the stream's next event on")]
    public static partial void WakeUpFailed(this ILogger logger, Exception exception, StreamId stream);
}
