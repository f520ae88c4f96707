using OrleansStreams.Storage.Files;

namespace OrleansStreams.Storage.Postgres;

/// <summary>
/// One opening of a log in PostgreSQL. Appends are copied and queued under the lock; the shared writer takes all that are queued into its next round and
/// tells the outcome (PostgresLog.Writing). Reads are served from the end kept in memory, else from the table (PostgresLog.Reading). One change of the
/// log is under way at a time: a round, or a truncation or roll that holds the rounds off (PostgresLog.Control).
/// <code>
///          Fence(), or the database says so     outcome unknown, or refused
///   Fenced &lt;------------------------------ Open ---------------------------&gt; Failed
///                                            | DisposeAsync()
///                                            v
///                                          Closed   (Fenced and Failed stay what they are when disposed)
/// </code>
/// </summary>
internal sealed partial class PostgresLog : ILog, ITailOwner, IRoundOwner
{
    private readonly Lock _gate = new();
    private readonly PostgresLogShared _shared;
    private readonly LogOptions _options;
    private readonly Action<PostgresLog> _forget;
    private readonly long _key;
    private readonly string _synchronousCommit;
    private readonly SemaphoreSlim _controls = new(1, 1);

    // All below is guarded by _gate.
    private readonly LogTail _tail;
    private readonly Queue<PendingAppend> _pending = new();
    private readonly Queue<TaskCompletionSource> _holders = new();
    private readonly List<SegmentRow> _closed;
    private SegmentRow _active;
    private State _state;
    private long _startOffset;
    private long _durableEndOffset;
    private long _nextOffset;
    private LogCheckpoint? _checkpoint;
    private InFlight? _inFlight;
    private int _inquiry;
    private bool _isBusy;
    private TaskCompletionSource? _idle;
    private Task? _closing;

    public PostgresLog(PostgresLogShared shared, LogId id, LogOptions options, OpenedLog opened, Action<PostgresLog> forget)
    {
        _shared = shared;
        _options = options;
        _forget = forget;
        _key = opened.Key;
        _synchronousCommit = shared.Database.SynchronousCommitFor(options);
        _tail = new LogTail(this, shared.Cache);
        _closed = opened.Closed;
        _active = opened.Active;
        _startOffset = opened.StartOffset;
        _durableEndOffset = _nextOffset = Math.Max(opened.Active.EndOffset, opened.StartOffset);
        _checkpoint = opened.Checkpoint;
        Id = id;
        LeaderEpoch = opened.LeaderEpoch;
    }

    private enum State
    {
        Open,
        Fenced,
        Failed,
        Closed,
    }

    public LogId Id { get; }

    public int LeaderEpoch { get; }

    public long StartOffset => Volatile.Read(ref _startOffset);

    public long DurableEndOffset => Volatile.Read(ref _durableEndOffset);

    public long NextOffset => Volatile.Read(ref _nextOffset);

    public LogCheckpoint? Checkpoint => Volatile.Read(ref _checkpoint);

    public long SizeBytes
    {
        get
        {
            lock (_gate)
            {
                return _active.Bytes + _closed.Sum(segment => segment.Bytes);
            }
        }
    }

    public IReadOnlyList<LogSegmentInfo> Segments
    {
        get
        {
            lock (_gate)
            {
                return SegmentInfos();
            }
        }
    }

    /// <summary>Whether the database gave this opener the log after the other one.</summary>
    public bool IsNewerThan(PostgresLog other) => (_key, LeaderEpoch).CompareTo((other._key, other.LeaderEpoch)) > 0;

    public async ValueTask DisposeAsync()
    {
        Task closing;
        lock (_gate)
        {
            if (_state == State.Open)
            {
                _state = State.Closed;
            }

            closing = _closing ??= Detached.RunAsync(CloseAsync);
        }

        await closing;
    }

    /// <summary>A newer opener is there, or the log is deleted: nothing more is sent but what is under way at this moment.</summary>
    public void Fence()
    {
        lock (_gate)
        {
            if (_state is State.Open or State.Failed)
            {
                _state = State.Fenced;
            }

            FailPending(LogRules.Fenced(Id, LeaderEpoch));
        }
    }

    public void Evict(TailChunk chunk)
    {
        lock (_gate)
        {
            _tail.Evict(chunk, isAllWritten: _durableEndOffset == _nextOffset);
        }
    }

    private async Task CloseAsync()
    {
        await _controls.WaitAsync();
        Task idle;
        lock (_gate)
        {
            idle = _isBusy ? (_idle ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously)).Task : Task.CompletedTask;
        }

        await idle;
        lock (_gate)
        {
            _tail.Clear();
        }

        _forget(this);

        // A control that comes late finds the log closed.
        _controls.Release();
    }

    private List<LogSegmentInfo> SegmentInfos() => [.. _closed.Select(segment => segment.Info), _active.Info];

    private void CheckUsable()
    {
        if (_state == State.Closed)
        {
            throw LogRules.Closed(Id);
        }

        CheckNotLost();
    }

    /// <summary>For work that was asked for before the log was closed.</summary>
    private void CheckNotLost()
    {
        switch (_state)
        {
            case State.Fenced:
                throw LogRules.Fenced(Id, LeaderEpoch);
            case State.Failed:
                throw PostgresErrors.Failed(Id, WriteOutcome.NotWritten, null);
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

    private sealed class PendingAppend(TailMark end, long endOffset, long bytes)
    {
        public TailMark End => end;

        public long EndOffset => endOffset;

        public long Bytes => bytes;

        public TaskCompletionSource Done { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }

    private sealed record InFlight(List<PendingAppend> Appends, List<SegmentRow> Closed, SegmentRow Active);
}
