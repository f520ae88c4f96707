namespace OrleansStreams.Records;

/// <summary>What can be done with a whole record batch without decoding its records.</summary>
public static class RecordBatch
{
    /// <summary>
    /// Checks structure and CRC of the batch at the start of <paramref name="data"/>: length within the data, magic 2, known codec, counts that fit,
    /// CRC-32C right. Never throws on bad bytes.
    /// </summary>
    /// <returns>None, CorruptBatch or UnsupportedCompressionType.</returns>
    public static StreamsErrorCode Validate(ReadOnlySpan<byte> data, out RecordBatchHeader header) => throw new NotSupportedException();

    /// <summary>Like <see cref="Validate"/> without the CRC: what is needed to step from batch to batch.</summary>
    public static StreamsErrorCode TryReadHeader(ReadOnlySpan<byte> data, out RecordBatchHeader header) => throw new NotSupportedException();

    /// <summary>Stamps base offset and leader epoch in place; both lie outside the CRC.</summary>
    public static void StampOffsetAndEpoch(Span<byte> batch, long baseOffset, int leaderEpoch) => throw new NotSupportedException();

    /// <summary>Sets timestamp type and max timestamp to LogAppendTime in place and makes the CRC anew.</summary>
    public static void StampLogAppendTime(Span<byte> batch, long timestamp) => throw new NotSupportedException();

    /// <summary>Stamps producer id, epoch and base sequence in place and makes the CRC anew.</summary>
    public static void StampProducer(Span<byte> batch, long producerId, short producerEpoch, int baseSequence) => throw new NotSupportedException();
}

/// <summary>CRC-32C (Castagnoli, RFC 3720 appendix B.4) on the processor's instructions.</summary>
public static class Crc32C
{
    /// <summary>The checksum of <paramref name="data"/>.</summary>
    public static uint Compute(ReadOnlySpan<byte> data) => throw new NotSupportedException();
}

/// <summary>
/// Builds one record batch in a growing buffer. Not safe for concurrent use. Use again after <see cref="Reset"/>.
/// Offsets start at 0: the partition stamps the real ones.
/// </summary>
public sealed class RecordBatchBuilder
{
    /// <summary>Creates a builder.</summary>
    /// <param name="compression">The codec; Lz4 and Zstd give UnsupportedCompressionType.</param>
    /// <param name="initialBytes">The buffer to begin with.</param>
    public RecordBatchBuilder(CompressionType compression = CompressionType.None, int initialBytes = 16 * 1024) => throw new NotSupportedException();

    /// <summary>Records so far.</summary>
    public int Count => throw new NotSupportedException();

    /// <summary>Bytes so far, header included, before compression.</summary>
    public int SizeBytes => throw new NotSupportedException();

    /// <summary>An upper bound of what a record adds to <see cref="SizeBytes"/>.</summary>
    public static int MaxRecordBytes(int keyBytes, int valueBytes, IReadOnlyList<RecordHeader>? headers) => throw new NotSupportedException();

    /// <summary>Adds a record. A null key or value is told apart from an empty one by the flags.</summary>
    public void Append(long timestamp, ReadOnlySpan<byte> key, bool keyIsNull, ReadOnlySpan<byte> value, bool valueIsNull, IReadOnlyList<RecordHeader>? headers = null) =>
        throw new NotSupportedException();

    /// <summary>Finishes the batch in memory of its own, which the caller owns; the builder is empty and usable again afterwards.</summary>
    /// <param name="producerId">The idempotent producer's id or -1.</param>
    /// <param name="producerEpoch">Its epoch or -1.</param>
    /// <param name="baseSequence">The first record's sequence or -1.</param>
    /// <param name="isControl">Whether it is a control batch.</param>
    public byte[] Build(long producerId = -1, short producerEpoch = -1, int baseSequence = -1, bool isControl = false) => throw new NotSupportedException();

    /// <summary>Forgets the records.</summary>
    public void Reset() => throw new NotSupportedException();
}

/// <summary>A record header: a name and an opaque value.</summary>
/// <param name="Key">The name.</param>
/// <param name="Value">The value; null is told apart from empty.</param>
[GenerateSerializer]
[Immutable]
[Alias("streams.record-header")]
public readonly record struct RecordHeader([property: Id(0)] string Key, [property: Id(1)] ReadOnlyMemory<byte>? Value);

/// <summary>
/// Reads the records of one batch without allocation (a compressed batch allocates its decompressed form once). A ref struct over the caller's memory.
/// Usage: <c>var reader = new RecordBatchReader(memory); while (reader.TryRead(out var record)) { ... }</c>. The constructor checks the header, not the CRC
/// (see <see cref="RecordBatch.Validate"/>).
/// </summary>
/// <exception cref="StreamsException">CorruptBatch or UnsupportedCompressionType, from the constructor or from TryRead; never anything else, whatever the bytes.</exception>
public ref struct RecordBatchReader
{
    /// <summary>Opens the batch at the start of <paramref name="batch"/>.</summary>
    public RecordBatchReader(ReadOnlyMemory<byte> batch) => throw new NotSupportedException();

    /// <summary>The batch's header.</summary>
    public readonly RecordBatchHeader Header => throw new NotSupportedException();

    /// <summary>Reads the next record; false at the end.</summary>
    public bool TryRead(out RecordView record) => throw new NotSupportedException();
}

/// <summary>One record, in place.</summary>
public readonly ref struct RecordView
{
    /// <summary>Its offset.</summary>
    public long Offset { get; }

    /// <summary>Its timestamp (ms since the Unix epoch): its own, or the batch's for LogAppendTime.</summary>
    public long Timestamp { get; }

    /// <summary>The key's bytes; empty when null.</summary>
    public ReadOnlySpan<byte> Key { get; }

    /// <summary>Whether the key is null.</summary>
    public bool KeyIsNull { get; }

    /// <summary>The value's bytes; empty when null.</summary>
    public ReadOnlySpan<byte> Value { get; }

    /// <summary>Whether the value is null.</summary>
    public bool ValueIsNull { get; }

    /// <summary>The value without a copy, for as long as the batch's memory lives.</summary>
    public ReadOnlyMemory<byte> ValueMemory => throw new NotSupportedException();

    /// <summary>The key without a copy, for as long as the batch's memory lives.</summary>
    public ReadOnlyMemory<byte> KeyMemory => throw new NotSupportedException();

    /// <summary>The number of headers.</summary>
    public int HeaderCount => throw new NotSupportedException();

    /// <summary>Decodes the headers into an array (allocates; empty array when there are none).</summary>
    public RecordHeader[] GetHeaders() => throw new NotSupportedException();
}
