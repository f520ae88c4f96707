using System.Collections.Concurrent;
using System.Globalization;
using System.Text;
using Microsoft.Extensions.Logging;

namespace OrleansStreams.Storage.Files;

/// <summary>
/// Logs in files below one data folder, which it keeps to itself: a second process (or a second object) that wants the folder is
/// refused with DataFolderInUse, until this one is disposed or its process dies. Nothing of it runs on a grain's scheduler, so it
/// outlives any activation that calls it.
/// </summary>
public sealed class FileLogStorage : ILogStorage
{
    private const string LockFile = "lock";
    private const string OwnerFile = "owner";
    private const int ManagerThreads = 4;
    private const int SettlerThreads = 1;

    private readonly IFileSystem _files;
    private readonly string _root;
    private readonly FileLogShared _shared;
    private readonly FileIoQueue _managers = new("log-manage", ManagerThreads);
    private readonly FileIoQueue _settlers = new("log-settle", SettlerThreads);
    private readonly ConcurrentDictionary<LogId, Slot> _slots = new();
    private readonly Lock _names = new();
    private readonly IDisposable _folderLock;
    private volatile bool _isDisposed;

    /// <summary>Takes the data folder.</summary>
    /// <param name="options">Where and how.</param>
    /// <param name="timeProvider">The clock of <see cref="FlushMode.Interval"/>.</param>
    /// <param name="logger">Hears of recoveries and failures.</param>
    /// <exception cref="StreamsException">DataFolderInUse; StorageError or DiskFull when the folder cannot be used.</exception>
    public FileLogStorage(FileLogStorageOptions options, TimeProvider timeProvider, ILogger<FileLogStorage> logger)
        : this(options, new PhysicalFileSystem(), timeProvider, logger)
    {
    }

    internal FileLogStorage(FileLogStorageOptions options, IFileSystem files, TimeProvider timeProvider, ILogger logger)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(options.RootPath);
        _files = files;
        _root = Path.GetFullPath(options.RootPath);
        _folderLock = TakeFolder();
        var generation = 0L;
        try
        {
            Guarded(() => generation = JournalReplay.Run(files, _root, logger));
        }
        catch
        {
            _folderLock.Dispose();
            throw;
        }

        var writers = new FileIoQueue("log-write", Math.Max(1, options.WriterThreads));
        _shared = new FileLogShared(
            new FileHandles(files, Math.Max(1, options.OpenFilesMax)),
            writers,
            new FileIoQueue("log-read", Math.Max(1, options.ReaderThreads)),
            new TailCache(options.TailCacheBytes, new BufferPool(options.SpareBufferBytes)),
            new FlushJournal(files, _root, options.JournalBytes, generation, writers, _settlers, timeProvider, logger),
            timeProvider,
            logger);
    }

    /// <summary>What its logs share.</summary>
    internal FileLogShared Shared => _shared;

    /// <inheritdoc/>
    public async ValueTask<ILog> OpenAsync(LogId id, LogOptions options, CancellationToken cancellationToken = default)
    {
        LogRules.CheckName(id);
        ArgumentNullException.ThrowIfNull(options);
        cancellationToken.ThrowIfCancellationRequested();
        CheckOpen();

        // From this moment on, not only when its turn comes: what the old opener has queued is refused.
        if (_slots.TryGetValue(id, out var slot))
        {
            slot.Current?.Fence();
        }

        return await _managers.RunAsync(() => InSlot(id, slot => Open(id, options, slot)));
    }

    /// <inheritdoc/>
    public async ValueTask DeleteAsync(LogId id, CancellationToken cancellationToken = default)
    {
        LogRules.CheckName(id);
        cancellationToken.ThrowIfCancellationRequested();
        CheckOpen();
        await _managers.RunAsync(() => InSlot<object?>(id, slot =>
        {
            CloseCurrent(slot);
            Guard(id, WriteOutcome.Unknown, () => Delete(id));
            slot.IsGone = true;
            _slots.TryRemove(id, out _);
            return null;
        }));
    }

    /// <inheritdoc/>
    public async ValueTask<IReadOnlyList<LogId>> ListAsync(string prefix, CancellationToken cancellationToken = default)
    {
        cancellationToken.ThrowIfCancellationRequested();
        CheckOpen();
        return await _managers.RunAsync<IReadOnlyList<LogId>>(() =>
        {
            lock (_names)
            {
                return [.. LogPaths.Find(_files, _root).Where(id => id.Path.StartsWith(prefix, StringComparison.Ordinal)).OrderBy(id => id.Path, StringComparer.Ordinal)];
            }
        });
    }

    /// <summary>Closes all logs, after what they have queued is written, and gives the folder back.</summary>
    public async ValueTask DisposeAsync()
    {
        if (_isDisposed)
        {
            return;
        }

        _isDisposed = true;
        try
        {
            await _managers.RunAsync(CloseAll);
        }
        finally
        {
            _managers.Dispose();
            _settlers.Dispose();
            _shared.Journal.Dispose();
            _shared.Writers.Dispose();
            _shared.Readers.Dispose();
            _folderLock.Dispose();
        }
    }

    private IDisposable TakeFolder()
    {
        IDisposable? folderLock = null;
        try
        {
            Guarded(() =>
            {
                _files.CreateDirectory(_root);
                folderLock = _files.TryLock(Path.Join(_root, LockFile)) ?? throw new StreamsException(
                    StreamsErrorCode.DataFolderInUse,
                    $"The data folder '{_root}' is in use{OwnerText()}. Stop that process, or choose another data folder.");
                _files.CreateDirectory(Path.Join(_root, LogPaths.LogsFolder));
                _files.FlushDirectory(_root);
                WriteOwner();
                RemoveDeleted();
            });
            return folderLock!;
        }
        catch
        {
            folderLock?.Dispose();
            throw;
        }
    }

    /// <summary>Tells of a data folder that cannot be used.</summary>
    private void Guarded(Action action)
    {
        try
        {
            action();
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new StreamsException(
                exception is DiskFullException ? StreamsErrorCode.DiskFull : StreamsErrorCode.StorageError,
                $"The data folder '{_root}' cannot be used: {exception.Message} Make room, correct its permissions, or choose another data folder.",
                WriteOutcome.NotWritten,
                exception);
        }
    }

    private void WriteOwner()
    {
        using var file = _files.Open(Path.Join(_root, OwnerFile), FileOpening.Create);
        file.Write(0, [Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{Environment.ProcessId}\n"))]);
    }

    private string OwnerText()
    {
        try
        {
            using var file = _files.Open(Path.Join(_root, OwnerFile), FileOpening.Read);
            Span<byte> bytes = stackalloc byte[32];
            var text = Encoding.ASCII.GetString(bytes[..file.Read(0, bytes)]).Trim();
            return text.Length == 0 ? string.Empty : $" by process {text}";
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            return string.Empty;
        }
    }

    private void RemoveDeleted()
    {
        var deleted = new List<string>();
        _ = LogPaths.Find(_files, _root, deleted.Add).Count();
        deleted.ForEach(folder => RemoveFolder(folder));
    }

    private ILog Open(LogId id, LogOptions options, Slot slot)
    {
        CloseCurrent(slot);
        FileLog? log = null;
        Guard(id, WriteOutcome.NotAWrite, () =>
        {
            var folder = Path.Join(_root, LogPaths.FolderOf(id));
            lock (_names)
            {
                if (!_files.FileExists(Path.Join(folder, LogPaths.EpochFile)))
                {
                    EnsureFolder(folder);
                }
            }

            _shared.Journal.Restore(id, _root);
            log = new FileLog(_shared, id, folder, options, new LogRecovery(_shared.Handles, _shared.Logger, id, folder, options).Run()) { Closed = slot.Forget };

            // Recovery has flushed all of it.
            _shared.Journal.Settled(id);
        });
        _shared.Logger.LogOpened(id, log!.LeaderEpoch, log.StartOffset, log.DurableEndOffset, log.Segments.Count);
        slot.Current = log;
        return log;
    }

    /// <summary>
    /// A folder that is there may be one whose creation was never flushed: the flush failed, or the process died before it. So all on the way are flushed
    /// until the log has an epoch, which is written after this.
    /// </summary>
    private void EnsureFolder(string folder)
    {
        var parent = Path.GetDirectoryName(folder)!;
        if (parent.Length > Path.Join(_root, LogPaths.LogsFolder).Length)
        {
            EnsureFolder(parent);
        }

        if (!_files.DirectoryExists(folder))
        {
            _files.CreateDirectory(folder);
        }

        _files.FlushDirectory(parent);
    }

    private void Delete(LogId id)
    {
        var folder = Path.Join(_root, LogPaths.FolderOf(id));
        var deleted = folder[..^LogPaths.LogSuffix.Length] + LogPaths.DeletedSuffix;
        lock (_names)
        {
            if (!_files.DirectoryExists(folder))
            {
                return;
            }

            if (_files.DirectoryExists(deleted))
            {
                RemoveFolder(deleted);
            }

            // Gone at once, however many files there are to remove.
            _files.Rename(folder, deleted);
            _files.FlushDirectory(Path.GetDirectoryName(folder)!);
            RemoveFolder(deleted);
            RemoveEmptyParents(folder);
        }

        _shared.Journal.Forget(id);
    }

    private void RemoveFolder(string folder)
    {
        try
        {
            foreach (var file in _files.ListFiles(folder))
            {
                _files.DeleteFile(Path.Join(folder, file));
            }

            _files.DeleteDirectory(folder);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            _shared?.Logger.FolderNotDeleted(folder, exception);
        }
    }

    private void RemoveEmptyParents(string folder)
    {
        var top = Path.Join(_root, LogPaths.LogsFolder);
        try
        {
            for (var parent = Path.GetDirectoryName(folder)!; parent.Length > top.Length; parent = Path.GetDirectoryName(parent)!)
            {
                if (_files.ListDirectories(parent).Count > 0 || _files.ListFiles(parent).Count > 0)
                {
                    return;
                }

                _files.DeleteDirectory(parent);
            }
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            // An empty folder does no harm.
        }
    }

    private object? CloseAll()
    {
        var closing = new List<Task>();
        foreach (var slot in _slots.Values)
        {
            lock (slot)
            {
                if (slot.Current is { } current)
                {
                    closing.Add(current.CloseAsync());
                }
            }
        }

        Task.WhenAll(closing).GetAwaiter().GetResult();
        return null;
    }

    /// <summary>Ends the current opener: waits for the write that is being done at this moment, which is part of what the next opener finds.</summary>
    private static void CloseCurrent(Slot slot)
    {
        if (slot.Current is not { } current)
        {
            return;
        }

        current.Fence();
        try
        {
            current.CloseAsync().GetAwaiter().GetResult();
        }
        catch (StreamsException)
        {
            // Its own users heard of it; recovery finds what is there.
        }

        slot.Current = null;
    }

    /// <summary>Opening and deleting of one log happen one after the other.</summary>
    private T InSlot<T>(LogId id, Func<Slot, T> action)
    {
        while (true)
        {
            var slot = _slots.GetOrAdd(id, static _ => new Slot());
            lock (slot)
            {
                CheckOpen();
                if (!slot.IsGone)
                {
                    return action(slot);
                }
            }
        }
    }

    private static void Guard(LogId id, WriteOutcome outcome, Action action)
    {
        try
        {
            action();
        }
        catch (DiskFullException exception)
        {
            throw LogRules.DiskFull(id, exception);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw LogRules.Failed(id, outcome, exception);
        }
    }

    private void CheckOpen()
    {
        if (_isDisposed)
        {
            throw new StreamsException(StreamsErrorCode.Closed, $"The log storage in '{_root}' is closed.", WriteOutcome.NotWritten);
        }
    }

    private sealed class Slot
    {
        private FileLog? _current;

        public FileLog? Current
        {
            get => Volatile.Read(ref _current);
            set => Volatile.Write(ref _current, value);
        }

        public bool IsGone { get; set; }

        /// <summary>Lets go of a log that was closed.</summary>
        public void Forget(FileLog log) => Interlocked.CompareExchange(ref _current, null, log);
    }
}
