using System.Text;

namespace OrleansStreams.Records;

/// <summary>One record, in place.</summary>
public readonly ref struct RecordView
{
    // Positions instead of ready-made spans keep the view small: it is copied once per record.
    private readonly ReadOnlyMemory<byte> _memory;
    private readonly ReadOnlySpan<byte> _records;
    private readonly int _keyAt;
    private readonly int _keyLength;
    private readonly int _valueAt;
    private readonly int _valueLength;
    private readonly int _headersAt;
    private readonly int _headerCount;

    internal RecordView(
        ReadOnlyMemory<byte> memory,
        ReadOnlySpan<byte> records,
        long offset,
        long timestamp,
        int keyAt,
        int keyLength,
        int valueAt,
        int valueLength,
        int headersAt,
        int headerCount)
    {
        _memory = memory;
        _records = records;
        Offset = offset;
        Timestamp = timestamp;
        _keyAt = keyAt;
        _keyLength = keyLength;
        _valueAt = valueAt;
        _valueLength = valueLength;
        _headersAt = headersAt;
        _headerCount = headerCount;
    }

    /// <summary>Its offset.</summary>
    public long Offset { get; }

    /// <summary>Its timestamp (ms since the Unix epoch): its own, or the batch's for LogAppendTime.</summary>
    public long Timestamp { get; }

    /// <summary>The key's bytes; empty when null.</summary>
    public ReadOnlySpan<byte> Key => _records.Slice(_keyAt, Math.Max(_keyLength, 0));

    /// <summary>Whether the key is null.</summary>
    public bool KeyIsNull => _keyLength < 0;

    /// <summary>The value's bytes; empty when null.</summary>
    public ReadOnlySpan<byte> Value => _records.Slice(_valueAt, Math.Max(_valueLength, 0));

    /// <summary>Whether the value is null.</summary>
    public bool ValueIsNull => _valueLength < 0;

    /// <summary>The value without a copy, for as long as the batch's memory lives.</summary>
    public ReadOnlyMemory<byte> ValueMemory => _memory.Slice(_valueAt, Math.Max(_valueLength, 0));

    /// <summary>The key without a copy, for as long as the batch's memory lives.</summary>
    public ReadOnlyMemory<byte> KeyMemory => _memory.Slice(_keyAt, Math.Max(_keyLength, 0));

    /// <summary>Whether there is a record at all: false for the default value, which stands for what has no source record.</summary>
    internal bool IsPresent => !_records.IsEmpty;

    /// <summary>The number of headers.</summary>
    public int HeaderCount => _headerCount;

    /// <summary>
    /// Decodes the headers into an array (allocates; empty array when there are none). Values are not copied: they live as long as the
    /// batch's memory.
    /// </summary>
    public RecordHeader[] GetHeaders() => _headerCount == 0 ? [] : DecodeHeaders(_memory, _headersAt, _headerCount);

    /// <summary>The headers, decoded when somebody looks at them; null when there are none.</summary>
    internal LazyHeaders? GetLazyHeaders() => _headerCount == 0 ? null : new LazyHeaders(_memory, _headersAt, _headerCount);

    /// <summary>The record as something that stands in a field while it is processed; good as long as the batch's memory lives.</summary>
    internal HeldRecord Hold() => new(_memory, Offset, Timestamp, _keyAt, _keyLength, _valueAt, _valueLength, _headersAt, _headerCount);

    internal static RecordHeader[] DecodeHeaders(ReadOnlyMemory<byte> records, int at, int count)
    {
        // The reader has walked these bytes already, so that every length is known to fit.
        var headers = new RecordHeader[count];
        var bytes = records.Span;
        for (var i = 0; i < headers.Length; i++)
        {
            RecordBatchReader.TryReadLength(bytes, ref at, out var keyLength);
            var key = Encoding.UTF8.GetString(bytes.Slice(at, keyLength));
            at += keyLength;
            RecordBatchReader.TryReadLength(bytes, ref at, out var valueLength);

            // A bare null would turn into an empty memory (through the conversion from arrays).
            headers[i] = new RecordHeader(key, valueLength < 0 ? default(ReadOnlyMemory<byte>?) : records.Slice(at, valueLength));
            at += Math.Max(valueLength, 0);
        }

        return headers;
    }
}

/// <summary>A <see cref="RecordView"/> that can be kept; the default value stands for what has no source record.</summary>
internal readonly struct HeldRecord(
    ReadOnlyMemory<byte> memory, long offset, long timestamp, int keyAt, int keyLength, int valueAt, int valueLength, int headersAt, int headerCount)
{
    public bool IsPresent => !memory.IsEmpty;

    public long Offset => offset;

    public RecordView View => IsPresent ? new RecordView(memory, memory.Span, offset, timestamp, keyAt, keyLength, valueAt, valueLength, headersAt, headerCount) : default;
}
