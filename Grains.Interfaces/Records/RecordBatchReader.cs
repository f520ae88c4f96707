using System.Diagnostics.CodeAnalysis;

namespace OrleansStreams.Records;

/// <summary>
/// Reads the records of one batch without allocation (a compressed batch allocates its decompressed form once). A ref struct over the caller's memory.
/// Usage: <c>var reader = new RecordBatchReader(memory); while (reader.TryRead(out var record)) { ... }</c>. The constructor checks the header, not the CRC
/// (see <see cref="RecordBatch.Validate"/>).
/// </summary>
/// <exception cref="StreamsException">CorruptBatch or UnsupportedCompressionType, from the constructor or from TryRead; never anything else, whatever the bytes.</exception>
public ref struct RecordBatchReader
{
    private readonly RecordBatchHeader _header;
    private readonly ReadOnlyMemory<byte> _memory;
    private readonly ReadOnlySpan<byte> _records;
    private readonly bool _logAppendTime;
    private int _at;
    private int _read;
    private int _lastOffsetDelta = -1;

    /// <summary>Opens the batch at the start of <paramref name="batch"/>.</summary>
    public RecordBatchReader(ReadOnlyMemory<byte> batch)
    {
        var code = RecordBatch.TryReadHeader(batch.Span, out _header);
        if (code == StreamsErrorCode.CorruptBatch)
        {
            throw new StreamsException(
                code,
                "The record batch's header is damaged (length, magic, counts or offsets do not fit): it is cut off, corrupt or not of format version 2. Send or fetch it again.");
        }

        _memory = Compression.Decompress(_header.Compression, batch[RecordBatchHeader.Size.._header.TotalBytes]);
        _records = _memory.Span;
        _logAppendTime = _header.TimestampType == TimestampType.LogAppendTime;
    }

    /// <summary>Goes on in a batch that was opened before: its header, its records as <see cref="Records"/> gave them, and where it was.</summary>
    internal RecordBatchReader(in RecordBatchHeader header, ReadOnlyMemory<byte> records, in RecordBatchPosition position)
    {
        _header = header;
        _memory = records;
        _records = records.Span;
        _logAppendTime = header.TimestampType == TimestampType.LogAppendTime;
        _at = position.At;
        _read = position.Read;
        _lastOffsetDelta = position.LastOffsetDelta;
    }

    /// <summary>The records' bytes, decompressed.</summary>
    internal readonly ReadOnlyMemory<byte> Records => _memory;

    /// <summary>How far it has read.</summary>
    internal readonly RecordBatchPosition Position => new(_at, _read, _lastOffsetDelta);

    /// <summary>The batch's header.</summary>
    public readonly RecordBatchHeader Header => _header;

    /// <summary>Reads the next record; false at the end.</summary>
    public bool TryRead(out RecordView record)
    {
        var at = _at;
        if (_read == _header.RecordCount)
        {
            if (at != _records.Length)
            {
                Throw("bytes are left over after the last record");
            }

            record = default;
            return false;
        }

        var records = _records;
        if (!Varint.TryRead(records, ref at, out int length) || (uint)length > (uint)(records.Length - at))
        {
            Throw("a record is longer than the batch");
        }

        // From here on the record's own end is the limit, so that no field reaches into the next record.
        var end = at + length;
        var body = records[..end];
        at++; // attributes: no bit of them is in use
        if (!Varint.TryRead(body, ref at, out long timestampDelta))
        {
            Throw("a record's timestamp is cut off");
        }

        if (!Varint.TryRead(body, ref at, out int offsetDelta) || offsetDelta <= _lastOffsetDelta || offsetDelta > _header.LastOffsetDelta)
        {
            Throw("record offsets do not increase or pass the batch's last offset");
        }

        if (!TryReadLength(body, ref at, out var keyLength))
        {
            Throw("a record's key passes the record's end");
        }

        var keyAt = at;
        at += Math.Max(keyLength, 0);
        if (!TryReadLength(body, ref at, out var valueLength))
        {
            Throw("a record's value passes the record's end");
        }

        var valueAt = at;
        at += Math.Max(valueLength, 0);
        if (!Varint.TryRead(body, ref at, out int headerCount) || headerCount < 0)
        {
            Throw("a record's header count is wrong");
        }

        var headersAt = at;
        at = headerCount == 0 ? at : SkipHeaders(body, at, headerCount);
        if (at != end)
        {
            Throw("a record's length does not match its fields");
        }

        _at = end;
        _read++;
        _lastOffsetDelta = offsetDelta;
        var timestamp = _logAppendTime ? _header.MaxTimestamp : unchecked(_header.BaseTimestamp + timestampDelta);
        record = new RecordView(_memory, records, _header.BaseOffset + offsetDelta, timestamp, keyAt, keyLength, valueAt, valueLength, headersAt, headerCount);
        return true;
    }

    /// <summary>Reads a length of -1 or more which the rest of the span can hold.</summary>
    internal static bool TryReadLength(ReadOnlySpan<byte> body, ref int at, out int length) =>
        Varint.TryRead(body, ref at, out length) && length >= -1 && length <= body.Length - at;

    private static int SkipHeaders(ReadOnlySpan<byte> body, int at, int count)
    {
        // Each header takes two bytes or more, so a count that lies ends at the record's end.
        for (var i = 0; i < count; i++)
        {
            if (!TryReadLength(body, ref at, out var keyLength) || keyLength < 0)
            {
                Throw("a record header's key is missing or passes the record's end");
            }

            at += keyLength;
            if (!TryReadLength(body, ref at, out var valueLength))
            {
                Throw("a record header's value passes the record's end");
            }

            at += Math.Max(valueLength, 0);
        }

        return at;
    }

    [DoesNotReturn]
    private static void Throw(string what) =>
        throw new StreamsException(StreamsErrorCode.CorruptBatch, $"The record batch is damaged: {what}. Send or fetch it again.");
}

/// <summary>A place between two records of a batch.</summary>
internal readonly record struct RecordBatchPosition(int At, int Read, int LastOffsetDelta);
