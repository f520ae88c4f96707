using OrleansStreams.Records;

namespace OrleansStreams.Storage.Files;

/// <summary>The writer: one step at a time on an I/O thread, as long as there is work.</summary>
internal sealed partial class FileLog
{
    // Bounds the time of one step, so that logs take turns on the I/O threads; larger groups gain nothing.
    private const long GroupBytesMax = 8 * 1024 * 1024;

    private readonly Action _step;

    // The writer step's own; nobody else looks at them.
    private readonly List<PendingAppend> _group = [];
    private readonly List<ReadOnlyMemory<byte>> _parts = [];
    private readonly List<LogChunk> _passed = [];
    private LogChunk? _writeChunk;
    private int _writePosition;
    private bool _mustRoll;
    private bool _isUnflushed;
    private bool _indexFailed;
    private bool _isFailed;

    // Guarded by _gate.
    private bool _isWorking;
    private bool _isFlushDue;
    private bool _isClosed;
    private bool _isTimerArmed;
    private ITimer? _flushTimer;

    private LogSegment Active => _segments[^1];

    private Task Enqueue(IReadOnlyList<ReadOnlyMemory<byte>> batches, long? logAppendTime)
    {
        var bytes = 0L;
        var offset = _nextOffset;
        for (var i = 0; i < batches.Count; i++)
        {
            var batch = batches[i].Span;
            var chunk = ChunkFor(batch.Length, offset);
            offset = chunk.Append(batch, offset, LeaderEpoch, logAppendTime).NextOffset;
            bytes += batch.Length;
        }

        Volatile.Write(ref _nextOffset, offset);
        var append = new PendingAppend(_chunks[^1], _chunks[^1].Length, offset, bytes);
        _pending.Enqueue(append);
        Wake();
        return append.Done.Task;
    }

    private LogChunk ChunkFor(int bytes, long offset)
    {
        if (_chunks.Count > 0 && _chunks[^1].HasRoomFor(bytes))
        {
            return _chunks[^1];
        }

        var chunk = new LogChunk(_shared.Cache.Rent(Math.Max(bytes, _nextChunkBytes)), offset);
        _nextChunkBytes = Math.Min(_nextChunkBytes * 2, TailCache.ChunkBytesMax);
        if (_writeChunk is null)
        {
            _writeChunk = chunk;
        }
        else
        {
            _chunks[^1].Next = chunk;
        }

        _chunks.Add(chunk);
        return chunk;
    }

    private void Wake()
    {
        if (!_isWorking && !_isClosed)
        {
            _isWorking = true;
            _shared.Writers.Enqueue(_step);
        }
    }

    private void Step()
    {
        ControlWork? control = null;
        var mustFlush = false;
        var mustClose = false;
        lock (_gate)
        {
            if (!_controls.TryDequeue(out control))
            {
                if (_pending.Count > 0)
                {
                    TakeGroup();
                }
                else if (_isFlushDue)
                {
                    _isFlushDue = false;
                    mustFlush = !_isFailed;
                }
                else if (_closing is not null)
                {
                    mustClose = true;
                }
                else
                {
                    _isWorking = false;
                    return;
                }
            }
        }

        if (mustClose)
        {
            CloseFiles();
            return;
        }

        try
        {
            if (control is not null)
            {
                Run(control);
            }
            else if (mustFlush)
            {
                FlushWritten();
            }
            else if (_group.Count > 0)
            {
                WriteGroup();
            }
        }
        catch (Exception exception)
        {
            Fail(exception);
        }

        // Behind the other logs that wait for a thread.
        _shared.Writers.Enqueue(_step);
    }

    private void TakeGroup()
    {
        var room = _options.SegmentBytes - Active.Bytes;
        _mustRoll = Active.Bytes > 0 && _pending.Peek().Bytes > room;
        var bytesMax = Math.Min(_mustRoll ? _options.SegmentBytes : room, GroupBytesMax);
        var bytes = 0L;
        while (_pending.TryPeek(out var append) && (_group.Count == 0 || bytes + append.Bytes <= bytesMax))
        {
            _group.Add(_pending.Dequeue());
            bytes += append.Bytes;
        }

        var last = _group[^1];
        var chunk = _writeChunk!;
        var position = _writePosition;
        for (; chunk != last.EndChunk; chunk = chunk.Next!, position = 0)
        {
            AddPart(chunk, position, chunk.Length);
            _passed.Add(chunk);
        }

        AddPart(chunk, position, last.EndPosition);

        void AddPart(LogChunk chunk, int from, int to)
        {
            if (to > from)
            {
                _parts.Add(chunk.Slice(from, to - from));
            }
        }
    }

    private void WriteGroup()
    {
        if (_mustRoll)
        {
            FlushWritten();
        }

        try
        {
            if (_mustRoll)
            {
                Roll();
            }

            Active.Data.Write(Active.Bytes, _parts);
        }
        catch (DiskFullException exception)
        {
            CutBack(exception);
            return;
        }

        _isUnflushed = true;
        if (_options.Flush == FlushMode.Always)
        {
            Flush();
        }

        var mark = IndexGroup();
        lock (_gate)
        {
            Active.Publish(mark);
            Volatile.Write(ref _durableEndOffset, mark.EndOffset);
            Volatile.Write(ref _nextOffset, Math.Max(_nextOffset, mark.EndOffset));
            _writeChunk = _group[^1].EndChunk;
            _writePosition = _group[^1].EndPosition;
        }

        foreach (var append in _group)
        {
            append.Done.TrySetResult();
        }

        if (!_isUnflushed)
        {
            PersistIndex();
        }
        else if (_options.Flush == FlushMode.Interval)
        {
            ArmFlushTimer();
        }

        foreach (var chunk in _passed)
        {
            _shared.Cache.Retire(this, chunk);
        }

        ForgetGroup();
    }

    /// <summary>Adds the group's batches to the index and tells where the segment ends with them.</summary>
    private DurableMark IndexGroup()
    {
        var (position, endOffset, maxTimestamp) = Active.Mark;
        var index = Active.Index;
        var lastEntry = index.Last.Position;
        foreach (var part in _parts)
        {
            for (var rest = part.Span; !rest.IsEmpty;)
            {
                var header = RecordBatchHeader.Read(rest);
                if (position - lastEntry >= _options.IndexIntervalBytes)
                {
                    index.Add(new IndexEntry(header.BaseOffset, position, maxTimestamp));
                    lastEntry = position;
                }

                position += header.TotalBytes;
                endOffset = header.NextOffset;
                maxTimestamp = Math.Max(maxTimestamp, header.MaxTimestamp);
                rest = rest[header.TotalBytes..];
            }
        }

        return new DurableMark(position, endOffset, maxTimestamp);
    }

    /// <summary>The disk is full: takes back what of the group was written, durably, so that a crash doesn't bring back what was refused.</summary>
    private void CutBack(DiskFullException cause)
    {
        if (Active.Data.Length > Active.Bytes)
        {
            Active.Data.Truncate(Active.Bytes);
            Flush();
        }

        var error = LogRules.DiskFull(Id, cause);
        lock (_gate)
        {
            _shared.Logger.DiskIsFull(Id, _group.Count + _pending.Count);
            foreach (var append in _group)
            {
                append.Done.TrySetException(error);
            }

            while (_pending.TryDequeue(out var append))
            {
                append.Done.TrySetException(error);
            }

            // Nobody has read above the durable end, so these bytes may be written anew.
            _chunks.RemoveRange(_chunks.IndexOf(_writeChunk!) + 1, _chunks.Count - _chunks.IndexOf(_writeChunk!) - 1);
            _writeChunk!.Next = null;
            _writeChunk.CutBack(_durableEndOffset);
            Volatile.Write(ref _nextOffset, _durableEndOffset);
        }

        ForgetGroup();
    }

    /// <summary>Begins a new segment behind a flushed one, whose index becomes durable first: recovery believes every segment but the last.</summary>
    private void Roll()
    {
        var old = Active;
        CompleteIndex(flush: true);
        var created = LogSegment.Create(_shared.Files, _folder, old.EndOffset);
        lock (_gate)
        {
            _segments.Add(created);
        }

        old.Seal();
        _indexFailed = false;
    }

    private void FlushWritten()
    {
        if (_isFailed)
        {
            throw new IOException("an earlier write or flush failed");
        }

        if (_isUnflushed)
        {
            Flush();
            PersistIndex();
        }
    }

    /// <summary>Flushes once. A failure is final, whatever its reason: a second flush would succeed without the bytes that the first one lost.</summary>
    private void Flush()
    {
        try
        {
            Active.Data.Flush();
        }
        catch (DiskFullException exception)
        {
            throw new IOException(exception.Message, exception);
        }

        _isUnflushed = false;
    }

    private void PersistIndex()
    {
        try
        {
            Active.PersistIndex();
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
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

    private void ArmFlushTimer()
    {
        lock (_gate)
        {
            if (_flushTimer is null)
            {
                _flushTimer = _shared.TimeProvider.CreateTimer(
                    static state => ((FileLog)state!).OnFlushTimer(), this, _options.FlushInterval, Timeout.InfiniteTimeSpan);
                _isTimerArmed = true;
            }
            else if (!_isTimerArmed)
            {
                _isTimerArmed = _flushTimer.Change(_options.FlushInterval, Timeout.InfiniteTimeSpan);
            }
        }
    }

    private void OnFlushTimer()
    {
        lock (_gate)
        {
            _isTimerArmed = false;
            _isFlushDue = true;
            Wake();
        }
    }

    private void ForgetGroup()
    {
        _group.Clear();
        _parts.Clear();
        _passed.Clear();
    }
}
