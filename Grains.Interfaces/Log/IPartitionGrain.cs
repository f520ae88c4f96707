using System.Collections.Immutable;

namespace OrleansStreams.Log;

/// <summary>Batches to append.</summary>
/// <param name="Batches">One or more whole record batches back to back. Immutable: the sender must not change the memory until the answer is there.</param>
[GenerateSerializer]
[Immutable]
[Alias("streams.produce-request")]
public sealed record ProduceRequest([property: Id(0)] ReadOnlyMemory<byte> Batches);

/// <summary>Where the batches of a request stand now.</summary>
/// <param name="BaseOffset">The first record's offset; for a duplicate the original one; -1 for a duplicate so old that its offset is forgotten.</param>
/// <param name="LogAppendTime">The append time (ms since the Unix epoch) for topics with LogAppendTime, else -1.</param>
/// <param name="LogStartOffset">The log start offset.</param>
/// <param name="IsDuplicate">Whether nothing was appended because the log holds it already.</param>
[GenerateSerializer]
[Immutable]
[Alias("streams.produce-result")]
public sealed record ProduceResult(
    [property: Id(0)] long BaseOffset, [property: Id(1)] long LogAppendTime, [property: Id(2)] long LogStartOffset, [property: Id(3)] bool IsDuplicate)
{
    /// <summary>
    /// The records that were not appended because their idempotency key was known, in the order of the request; default or empty when there are none.
    /// The others' offsets count from <see cref="BaseOffset"/> as if these were there.
    /// </summary>
    [Id(4)]
    public ImmutableArray<DuplicateRecord> Duplicates { get; init; }
}

/// <summary>A record of a request that was not appended because one with its idempotency key was before.</summary>
/// <param name="Index">Which record of the request, from 0.</param>
/// <param name="Offset">The offset of the original.</param>
/// <param name="Timestamp">The timestamp of the original, ms since the Unix epoch.</param>
[GenerateSerializer]
[Immutable]
[Alias("streams.duplicate-record")]
public readonly record struct DuplicateRecord([property: Id(0)] int Index, [property: Id(1)] long Offset, [property: Id(2)] long Timestamp);

/// <summary>What to read.</summary>
/// <param name="Offset">The first offset wanted; the answer begins with the batch that holds it.</param>
/// <param name="MaxBytes">The bytes to read at most; one batch is read even when it is larger.</param>
/// <param name="MinBytes">The bytes to wait for (long poll).</param>
/// <param name="MaxWaitMs">The ms to wait at most.</param>
[GenerateSerializer]
[Immutable]
[Alias("streams.fetch-request")]
public sealed record FetchRequest([property: Id(0)] long Offset, [property: Id(1)] int MaxBytes, [property: Id(2)] int MinBytes, [property: Id(3)] int MaxWaitMs);

/// <summary>What was read.</summary>
/// <param name="Batches">Whole batches back to back, or empty; the memory is never changed before <see cref="Release"/>.</param>
/// <param name="NextOffset">The offset to ask for next.</param>
/// <param name="HighWatermark">The end for readers.</param>
/// <param name="LogStartOffset">The first offset that can be read.</param>
[GenerateSerializer]
[Immutable]
[Alias("streams.fetch-result")]
public sealed record FetchResult(
    [property: Id(0)] ReadOnlyMemory<byte> Batches, [property: Id(1)] long NextOffset, [property: Id(2)] long HighWatermark, [property: Id(3)] long LogStartOffset)
{
    // Stays on the silo that read it: what crosses to another process is a copy of its own.
    [NonSerialized]
    private readonly IDisposable? _loan;

    internal FetchResult(ReadOnlyMemory<byte> batches, long nextOffset, long highWatermark, long logStartOffset, IDisposable? loan)
        : this(batches, nextOffset, highWatermark, logStartOffset) => _loan = loan;

    /// <summary>
    /// Says that nobody uses <see cref="Batches"/> any more, so that its buffer may serve another fetch. Optional: without it the memory stays as it is
    /// for as long as anybody holds it, and is then collected like any other. May be called again.
    /// </summary>
    public void Release() => _loan?.Dispose();
}

/// <summary>A partition's offsets.</summary>
/// <param name="LogStartOffset">The first offset that can be read.</param>
/// <param name="HighWatermark">The end for readers: the offset after the last durable record.</param>
/// <param name="LogEndOffset">The offset that the next record gets.</param>
/// <param name="SizeBytes">Bytes stored.</param>
/// <param name="LeaderEpoch">The leader epoch.</param>
[GenerateSerializer]
[Immutable]
[Alias("streams.partition-offsets")]
public sealed record PartitionOffsets(
    [property: Id(0)] long LogStartOffset, [property: Id(1)] long HighWatermark, [property: Id(2)] long LogEndOffset,
    [property: Id(3)] long SizeBytes, [property: Id(4)] int LeaderEpoch);

/// <summary>An offset found by timestamp.</summary>
/// <param name="Offset">The first offset whose timestamp is at least the one asked for; the high watermark when there is none.</param>
/// <param name="Timestamp">That record's timestamp, or -1 when there is none.</param>
[GenerateSerializer]
[Immutable]
[Alias("streams.timestamp-offset")]
public sealed record TimestampOffset([property: Id(0)] long Offset, [property: Id(1)] long Timestamp);

/// <summary>One partition: the only writer of its log. The key is <see cref="TopicPartition.GrainKey"/>. Its class is reentrant: readers interleave with appends.</summary>
[Alias("streams.IPartitionGrain")]
public interface IPartitionGrain : IGrainWithStringKey
{
    /// <summary>Appends batches; answers when they are durable by the topic's and the storage's rules. All or nothing per batch.</summary>
    /// <exception cref="StreamsException">UnknownTopicOrPartition, CorruptBatch, InvalidRecord, RecordTooLarge, UnsupportedCompressionType, OutOfOrderSequence,
    /// InvalidProducerEpoch, PartitionBusy (backpressure), DiskFull, StorageError, NotLeader (retriable).</exception>
    [Alias("AppendAsync")]
    Task<ProduceResult> AppendAsync(ProduceRequest request);

    /// <summary>Appends batches and never tells (acks = none).</summary>
    [OneWay]
    [Alias("AppendOneWayAsync")]
    Task AppendOneWayAsync(ProduceRequest request);

    /// <summary>Reads batches; waits for <see cref="FetchRequest.MinBytes"/> at most <see cref="FetchRequest.MaxWaitMs"/>.</summary>
    /// <exception cref="StreamsException">UnknownTopicOrPartition, OffsetOutOfRange, StorageError, CorruptLog, NotLeader.</exception>
    [Alias("FetchAsync")]
    Task<FetchResult> FetchAsync(FetchRequest request, CancellationToken cancellationToken);

    /// <summary>The partition's offsets.</summary>
    [Alias("GetOffsetsAsync")]
    Task<PartitionOffsets> GetOffsetsAsync();

    /// <summary>The first offset at or after a timestamp (ms since the Unix epoch).</summary>
    [Alias("OffsetForTimestampAsync")]
    Task<TimestampOffset> OffsetForTimestampAsync(long timestamp);

    /// <summary>Deletes all records below an offset; -1 means the high watermark. Answers the new log start offset.</summary>
    /// <exception cref="StreamsException">OffsetOutOfRange.</exception>
    [Alias("DeleteRecordsAsync")]
    Task<long> DeleteRecordsAsync(long beforeOffset);

    /// <summary>Tells the partition that its topic changed: it takes the new configuration, or closes when the topic is gone. Called by topic grains.</summary>
    [Alias("TopicChangedAsync")]
    Task TopicChangedAsync(TopicDescription? topic);

    /// <summary>
    /// Opens the partition when it is closed, for the retention and compaction that is due, and closes it again. Nothing when it is open, or its topic is
    /// gone. Called by the silo that knows the time.
    /// </summary>
    /// <exception cref="StreamsException">What opening it failed with.</exception>
    [Alias("WakeAsync")]
    Task WakeAsync();
}
