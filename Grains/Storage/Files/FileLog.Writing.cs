using OrleansStreams.Records;

namespace OrleansStreams.Storage.Files;

/// <summary>
/// The writer: one step at a time on an I/O thread, as long as there is work. A step writes all appends that are queued by then into the segment
/// as one group. In mode Always the group then goes through the flush journal with those of other logs, or, when it is large, is flushed
/// by the step itself; after that its appends are answered.
/// <code>
///  Step --group written--> journal --Journaled--> Publish --> Step or idle
///                 \--large, or Refused--> Flush ----^
/// </code>
/// </summary>
internal sealed partial class FileLog
{
    // Bounds the time of one step, so that logs take turns on the I/O threads; larger groups gain nothing.
    private const long GroupBytesMax = 8 * 1024 * 1024;

    private readonly Action _step;

    // The writer step's own, and the journal's while a group is there; nobody else looks at them.
    private readonly List<PendingAppend> _group = [];
    private readonly List<ReadOnlyMemory<byte>> _parts = [];
    private readonly List<IndexEntry> _newEntries = [];
    private DurableMark _groupMark;
    private bool _isRefused;
    private bool _mustRoll;
    private bool _indexFailed;
    private bool _flushFailed;
    private DurableMark _writtenMark;

    // Guarded by _gate.
    private TailChunk? _writeChunk;
    private int _writePosition;
    private DurableMark _flushedMark;
    private Exception? _settleFailure;
    private bool _isFailed;
    private bool _isWorking;
    private bool _isFlushDue;
    private bool _isClosed;
    private bool _isClosedInOrder;
    private ITimer? _flushTimer;

    private enum Work
    {
        None,
        Fail,
        Control,
        Group,
        Flush,
        Close,
    }

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

    private TailChunk ChunkFor(int bytes, long offset)
    {
        if (_chunks.Count > 0 && _chunks[^1].HasRoomFor(bytes))
        {
            return _chunks[^1];
        }

        if (_chunks.Count == 0)
        {
            _shared.Cache.CountLog(1);
        }

        var chunk = _shared.Cache.Add(this, bytes, _nextChunkBytes, offset);
        _nextChunkBytes = Math.Min(_nextChunkBytes * 2, TailCache.ChunkBytesMax);
        if (_writeChunk is null)
        {
            _writeChunk = chunk;
            _writePosition = 0;
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

    /// <summary>Behind the other logs that wait for a thread.</summary>
    private void GoOn()
    {
        lock (_gate)
        {
            if (_isClosed || NextWork() == Work.None)
            {
                _isWorking = false;
                return;
            }
        }

        _shared.Writers.Enqueue(_step);
    }

    /// <summary>A flush that is due comes before the appends that wait, which may never cease.</summary>
    private Work NextWork() =>
        _settleFailure is not null ? Work.Fail
        : _controls.Count > 0 ? Work.Control
        : _isFlushDue ? Work.Flush
        : _pending.Count > 0 ? Work.Group
        : _closing is not null ? Work.Close
        : Work.None;

    private void Step()
    {
        try
        {
            if (_isRefused)
            {
                _isRefused = false;
                Flush();
                Publish();
            }
            else if (!Do())
            {
                return;
            }
        }
        catch (Exception exception)
        {
            Fail(exception);
        }

        GoOn();
    }

    /// <summary>Does what comes next; false when it ends elsewhere.</summary>
    private bool Do()
    {
        Work work;
        ControlWork? control = null;
        Exception? failure;
        lock (_gate)
        {
            work = NextWork();
            failure = _settleFailure;
            _settleFailure = null;
            if (work == Work.Control)
            {
                control = _controls.Dequeue();
            }
            else if (work == Work.Group)
            {
                TakeGroup();
            }
            else if (work == Work.Flush)
            {
                _isFlushDue = false;
            }
        }

        switch (work)
        {
            case Work.Fail:
                throw failure!;
            case Work.Control:
                Run(control!);
                return true;
            case Work.Group:
                return WriteGroup();
            case Work.Flush when !_isFailed:
                FlushWritten();
                return true;
            case Work.Close:
                CloseFiles();
                return false;
            default:
                return true;
        }
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
        }

        AddPart(chunk, position, last.EndPosition);

        void AddPart(TailChunk chunk, int from, int to)
        {
            if (to > from)
            {
                _parts.Add(chunk.Slice(from, to - from));
            }
        }
    }

    /// <summary>Writes the group and makes it durable by the flush mode; false when the journal has taken it and answers.</summary>
    private bool WriteGroup()
    {
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
            return true;
        }

        MarkGroup();
        _writtenMark = _groupMark;
        if (_options.Flush == FlushMode.Always)
        {
            if (_shared.Journal.TrySubmit(this, _groupMark.Position - Active.Bytes))
            {
                return false;
            }

            Flush();
        }

        Publish();
        return true;
    }

    /// <summary>Goes through the group's headers: where the segment ends with it, and its index entries.</summary>
    private void MarkGroup()
    {
        var (position, endOffset, maxTimestamp) = Active.Mark;
        var lastEntry = Active.Index.Last.Position;
        foreach (var part in _parts)
        {
            for (var rest = part.Span; !rest.IsEmpty;)
            {
                var header = RecordBatchHeader.Read(rest);
                if (position - lastEntry >= _options.IndexIntervalBytes)
                {
                    _newEntries.Add(new IndexEntry(header.BaseOffset, position, maxTimestamp));
                    lastEntry = position;
                }

                position += header.TotalBytes;
                endOffset = header.NextOffset;
                maxTimestamp = Math.Max(maxTimestamp, header.MaxTimestamp);
                rest = rest[header.TotalBytes..];
            }
        }

        _groupMark = new DurableMark(position, endOffset, maxTimestamp);
    }

    /// <summary>The group is durable: readers see it and its appends are answered.</summary>
    private void Publish()
    {
        var mark = _groupMark;
        foreach (var entry in _newEntries)
        {
            Active.Index.Add(entry);
        }

        DurableMark flushed;
        lock (_gate)
        {
            Active.Publish(mark);
            Volatile.Write(ref _durableEndOffset, mark.EndOffset);
            Volatile.Write(ref _nextOffset, Math.Max(_nextOffset, mark.EndOffset));
            _writeChunk = _group[^1].EndChunk;
            _writePosition = _group[^1].EndPosition;
            flushed = _flushedMark;
            ReleaseEvicted();
        }

        foreach (var append in _group)
        {
            append.Done.TrySetResult();
        }

        if (flushed.Position >= mark.Position)
        {
            PersistIndex(Active, mark);
        }
        else if (_options.Flush == FlushMode.Always && Active.Index.UnpersistedBytes >= LogSegment.BytesPerIndexWrite)
        {
            // In the journal: what the index names is durable, so that after a crash little has to be scanned; the mark tells of the segment alone.
            PersistIndex(Active, flushed);
        }
        else if (_options.Flush == FlushMode.Interval)
        {
            ArmFlushTimer();
        }

        ForgetGroup();
        _shared.Cache.Trim();
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

            // Nobody has read above the durable end, so these bytes may be written anew.
            var last = _chunks.IndexOf(_writeChunk!);
            for (var i = _chunks.Count - 1; i > last; i--)
            {
                _shared.Cache.Release(_chunks[i]);
                _chunks.RemoveAt(i);
            }

            _writeChunk!.Next = null;
            _writeChunk.CutBack(_durableEndOffset);

            // The offset first: whoever hears of the failure may append at once.
            Volatile.Write(ref _nextOffset, _durableEndOffset);
            foreach (var append in _group)
            {
                append.Done.TrySetException(error);
            }

            while (_pending.TryDequeue(out var append))
            {
                append.Done.TrySetException(error);
            }

            ReleaseEvicted();
        }

        ForgetGroup();
    }

    /// <summary>Begins a new segment behind a flushed one, whose index becomes durable first: recovery believes every segment but the last.</summary>
    private void Roll()
    {
        FlushWritten();
        var old = Active;
        CompleteIndex(flush: true);
        var created = LogSegment.Create(_shared.Handles, _folder, old.EndOffset);
        _writtenMark = created.Mark;
        lock (_gate)
        {
            _segments.Add(created);
            _flushedMark = created.Mark;
        }

        old.Seal();
        _indexFailed = false;
    }

    private void ForgetGroup()
    {
        _group.Clear();
        _parts.Clear();
        _newEntries.Clear();
    }
}
