using System.Buffers.Binary;

namespace OrleansStreams.Records;

/// <summary>What can be done with a whole record batch without decoding its records.</summary>
public static class RecordBatch
{
    /// <summary>The least that a record takes: length, attributes, two deltas, two null lengths and a header count, a byte each.</summary>
    internal const int MinRecordBytes = 7;

    private const int LogAppendTimeBit = 1 << 3;

    /// <summary>
    /// Checks structure and CRC of the batch at the start of <paramref name="data"/>: length within the data, magic 2, known codec, counts that fit,
    /// CRC-32C right. Never throws on bad bytes.
    /// </summary>
    /// <returns>None, CorruptBatch or UnsupportedCompressionType.</returns>
    public static StreamsErrorCode Validate(ReadOnlySpan<byte> data, out RecordBatchHeader header)
    {
        var code = TryReadHeader(data, out header);
        if (code == StreamsErrorCode.CorruptBatch)
        {
            return code;
        }

        // The codec is only believed once the CRC that covers it holds.
        return Crc32C.Compute(data[RecordBatchHeader.AttributesAt..header.TotalBytes]) == header.Crc ? code : StreamsErrorCode.CorruptBatch;
    }

    /// <summary>
    /// Like <see cref="Validate"/> without the CRC: what is needed to step from batch to batch. The header is set unless the result is
    /// CorruptBatch.
    /// </summary>
    public static StreamsErrorCode TryReadHeader(ReadOnlySpan<byte> data, out RecordBatchHeader header)
    {
        header = default;
        if (data.Length < RecordBatchHeader.Size || data[RecordBatchHeader.MagicAt] != 2)
        {
            return StreamsErrorCode.CorruptBatch;
        }

        var read = RecordBatchHeader.Read(data);
        const int RestOfHeader = RecordBatchHeader.Size - RecordBatchHeader.LeaderEpochAt;
        if (read.BatchLength < RestOfHeader
            || read.BatchLength > data.Length - RecordBatchHeader.LeaderEpochAt
            || !CountsFit(read, read.BatchLength - RestOfHeader))
        {
            return StreamsErrorCode.CorruptBatch;
        }

        header = read;
        return Compression.IsSupported(read.Compression) ? StreamsErrorCode.None : StreamsErrorCode.UnsupportedCompressionType;
    }

    /// <summary>Stamps base offset and leader epoch in place; both lie outside the CRC.</summary>
    public static void StampOffsetAndEpoch(Span<byte> batch, long baseOffset, int leaderEpoch)
    {
        BinaryPrimitives.WriteInt64BigEndian(batch[RecordBatchHeader.BaseOffsetAt..], baseOffset);
        BinaryPrimitives.WriteInt32BigEndian(batch[RecordBatchHeader.LeaderEpochAt..], leaderEpoch);
    }

    /// <summary>Sets timestamp type and max timestamp to LogAppendTime in place and makes the CRC anew.</summary>
    public static void StampLogAppendTime(Span<byte> batch, long timestamp)
    {
        var attributes = BinaryPrimitives.ReadInt16BigEndian(batch[RecordBatchHeader.AttributesAt..]);
        BinaryPrimitives.WriteInt16BigEndian(batch[RecordBatchHeader.AttributesAt..], (short)(attributes | LogAppendTimeBit));
        BinaryPrimitives.WriteInt64BigEndian(batch[RecordBatchHeader.MaxTimestampAt..], timestamp);
        StampCrc(batch);
    }

    /// <summary>Stamps producer id, epoch and base sequence in place and makes the CRC anew.</summary>
    public static void StampProducer(Span<byte> batch, long producerId, short producerEpoch, int baseSequence)
    {
        BinaryPrimitives.WriteInt64BigEndian(batch[RecordBatchHeader.ProducerIdAt..], producerId);
        BinaryPrimitives.WriteInt16BigEndian(batch[RecordBatchHeader.ProducerEpochAt..], producerEpoch);
        BinaryPrimitives.WriteInt32BigEndian(batch[RecordBatchHeader.BaseSequenceAt..], baseSequence);
        StampCrc(batch);
    }

    /// <summary>What a reader says of a batch that <see cref="Validate"/> refused.</summary>
    internal static StreamsException Damaged(Log.TopicPartition partition, StreamsErrorCode code, in RecordBatchHeader header) =>
        new(code, $"a batch of {partition} at offset {header.BaseOffset} fails its checks; read from another copy, or seek past it");

    /// <summary>Writes the header of a finished batch, which is all of the span, and its CRC; its offsets start at 0.</summary>
    internal static void WriteHeader(
        Span<byte> batch, short attributes, int count, long baseTimestamp, long maxTimestamp, long producerId, short producerEpoch, int baseSequence)
    {
        StampOffsetAndEpoch(batch, 0, -1);
        BinaryPrimitives.WriteInt32BigEndian(batch[RecordBatchHeader.LengthAt..], batch.Length - RecordBatchHeader.LeaderEpochAt);
        batch[RecordBatchHeader.MagicAt] = 2;
        BinaryPrimitives.WriteInt16BigEndian(batch[RecordBatchHeader.AttributesAt..], attributes);
        BinaryPrimitives.WriteInt32BigEndian(batch[RecordBatchHeader.LastOffsetDeltaAt..], count - 1);
        BinaryPrimitives.WriteInt64BigEndian(batch[RecordBatchHeader.BaseTimestampAt..], baseTimestamp);
        BinaryPrimitives.WriteInt64BigEndian(batch[RecordBatchHeader.MaxTimestampAt..], maxTimestamp);
        BinaryPrimitives.WriteInt32BigEndian(batch[RecordBatchHeader.RecordCountAt..], count);
        StampProducer(batch, producerId, producerEpoch, baseSequence); // computes the CRC, so it comes last
    }

    /// <summary>Computes the CRC of the batch at the start of the span and writes it.</summary>
    internal static void StampCrc(Span<byte> batch)
    {
        var end = RecordBatchHeader.LeaderEpochAt + BinaryPrimitives.ReadInt32BigEndian(batch[RecordBatchHeader.LengthAt..]);
        BinaryPrimitives.WriteUInt32BigEndian(batch[RecordBatchHeader.CrcAt..], Crc32C.Compute(batch[RecordBatchHeader.AttributesAt..end]));
    }

    private static bool CountsFit(in RecordBatchHeader header, int recordBytes)
    {
        // Compaction may leave fewer records than offsets, never more; and no offset may run past the end of a long.
        var room = header.Compression == CompressionType.None ? recordBytes : Compression.MaxDecompressedBytes;
        return header.RecordCount >= 0
            && header.LastOffsetDelta >= 0
            && header.RecordCount <= header.LastOffsetDelta + 1L
            && header.RecordCount <= room / MinRecordBytes
            && header.BaseOffset >= 0
            && header.BaseOffset < long.MaxValue - header.LastOffsetDelta;
    }
}
