namespace OrleansStreams.Storage;

/// <summary>One opening of a log in memory.</summary>
internal sealed partial class MemoryLog : ILog
{
    private readonly MemoryLogStorage _storage;
    private readonly MemoryLogData _data;
    private readonly LogOptions _options;
    private readonly Queue<PendingAppend> _pending = new();
    private State _state;
    private bool _isPumping;
    private long _durableEndOffset;
    private long _nextOffset;

    public MemoryLog(MemoryLogStorage storage, MemoryLogData data, LogId id, LogOptions options, int leaderEpoch)
    {
        _storage = storage;
        _data = data;
        _options = options;
        Id = id;
        LeaderEpoch = leaderEpoch;
        _durableEndOffset = _nextOffset = data.EndOffset;
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

    public long StartOffset => Locked(static log => log._data.StartOffset);

    public long DurableEndOffset => Locked(static log => log._durableEndOffset);

    public long NextOffset => Locked(static log => log._nextOffset);

    public long SizeBytes => Locked(static log => log._data.Segments.Sum(segment => segment.Bytes));

    public LogCheckpoint? Checkpoint => Locked(static log => log._data.Checkpoint);

    public IReadOnlyList<LogSegmentInfo> Segments => Locked(static log => log.SegmentInfos());

    public ValueTask AppendAsync(long baseOffset, IReadOnlyList<ReadOnlyMemory<byte>> batches, long? logAppendTime = null)
    {
        try
        {
            return Append(baseOffset, batches, logAppendTime);
        }
        catch (StreamsException exception)
        {
            return ValueTask.FromException(exception);
        }
    }

    public ValueTask<LogRead> ReadAsync(long offset, int maxBytes, CancellationToken cancellationToken = default)
    {
        cancellationToken.ThrowIfCancellationRequested();
        lock (_data.Gate)
        {
            CheckReadable();
            LogRules.CheckRead(Id, offset, _data.StartOffset, _durableEndOffset);
            return ValueTask.FromResult(offset == _durableEndOffset ? new LogRead(default, offset) : _data.Read(offset, maxBytes, _durableEndOffset));
        }
    }

    public ValueTask<long?> FindBatchByTimestampAsync(long timestamp, CancellationToken cancellationToken = default)
    {
        lock (_data.Gate)
        {
            CheckReadable();
            return ValueTask.FromResult(_data.FindTimestamp(timestamp, _durableEndOffset));
        }
    }

    public ValueTask TruncatePrefixAsync(long newStartOffset, CancellationToken cancellationToken = default)
    {
        lock (_data.Gate)
        {
            CheckUsable();
            LogRules.CheckNotAboveEnd(Id, newStartOffset, _durableEndOffset);
            _storage.Release(_data.TruncatePrefix(newStartOffset));
            return ValueTask.CompletedTask;
        }
    }

    public ValueTask WriteCheckpointAsync(ReadOnlyMemory<byte> blob, long offset, CancellationToken cancellationToken = default)
    {
        lock (_data.Gate)
        {
            CheckUsable();
            LogRules.CheckNotAboveEnd(Id, offset, _durableEndOffset);
            _data.Checkpoint = new LogCheckpoint(offset, blob.ToArray());
            return ValueTask.CompletedTask;
        }
    }

    public async ValueTask DisposeAsync()
    {
        Task last;
        lock (_data.Gate)
        {
            if (_state == State.Open)
            {
                _state = State.Closed;
            }

            last = _pending.LastOrDefault()?.Done.Task ?? Task.CompletedTask;
        }

        // Its appender hears of a failure; closing waits only for the end.
        await last.ContinueWith(static _ => { }, CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
    }

    /// <summary>Called under the data's lock by a newer opener.</summary>
    public void Fence()
    {
        _state = State.Fenced;

        // The head is in the pump's hands, which looks at the state before it writes.
        var head = _pending.TryDequeue(out var first) ? first : null;
        FailPending(LogRules.Fenced(Id, LeaderEpoch));
        if (head is not null)
        {
            _pending.Enqueue(head);
        }
    }

    private ValueTask Append(long baseOffset, IReadOnlyList<ReadOnlyMemory<byte>> batches, long? logAppendTime)
    {
        lock (_data.Gate)
        {
            CheckUsable();
            LogRules.CheckAppend(Id, baseOffset, _nextOffset, batches);
            if (_storage.BeforeWrite is null && _storage.AfterWrite is null && !_isPumping)
            {
                Write(batches, logAppendTime);
                _durableEndOffset = _nextOffset = _data.EndOffset;
                return ValueTask.CompletedTask;
            }

            // The caller's memory is its own again when this method returns.
            var append = new PendingAppend([.. batches.Select(batch => (ReadOnlyMemory<byte>)batch.ToArray())], logAppendTime);
            _nextOffset += batches.Sum(batch => Records.RecordBatchHeader.Read(batch.Span).LastOffsetDelta + 1L);
            _pending.Enqueue(append);
            if (!_isPumping)
            {
                _isPumping = true;
                _ = PumpAsync();
            }

            return new ValueTask(append.Done.Task);
        }
    }

    private async Task PumpAsync()
    {
        while (true)
        {
            PendingAppend append;
            lock (_data.Gate)
            {
                if (_pending.Count == 0)
                {
                    _isPumping = false;
                    return;
                }

                append = _pending.Peek();
            }

            try
            {
                await WriteWithHooksAsync(append);
            }
            catch (Exception exception)
            {
                lock (_data.Gate)
                {
                    Fail(append, exception);
                }

                continue;
            }

            lock (_data.Gate)
            {
                _pending.Dequeue();
            }

            append.Done.SetResult();
        }
    }

    private async Task WriteWithHooksAsync(PendingAppend append)
    {
        if (_storage.BeforeWrite is { } before)
        {
            await before(Id);
        }

        long end;
        lock (_data.Gate)
        {
            if (_state == State.Fenced)
            {
                throw LogRules.Fenced(Id, LeaderEpoch);
            }

            Write(append.Batches, append.LogAppendTime);
            end = _data.EndOffset;
        }

        if (_storage.AfterWrite is { } after)
        {
            await after(Id);
        }

        lock (_data.Gate)
        {
            _durableEndOffset = end;
        }
    }

    private void Write(IReadOnlyList<ReadOnlyMemory<byte>> batches, long? logAppendTime)
    {
        if (!_storage.TryReserve(batches.Sum(batch => (long)batch.Length)))
        {
            throw LogRules.DiskFull(Id, null);
        }

        foreach (var batch in batches)
        {
            _data.Append(batch.Span, LeaderEpoch, logAppendTime, _options.SegmentBytes);
        }
    }

    private void Fail(PendingAppend append, Exception exception)
    {
        _pending.Dequeue();
        var error = exception as StreamsException;
        if (error?.Code is not (StreamsErrorCode.DiskFull or StreamsErrorCode.FencedLeaderEpoch))
        {
            error = LogRules.Failed(Id, WriteOutcome.Unknown, exception);
            _state = _state == State.Fenced ? State.Fenced : State.Failed;
        }

        _nextOffset = _durableEndOffset;
        append.Done.SetException(error);
        FailPending(error);
    }

    private void FailPending(StreamsException error)
    {
        while (_pending.TryDequeue(out var append))
        {
            append.Done.SetException(error);
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

    private T Locked<T>(Func<MemoryLog, T> read)
    {
        lock (_data.Gate)
        {
            return read(this);
        }
    }

    private sealed record PendingAppend(IReadOnlyList<ReadOnlyMemory<byte>> Batches, long? LogAppendTime)
    {
        public TaskCompletionSource Done { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }
}
