using System.Buffers;
using System.Runtime.CompilerServices;
using System.Text;

namespace OrleansStreams.Records;

/// <summary>
/// Builds one record batch in a growing buffer. Not safe for concurrent use. Use again after <see cref="Reset"/>.
/// Offsets start at 0: the partition stamps the real ones.
/// <code>
///  record (all lengths and deltas are zigzag varints):
///  length | attributes, 1 byte, 0 | timestamp delta (64 bits) | offset delta | key length, -1 is null | key
///         | value length, -1 is null | value | header count | (key length | key | value length, -1 is null | value)*
/// </code>
/// </summary>
public sealed class RecordBatchBuilder
{
    private const int ControlBit = 1 << 5;
    private const int MaxUncompressedBytes = 0x7ff00000; // below the longest array
    private const int MaxCompressibleBytes = RecordBatchHeader.Size + Compression.MaxDecompressedBytes; // what readers accept
    private const int MaxFixedBytes = (5 * Varint.MaxBytes32) + Varint.MaxBytes64 + 1;

    private readonly CompressionType _compression;
    private readonly int _maxBytes;
    private byte[] _buffer;
    private int _capacity;
    private int _size = RecordBatchHeader.Size;
    private int _count;
    private long _baseTimestamp;
    private long _maxTimestamp;

    /// <summary>Creates a builder.</summary>
    /// <param name="compression">The codec; Lz4 and Zstd give UnsupportedCompressionType.</param>
    /// <param name="initialBytes">The buffer to begin with.</param>
    public RecordBatchBuilder(CompressionType compression = CompressionType.None, int initialBytes = 16 * 1024)
    {
        Compression.ThrowIfUnsupported(compression);
        _compression = compression;
        _maxBytes = compression == CompressionType.None ? MaxUncompressedBytes : MaxCompressibleBytes;
        _buffer = ArrayPool<byte>.Shared.Rent(Math.Max(initialBytes, RecordBatchHeader.Size));
        _capacity = Math.Min(_buffer.Length, _maxBytes);
    }

    /// <summary>Records so far.</summary>
    public int Count => _count;

    /// <summary>Bytes so far, header included, before compression.</summary>
    public int SizeBytes => _size;

    /// <summary>An upper bound of what a record adds to <see cref="SizeBytes"/>; int.MaxValue when it would not fit into an int.</summary>
    public static int MaxRecordBytes(int keyBytes, int valueBytes, IReadOnlyList<RecordHeader>? headers) =>
        (int)Math.Min(int.MaxValue, MaxFixedBytes + (long)keyBytes + valueBytes + HeaderBytes(headers));

    /// <summary>Adds a record. A null key or value is told apart from an empty one by the flags.</summary>
    /// <exception cref="StreamsException">RecordTooLarge when the batch would pass 2 GiB, or 64 MiB with compression; InvalidRequest for a header without a key.</exception>
    public void Append(
        long timestamp,
        ReadOnlySpan<byte> key,
        bool keyIsNull,
        ReadOnlySpan<byte> value,
        bool valueIsNull,
        IReadOnlyList<RecordHeader>? headers = null)
    {
        if (_count == 0)
        {
            _baseTimestamp = timestamp;
            _maxTimestamp = timestamp;
        }

        var keyLength = keyIsNull ? -1 : key.Length;
        var valueLength = valueIsNull ? -1 : value.Length;
        var timestampDelta = unchecked(timestamp - _baseTimestamp);
        long length = 1 + Varint.SizeOf(timestampDelta) + Varint.SizeOf(_count)
            + Varint.SizeOf(keyLength) + Varint.SizeOf(valueLength)
            + (long)Math.Max(keyLength, 0) + Math.Max(valueLength, 0) + HeaderBytes(headers);
        if (_size + length + Varint.MaxBytes32 > _capacity)
        {
            Grow(_size + length + Varint.MaxBytes32);
        }

        var to = _buffer.AsSpan();
        var at = Varint.Write(to, _size, (int)length);
        to[at++] = 0;
        at = Varint.Write(to, at, timestampDelta);
        at = Varint.Write(to, at, _count);
        at = WriteBytes(to, at, keyLength, key);
        at = WriteBytes(to, at, valueLength, value);
        if (headers is null || headers.Count == 0)
        {
            to[at++] = 0;
        }
        else
        {
            at = WriteHeaders(to, at, headers);
        }

        _size = at;
        _count++;
        _maxTimestamp = Math.Max(_maxTimestamp, timestamp);
    }

    /// <summary>Finishes the batch in memory of its own, which the caller owns; the builder is empty and usable again afterwards.</summary>
    /// <param name="producerId">The idempotent producer's id or -1.</param>
    /// <param name="producerEpoch">Its epoch or -1.</param>
    /// <param name="baseSequence">The first record's sequence or -1.</param>
    /// <param name="isControl">Whether it is a control batch.</param>
    /// <exception cref="StreamsException">InvalidRequest when no record was appended.</exception>
    public byte[] Build(long producerId = -1, short producerEpoch = -1, int baseSequence = -1, bool isControl = false)
    {
        var batch = _compression == CompressionType.None ? CopyRecords() : CompressRecords();
        WriteHeader(batch, isControl, producerId, producerEpoch, baseSequence);
        Reset();
        return batch;
    }

    /// <summary>Forgets the records.</summary>
    public void Reset()
    {
        _size = RecordBatchHeader.Size;
        _count = 0;
    }

    /// <summary>
    /// Finishes the batch where it stands, without a copy: the memory is the builder's own buffer (with compression, an array of its own) and is good until
    /// <see cref="ReturnBuffer"/>. Nothing can be appended before that.
    /// </summary>
    internal ReadOnlyMemory<byte> BuildInPlace(long producerId, short producerEpoch, int baseSequence)
    {
        var batch = _compression == CompressionType.None ? _buffer.AsMemory(0, _size) : CompressRecords();
        WriteHeader(batch.Span, isControl: false, producerId, producerEpoch, baseSequence);
        return batch;
    }

    /// <summary>Gives the buffer back to the shared pool: nobody may read what was built in place any more. The builder is empty and usable again.</summary>
    internal void ReturnBuffer()
    {
        if (_buffer.Length > 0)
        {
            ArrayPool<byte>.Shared.Return(_buffer);
        }

        _buffer = [];
        _capacity = 0;
        Reset();
    }

    private byte[] CopyRecords()
    {
        ThrowIfEmpty();
        var batch = GC.AllocateUninitializedArray<byte>(_size);
        _buffer.AsSpan(0, _size).CopyTo(batch);
        return batch;
    }

    private byte[] CompressRecords()
    {
        ThrowIfEmpty();
        return Compression.Compress(_compression, _buffer, RecordBatchHeader.Size, _size - RecordBatchHeader.Size, RecordBatchHeader.Size);
    }

    private void ThrowIfEmpty()
    {
        if (_count == 0)
        {
            throw new StreamsException(StreamsErrorCode.InvalidRequest, "A record batch needs at least one record: append one before building it.");
        }
    }

    private void WriteHeader(Span<byte> to, bool isControl, long producerId, short producerEpoch, int baseSequence)
    {
        var attributes = (short)((int)_compression | (isControl ? ControlBit : 0));
        RecordBatch.WriteHeader(to, attributes, _count, _baseTimestamp, _maxTimestamp, producerId, producerEpoch, baseSequence);
    }

    private static int WriteBytes(Span<byte> to, int at, int length, ReadOnlySpan<byte> bytes)
    {
        at = Varint.Write(to, at, length);
        if (length <= 0)
        {
            return at;
        }

        bytes.CopyTo(to[at..]);
        return at + length;
    }

    private static int WriteHeaders(Span<byte> to, int at, IReadOnlyList<RecordHeader> headers)
    {
        at = Varint.Write(to, at, headers.Count);
        for (var i = 0; i < headers.Count; i++)
        {
            var header = headers[i];
            var keyBytes = Encoding.UTF8.GetByteCount(header.Key);
            at = Varint.Write(to, at, keyBytes);
            at += Encoding.UTF8.GetBytes(header.Key, to[at..]);
            at = WriteBytes(to, at, header.Value?.Length ?? -1, header.Value.GetValueOrDefault().Span);
        }

        return at;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static long HeaderBytes(IReadOnlyList<RecordHeader>? headers) => headers is null ? 1 : BytesOf(headers);

    private static long BytesOf(IReadOnlyList<RecordHeader> headers)
    {
        long bytes = Varint.SizeOf(headers.Count);
        for (var i = 0; i < headers.Count; i++)
        {
            var header = headers[i];
            if (header.Key is null)
            {
                throw new StreamsException(StreamsErrorCode.InvalidRequest, "A record header has no key: give every header a name.");
            }

            var keyBytes = Encoding.UTF8.GetByteCount(header.Key);
            var valueLength = header.Value?.Length ?? -1;
            bytes += (long)Varint.SizeOf(keyBytes) + keyBytes + Varint.SizeOf(valueLength) + Math.Max(valueLength, 0);
        }

        return bytes;
    }

    private void Grow(long needed)
    {
        if (needed > _maxBytes)
        {
            throw new StreamsException(
                StreamsErrorCode.RecordTooLarge,
                $"The record would make the batch {needed} bytes long; the most is {_maxBytes}. Send smaller records or build the batch earlier.",
                WriteOutcome.NotWritten);
        }

        var larger = ArrayPool<byte>.Shared.Rent((int)Math.Min(_maxBytes, Math.Max(needed, 2L * _buffer.Length)));
        _buffer.AsSpan(0, Math.Min(_size, _buffer.Length)).CopyTo(larger);
        if (_buffer.Length > 0)
        {
            ArrayPool<byte>.Shared.Return(_buffer);
        }

        _buffer = larger;
        _capacity = Math.Min(larger.Length, _maxBytes);
    }
}
