using Microsoft.Extensions.Logging;

namespace OrleansStreams.Storage.Postgres;

/// <content>Appends, and the outcome of rounds.</content>
internal sealed partial class PostgresLog
{
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

    /// <inheritdoc/>
    public RoundPart? Take(long bytesMax)
    {
        lock (_gate)
        {
            if (_holders.Count > 0 || _pending.Count == 0)
            {
                Next();
                return null;
            }

            var appends = new List<PendingAppend>();
            var bytes = 0L;
            while (_pending.TryPeek(out var append) && (appends.Count == 0 || bytes + append.Bytes <= bytesMax))
            {
                appends.Add(_pending.Dequeue());
                bytes += append.Bytes;
            }

            var rows = new List<BatchRow>();
            var closed = new List<SegmentRow>();
            var active = _active;
            foreach (var part in _tail.Unwritten(appends[^1].End))
            {
                active = BatchRow.Split(part, rows, active, closed, _options.SegmentBytes);
            }

            _inFlight = new InFlight(appends, closed, active);
            return new RoundPart
            {
                Owner = this,
                LogKey = _key,
                LeaderEpoch = LeaderEpoch,
                Inquiry = _inquiry,
                SynchronousCommit = _synchronousCommit,
                Rows = rows,
                Closed = closed,
            };
        }
    }

    /// <inheritdoc/>
    public bool Written(RoundPart part)
    {
        bool hasMore;
        lock (_gate)
        {
            var written = TakeInFlight(part);
            var last = written.Appends[^1];
            _closed.AddRange(written.Closed);
            _active = written.Active;
            Volatile.Write(ref _durableEndOffset, last.EndOffset);
            Volatile.Write(ref _nextOffset, _pending.Count == 0 ? last.EndOffset : _nextOffset);
            _tail.Written(last.End, isAll: _pending.Count == 0);
            written.Appends.ForEach(append => append.Done.TrySetResult());
            hasMore = Next();
        }

        _shared.Cache.Trim();
        return hasMore;
    }

    /// <inheritdoc/>
    public bool Failed(RoundPart part, RoundFailure failure, Exception? cause)
    {
        lock (_gate)
        {
            var failed = TakeInFlight(part);
            var (error, pendingError) = ErrorsOf(failure, cause);
            switch (failure)
            {
                case RoundFailure.DiskFull:
                    _shared.Database.Logger.DiskIsFull(Id, failed.Appends.Count + _pending.Count);
                    _tail.CutBack(_durableEndOffset);
                    break;
                case RoundFailure.Fenced or RoundFailure.FencedUnknown:
                    _state = State.Fenced;
                    break;
                default:
                    _shared.Database.Logger.LogFailed(Id, error);
                    _state = _state == State.Fenced ? State.Fenced : State.Failed;
                    break;
            }

            // The offset first: whoever hears of the failure may append at once.
            Volatile.Write(ref _nextOffset, _durableEndOffset);
            failed.Appends.ForEach(append => append.Done.TrySetException(error));
            FailPending(pendingError);
            return Next();
        }
    }

    private (StreamsException Error, StreamsException OfThoseBehind) ErrorsOf(RoundFailure failure, Exception? cause) => failure switch
    {
        RoundFailure.DiskFull => (LogRules.DiskFull(Id, cause), LogRules.DiskFull(Id, cause)),
        RoundFailure.Fenced => (LogRules.Fenced(Id, LeaderEpoch), LogRules.Fenced(Id, LeaderEpoch)),
        RoundFailure.FencedUnknown => (LogRules.Fenced(Id, LeaderEpoch, WriteOutcome.Unknown), LogRules.Fenced(Id, LeaderEpoch)),
        RoundFailure.NotWritten => (PostgresErrors.Failed(Id, WriteOutcome.NotWritten, cause), PostgresErrors.Failed(Id, WriteOutcome.NotWritten, cause)),
        _ => (PostgresErrors.Failed(Id, WriteOutcome.Unknown, cause), PostgresErrors.Failed(Id, WriteOutcome.NotWritten, cause)),
    };

    private Task Enqueue(IReadOnlyList<ReadOnlyMemory<byte>> batches, long? logAppendTime)
    {
        var bytes = 0L;
        var offset = _nextOffset;
        for (var i = 0; i < batches.Count; i++)
        {
            var batch = batches[i].Span;
            offset = _tail.Append(batch, offset, LeaderEpoch, logAppendTime).NextOffset;
            bytes += batch.Length;
        }

        Volatile.Write(ref _nextOffset, offset);
        var append = new PendingAppend(_tail.End, offset, bytes);
        _pending.Enqueue(append);
        if (!_isBusy)
        {
            _isBusy = true;
            _shared.Writer.Enqueue(this);
        }

        return append.Done.Task;
    }

    private InFlight TakeInFlight(RoundPart part)
    {
        var inFlight = _inFlight ?? throw new InvalidOperationException($"Log {Id} heard of a round that it has no part in.");
        _inFlight = null;
        _inquiry = part.Inquiry;
        return inFlight;
    }

    /// <summary>Who has the log next: one that holds the rounds off, the writer (true), or nobody.</summary>
    private bool Next()
    {
        if (_holders.TryDequeue(out var holder))
        {
            holder.SetResult();
            return false;
        }

        if (_pending.Count > 0)
        {
            return true;
        }

        _isBusy = false;
        _idle?.TrySetResult();
        return false;
    }

    /// <summary>Nothing of what is queued is sent.</summary>
    private void FailPending(StreamsException error)
    {
        if (_pending.Count == 0)
        {
            return;
        }

        if (_inFlight is null)
        {
            Volatile.Write(ref _nextOffset, _durableEndOffset);
        }

        while (_pending.TryDequeue(out var append))
        {
            append.Done.TrySetException(error);
        }
    }
}
