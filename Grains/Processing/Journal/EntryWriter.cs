using System.Buffers;
using System.Buffers.Binary;
using System.Text;

namespace OrleansStreams.Processing.Journal;

/// <summary>Writes a journal entry's fields: integers little-endian, texts and blobs with a 32-bit length before them.</summary>
internal sealed class EntryWriter
{
    private readonly ArrayBufferWriter<byte> _buffer = new(4096);

    public ReadOnlySpan<byte> Written => _buffer.WrittenSpan;

    public void Byte(byte value)
    {
        _buffer.GetSpan(1)[0] = value;
        _buffer.Advance(1);
    }

    public void Int(int value)
    {
        BinaryPrimitives.WriteInt32LittleEndian(_buffer.GetSpan(4), value);
        _buffer.Advance(4);
    }

    public void Long(long value)
    {
        BinaryPrimitives.WriteInt64LittleEndian(_buffer.GetSpan(8), value);
        _buffer.Advance(8);
    }

    public void Text(string value) => Blob(Encoding.UTF8.GetBytes(value));

    public void Blob(ReadOnlySpan<byte> value)
    {
        Int(value.Length);
        _buffer.Write(value);
    }
}

/// <summary>Reads what <see cref="EntryWriter"/> wrote; bytes that end too early are CorruptLog.</summary>
internal ref struct EntryReader(ReadOnlySpan<byte> data)
{
    private ReadOnlySpan<byte> _rest = data;

    public readonly bool AtEnd => _rest.IsEmpty;

    public byte Byte() => Take(1)[0];

    public int Int() => BinaryPrimitives.ReadInt32LittleEndian(Take(4));

    public long Long() => BinaryPrimitives.ReadInt64LittleEndian(Take(8));

    public string Text() => Encoding.UTF8.GetString(Blob());

    public ReadOnlySpan<byte> Blob()
    {
        var length = Int();
        return Take(length);
    }

    /// <summary>A count of things that take at least one byte each.</summary>
    public int Count()
    {
        var count = Int();
        return count >= 0 && count <= _rest.Length ? count : throw Corrupt();
    }

    private ReadOnlySpan<byte> Take(int length)
    {
        if (length < 0 || length > _rest.Length)
        {
            throw Corrupt();
        }

        var taken = _rest[..length];
        _rest = _rest[length..];
        return taken;
    }

    private static StreamsException Corrupt() => new(StreamsErrorCode.CorruptLog, "a journal entry ends in the middle of a field");
}
