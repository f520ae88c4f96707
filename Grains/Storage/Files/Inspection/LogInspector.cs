using System.Globalization;
using Microsoft.Extensions.Logging;

namespace OrleansStreams.Storage.Files.Inspection;

/// <summary>
/// Looks at the logs of a data folder that no process uses, and changes nothing there: the storage's own recovery runs on a view whose changes stay in memory,
/// so what it says of recovery is what a start would do. Then every batch is checked: header, CRC-32C, offsets without a gap, and the index against them.
/// </summary>
public sealed class LogInspector : IAsyncDisposable
{
    private const int BlockBytes = 1024 * 1024;

    private readonly OverlayFileSystem _view;
    private readonly FileLogStorage _storage;
    private readonly Listener _listener;
    private readonly string _root;

    private LogInspector(OverlayFileSystem view, FileLogStorage storage, Listener listener, string root, IReadOnlyList<string> recovery)
    {
        _view = view;
        _storage = storage;
        _listener = listener;
        _root = root;
        Recovery = recovery;
    }

    /// <summary>What the next start would do to the folder as a whole, before any log is opened.</summary>
    public IReadOnlyList<string> Recovery { get; }

    /// <summary>Takes a data folder: that of a silo, or the storage's own folder in it.</summary>
    /// <param name="dataFolder">The folder.</param>
    /// <param name="time">The clock.</param>
    /// <exception cref="StreamsException">InvalidInput when it is none; DataFolderInUse; StorageError when it cannot be read.</exception>
    public static LogInspector Open(string dataFolder, TimeProvider time) => Open(dataFolder, new PhysicalFileSystem(), time);

    internal static LogInspector Open(string dataFolder, IFileSystem files, TimeProvider time)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(dataFolder);
        var root = RootOf(Path.GetFullPath(dataFolder), files) ?? throw new StreamsException(
            StreamsErrorCode.InvalidInput, $"'{dataFolder}' is no data folder: it has no folder '{LogPaths.LogsFolder}'. Give the folder that the silo was started with (--data).");
        var view = new OverlayFileSystem(files);
        var listener = new Listener();
        try
        {
            var storage = new FileLogStorage(new FileLogStorageOptions { RootPath = root, TailCacheBytes = 0 }, view, time, listener);
            return new LogInspector(view, storage, listener, root, listener.Take());
        }
        catch
        {
            view.Close();
            throw;
        }
    }

    /// <summary>The logs whose names begin with <paramref name="prefix"/>, in ordinal order.</summary>
    public ValueTask<IReadOnlyList<LogId>> ListAsync(string prefix, CancellationToken cancellationToken = default) => _storage.ListAsync(prefix, cancellationToken);

    /// <summary>Looks at one log.</summary>
    /// <param name="id">The log.</param>
    /// <param name="onBatch">Called for every good batch, in order of the offsets.</param>
    /// <param name="cancellationToken">Ends the work between two batches.</param>
    /// <exception cref="StreamsException">StorageError when the folder cannot be read.</exception>
    public async ValueTask<LogReport> InspectAsync(LogId id, Action<BatchReport>? onBatch = null, CancellationToken cancellationToken = default)
    {
        var folder = Path.Join(_root, LogPaths.FolderOf(id));
        var segments = new List<SegmentReport>();
        var problems = new List<string>();
        var report = new LogReport { Id = id, Folder = folder, Segments = segments, Recovery = [], Problems = problems };
        try
        {
            // Before recovery, which may make an index anew.
            var indexes = LoadIndexes(folder);
            report = await RecoverAsync(report, problems, cancellationToken);
            var endOffset = -1L;
            foreach (var baseOffset in Bases(folder))
            {
                if (endOffset >= 0 && endOffset != baseOffset)
                {
                    problems.Add(string.Create(CultureInfo.InvariantCulture, $"offsets {endOffset} to {baseOffset - 1} are missing before segment {baseOffset}"));
                }

                var segment = Scan(folder, baseOffset, indexes.GetValueOrDefault(baseOffset), problems, onBatch, cancellationToken);
                segments.Add(segment);
                endOffset = segment.EndOffset;
            }

            return report with { EndOffset = Math.Max(endOffset, report.StartOffset) };
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw LogRules.Failed(id, WriteOutcome.NotAWrite, error);
        }
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await _storage.DisposeAsync();
        _view.Close();
    }

    private static string? RootOf(string folder, IFileSystem files)
    {
        // A silo's data folder has the storage's in it, which has a folder of the same name.
        var inner = Path.Join(folder, LogPaths.LogsFolder);
        return files.DirectoryExists(Path.Join(inner, LogPaths.LogsFolder)) ? inner : files.DirectoryExists(inner) ? folder : null;
    }

    private async ValueTask<LogReport> RecoverAsync(LogReport report, List<string> problems, CancellationToken cancellationToken)
    {
        _listener.Take();
        try
        {
            await using var log = await _storage.OpenAsync(report.Id, new LogOptions(), cancellationToken);

            // The inspection's own opening raised the epoch, in memory.
            report = report with { LeaderEpoch = log.LeaderEpoch - 1, StartOffset = log.StartOffset, CheckpointOffset = log.Checkpoint?.Offset };
        }
        catch (StreamsException error) when (error.Code == StreamsErrorCode.CorruptLog)
        {
            problems.Add(error.Message);
        }

        return report with { Recovery = _listener.Take() };
    }

    private IEnumerable<long> Bases(string folder) =>
        _view.ListFiles(folder).Select(name => LogPaths.BaseOffsetOf(name, LogPaths.SegmentSuffix)).OfType<long>().Order();

    private Dictionary<long, SegmentIndex> LoadIndexes(string folder) =>
        Bases(folder).ToDictionary(offset => offset, offset => SegmentIndex.Load(_view, LogPaths.IndexFile(folder, offset), offset));

    private SegmentReport Scan(
        string folder, long baseOffset, SegmentIndex? index, List<string> problems, Action<BatchReport>? onBatch, CancellationToken cancellationToken)
    {
        var path = LogPaths.SegmentFile(folder, baseOffset);
        using var file = _view.Open(path, FileOpening.Read);
        var length = file.Length;
        var entries = index?.Entries ?? [];
        var entry = 0;
        var report = new SegmentReport(baseOffset, baseOffset, length, 0, 0, -1, entries.Count);
        var maxTimestamp = long.MinValue;
        using var cursor = new BatchCursor(file, 0, length, BlockBytes);
        while (cursor.Position < length)
        {
            cancellationToken.ThrowIfCancellationRequested();
            if (!cursor.TryReadHeader(out var header))
            {
                problems.Add(At(path, cursor.Position, $"no batch begins where that of offset {report.EndOffset} should"));
                break;
            }

            var batch = cursor.ReadBatch(header);
            if (header.BaseOffset != report.EndOffset || batch.IsEmpty || !StoredBatch.HasRightCrc(batch, header))
            {
                FormattableString fault = $"the batch of offset {header.BaseOffset} fails its CRC";
                FormattableString displaced = $"a batch of offset {header.BaseOffset} stands where that of offset {report.EndOffset} should";
                problems.Add(At(path, cursor.Position, header.BaseOffset != report.EndOffset ? displaced : fault));
                break;
            }

            for (; entry < entries.Count && entries[entry].Position <= cursor.Position; entry++)
            {
                CheckEntry(path, entries[entry], new IndexEntry(header.BaseOffset, cursor.Position, maxTimestamp), problems);
            }

            onBatch?.Invoke(new BatchReport(baseOffset, cursor.Position, header));
            maxTimestamp = Math.Max(maxTimestamp, header.MaxTimestamp);
            report = report with { EndOffset = header.NextOffset, Batches = report.Batches + 1, Records = report.Records + header.RecordCount, MaxTimestamp = maxTimestamp };
            cursor.MoveBy(header.TotalBytes);
        }

        if (entry < entries.Count && cursor.Position >= length)
        {
            problems.Add(At(path, length, $"the index names {entries.Count - entry} batches behind the segment's end"));
        }

        return report;
    }

    private static void CheckEntry(string path, IndexEntry entry, IndexEntry right, List<string> problems)
    {
        if (entry != right)
        {
            problems.Add(At(path, entry.Position, $"the index says that the batch of offset {entry.Offset} stands there; delete the index file, it is made anew"));
        }
    }

    private static string At(string path, long position, FormattableString what) =>
        string.Create(CultureInfo.InvariantCulture, $"{path} at {position}: {what.ToString(CultureInfo.InvariantCulture)}");

    /// <summary>Collects what recovery has to tell.</summary>
    private sealed class Listener : ILogger
    {
        private readonly Lock _gate = new();
        private readonly List<string> _messages = [];

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => logLevel >= LogLevel.Information;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            if (IsEnabled(logLevel))
            {
                lock (_gate)
                {
                    _messages.Add(formatter(state, exception));
                }
            }
        }

        public IReadOnlyList<string> Take()
        {
            lock (_gate)
            {
                string[] taken = [.. _messages];
                _messages.Clear();
                return taken;
            }
        }
    }
}
