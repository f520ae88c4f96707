using System.Buffers.Binary;
using OrleansStreams.Records;

namespace OrleansStreams.Storage.Files;

/// <summary>Where a batch stands in its segment.</summary>
/// <param name="Offset">Its base offset.</param>
/// <param name="Position">Its first byte.</param>
/// <param name="MaxTimestampBefore">The largest timestamp of all batches before it in the segment (long.MinValue: none), which only grows.</param>
internal readonly record struct IndexEntry(long Offset, long Position, long MaxTimestampBefore);

/// <summary>How far a segment is known to be on disk.</summary>
internal readonly record struct DurableMark(long Position, long EndOffset, long MaxTimestamp);

/// <summary>
/// A segment's sparse index by offset and by time, and its file. The file is a help, never the truth: it is written behind flushed
/// data, itself flushed only when the segment is sealed, and made anew when it is missing or damaged. What stands in it was durable
/// when it was written, so recovery reads only what lies behind its last entry, and can tell a torn tail (above the durable mark) from
/// damage (below). All integers are big-endian.
/// <code>
///  header                                    entry i, at 64 + 32 i
///  offset size field                         offset size field
///       0    4 "OSIX"                             0    8 base offset of a batch
///       4    4 format version = 1                 8    8 its position in the segment
///       8    8 base offset of the segment        16    8 largest timestamp of all batches before it
///      16    8 bytes that are durable            24    4 CRC-32C of bytes 0 to 23
///      24    8 the offset after them             28    4 zero
///      32    8 largest timestamp in them
///      40    4 CRC-32C of bytes 0 to 39
///      44   20 zero
/// </code>
/// </summary>
internal sealed class SegmentIndex(long baseOffset)
{
    internal const int HeaderBytes = 64;
    internal const int EntryBytes = 32;

    private const uint Magic = 0x4F534958;
    private const uint Version = 1;
    private const int HeaderCrcAt = 40;
    private const int EntryCrcAt = 24;

    private readonly Lock _gate = new();
    private readonly List<IndexEntry> _entries = [];
    private readonly byte[] _header = new byte[HeaderBytes];
    private int _persisted;

    /// <summary>How far the segment was durable when the index was last written; null for an index that was not loaded or is damaged.</summary>
    public DurableMark? LoadedMark { get; private set; }

    /// <summary>Bytes of the segment between the last entry in the file and the last entry.</summary>
    public long UnpersistedBytes
    {
        get
        {
            lock (_gate)
            {
                return _persisted == _entries.Count ? 0 : _entries[^1].Position - (_persisted == 0 ? 0 : _entries[_persisted - 1].Position);
            }
        }
    }

    /// <summary>The entries as they are now.</summary>
    public IReadOnlyList<IndexEntry> Entries
    {
        get
        {
            lock (_gate)
            {
                return [.. _entries];
            }
        }
    }

    /// <summary>The size of the file with all entries that were written.</summary>
    public long FileBytes => HeaderBytes + ((long)_persisted * EntryBytes);

    /// <summary>The last entry, or the segment's start.</summary>
    public IndexEntry Last
    {
        get
        {
            lock (_gate)
            {
                return _entries.Count == 0 ? Start : _entries[^1];
            }
        }
    }

    private IndexEntry Start => new(baseOffset, 0, long.MinValue);

    /// <summary>Reads an index; whatever of it is damaged is left out.</summary>
    public static SegmentIndex Load(IFileSystem files, string path, long baseOffset)
    {
        var index = new SegmentIndex(baseOffset);
        if (!files.FileExists(path))
        {
            return index;
        }

        using var file = files.Open(path, FileOpening.Read);
        var bytes = new byte[checked((int)Math.Min(file.Length, int.MaxValue / 2))];
        var length = file.Read(0, bytes);
        index.Decode(bytes.AsSpan(0, length));
        return index;
    }

    /// <summary>Reads only how far the segment is durable; null when the index is missing or damaged.</summary>
    public static DurableMark? LoadMark(IFileSystem files, string path, long baseOffset)
    {
        if (!files.FileExists(path))
        {
            return null;
        }

        using var file = files.Open(path, FileOpening.Read);
        Span<byte> bytes = stackalloc byte[HeaderBytes];
        var index = new SegmentIndex(baseOffset);
        index.Decode(bytes[..file.Read(0, bytes)]);
        return index.LoadedMark;
    }

    /// <summary>Notes that the segment is durable up to a mark, when the index tells of less. A missing or damaged index stays as it is: recovery makes it anew.</summary>
    public static void RaiseMark(IFileSystem files, string path, long baseOffset, DurableMark mark)
    {
        if (LoadMark(files, path, baseOffset) is { } known && known.Position < mark.Position)
        {
            using var file = files.Open(path, FileOpening.ReadWrite);
            new SegmentIndex(baseOffset).Persist(file, mark, long.MaxValue);
        }
    }

    public void Add(IndexEntry entry)
    {
        lock (_gate)
        {
            _entries.Add(entry);
        }
    }

    /// <summary>The last entry at or before an offset.</summary>
    public IndexEntry FindOffset(long offset) => FindLast(entry => entry.Offset <= offset);

    /// <summary>The last entry with only smaller timestamps before it: the first batch that reaches the timestamp stands there or behind.</summary>
    public IndexEntry FindTimestamp(long timestamp) => FindLast(entry => entry.MaxTimestampBefore < timestamp);

    /// <summary>Writes the mark, and the new entries when they span at least so many bytes of the segment. One caller at a time.</summary>
    public void Persist(IStorageFile file, DurableMark mark, long spanMin)
    {
        if (UnpersistedBytes is > 0 and var span && span >= spanMin)
        {
            byte[] bytes;
            int persisted;
            lock (_gate)
            {
                persisted = _entries.Count;
                bytes = new byte[(persisted - _persisted) * EntryBytes];
                for (var i = _persisted; i < persisted; i++)
                {
                    EncodeEntry(bytes.AsSpan((i - _persisted) * EntryBytes), _entries[i]);
                }
            }

            file.Write(FileBytes, [bytes]);
            _persisted = persisted;
        }

        EncodeHeader(mark);
        file.Write(0, [_header]);
    }

    /// <summary>Writes all of it into an emptied file and flushes it. The header comes last: a file without one is no index.</summary>
    public void PersistAll(IStorageFile file, DurableMark mark)
    {
        _persisted = 0;
        file.Truncate(0);
        if (_entries.Count > 0)
        {
            var bytes = new byte[_entries.Count * EntryBytes];
            for (var i = 0; i < _entries.Count; i++)
            {
                EncodeEntry(bytes.AsSpan(i * EntryBytes), _entries[i]);
            }

            file.Write(HeaderBytes, [bytes]);
            file.Flush();
        }

        _persisted = _entries.Count;
        Persist(file, mark, 0);
        file.Flush();
    }

    private IndexEntry FindLast(Func<IndexEntry, bool> isBefore)
    {
        lock (_gate)
        {
            var low = -1;
            var high = _entries.Count - 1;
            while (low < high)
            {
                var middle = low + ((high - low + 1) / 2);
                if (isBefore(_entries[middle]))
                {
                    low = middle;
                }
                else
                {
                    high = middle - 1;
                }
            }

            return low < 0 ? Start : _entries[low];
        }
    }

    private void Decode(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length < HeaderBytes || BinaryPrimitives.ReadUInt32BigEndian(bytes) != Magic ||
            BinaryPrimitives.ReadUInt32BigEndian(bytes[4..]) != Version || BinaryPrimitives.ReadInt64BigEndian(bytes[8..]) != baseOffset ||
            BinaryPrimitives.ReadUInt32BigEndian(bytes[HeaderCrcAt..]) != Crc32C.Compute(bytes[..HeaderCrcAt]))
        {
            return;
        }

        LoadedMark = new DurableMark(
            BinaryPrimitives.ReadInt64BigEndian(bytes[16..]),
            BinaryPrimitives.ReadInt64BigEndian(bytes[24..]),
            BinaryPrimitives.ReadInt64BigEndian(bytes[32..]));

        for (var rest = bytes[HeaderBytes..]; rest.Length >= EntryBytes; rest = rest[EntryBytes..])
        {
            var entry = new IndexEntry(
                BinaryPrimitives.ReadInt64BigEndian(rest), BinaryPrimitives.ReadInt64BigEndian(rest[8..]), BinaryPrimitives.ReadInt64BigEndian(rest[16..]));
            var last = Last;
            if (BinaryPrimitives.ReadUInt32BigEndian(rest[EntryCrcAt..]) != Crc32C.Compute(rest[..EntryCrcAt]) ||
                entry.Offset < last.Offset || entry.Position < last.Position)
            {
                break;
            }

            _entries.Add(entry);
        }

        _persisted = _entries.Count;
    }

    private void EncodeHeader(DurableMark mark)
    {
        BinaryPrimitives.WriteUInt32BigEndian(_header, Magic);
        BinaryPrimitives.WriteUInt32BigEndian(_header.AsSpan(4), Version);
        BinaryPrimitives.WriteInt64BigEndian(_header.AsSpan(8), baseOffset);
        BinaryPrimitives.WriteInt64BigEndian(_header.AsSpan(16), mark.Position);
        BinaryPrimitives.WriteInt64BigEndian(_header.AsSpan(24), mark.EndOffset);
        BinaryPrimitives.WriteInt64BigEndian(_header.AsSpan(32), mark.MaxTimestamp);
        BinaryPrimitives.WriteUInt32BigEndian(_header.AsSpan(HeaderCrcAt), Crc32C.Compute(_header.AsSpan(0, HeaderCrcAt)));
    }

    private static void EncodeEntry(Span<byte> bytes, IndexEntry entry)
    {
        BinaryPrimitives.WriteInt64BigEndian(bytes, entry.Offset);
        BinaryPrimitives.WriteInt64BigEndian(bytes[8..], entry.Position);
        BinaryPrimitives.WriteInt64BigEndian(bytes[16..], entry.MaxTimestampBefore);
        BinaryPrimitives.WriteUInt32BigEndian(bytes[EntryCrcAt..], Crc32C.Compute(bytes[..EntryCrcAt]));
    }
}
