using Microsoft.Extensions.Logging;

namespace OrleansStreams.Storage.Files;

/// <summary>What a flush round takes from one log: bytes that stand in its segment already, but not yet on disk.</summary>
internal interface IJournaled
{
    JournalEntry Entry { get; }

    /// <summary>The entry's bytes.</summary>
    IReadOnlyList<ReadOnlyMemory<byte>> Parts { get; }

    /// <summary>The log that must be flushed before the entry may be forgotten; null when there is nothing to flush.</summary>
    FileLog? Log { get; }

    /// <summary>The entry is on disk (null), or nobody knows (the failure). On a thread of the journal's, which must not be held up.</summary>
    void Journaled(Exception? failure);

    /// <summary>The journal has no room and wrote nothing: the log must be flushed by itself.</summary>
    void Refused();
}

/// <summary>
/// One flush for all logs. What logs write while a round is under way becomes one frame of the next, which is written and flushed at once: a
/// hundred logs with a small batch each cost one flush, and it goes onto blocks that the journal file has already, which is twice as fast as
/// a growing segment (measured: 88 us instead of 216 us for 4 KiB; 1.4 ms instead of 20 ms and more for 4 KiB in each of 1,000 files).
/// </summary>
/// <remarks>
/// The bytes stand in the segments too (in the page cache), so readers, rolling and closing know nothing of the journal. It has two halves:
/// when one is full the other takes over, and the logs that stand in the full one are flushed in the background; then it is free. When it is not free
/// in time, or a log's bytes are so many that a flush of their own is cheaper, the log is flushed by itself. After a crash
/// <see cref="JournalReplay"/> writes into the segments what they may have lost. A failed flush of the journal ends its use: the
/// waiters hear that the outcome is unknown, and logs are flushed by themselves from then on.
/// </remarks>
internal sealed class FlushJournal : IDisposable
{
    /// <summary>
    /// What one log writes at once and is more than this is flushed by itself: the journal would cost it the disk's bandwidth twice (measured with
    /// 256 KiB requests to 16 logs: 2.1 GB/s at 0.09 CPU seconds per million records of 100 bytes, through the journal half of that at 0.13).
    /// </summary>
    public const int EntryBytesMax = 128 * 1024;

    private const int RoundBytesMax = 8 * 1024 * 1024;
    private const int RoundEntriesMax = 8192;
    private const int GrowBytes = 1024 * 1024;

    private static readonly byte[] Zeros = new byte[64 * 1024];

    private readonly Lock _gate = new();
    private readonly IFileSystem _files;
    private readonly string _folder;
    private readonly FileIoQueue _workers;
    private readonly FileIoQueue _settlers;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly long _halfBytes;
    private readonly Queue<IJournaled> _queue = new();
    private readonly Half[] _halves;
    private readonly Action _lead;
    private bool _isLeading;
    private volatile bool _isBroken;

    // The leader's own.
    private readonly List<ReadOnlyMemory<byte>> _parts = [];
    private byte[] _head = new byte[4096];
    private int _active;
    private long _generation;

    /// <param name="files">The disk.</param>
    /// <param name="root">The data folder.</param>
    /// <param name="bytes">The size of both halves together; 0 for no journal.</param>
    /// <param name="generation">The largest generation that the journal has used before.</param>
    /// <param name="workers">Threads that lead rounds.</param>
    /// <param name="settlers">Threads that flush segments in the background.</param>
    /// <param name="time">Numbers generations.</param>
    /// <param name="logger">Hears of failures.</param>
    public FlushJournal(IFileSystem files, string root, long bytes, long generation, FileIoQueue workers, FileIoQueue settlers, TimeProvider time, ILogger logger)
    {
        _files = files;
        _folder = JournalReplay.FolderOf(root);
        _halfBytes = bytes / 2 / JournalFrame.Alignment * JournalFrame.Alignment;
        _generation = generation;
        _workers = workers;
        _settlers = settlers;
        _time = time;
        _logger = logger;
        _halves = [new Half(JournalReplay.FileOf(root, 0)), new Half(JournalReplay.FileOf(root, 1))];
        _isBroken = _halfBytes == 0;
        _lead = Lead;
    }

    /// <summary>Takes an entry into a round; false when it must be flushed by itself. The calling thread may do the round.</summary>
    public bool TrySubmit(IJournaled item, long bytes)
    {
        if (_isBroken || bytes > EntryBytesMax || bytes > _halfBytes / 4)
        {
            return false;
        }

        lock (_gate)
        {
            _queue.Enqueue(item);
            if (_isLeading)
            {
                return true;
            }

            _isLeading = true;
        }

        Lead();
        return true;
    }

    /// <summary>Whether acknowledged bytes of a log stand only in the journal.</summary>
    public bool Holds(LogId log)
    {
        lock (_gate)
        {
            return Array.Exists(_halves, half => half.Unsettled.ContainsKey(log));
        }
    }

    /// <summary>All that was acknowledged of a log is on disk in its segments.</summary>
    public void Settled(LogId log)
    {
        lock (_gate)
        {
            Array.ForEach(_halves, half => half.Unsettled.Remove(log));
        }
    }

    /// <summary>Brings back into a log's segment what its failed opener may have lost of it.</summary>
    public void Restore(LogId log, string root)
    {
        if (Holds(log))
        {
            // Its frames lie where nobody writes now, and their half is not used again before it is settled.
            JournalReplay.Run(_files, root, _logger, log);
        }
    }

    /// <summary>Makes sure that nothing in the journal is brought back into a new log of a deleted one's name.</summary>
    /// <exception cref="IOException">It could not be written.</exception>
    public void Forget(LogId log)
    {
        Settled(log);
        for (var attempt = 0; Mentions(log); attempt++)
        {
            var deleted = new Deletion(log);
            if (!TrySubmit(deleted, 0))
            {
                throw new IOException("the flush journal failed before");
            }

            if (deleted.Done.Task.GetAwaiter().GetResult())
            {
                return;
            }

            if (attempt == 2)
            {
                throw new IOException("the flush journal is full");
            }

            Settle(_halves[1 - Volatile.Read(ref _active)]);
        }
    }

    /// <summary>Empties the journal when all logs were closed in order, so that the next start finds nothing to do.</summary>
    public void Dispose()
    {
        try
        {
            if (!_isBroken && Array.TrueForAll(_halves, half => half.Unsettled.Count == 0))
            {
                foreach (var half in Array.FindAll(_halves, half => half.File is not null))
                {
                    JournalReplay.Empty(half.File!, ++_generation);
                }
            }
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            // The next start replays what is there in any case.
        }
        finally
        {
            Array.ForEach(_halves, half => half.File?.Dispose());
        }
    }

    private bool Mentions(LogId log)
    {
        lock (_gate)
        {
            return Array.Exists(_halves, half => half.Mentioned.Contains(log));
        }
    }

    /// <summary>One round; hands the next one on before it answers.</summary>
    private void Lead()
    {
        var round = new List<IJournaled>();
        lock (_gate)
        {
            var bytes = 0L;
            while (_queue.TryPeek(out var next) && round.Count < RoundEntriesMax && (round.Count == 0 || bytes + next.Entry.Length <= Math.Min(RoundBytesMax, _halfBytes / 4)))
            {
                round.Add(_queue.Dequeue());
                bytes += next.Entry.Length;
            }
        }

        var isWritten = false;
        Exception? failure = null;
        try
        {
            isWritten = !_isBroken && TryWrite(round);
        }
        catch (Exception exception)
        {
            failure = exception;
            _isBroken = true;
            _logger.JournalFailed(exception);
        }

        lock (_gate)
        {
            _isLeading = _queue.Count > 0;
            if (_isLeading)
            {
                _workers.Enqueue(_lead);
            }
        }

        foreach (var item in round)
        {
            if (isWritten || failure is not null)
            {
                item.Journaled(failure);
            }
            else
            {
                item.Refused();
            }
        }
    }

    private bool TryWrite(List<IJournaled> round)
    {
        var head = JournalFrame.HeaderBytes;
        var data = 0L;
        _parts.Clear();
        _parts.Add(default);
        foreach (var item in round)
        {
            var entry = item.Entry;
            var size = JournalFrame.SizeOf(entry);
            if (_head.Length < head + size)
            {
                Array.Resize(ref _head, Math.Max(_head.Length * 2, head + size));
            }

            head += JournalFrame.EncodeEntry(_head.AsSpan(head), entry);
            data += entry.Length;
            _parts.AddRange(item.Parts);
        }

        var frameBytes = JournalFrame.SizeOf(head - JournalFrame.HeaderBytes, data);
        if (TryFindRoom(frameBytes) is not { } half)
        {
            _parts.Clear();
            return false;
        }

        JournalFrame.Complete(_head.AsSpan(0, head), half.Generation, half.Sequence, data, _parts);
        _parts[0] = _head.AsMemory(0, head);
        var grown = AddZeros(half, frameBytes, frameBytes - head - data);
        try
        {
            half.File!.Write(half.Position, _parts);
        }
        catch (DiskFullException)
        {
            // The journal stays as large as it is; what was written of the frame is written over.
            half.BytesMax = half.Position;
            return false;
        }
        finally
        {
            _parts.Clear();
        }

        half.File.Flush();
        half.Allocated = grown;
        half.Position += frameBytes;
        half.Sequence++;
        Note(half, round);
        return true;
    }

    private void Note(Half half, List<IJournaled> round)
    {
        lock (_gate)
        {
            foreach (var item in round)
            {
                var log = item.Entry.Log;
                half.Mentioned.Add(log);
                if (item.Log is { } unsettled)
                {
                    half.Unsettled[log] = unsettled;
                }
            }
        }
    }

    /// <summary>Pads the frame and, where the file must grow, goes on with zeros: the frames that follow then find their blocks allocated.</summary>
    private long AddZeros(Half half, long frameBytes, long padding)
    {
        var end = half.Position + frameBytes;
        var grown = end <= half.Allocated ? half.Allocated : Math.Min(_halfBytes, end + GrowBytes);
        var zeros = padding + (end <= half.Allocated ? 0 : grown - end);
        for (; zeros > 0; zeros -= Zeros.Length)
        {
            _parts.Add(Zeros.AsMemory(0, (int)Math.Min(zeros, Zeros.Length)));
        }

        return grown;
    }

    /// <summary>The half that takes the next frame; null when there is no room in either, or none could be made. Nothing of the round is written yet.</summary>
    private Half? TryFindRoom(long frameBytes)
    {
        try
        {
            return RoomFor(frameBytes);
        }
        catch (DiskFullException)
        {
            return null;
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            _isBroken = true;
            _logger.JournalFailed(exception);
            return null;
        }
    }

    private Half? RoomFor(long frameBytes)
    {
        var half = _halves[_active];
        if (half.File is null)
        {
            Begin(half);
        }
        else if (half.Position + frameBytes > Math.Min(_halfBytes, half.BytesMax))
        {
            var other = _halves[1 - _active];
            lock (_gate)
            {
                if (other.IsSettling || other.Unsettled.Count > 0)
                {
                    // Those of an opener that failed are settled by the next one; the others now.
                    StartSettling(other);
                    return null;
                }
            }

            Begin(other);
            Volatile.Write(ref _active, 1 - _active);
            lock (_gate)
            {
                StartSettling(half);
            }

            half = other;
        }

        return half.Position + frameBytes > Math.Min(_halfBytes, half.BytesMax) ? null : half;
    }

    private void Begin(Half half)
    {
        half.File ??= OpenFile(half);
        _generation = Math.Max(_generation + 1, _time.GetUtcNow().Ticks);
        half.Generation = _generation;
        half.Position = 0;
        half.Sequence = 0;
        half.BytesMax = long.MaxValue;
        lock (_gate)
        {
            half.Mentioned.Clear();
        }
    }

    private IStorageFile OpenFile(Half half)
    {
        if (!_files.DirectoryExists(_folder))
        {
            _files.CreateDirectory(_folder);
        }

        var file = _files.Open(half.Path, _files.FileExists(half.Path) ? FileOpening.ReadWrite : FileOpening.Create);
        try
        {
            half.Allocated = file.Length;
            _files.FlushDirectory(_folder);
            _files.FlushDirectory(Path.GetDirectoryName(_folder)!);
            return file;
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>Under the lock.</summary>
    private void StartSettling(Half half)
    {
        if (!half.IsSettling)
        {
            half.IsSettling = true;
            _settlers.Enqueue(() =>
            {
                Settle(half);
                lock (_gate)
                {
                    half.IsSettling = false;
                }
            });
        }
    }

    private void Settle(Half half)
    {
        KeyValuePair<LogId, FileLog>[] unsettled;
        lock (_gate)
        {
            unsettled = [.. half.Unsettled];
        }

        foreach (var (id, log) in unsettled)
        {
            if (log.Settle())
            {
                lock (_gate)
                {
                    if (half.Unsettled.TryGetValue(id, out var now) && now == log)
                    {
                        half.Unsettled.Remove(id);
                    }
                }
            }
        }
    }

    private sealed class Half(string path)
    {
        public string Path => path;

        public IStorageFile? File { get; set; }

        public long Allocated { get; set; }

        public long Position { get; set; }

        public long BytesMax { get; set; } = long.MaxValue;

        public long Generation { get; set; }

        public long Sequence { get; set; }

        /// <summary>Logs with acknowledged bytes here that may not be on disk in their segments.</summary>
        public Dictionary<LogId, FileLog> Unsettled { get; } = [];

        /// <summary>Logs with entries here.</summary>
        public HashSet<LogId> Mentioned { get; } = [];

        public bool IsSettling { get; set; }
    }

    private sealed class Deletion(LogId log) : IJournaled
    {
        public TaskCompletionSource<bool> Done { get; } = new();

        public JournalEntry Entry => new(JournalEntryKind.Deleted, log, 0, 0, 0, default);

        public IReadOnlyList<ReadOnlyMemory<byte>> Parts => [];

        public FileLog? Log => null;

        public void Journaled(Exception? failure)
        {
            if (failure is null)
            {
                Done.SetResult(true);
            }
            else
            {
                Done.SetException(new IOException(failure.Message, failure));
            }
        }

        public void Refused() => Done.SetResult(false);
    }
}
