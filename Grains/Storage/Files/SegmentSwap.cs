using System.Globalization;

namespace OrleansStreams.Storage.Files;

/// <summary>
/// How one file takes the place of the files of several segments, atomically over any crash (after Kafka's .cleaned and .swap files). Two base
/// offsets name the range [from, end).
/// <code>
///  from-end.cleaned       being written; a crash drops it
///     | Prepare: rename, flush the folder    (its bytes were flushed before)
///     v
///  from-end.swap          counts from here on, whatever segments of the range are still there
///     | Finish: delete those and their indexes, flush, rename, flush
///     v
///  from.log               an ordinary segment; its index is written next, or made anew by recovery
/// </code>
/// </summary>
internal static class SegmentSwap
{
    private const string CleanedSuffix = ".cleaned";
    private const string SwapSuffix = ".swap";
    private const int OffsetDigits = 20;

    public static string CleanedFile(string folder, long from, long end) => FileOf(folder, from, end, CleanedSuffix);

    /// <summary>Renames the complete and flushed file; the caller flushes the folder.</summary>
    public static void Prepare(IFileSystem files, string folder, long from, long end) =>
        files.Rename(CleanedFile(folder, from, end), FileOf(folder, from, end, SwapSuffix));

    public static void Finish(IFileSystem files, string folder, long from, long end)
    {
        foreach (var name in files.ListFiles(folder))
        {
            if ((LogPaths.BaseOffsetOf(name, LogPaths.SegmentSuffix) ?? LogPaths.BaseOffsetOf(name, LogPaths.IndexSuffix)) is { } offset && offset >= from && offset < end)
            {
                files.DeleteFile(Path.Join(folder, name));
            }
        }

        // An old segment or index that came back beside the new segment would contradict it.
        files.FlushDirectory(folder);
        files.Rename(FileOf(folder, from, end, SwapSuffix), LogPaths.SegmentFile(folder, from));
        files.FlushDirectory(folder);
    }

    public static void Drop(IFileSystem files, string folder, long from, long end)
    {
        var path = CleanedFile(folder, from, end);
        if (files.FileExists(path))
        {
            files.DeleteFile(path);
        }
    }

    /// <summary>Brings a folder to an end of the way, before anything else looks at its segments.</summary>
    public static void Recover(IFileSystem files, string folder)
    {
        foreach (var name in files.ListFiles(folder))
        {
            if (name.EndsWith(CleanedSuffix, StringComparison.Ordinal))
            {
                files.DeleteFile(Path.Join(folder, name));
            }
            else if (RangeOf(name) is { } range)
            {
                Finish(files, folder, range.From, range.End);
            }
        }
    }

    private static string FileOf(string folder, long from, long end, string suffix) =>
        Path.Join(folder, string.Create(CultureInfo.InvariantCulture, $"{from:D20}-{end:D20}{suffix}"));

    private static (long From, long End)? RangeOf(string name) =>
        name.Length == (2 * OffsetDigits) + 1 + SwapSuffix.Length && name.EndsWith(SwapSuffix, StringComparison.Ordinal) &&
        long.TryParse(name.AsSpan(0, OffsetDigits), NumberStyles.None, CultureInfo.InvariantCulture, out var from) &&
        long.TryParse(name.AsSpan(OffsetDigits + 1, OffsetDigits), NumberStyles.None, CultureInfo.InvariantCulture, out var end) ? (from, end) : null;
}
