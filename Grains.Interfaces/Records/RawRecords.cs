namespace OrleansStreams.Records;

/// <summary>
/// Goes through the records of one batch without taking them apart further than needed: for those inside the partition that copy records
/// (compaction) or look for one header (idempotency keys). As strict as <see cref="RecordBatchReader"/> about lengths and offsets.
/// </summary>
internal ref struct RawRecords
{
    private readonly ReadOnlySpan<byte> _records;
    private int _at;
    private int _read;
    private int _lastOffsetDelta = -1;

    /// <summary>Opens a whole batch whose header and CRC were checked.</summary>
    /// <exception cref="StreamsException">CorruptBatch, UnsupportedCompressionType.</exception>
    public RawRecords(ReadOnlyMemory<byte> batch)
    {
        Header = RecordBatchHeader.Read(batch.Span);
        _records = Compression.Decompress(Header.Compression, batch[RecordBatchHeader.Size..Header.TotalBytes]).Span;
    }

    public RecordBatchHeader Header { get; }

    /// <summary>Reads the next record; false at the end.</summary>
    /// <exception cref="StreamsException">CorruptBatch.</exception>
    public bool TryRead(out RawRecord record)
    {
        record = default;
        if (_read == Header.RecordCount)
        {
            return _at == _records.Length ? false : throw Corrupt("bytes are left over after the last record");
        }

        if (!Varint.TryRead(_records, ref _at, out int length) || length < 1 || length > _records.Length - _at)
        {
            throw Corrupt("a record is longer than the batch");
        }

        var body = _records.Slice(_at, length);
        _at += length;
        var at = 1;
        if (!Varint.TryRead(body, ref at, out long timestampDelta) || !Varint.TryRead(body, ref at, out int offsetDelta))
        {
            throw Corrupt("a record is cut off");
        }

        if (offsetDelta <= _lastOffsetDelta || offsetDelta > Header.LastOffsetDelta)
        {
            throw Corrupt("record offsets do not increase or pass the batch's last offset");
        }

        _lastOffsetDelta = offsetDelta;
        _read++;
        var timestamp = Header.TimestampType == TimestampType.LogAppendTime ? Header.MaxTimestamp : unchecked(Header.BaseTimestamp + timestampDelta);
        record = RawRecord.Parse(body[0], Header.BaseOffset + offsetDelta, timestamp, body[at..]);
        return true;
    }

    internal static StreamsException Corrupt(string what) => new(
        StreamsErrorCode.CorruptBatch, $"The record batch is damaged: {what}. Build it again and send it again.", WriteOutcome.NotWritten);
}

/// <summary>One record in place.</summary>
internal readonly ref struct RawRecord
{
    private readonly int _headersAt;
    private readonly int _headerCount;

    private RawRecord(byte attributes, long offset, long timestamp, ReadOnlySpan<byte> tail, ReadOnlySpan<byte> key, bool keyIsNull, ReadOnlySpan<byte> value, bool valueIsNull, int headersAt, int headerCount)
    {
        Attributes = attributes;
        Offset = offset;
        Timestamp = timestamp;
        Tail = tail;
        Key = key;
        KeyIsNull = keyIsNull;
        Value = value;
        ValueIsNull = valueIsNull;
        _headersAt = headersAt;
        _headerCount = headerCount;
    }

    public byte Attributes { get; }

    public long Offset { get; }

    public long Timestamp { get; }

    /// <summary>Key, value and headers as they stand, lengths included.</summary>
    public ReadOnlySpan<byte> Tail { get; }

    public ReadOnlySpan<byte> Key { get; }

    public bool KeyIsNull { get; }

    public ReadOnlySpan<byte> Value { get; }

    public bool ValueIsNull { get; }

    /// <summary>The value of the first header of that name; false when there is none, or its value is null.</summary>
    public bool TryGetHeader(ReadOnlySpan<byte> name, out ReadOnlySpan<byte> value)
    {
        var at = _headersAt;
        for (var i = 0; i < _headerCount; i++)
        {
            // The walk in Parse has seen that every length fits.
            RecordBatchReader.TryReadLength(Tail, ref at, out var keyLength);
            var isIt = Tail.Slice(at, keyLength).SequenceEqual(name);
            at += keyLength;
            RecordBatchReader.TryReadLength(Tail, ref at, out var valueLength);
            if (isIt)
            {
                value = Tail.Slice(at, Math.Max(valueLength, 0));
                return valueLength >= 0;
            }

            at += Math.Max(valueLength, 0);
        }

        value = default;
        return false;
    }

    internal static RawRecord Parse(byte attributes, long offset, long timestamp, ReadOnlySpan<byte> tail)
    {
        var at = 0;
        if (!RecordBatchReader.TryReadLength(tail, ref at, out var keyLength))
        {
            throw RawRecords.Corrupt("a record's key passes the record's end");
        }

        var key = tail.Slice(at, Math.Max(keyLength, 0));
        at += key.Length;
        if (!RecordBatchReader.TryReadLength(tail, ref at, out var valueLength))
        {
            throw RawRecords.Corrupt("a record's value passes the record's end");
        }

        var value = tail.Slice(at, Math.Max(valueLength, 0));
        at += value.Length;
        if (!Varint.TryRead(tail, ref at, out int headerCount) || headerCount < 0)
        {
            throw RawRecords.Corrupt("a record's header count is wrong");
        }

        var headersAt = at;
        for (var i = 0; i < headerCount; i++)
        {
            if (!RecordBatchReader.TryReadLength(tail, ref at, out var nameLength) || nameLength < 0)
            {
                throw RawRecords.Corrupt("a record header's key is missing or passes the record's end");
            }

            at += nameLength;
            if (!RecordBatchReader.TryReadLength(tail, ref at, out var length))
            {
                throw RawRecords.Corrupt("a record header's value passes the record's end");
            }

            at += Math.Max(length, 0);
        }

        return at == tail.Length
            ? new RawRecord(attributes, offset, timestamp, tail, key, keyLength < 0, value, valueLength < 0, headersAt, headerCount)
            : throw RawRecords.Corrupt("a record's length does not match its fields");
    }
}
