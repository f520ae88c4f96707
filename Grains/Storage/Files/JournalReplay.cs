using System.Buffers;
using Microsoft.Extensions.Logging;

namespace OrleansStreams.Storage.Files;

/// <summary>
/// Brings back what a crash may have taken from the segments: everything that the flush journal holds is written into them again and flushed. Each log's own
/// recovery follows when it is opened, and reports what is missing nevertheless. Doing it twice does no harm.
/// </summary>
internal static class JournalReplay
{
    private const string Folder = "journal";
    private const int HalvesCount = 2;
    private const int BlockBytes = 1024 * 1024;

    public static string FolderOf(string root) => Path.Join(root, Folder);

    public static string FileOf(string root, int half) => Path.Join(root, Folder, half == 0 ? "0.frames" : "1.frames");

    /// <summary>Makes a half hold nothing: a frame without entries stands at its begin.</summary>
    public static void Empty(IStorageFile file, long generation)
    {
        var frame = new byte[JournalFrame.Alignment];
        JournalFrame.Complete(frame.AsSpan(0, JournalFrame.HeaderBytes), generation, 0, 0, []);
        file.Write(0, [frame]);
        file.Flush();
    }

    /// <summary>Replays the journal: for one log, or for all, which then empties it. Returns the largest generation in it: the next one must be larger.</summary>
    /// <exception cref="IOException">The disk.</exception>
    public static long Run(IFileSystem files, string root, ILogger logger, LogId? only = null)
    {
        var highest = 0L;
        var found = new List<FoundEntry>();
        var halves = new List<IStorageFile>();
        try
        {
            for (var half = 0; half < HalvesCount; half++)
            {
                if (files.FileExists(FileOf(root, half)))
                {
                    halves.Add(files.Open(FileOf(root, half), only is null ? FileOpening.ReadWrite : FileOpening.Read));
                    if (Collect(halves[^1], found, ref highest))
                    {
                        logger.JournalDamaged(FileOf(root, half));
                    }
                }
            }

            var logs = 0;
            foreach (var log in found.Where(entry => only is null || entry.Entry.Log == only).GroupBy(entry => entry.Entry.Log))
            {
                // What was written before the log was deleted is not part of the log that has its name now.
                var entries = log.OrderBy(entry => entry.Generation).ThenBy(entry => entry.Sequence).ToList();
                entries.RemoveRange(0, entries.FindLastIndex(entry => entry.Entry.Kind == JournalEntryKind.Deleted) + 1);
                logs += Apply(files, Path.Join(root, LogPaths.FolderOf(log.Key)), entries) ? 1 : 0;
            }

            if (only is null && found.Count > 0)
            {
                logger.JournalReplayed(found.Count, logs);
                foreach (var half in halves)
                {
                    Empty(half, ++highest);
                }
            }

            return highest;
        }
        finally
        {
            halves.ForEach(half => half.Dispose());
        }
    }

    /// <summary>
    /// The frames of a half's last use. Behind a damaged frame the whole ones of the same generation still count: they were acknowledged, and the recovery of
    /// a log finds the hole in it when the log has entries behind. Tells whether there was such damage.
    /// </summary>
    private static bool Collect(IStorageFile file, List<FoundEntry> found, ref long highest)
    {
        var length = file.Length;
        var buffer = ArrayPool<byte>.Shared.Rent(BlockBytes);
        Span<byte> header = stackalloc byte[JournalFrame.HeaderBytes];
        try
        {
            long? generation = null;
            var sequence = -1L;
            var isDamaged = false;
            var isUsed = true;
            for (var position = 0L; length - position >= JournalFrame.HeaderBytes;)
            {
                var step = (long)JournalFrame.Alignment;
                var read = file.Read(position, header) == header.Length ? JournalFrame.ReadHeader(header) : null;
                highest = Math.Max(highest, read?.Generation ?? 0);
                if (isUsed && read is { } frame && frame.Generation == (generation ?? frame.Generation) && frame.Sequence > sequence &&
                    JournalFrame.HeaderBytes + frame.EntriesBytes + frame.DataBytes <= length - position &&
                    TryRead(file, position, frame.EntriesBytes, frame.DataBytes, ref buffer))
                {
                    if (frame.EntriesBytes == 0)
                    {
                        // Emptied; nothing behind it counts.
                        return false;
                    }

                    isDamaged |= frame.Sequence != sequence + 1;
                    (generation, sequence) = (frame.Generation, frame.Sequence);
                    step = JournalFrame.SizeOf(frame.EntriesBytes, frame.DataBytes);
                    AddEntries(file, buffer.AsSpan(JournalFrame.HeaderBytes, frame.EntriesBytes), frame.Generation, frame.Sequence, position + JournalFrame.HeaderBytes + frame.EntriesBytes, found);
                }

                // When the first frame is torn it was being written: what stood here before was settled, and only its generation matters.
                isUsed &= generation is not null;
                position += step;
            }

            return isDamaged;
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    private static bool TryRead(IStorageFile file, long position, int entriesBytes, long dataBytes, ref byte[] buffer)
    {
        var size = checked((int)(JournalFrame.HeaderBytes + entriesBytes + dataBytes));
        if (buffer.Length < size)
        {
            ArrayPool<byte>.Shared.Return(buffer);
            buffer = ArrayPool<byte>.Shared.Rent(size);
        }

        return file.Read(position, buffer.AsSpan(0, size)) == size && JournalFrame.HasRightCrc(buffer.AsSpan(0, size));
    }

    private static void AddEntries(IStorageFile file, ReadOnlySpan<byte> entries, long generation, long sequence, long dataAt, List<FoundEntry> found)
    {
        while (!entries.IsEmpty)
        {
            var entry = JournalFrame.ReadEntry(ref entries);
            found.Add(new FoundEntry(entry, generation, sequence, file, dataAt));
            dataAt += entry.Length;
        }
    }

    /// <summary>Writes a log's entries into its last segment; the segments before it were flushed when they were sealed.</summary>
    private static bool Apply(IFileSystem files, string folder, List<FoundEntry> entries)
    {
        if (!files.DirectoryExists(folder))
        {
            return false;
        }

        var last = files.ListFiles(folder).Max(name => LogPaths.BaseOffsetOf(name, LogPaths.SegmentSuffix));
        entries.RemoveAll(entry => entry.Entry.SegmentBase != last);
        if (entries.Count == 0)
        {
            return false;
        }

        using (var data = files.Open(LogPaths.SegmentFile(folder, last!.Value), FileOpening.ReadWrite))
        {
            entries.ForEach(entry => Copy(entry, data));
            data.Flush();
        }

        var mark = entries.MaxBy(entry => entry.Entry.Mark.Position).Entry.Mark;
        SegmentIndex.RaiseMark(files, LogPaths.IndexFile(folder, last.Value), last.Value, mark);
        return true;
    }

    private static void Copy(FoundEntry entry, IStorageFile data)
    {
        var block = ArrayPool<byte>.Shared.Rent(Math.Min(entry.Entry.Length, BlockBytes));
        try
        {
            for (var done = 0; done < entry.Entry.Length;)
            {
                var count = entry.Half.Read(entry.DataAt + done, block.AsSpan(0, Math.Min(block.Length, entry.Entry.Length - done)));
                if (count == 0)
                {
                    throw new IOException("the flush journal became shorter while it was read");
                }

                data.Write(entry.Entry.Position + done, [block.AsMemory(0, count)]);
                done += count;
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(block);
        }
    }

    private readonly record struct FoundEntry(JournalEntry Entry, long Generation, long Sequence, IStorageFile Half, long DataAt);
}
