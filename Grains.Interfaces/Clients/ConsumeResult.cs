using OrleansStreams.Log;
using OrleansStreams.Records;

namespace OrleansStreams.Clients;

/// <summary>A record that was read.</summary>
/// <param name="Partition">Its partition.</param>
/// <param name="Offset">Its offset.</param>
/// <param name="Timestamp">Its timestamp in ms since the Unix epoch.</param>
/// <param name="Key">The key, default when null.</param>
/// <param name="Value">The value, default when null.</param>
/// <param name="Headers">The headers; empty when there are none.</param>
public readonly record struct ConsumeResult<TKey, TValue>(
    TopicPartition Partition, long Offset, long Timestamp, TKey? Key, TValue? Value, IReadOnlyList<RecordHeader> Headers);

/// <summary>Where to begin in an assigned partition.</summary>
public readonly record struct StartPosition
{
    private const long EarliestMark = -2;
    private const long LatestMark = -1;
    private const long CommittedMark = -3;

    private StartPosition(long offset, long? timestamp = null) => (Offset, AtTimestamp) = (offset, timestamp);

    /// <summary>At the log start offset.</summary>
    public static StartPosition Earliest { get; } = new(EarliestMark);

    /// <summary>At the high watermark.</summary>
    public static StartPosition Latest { get; } = new(LatestMark);

    /// <summary>At the group's committed offset, else by <see cref="ConsumerOptions.AutoOffsetReset"/>.</summary>
    public static StartPosition Committed { get; } = new(CommittedMark);

    internal long Offset { get; }

    internal long? AtTimestamp { get; }

    internal bool IsEarliest => Offset == EarliestMark && AtTimestamp is null;

    internal bool IsLatest => Offset == LatestMark && AtTimestamp is null;

    internal bool IsCommitted => Offset == CommittedMark && AtTimestamp is null;

    /// <summary>At an offset.</summary>
    /// <exception cref="StreamsException">OffsetOutOfRange for a negative one.</exception>
    public static StartPosition AtOffset(long offset) => offset >= 0
        ? new StartPosition(offset)
        : throw new StreamsException(StreamsErrorCode.OffsetOutOfRange, $"offset {offset} is negative; offsets begin at 0");

    /// <summary>At the first record whose timestamp is at least this many ms since the Unix epoch.</summary>
    public static StartPosition Timestamp(long milliseconds) => new(0, milliseconds);
}
