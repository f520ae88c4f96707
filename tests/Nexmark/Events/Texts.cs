using System.Buffers;
using System.Buffers.Binary;
using System.Text;
using OrleansStreams.Records;

namespace OrleansStreams.Nexmark.Events;

/// <summary>
/// Several texts in one block of bytes, so that reading an event with all of its texts costs one array, and passing some of them on costs none.
/// <code>
///  (length uint16 little-endian | UTF-8)*
/// </code>
/// </summary>
internal readonly struct Texts
{
    private const int LengthBytes = sizeof(ushort);

    private readonly byte[]? _bytes;
    private readonly int _from;
    private readonly int _length;

    /// <summary>Takes a block as it stands.</summary>
    public Texts(byte[] bytes)
        : this(bytes, 0, bytes.Length)
    {
    }

    private Texts(byte[]? bytes, int from, int length)
    {
        _bytes = bytes;
        _from = from;
        _length = length;
    }

    public bool IsEmpty => _length == 0;

    /// <summary>The block.</summary>
    public ReadOnlySpan<byte> Bytes => _bytes.AsSpan(_from, _length);

    /// <summary>A text's UTF-8.</summary>
    public ReadOnlySpan<byte> this[int index] => Bytes[(StartOf(index) + LengthBytes)..EndOf(index)];

    public static Texts Of(params ReadOnlySpan<string> texts)
    {
        var bytes = new byte[texts.Length * LengthBytes + SizeOf(texts)];
        var at = 0;
        foreach (var text in texts)
        {
            var length = Encoding.UTF8.GetBytes(text, bytes.AsSpan(at + LengthBytes));
            BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(at), (ushort)length);
            at += LengthBytes + length;
        }

        return new Texts(bytes);
    }

    /// <summary>Texts that stand in different places, as UTF-8.</summary>
    public static Texts Of(ReadOnlySpan<byte> first, ReadOnlySpan<byte> second)
    {
        var bytes = new byte[(2 * LengthBytes) + first.Length + second.Length];
        Write(bytes, Write(bytes, 0, first), second);
        return new Texts(bytes);
    }

    /// <inheritdoc cref="Of(ReadOnlySpan{byte}, ReadOnlySpan{byte})"/>
    public static Texts Of(ReadOnlySpan<byte> first, ReadOnlySpan<byte> second, ReadOnlySpan<byte> third, ReadOnlySpan<byte> fourth)
    {
        var bytes = new byte[(4 * LengthBytes) + first.Length + second.Length + third.Length + fourth.Length];
        Write(bytes, Write(bytes, Write(bytes, Write(bytes, 0, first), second), third), fourth);
        return new Texts(bytes);
    }

    /// <summary>One of the texts alone, in place.</summary>
    public Texts Only(int index)
    {
        var start = StartOf(index);
        return new Texts(_bytes, _from + start, EndOf(index) - start);
    }

    /// <summary>A text as a string.</summary>
    public string Text(int index) => Encoding.UTF8.GetString(this[index]);

    private static int SizeOf(ReadOnlySpan<string> texts)
    {
        var size = 0;
        foreach (var text in texts)
        {
            size += Encoding.UTF8.GetByteCount(text);
        }

        return size;
    }

    private static int Write(Span<byte> to, int at, ReadOnlySpan<byte> text)
    {
        BinaryPrimitives.WriteUInt16LittleEndian(to[at..], (ushort)text.Length);
        text.CopyTo(to[(at + LengthBytes)..]);
        return at + LengthBytes + text.Length;
    }

    private int StartOf(int index)
    {
        var at = 0;
        for (; index > 0; index--)
        {
            at += LengthBytes + BinaryPrimitives.ReadUInt16LittleEndian(Bytes[at..]);
        }

        return at;
    }

    private int EndOf(int index)
    {
        var start = StartOf(index);
        return start + LengthBytes + BinaryPrimitives.ReadUInt16LittleEndian(Bytes[start..]);
    }
}

/// <summary>Texts as their block.</summary>
internal sealed class TextsSerde : ISerde<Texts>
{
    public static TextsSerde Instance { get; } = new();

    public string Name => "texts";

    public void Serialize(Texts value, IBufferWriter<byte> writer) => writer.Write(value.Bytes);

    public Texts Deserialize(ReadOnlySpan<byte> data) => new(data.ToArray());
}
