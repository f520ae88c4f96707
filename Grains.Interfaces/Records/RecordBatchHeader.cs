using System.Buffers.Binary;

namespace OrleansStreams.Records;

/// <summary>How a batch's records are compressed (the low three bits of its attributes).</summary>
[GenerateSerializer]
[Alias("streams.compression")]
public enum CompressionType
{
    /// <summary>Not compressed.</summary>
    None = 0,

    /// <summary>gzip (RFC 1952).</summary>
    Gzip = 1,

    /// <summary>snappy.</summary>
    Snappy = 2,

    /// <summary>LZ4; not supported yet, refused with a typed error.</summary>
    Lz4 = 3,

    /// <summary>Zstandard; not supported yet, refused with a typed error.</summary>
    Zstd = 4,
}

/// <summary>Where a record's timestamp comes from.</summary>
[GenerateSerializer]
[Alias("streams.timestamp-type")]
public enum TimestampType
{
    /// <summary>The producer set it.</summary>
    CreateTime = 0,

    /// <summary>The partition set it when it appended the batch.</summary>
    LogAppendTime = 1,
}

/// <summary>
/// The fixed header of a record batch, magic 2 (kafka.apache.org/documentation, "Record Batch"). All integers are big-endian.
/// <code>
///  offset size field                     offset size field
///       0    8 base offset                   27    8 base timestamp (ms)
///       8    4 batch length (from 12 on)     35    8 max timestamp (ms)
///      12    4 partition leader epoch        43    8 producer id
///      16    1 magic = 2                     51    2 producer epoch
///      17    4 CRC-32C (of 21 to the end)    53    4 base sequence
///      21    2 attributes                    57    4 record count
///      23    4 last offset delta             61    . records
/// </code>
/// Attributes: bits 0-2 compression, 3 timestamp type, 4 transactional, 5 control.
/// Base offset and leader epoch lie outside the CRC, so that a partition stamps them without touching the payload.
/// </summary>
public readonly record struct RecordBatchHeader
{
    /// <summary>The header's size in bytes.</summary>
    public const int Size = 61;

    /// <summary>The producer id of a batch without a producer.</summary>
    public const long NoProducerId = -1;

    internal const int BaseOffsetAt = 0;
    internal const int LengthAt = 8;
    internal const int LeaderEpochAt = 12;
    internal const int MagicAt = 16;
    internal const int CrcAt = 17;
    internal const int AttributesAt = 21;
    internal const int LastOffsetDeltaAt = 23;
    internal const int BaseTimestampAt = 27;
    internal const int MaxTimestampAt = 35;
    internal const int ProducerIdAt = 43;
    internal const int ProducerEpochAt = 51;
    internal const int BaseSequenceAt = 53;
    internal const int RecordCountAt = 57;

    /// <summary>The offset of the first record.</summary>
    public long BaseOffset { get; init; }

    /// <summary>The bytes from the leader epoch on.</summary>
    public int BatchLength { get; init; }

    /// <summary>The leader epoch that appended the batch.</summary>
    public int LeaderEpoch { get; init; }

    /// <summary>The format version, 2.</summary>
    public byte Magic { get; init; }

    /// <summary>CRC-32C of everything from the attributes on.</summary>
    public uint Crc { get; init; }

    /// <summary>Compression, timestamp type and flags.</summary>
    public short Attributes { get; init; }

    /// <summary>The last record's offset minus the base offset.</summary>
    public int LastOffsetDelta { get; init; }

    /// <summary>The timestamp that the records' deltas start from, ms since the Unix epoch.</summary>
    public long BaseTimestamp { get; init; }

    /// <summary>The largest timestamp in the batch, ms since the Unix epoch.</summary>
    public long MaxTimestamp { get; init; }

    /// <summary>The idempotent producer's id, or -1.</summary>
    public long ProducerId { get; init; }

    /// <summary>The idempotent producer's epoch, or -1.</summary>
    public short ProducerEpoch { get; init; }

    /// <summary>The first record's sequence, or -1.</summary>
    public int BaseSequence { get; init; }

    /// <summary>The number of records.</summary>
    public int RecordCount { get; init; }

    /// <summary>The whole batch's size in bytes.</summary>
    public int TotalBytes => LengthAt + 4 + BatchLength;

    /// <summary>The last record's offset.</summary>
    public long LastOffset => BaseOffset + LastOffsetDelta;

    /// <summary>The offset after the batch.</summary>
    public long NextOffset => BaseOffset + LastOffsetDelta + 1;

    /// <summary>The last record's sequence (wraps to 0 after int.MaxValue, as Kafka's does), or -1.</summary>
    public int LastSequence => BaseSequence < 0 ? -1 : (int)(((long)BaseSequence + LastOffsetDelta) % (1L << 31));

    /// <summary>The compression codec.</summary>
    public CompressionType Compression => (CompressionType)(Attributes & 7);

    /// <summary>Where timestamps come from.</summary>
    public TimestampType TimestampType => (TimestampType)((Attributes >> 3) & 1);

    /// <summary>Whether the batch holds a control record (never handed to applications).</summary>
    public bool IsControl => (Attributes & 0x20) != 0;

    /// <summary>Whether an idempotent producer stamped the batch.</summary>
    public bool HasProducer => ProducerId >= 0;

    /// <summary>Reads the header's fields as they stand, without judging them; <paramref name="batch"/> must hold at least <see cref="Size"/> bytes.</summary>
    public static RecordBatchHeader Read(ReadOnlySpan<byte> batch) => new()
    {
        BaseOffset = BinaryPrimitives.ReadInt64BigEndian(batch[BaseOffsetAt..]),
        BatchLength = BinaryPrimitives.ReadInt32BigEndian(batch[LengthAt..]),
        LeaderEpoch = BinaryPrimitives.ReadInt32BigEndian(batch[LeaderEpochAt..]),
        Magic = batch[MagicAt],
        Crc = BinaryPrimitives.ReadUInt32BigEndian(batch[CrcAt..]),
        Attributes = BinaryPrimitives.ReadInt16BigEndian(batch[AttributesAt..]),
        LastOffsetDelta = BinaryPrimitives.ReadInt32BigEndian(batch[LastOffsetDeltaAt..]),
        BaseTimestamp = BinaryPrimitives.ReadInt64BigEndian(batch[BaseTimestampAt..]),
        MaxTimestamp = BinaryPrimitives.ReadInt64BigEndian(batch[MaxTimestampAt..]),
        ProducerId = BinaryPrimitives.ReadInt64BigEndian(batch[ProducerIdAt..]),
        ProducerEpoch = BinaryPrimitives.ReadInt16BigEndian(batch[ProducerEpochAt..]),
        BaseSequence = BinaryPrimitives.ReadInt32BigEndian(batch[BaseSequenceAt..]),
        RecordCount = BinaryPrimitives.ReadInt32BigEndian(batch[RecordCountAt..]),
    };
}
