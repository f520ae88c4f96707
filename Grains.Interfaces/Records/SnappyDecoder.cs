using System.Buffers.Binary;

namespace OrleansStreams.Records;

/// <summary>
/// Decodes snappy: the plain block, and the stream of blocks that Java's Kafka clients write (snappy-java's SnappyOutputStream).
/// A decoder of our own because it must refuse any bytes with a typed error, and know the decoded size before it allocates.
/// <code>
///  block:  decoded length (varint, not zigzag) | elements; an element's low two bits are its kind:
///          00 literal, length in the high six bits or in the 1-4 bytes that follow   01 copy, 4-11 bytes, 11-bit distance
///          10 copy, 1-64 bytes, 16-bit distance                                      11 copy, 1-64 bytes, 32-bit distance
///  stream: 0x82 "SNAPPY" 0x00 | version int32 | compatible version int32 | (block length int32 | block)*     big-endian
/// </code>
/// </summary>
internal static class SnappyDecoder
{
    private const int StreamHeaderBytes = 16;

    // The best element gives 64 bytes for three.
    private const long MaxRatio = 22;

    private static ReadOnlySpan<byte> StreamMagic => [0x82, (byte)'S', (byte)'N', (byte)'A', (byte)'P', (byte)'P', (byte)'Y', 0];

    public static byte[] Decode(ReadOnlySpan<byte> source, int maxBytes)
    {
        if (!source.StartsWith(StreamMagic))
        {
            var plain = GC.AllocateUninitializedArray<byte>(DecodedLength(source, maxBytes, out var elements));
            DecodeBlock(source[elements..], plain);
            return plain;
        }

        long total = 0;
        for (var at = 0; NextBlock(source, ref at, out var block);)
        {
            total += DecodedLength(block, maxBytes, out _);
            if (total > maxBytes)
            {
                throw Compression.TooLarge();
            }
        }

        var result = GC.AllocateUninitializedArray<byte>((int)total);
        var rest = result.AsSpan();
        for (var at = 0; NextBlock(source, ref at, out var block);)
        {
            var length = DecodedLength(block, maxBytes, out var elements);
            DecodeBlock(block[elements..], rest[..length]);
            rest = rest[length..];
        }

        return result;
    }

    private static bool NextBlock(ReadOnlySpan<byte> source, ref int at, out ReadOnlySpan<byte> block)
    {
        // Streams may be joined end to end, so the stream header can stand before any block.
        while (source[at..].StartsWith(StreamMagic))
        {
            if (source.Length - at < StreamHeaderBytes)
            {
                throw Compression.Corrupt("the snappy stream header is cut off");
            }

            at += StreamHeaderBytes;
        }

        block = default;
        if (at == source.Length)
        {
            return false;
        }

        var length = source.Length - at < 4 ? -1 : BinaryPrimitives.ReadInt32BigEndian(source[at..]);
        if (length <= 0 || length > source.Length - at - 4)
        {
            throw Compression.Corrupt("a snappy block's length is wrong");
        }

        block = source.Slice(at + 4, length);
        at += 4 + length;
        return true;
    }

    private static int DecodedLength(ReadOnlySpan<byte> block, int maxBytes, out int elementsAt)
    {
        ulong length = 0;
        elementsAt = 0;
        for (var shift = 0; shift < 35; shift += 7)
        {
            if (elementsAt == block.Length)
            {
                throw Compression.Corrupt("a snappy block is cut off");
            }

            var b = block[elementsAt++];
            length |= (ulong)(b & 0x7f) << shift;
            if (b >= 0x80)
            {
                continue;
            }

            if (length > (ulong)maxBytes)
            {
                throw Compression.TooLarge();
            }

            if (length > (ulong)(block.Length * MaxRatio))
            {
                throw Compression.Corrupt("a snappy block promises more than it can hold");
            }

            return (int)length;
        }

        throw Compression.Corrupt("a snappy block's decoded length is wrong");
    }

    private static void DecodeBlock(ReadOnlySpan<byte> source, Span<byte> target)
    {
        var at = 0;
        var filled = 0;
        while (at < source.Length)
        {
            var tag = source[at++];
            if ((tag & 3) == 0)
            {
                var length = LiteralLength(source, ref at, tag);
                if (length > source.Length - at || length > target.Length - filled)
                {
                    throw Compression.Corrupt("a snappy literal passes the block's end");
                }

                source.Slice(at, (int)length).CopyTo(target[filled..]);
                at += (int)length;
                filled += (int)length;
                continue;
            }

            var distance = CopyDistance(source, ref at, tag, out var copyLength);
            if (distance == 0 || distance > (uint)filled || copyLength > target.Length - filled)
            {
                throw Compression.Corrupt("a snappy copy reaches outside the block");
            }

            Copy(target, filled, (int)distance, copyLength);
            filled += copyLength;
        }

        if (filled != target.Length)
        {
            throw Compression.Corrupt("a snappy block is shorter than it promises");
        }
    }

    private static long LiteralLength(ReadOnlySpan<byte> source, ref int at, byte tag)
    {
        var code = tag >> 2;
        if (code < 60)
        {
            return code + 1;
        }

        var bytes = code - 59;
        return ReadLittleEndian(source, ref at, bytes) + 1L;
    }

    private static uint CopyDistance(ReadOnlySpan<byte> source, ref int at, byte tag, out int length)
    {
        if ((tag & 3) == 1)
        {
            length = ((tag >> 2) & 7) + 4;
            return ((uint)(tag & 0xe0) << 3) | ReadLittleEndian(source, ref at, 1);
        }

        length = (tag >> 2) + 1;
        return ReadLittleEndian(source, ref at, (tag & 3) == 2 ? 2 : 4);
    }

    private static uint ReadLittleEndian(ReadOnlySpan<byte> source, ref int at, int bytes)
    {
        if (bytes > source.Length - at)
        {
            throw Compression.Corrupt("a snappy element is cut off");
        }

        uint value = 0;
        for (var i = 0; i < bytes; i++)
        {
            value |= (uint)source[at++] << (8 * i);
        }

        return value;
    }

    private static void Copy(Span<byte> target, int filled, int distance, int length)
    {
        // A copy longer than its distance repeats a pattern: each round doubles what of it stands there already.
        var from = filled - distance;
        while (length > 0)
        {
            var now = Math.Min(length, filled - from);
            target.Slice(from, now).CopyTo(target[filled..]);
            filled += now;
            length -= now;
        }
    }
}
