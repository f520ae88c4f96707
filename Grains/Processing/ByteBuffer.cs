using System.Buffers;
using System.Buffers.Binary;

namespace OrleansStreams.Processing;

/// <summary>A growing buffer that is used again and again; what it holds is valid until the next change.</summary>
internal sealed class ByteBuffer : IBufferWriter<byte>
{
    // One large content (many windows that close at once) is no reason to hold its size for ever.
    private const int KeptBytesMax = 4 * 1024 * 1024;

    private readonly int _headroom;
    private byte[] _bytes;

    /// <param name="headroom">Bytes left free at the front, for what can be written only when the rest is known.</param>
    public ByteBuffer(int headroom = 0)
    {
        _headroom = headroom;
        _bytes = new byte[headroom + 256];
        Length = headroom;
    }

    /// <summary>Bytes used, the headroom included: the position of the next write.</summary>
    public int Length { get; private set; }

    /// <summary>What was written.</summary>
    public ReadOnlySpan<byte> Span => _bytes.AsSpan(_headroom, Length - _headroom);

    /// <summary>The bytes from a position on, the headroom's too.</summary>
    public Memory<byte> From(int start) => _bytes.AsMemory(start, Length - start);

    public void Clear()
    {
        if (_bytes.Length > KeptBytesMax && Length < _bytes.Length / 4)
        {
            _bytes = new byte[_headroom + KeptBytesMax];
        }

        Length = _headroom;
    }

    public void Advance(int count) => Length += count;

    public Memory<byte> GetMemory(int sizeHint = 0)
    {
        Reserve(Math.Max(sizeHint, 1));
        return _bytes.AsMemory(Length);
    }

    public Span<byte> GetSpan(int sizeHint = 0)
    {
        Reserve(Math.Max(sizeHint, 1));
        return _bytes.AsSpan(Length);
    }

    public void WriteByte(byte value)
    {
        Reserve(1);
        _bytes[Length++] = value;
    }

    public void WriteInt32(int value)
    {
        BinaryPrimitives.WriteInt32LittleEndian(GetSpan(4), value);
        Length += 4;
    }

    public void WriteInt64(long value)
    {
        BinaryPrimitives.WriteInt64LittleEndian(GetSpan(8), value);
        Length += 8;
    }

    public void WriteBytes(ReadOnlySpan<byte> bytes)
    {
        bytes.CopyTo(GetSpan(bytes.Length));
        Length += bytes.Length;
    }

    /// <summary>A length as int32, then the bytes.</summary>
    public void WriteBlock(ReadOnlySpan<byte> bytes)
    {
        WriteInt32(bytes.Length);
        WriteBytes(bytes);
    }

    /// <summary>Overwrites an int32 that was written before.</summary>
    public void PatchInt32(int at, int value) => BinaryPrimitives.WriteInt32LittleEndian(_bytes.AsSpan(at), value);

    private void Reserve(int more)
    {
        if (more <= _bytes.Length - Length)
        {
            return;
        }

        var needed = (long)Length + more;
        if (needed > Array.MaxLength)
        {
            throw new StreamsException(
                StreamsErrorCode.RecordTooLarge,
                "One commit of a task would hold more than 2 GiB: make fewer windows close at once (smaller keys or values, more partitions).",
                WriteOutcome.NotWritten);
        }

        Array.Resize(ref _bytes, (int)Math.Min(Array.MaxLength, Math.Max(needed, 2L * _bytes.Length)));
    }
}

/// <summary>Reads what <see cref="ByteBuffer"/> wrote; anything that does not fit is a CorruptLog error.</summary>
internal ref struct ByteReader(ReadOnlySpan<byte> bytes)
{
    private ReadOnlySpan<byte> _rest = bytes;

    public readonly bool IsAtEnd => _rest.IsEmpty;

    public byte ReadByte() => Take(1)[0];

    public int ReadInt32() => BinaryPrimitives.ReadInt32LittleEndian(Take(4));

    public long ReadInt64() => BinaryPrimitives.ReadInt64LittleEndian(Take(8));

    public ReadOnlySpan<byte> ReadBlock() => Take(ReadInt32());

    /// <summary>A count of things that take at least <paramref name="leastBytes"/> each.</summary>
    public int ReadCount(int leastBytes)
    {
        var count = ReadInt32();
        return count >= 0 && (long)count * leastBytes <= _rest.Length ? count : throw Damaged();
    }

    private ReadOnlySpan<byte> Take(int count)
    {
        if ((uint)count > (uint)_rest.Length)
        {
            throw Damaged();
        }

        var taken = _rest[..count];
        _rest = _rest[count..];
        return taken;
    }

    public static StreamsException Damaged() =>
        new(StreamsErrorCode.CorruptLog, "A journal entry is damaged although its checksum holds: restore the journal from a backup, or delete it and process from the beginning.");
}
