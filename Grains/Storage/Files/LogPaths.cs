using System.Globalization;

namespace OrleansStreams.Storage.Files;

/// <summary>
/// Where logs lie below the data folder. A log's folder ends with <c>~log</c>, which no name can contain, so a log and the logs below its
/// name never meet. A part of a name longer than a file name may be goes on in a folder below, marked by a '+' at the end.
/// <code>
/// topics/flights.9f3a/3  ->  logs/topics/flights.9f3a/3~log/
///   00000000000000000000.log    a segment: record batches back to back, named by its base offset
///   00000000000000000000.index  its index (SegmentIndex)
///   epoch, start, checkpoint    StateFile
/// </code>
/// </summary>
internal static class LogPaths
{
    public const string LogsFolder = "logs";
    public const string LogSuffix = "~log";
    public const string DeletedSuffix = "~deleted";
    public const string SegmentSuffix = ".log";
    public const string IndexSuffix = ".index";
    public const string EpochFile = "epoch";
    public const string StartFile = "start";
    public const string CheckpointFile = "checkpoint";

    private const int PartLengthMax = 200;
    private const char ContinuedMark = '+';

    /// <summary>A log's folder relative to the data folder.</summary>
    public static string FolderOf(LogId id)
    {
        var parts = new List<string> { LogsFolder };
        foreach (var segment in id.Path.Split('/'))
        {
            var rest = segment;
            while (rest.Length > PartLengthMax)
            {
                parts.Add(rest[..PartLengthMax] + ContinuedMark);
                rest = rest[PartLengthMax..];
            }

            parts.Add(rest);
        }

        return Path.Join([.. parts]) + LogSuffix;
    }

    public static string SegmentFile(string folder, long baseOffset) =>
        Path.Join(folder, baseOffset.ToString("D20", CultureInfo.InvariantCulture) + SegmentSuffix);

    public static string IndexFile(string folder, long baseOffset) =>
        Path.Join(folder, baseOffset.ToString("D20", CultureInfo.InvariantCulture) + IndexSuffix);

    /// <summary>The base offset in a segment's or an index's file name, or null for another file.</summary>
    public static long? BaseOffsetOf(string fileName, string suffix) =>
        fileName.EndsWith(suffix, StringComparison.Ordinal) && fileName.Length == 20 + suffix.Length &&
        long.TryParse(fileName.AsSpan(0, 20), NumberStyles.None, CultureInfo.InvariantCulture, out var offset) ? offset : null;

    /// <summary>All logs below the data folder; folders of half deleted logs go to <paramref name="onDeleted"/>.</summary>
    public static IEnumerable<LogId> Find(IFileSystem files, string root, Action<string>? onDeleted = null)
    {
        var pending = new Stack<(string Folder, string Name)>();
        pending.Push((Path.Join(root, LogsFolder), string.Empty));
        while (pending.TryPop(out var current))
        {
            if (!files.DirectoryExists(current.Folder))
            {
                continue;
            }

            foreach (var child in files.ListDirectories(current.Folder))
            {
                var folder = Path.Join(current.Folder, child);
                if (child.EndsWith(LogSuffix, StringComparison.Ordinal))
                {
                    yield return new LogId(current.Name + child[..^LogSuffix.Length]);
                }
                else if (child.EndsWith(DeletedSuffix, StringComparison.Ordinal))
                {
                    onDeleted?.Invoke(folder);
                }
                else
                {
                    pending.Push((folder, child[^1] == ContinuedMark ? current.Name + child[..^1] : $"{current.Name}{child}/"));
                }
            }
        }
    }
}
