using System.Buffers.Binary;
using System.Text;
using OrleansStreams.Records;

namespace OrleansStreams.Storage.Files;

/// <summary>What an entry of the flush journal says.</summary>
internal enum JournalEntryKind : byte
{
    /// <summary>Bytes stand in a log's segment.</summary>
    Append = 1,

    /// <summary>A log was deleted: what stands before of it means nothing any more.</summary>
    Deleted = 2,
}

/// <summary>An entry of the flush journal.</summary>
/// <param name="Kind">What it says.</param>
/// <param name="Log">Of which log.</param>
/// <param name="SegmentBase">The segment's base offset.</param>
/// <param name="Position">Where the bytes stand in the segment.</param>
/// <param name="Length">How many they are.</param>
/// <param name="Mark">Where the segment ends with them.</param>
internal readonly record struct JournalEntry(JournalEntryKind Kind, LogId Log, long SegmentBase, long Position, int Length, DurableMark Mark);

/// <summary>
/// One flush round in the journal: the entries of all logs in it, then their bytes. It begins at a multiple of 4 KiB, so that a torn write never
/// touches an earlier frame. All integers are big-endian.
/// <code>
///  frame header                                   entry
///  offset size field                              offset size field
///       0    4 "OSFJ"                                  0    1 kind
///       4    4 CRC-32C of all from 8 on                1    2 length n of the log's name
///       8    8 generation of the half                  3    n the name, UTF-8
///      16    8 sequence in the half, from 0          3+n    8 segment's base offset
///      24    4 bytes of the entries                 11+n    8 position in the segment
///      28    4 format version = 1                   19+n    4 length
///      32    8 bytes of the data                    23+n    8 mark: position after the bytes
///      40    . entries, data, zeros to 4 KiB        31+n    8 mark: offset after them
///                                                   39+n    8 mark: largest timestamp up to there
/// </code>
/// </summary>
internal static class JournalFrame
{
    public const int Alignment = 4096;
    public const int HeaderBytes = 40;
    public const int EntryFixedBytes = 47;

    private const uint Magic = 0x4F53464A;
    private const int Version = 1;

    /// <summary>The bytes that a frame takes on disk.</summary>
    public static long SizeOf(long entriesBytes, long dataBytes) => (HeaderBytes + entriesBytes + dataBytes + Alignment - 1) / Alignment * Alignment;

    /// <summary>The bytes that an entry takes.</summary>
    public static int SizeOf(in JournalEntry entry) => EntryFixedBytes + Encoding.UTF8.GetByteCount(entry.Log.Path);

    /// <summary>Writes an entry; returns its size.</summary>
    public static int EncodeEntry(Span<byte> to, in JournalEntry entry)
    {
        to[0] = (byte)entry.Kind;
        var name = Encoding.UTF8.GetBytes(entry.Log.Path, to[3..]);
        BinaryPrimitives.WriteUInt16BigEndian(to[1..], (ushort)name);
        var rest = to[(3 + name)..];
        BinaryPrimitives.WriteInt64BigEndian(rest, entry.SegmentBase);
        BinaryPrimitives.WriteInt64BigEndian(rest[8..], entry.Position);
        BinaryPrimitives.WriteInt32BigEndian(rest[16..], entry.Length);
        BinaryPrimitives.WriteInt64BigEndian(rest[20..], entry.Mark.Position);
        BinaryPrimitives.WriteInt64BigEndian(rest[28..], entry.Mark.EndOffset);
        BinaryPrimitives.WriteInt64BigEndian(rest[36..], entry.Mark.MaxTimestamp);
        return EntryFixedBytes + name;
    }

    /// <summary>Completes a frame: <paramref name="head"/> holds the entries behind the room for the header, <paramref name="parts"/> the data.</summary>
    public static void Complete(Span<byte> head, long generation, long sequence, long dataBytes, List<ReadOnlyMemory<byte>> parts)
    {
        BinaryPrimitives.WriteUInt32BigEndian(head, Magic);
        BinaryPrimitives.WriteInt64BigEndian(head[8..], generation);
        BinaryPrimitives.WriteInt64BigEndian(head[16..], sequence);
        BinaryPrimitives.WriteInt32BigEndian(head[24..], head.Length - HeaderBytes);
        BinaryPrimitives.WriteInt32BigEndian(head[28..], Version);
        BinaryPrimitives.WriteInt64BigEndian(head[32..], dataBytes);
        var crc = Crc32C.Update(~0u, head[8..]);
        foreach (var part in parts)
        {
            crc = Crc32C.Update(crc, part.Span);
        }

        BinaryPrimitives.WriteUInt32BigEndian(head[4..], ~crc);
    }

    /// <summary>The generation, the sequence and the sizes of the frame that begins with these bytes; null when none does.</summary>
    public static (long Generation, long Sequence, int EntriesBytes, long DataBytes)? ReadHeader(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length < HeaderBytes || BinaryPrimitives.ReadUInt32BigEndian(bytes) != Magic || BinaryPrimitives.ReadInt32BigEndian(bytes[28..]) != Version)
        {
            return null;
        }

        var entriesBytes = BinaryPrimitives.ReadInt32BigEndian(bytes[24..]);
        var dataBytes = BinaryPrimitives.ReadInt64BigEndian(bytes[32..]);
        return entriesBytes < 0 || dataBytes is < 0 or > int.MaxValue
            ? null
            : (BinaryPrimitives.ReadInt64BigEndian(bytes[8..]), BinaryPrimitives.ReadInt64BigEndian(bytes[16..]), entriesBytes, dataBytes);
    }

    /// <summary>Whether a whole frame's CRC is right.</summary>
    public static bool HasRightCrc(ReadOnlySpan<byte> frame) => BinaryPrimitives.ReadUInt32BigEndian(frame[4..]) == Crc32C.Compute(frame[8..]);

    /// <summary>Reads one of the entries of a frame whose CRC is right, and moves on behind it.</summary>
    public static JournalEntry ReadEntry(ref ReadOnlySpan<byte> entries)
    {
        var name = BinaryPrimitives.ReadUInt16BigEndian(entries[1..]);
        var rest = entries[(3 + name)..];
        var entry = new JournalEntry(
            (JournalEntryKind)entries[0],
            new LogId(Encoding.UTF8.GetString(entries.Slice(3, name))),
            BinaryPrimitives.ReadInt64BigEndian(rest),
            BinaryPrimitives.ReadInt64BigEndian(rest[8..]),
            BinaryPrimitives.ReadInt32BigEndian(rest[16..]),
            new DurableMark(
                BinaryPrimitives.ReadInt64BigEndian(rest[20..]), BinaryPrimitives.ReadInt64BigEndian(rest[28..]), BinaryPrimitives.ReadInt64BigEndian(rest[36..])));
        entries = rest[(EntryFixedBytes - 3)..];
        return entry;
    }
}
