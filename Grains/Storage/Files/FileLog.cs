using Microsoft.Extensions.Logging;

namespace OrleansStreams.Storage.Files;

/// <summary>What the logs of one storage share.</summary>
internal sealed record FileLogShared(
    FileHandles Handles, FileIoQueue Writers, FileIoQueue Readers, TailCache Cache, FlushJournal Journal, TimeProvider TimeProvider, ILogger Logger)
{
    public IFileSystem Files => Handles.Files;
}

/// <summary>
/// One opening of a log on disk. Appends are copied and queued under the lock; a writer step (FileLog.Writing) on an I/O thread writes
/// and flushes all that are queued by then and answers them together. Reads are served from the newest chunks in memory, else from
/// the segments (FileLog.Reading).
/// <code>
///             Fence()                 a write or flush failed
///   Fenced &lt;----------- Open -----------------------------&gt; Failed
///                         | DisposeAsync()
///                         v
///                       Closed   (Fenced and Failed stay what they are when disposed)
/// </code>
/// </summary>
internal sealed partial class FileLog : ILog, ITailOwner
{
    private readonly Lock _gate = new();
    private readonly FileLogShared _shared;
    private readonly LogOptions _options;
    private readonly string _folder;

    // All below is guarded by _gate; _segments[^1] is written only by the writer step.
    private readonly List<LogSegment> _segments;
    private readonly List<TailChunk> _chunks = [];
    private readonly Queue<PendingAppend> _pending = new();
    private readonly Queue<ControlWork> _controls = new();
    private State _state;
    private long _startOffset;
    private long _durableEndOffset;
    private long _nextOffset;
    private LogCheckpoint? _checkpoint;
    private int _nextChunkBytes = TailCache.ChunkBytesMin;
    private TaskCompletionSource? _closing;

    public FileLog(FileLogShared shared, LogId id, string folder, LogOptions options, RecoveredLog recovered)
    {
        _shared = shared;
        _options = options;
        _folder = folder;
        _segments = recovered.Segments;
        _startOffset = recovered.StartOffset;
        _durableEndOffset = _nextOffset = recovered.Segments[^1].EndOffset;
        _checkpoint = recovered.Checkpoint;
        _writtenMark = _flushedMark = recovered.Segments[^1].Mark;
        _step = Step;
        Id = id;
        LeaderEpoch = recovered.LeaderEpoch;
    }

    private enum State
    {
        Open,
        Fenced,
        Failed,
        Closed,
    }

    /// <summary>Called once, when the log is closed.</summary>
    public Action<FileLog>? Closed { get; set; }

    public LogId Id { get; }

    public int LeaderEpoch { get; }

    public long StartOffset => Volatile.Read(ref _startOffset);

    public long DurableEndOffset => Volatile.Read(ref _durableEndOffset);

    public long NextOffset => Volatile.Read(ref _nextOffset);

    public long SizeBytes
    {
        get
        {
            lock (_gate)
            {
                return _segments.Sum(segment => segment.Bytes);
            }
        }
    }

    public LogCheckpoint? Checkpoint => Volatile.Read(ref _checkpoint);

    public IReadOnlyList<LogSegmentInfo> Segments
    {
        get
        {
            lock (_gate)
            {
                return _segments.ConvertAll(segment => segment.Info);
            }
        }
    }

    public ValueTask AppendAsync(long baseOffset, IReadOnlyList<ReadOnlyMemory<byte>> batches, long? logAppendTime = null)
    {
        try
        {
            lock (_gate)
            {
                CheckUsable();
                LogRules.CheckAppend(Id, baseOffset, _nextOffset, batches);
                return batches.Count == 0 ? ValueTask.CompletedTask : new ValueTask(Enqueue(batches, logAppendTime));
            }
        }
        catch (StreamsException exception)
        {
            return ValueTask.FromException(exception);
        }
    }

    public ValueTask TruncatePrefixAsync(long newStartOffset, CancellationToken cancellationToken = default)
    {
        lock (_gate)
        {
            LogRules.CheckNotAboveEnd(Id, newStartOffset, _durableEndOffset);
        }

        return RunControlAsync(() => TruncatePrefix(newStartOffset));
    }

    public ValueTask WriteCheckpointAsync(ReadOnlyMemory<byte> blob, long offset, CancellationToken cancellationToken = default)
    {
        lock (_gate)
        {
            LogRules.CheckNotAboveEnd(Id, offset, _durableEndOffset);
        }

        var checkpoint = new LogCheckpoint(offset, blob.ToArray());
        return RunControlAsync(() => WriteCheckpoint(checkpoint));
    }

    public async ValueTask DisposeAsync() => await CloseAsync();

    /// <summary>A newer opener is there, or the log is deleted: nothing more is written but what is being written at this moment.</summary>
    public void Fence()
    {
        lock (_gate)
        {
            if (_state is State.Open or State.Failed)
            {
                _state = State.Fenced;
            }

            FailQueued(LogRules.Fenced(Id, LeaderEpoch));
        }
    }

    /// <summary>Lets go of the files after everything that is queued.</summary>
    public Task CloseAsync()
    {
        lock (_gate)
        {
            if (_state == State.Open)
            {
                _state = State.Closed;
            }

            if (_closing is null)
            {
                _closing = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
                Wake();
            }

            return _closing.Task;
        }
    }

    /// <summary>Called by the cache: lets go of a chunk, as soon as it is written.</summary>
    public void Evict(TailChunk chunk)
    {
        lock (_gate)
        {
            chunk.IsEvicted = true;
            ReleaseEvicted();
        }
    }

    /// <summary>Under the lock: the oldest chunks go, as far as the cache wants them gone and they are written.</summary>
    private void ReleaseEvicted()
    {
        while (_chunks.Count > 0 && _chunks[0].IsEvicted && (_chunks[0] != _writeChunk || _durableEndOffset == _nextOffset))
        {
            if (_chunks[0] == _writeChunk)
            {
                _writeChunk = null;
            }

            _shared.Cache.Release(_chunks[0]);
            _chunks.RemoveAt(0);
            if (_chunks.Count == 0)
            {
                _shared.Cache.CountLog(-1);
            }
        }
    }

    private async ValueTask RunControlAsync(Action action)
    {
        Task done;
        lock (_gate)
        {
            CheckUsable();
            var control = new ControlWork(action);
            _controls.Enqueue(control);
            Wake();
            done = control.Done.Task;
        }

        await done;
    }

    private void CheckUsable()
    {
        switch (_state)
        {
            case State.Fenced:
                throw LogRules.Fenced(Id, LeaderEpoch);
            case State.Failed:
                throw LogRules.Failed(Id, WriteOutcome.NotWritten, null);
            case State.Closed:
                throw LogRules.Closed(Id);
            default:
                return;
        }
    }

    private void CheckReadable()
    {
        if (_state == State.Fenced)
        {
            throw LogRules.Fenced(Id, LeaderEpoch, WriteOutcome.NotAWrite);
        }

        if (_state == State.Closed)
        {
            throw LogRules.Closed(Id);
        }
    }

    private sealed class PendingAppend(TailChunk endChunk, int endPosition, long endOffset, long bytes)
    {
        public TailChunk EndChunk => endChunk;

        public int EndPosition => endPosition;

        public long EndOffset => endOffset;

        public long Bytes => bytes;

        public TaskCompletionSource Done { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }

    private sealed class ControlWork(Action action)
    {
        public Action Action => action;

        public TaskCompletionSource Done { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }
}
