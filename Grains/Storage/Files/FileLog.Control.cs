namespace OrleansStreams.Storage.Files;

/// <summary>What else the writer step does: truncation, checkpoints, failing and closing.</summary>
internal sealed partial class FileLog
{
    private void Run(ControlWork control)
    {
        try
        {
            lock (_gate)
            {
                // A log that closes still does what was asked before.
                if (_state is State.Fenced or State.Failed)
                {
                    CheckUsable();
                }
            }

            control.Action();
            control.Done.TrySetResult();
        }
        catch (StreamsException exception)
        {
            control.Done.TrySetException(exception);
        }
        catch (DiskFullException exception)
        {
            control.Done.TrySetException(LogRules.DiskFull(Id, exception));
        }
        catch (Exception exception)
        {
            control.Done.TrySetException(LogRules.Failed(Id, WriteOutcome.Unknown, exception));
            if (_flushFailed)
            {
                // Then nothing is known of the tail any more.
                Fail(exception);
            }
        }
    }

    private void WriteCheckpoint(LogCheckpoint checkpoint)
    {
        FlushUnlessAlways();
        StateFile.Write(_shared.Files, Path.Join(_folder, LogPaths.CheckpointFile), checkpoint.Offset, checkpoint.Blob.Span);
        Volatile.Write(ref _checkpoint, checkpoint);
    }

    /// <summary>A checkpoint or a start must never speak of records that a crash takes away. In mode Always, what can be seen is on disk.</summary>
    private void FlushUnlessAlways()
    {
        if (_options.Flush != FlushMode.Always)
        {
            FlushWritten();
        }
    }

    private void TruncatePrefix(long newStartOffset)
    {
        if (newStartOffset <= _startOffset)
        {
            return;
        }

        FlushUnlessAlways();
        StateFile.Write(_shared.Files, Path.Join(_folder, LogPaths.StartFile), newStartOffset, default);
        lock (_gate)
        {
            Volatile.Write(ref _startOffset, newStartOffset);
        }

        if (Active.Bytes > 0 && Active.EndOffset <= newStartOffset)
        {
            try
            {
                Roll();
            }
            catch (DiskFullException exception)
            {
                // The start is raised; the room comes back with the next truncation.
                _shared.Logger.SegmentNotDeleted(Id, Active.BaseOffset, exception);
            }
        }

        var removed = new List<LogSegment>();
        lock (_gate)
        {
            while (_segments.Count > 1 && _segments[0].EndOffset <= newStartOffset)
            {
                removed.Add(_segments[0]);
                _segments.RemoveAt(0);
            }
        }

        Delete(removed);
    }

    private void Delete(List<LogSegment> removed)
    {
        foreach (var segment in removed)
        {
            try
            {
                segment.Dispose();
                segment.Delete();
            }
            catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
            {
                _shared.Logger.SegmentNotDeleted(Id, segment.BaseOffset, exception);
            }
        }
    }

    /// <summary>Something was written or flushed and nobody knows what of it is on disk: all that wait hear so, and the log must be opened again.</summary>
    private void Fail(Exception exception)
    {
        _shared.Logger.LogFailed(Id, exception);
        var error = LogRules.Failed(Id, WriteOutcome.Unknown, exception);
        lock (_gate)
        {
            if (_state == State.Open)
            {
                _state = State.Failed;
            }

            _isFailed = true;
            Volatile.Write(ref _nextOffset, _durableEndOffset);
            foreach (var append in _group)
            {
                append.Done.TrySetException(error);
            }

            FailQueued(error);
        }

        ForgetGroup();
    }

    /// <summary>Under the lock: nothing of what is queued is written.</summary>
    private void FailQueued(StreamsException error)
    {
        Volatile.Write(ref _nextOffset, _durableEndOffset);
        while (_pending.TryDequeue(out var append))
        {
            append.Done.TrySetException(error);
        }

        while (_controls.TryDequeue(out var control))
        {
            control.Done.TrySetException(error);
        }
    }

    private void CloseFiles()
    {
        Exception? failure = null;
        if (!_isFailed)
        {
            try
            {
                FlushWritten();
                CompleteIndex(flush: false);
            }
            catch (Exception exception)
            {
                failure = exception;
            }
        }

        TaskCompletionSource closing;
        lock (_gate)
        {
            _isWorking = false;
            _isClosed = true;
            _isClosedInOrder = !_isFailed && failure is null;
            _flushTimer?.Dispose();
            foreach (var segment in _segments)
            {
                segment.Dispose();
            }

            foreach (var chunk in _chunks)
            {
                _shared.Cache.Release(chunk);
            }

            if (_chunks.Count > 0)
            {
                _shared.Cache.CountLog(-1);
            }

            _chunks.Clear();
            _writeChunk = null;
            closing = _closing!;
        }

        if (_isClosedInOrder)
        {
            _shared.Journal.Settled(Id);
        }

        Closed?.Invoke(this);

        // In mode Always all that was acknowledged is on disk already, in the journal if not here; in the other modes the caller must hear of it.
        if (failure is null || _options.Flush == FlushMode.Always)
        {
            closing.SetResult();
        }
        else
        {
            closing.SetException(LogRules.Failed(Id, WriteOutcome.Unknown, failure));
        }
    }
}
