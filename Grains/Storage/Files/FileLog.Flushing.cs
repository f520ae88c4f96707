namespace OrleansStreams.Storage.Files;

/// <summary>How what is written reaches the disk: through the flush journal, by a flush of the segment's own, or when the interval is over.</summary>
internal sealed partial class FileLog : IJournaled
{
    JournalEntry IJournaled.Entry => new(
        JournalEntryKind.Append, Id, Active.BaseOffset, Active.Bytes, (int)(_groupMark.Position - Active.Bytes), _groupMark);

    IReadOnlyList<ReadOnlyMemory<byte>> IJournaled.Parts => _parts;

    FileLog? IJournaled.Log => this;

    void IJournaled.Journaled(Exception? failure)
    {
        try
        {
            if (failure is not null)
            {
                throw failure;
            }

            Publish();
        }
        catch (Exception exception)
        {
            Fail(exception);
        }

        GoOn();
    }

    void IJournaled.Refused()
    {
        _isRefused = true;
        _shared.Writers.Enqueue(_step);
    }

    /// <summary>
    /// Called by the journal, beside the writer: flushes the segment up to what is acknowledged. False when it could not, and the journal must keep what it has.
    /// </summary>
    public bool Settle()
    {
        LogSegment segment;
        DurableMark mark;
        lock (_gate)
        {
            if (_isClosed || _isFailed)
            {
                return _isClosedInOrder;
            }

            segment = Active;
            mark = segment.Mark;
            if (mark.Position <= _flushedMark.Position)
            {
                return true;
            }
        }

        try
        {
            segment.Data.Flush();
        }
        catch (Exception exception)
        {
            lock (_gate)
            {
                if (_isClosed || exception is ObjectDisposedException)
                {
                    // Closed, or removed by a truncation, which flushed it before.
                    return !_isClosed || _isClosedInOrder;
                }

                _settleFailure = exception;
                Wake();
                return false;
            }
        }

        PersistIndex(segment, mark);
        lock (_gate)
        {
            if (segment == Active && mark.Position > _flushedMark.Position)
            {
                _flushedMark = mark;
            }
        }

        return true;
    }

    private void FlushWritten()
    {
        if (_isFailed)
        {
            throw new IOException("an earlier write or flush failed");
        }

        bool isFlushed;
        lock (_gate)
        {
            isFlushed = _flushedMark.Position >= _writtenMark.Position;
        }

        if (!isFlushed)
        {
            Flush();
            PersistIndex(Active, Active.Mark);
        }
    }

    /// <summary>Flushes once. A failure is final, whatever its reason: a second flush would succeed without the bytes that the first one lost.</summary>
    private void Flush()
    {
        try
        {
            Active.Data.Flush();
        }
        catch (Exception exception)
        {
            _flushFailed = true;
            if (exception is DiskFullException)
            {
                throw new IOException(exception.Message, exception);
            }

            throw;
        }

        lock (_gate)
        {
            _flushedMark = _writtenMark;
        }
    }

    private void PersistIndex(LogSegment segment, DurableMark flushed)
    {
        try
        {
            segment.PersistIndex(flushed);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException or ObjectDisposedException)
        {
            WarnOfIndex(exception);
        }
    }

    private void CompleteIndex(bool flush)
    {
        try
        {
            Active.CompleteIndex(flush);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            WarnOfIndex(exception);
        }
    }

    private void WarnOfIndex(Exception exception)
    {
        if (!_indexFailed)
        {
            _indexFailed = true;
            _shared.Logger.IndexNotWritten(Id, Active.BaseOffset, exception);
        }
    }

    /// <summary>One timer from the first unflushed write to its flush; a log that is not written to has none.</summary>
    private void ArmFlushTimer()
    {
        lock (_gate)
        {
            if (!_isClosed && !_isFlushDue)
            {
                _flushTimer ??= _shared.TimeProvider.CreateTimer(
                    static state => ((FileLog)state!).OnFlushTimer(), this, _options.FlushInterval, Timeout.InfiniteTimeSpan);
            }
        }
    }

    private void OnFlushTimer()
    {
        lock (_gate)
        {
            _flushTimer?.Dispose();
            _flushTimer = null;
            _isFlushDue = true;
            Wake();
        }
    }
}
