namespace OrleansStreams.Processing.State;

/// <summary>What a commit, a snapshot and a restore need; entries and their queues.</summary>
internal sealed partial class TimedStore<TKey, TValue>
{
    private const byte PutOp = 1;
    private const byte PutFinishedOp = 2;
    private const byte RemoveOp = 3;
    private const byte FinishOp = 4;
    private const byte ExpireOp = 5;
    // A kind, two times and a length.
    private const int OpHeadBytes = 21;

    // Rows of one expiry that are told one by one; when they are more, whoever follows the store reads it again.
    private const int ExpiredRowsMax = 100_000;
    private const int ExpiredBytesMax = 16 * 1024 * 1024;


    /// <summary>Finished entries kept at most, whatever the retention.</summary>
    private const int FinishedMax = 1_000_000;

    // A part of a snapshot may meet nothing but free slots.
    private const int SlotsPerPartMax = 1 << 20;

    // What has expired since the last commit, for who follows the store: start, end, key of each row.
    private readonly ByteBuffer _expiredRows = new();
    private int _expiredRowCount;
    private bool _isExpiryUntold;
    private int _snapshotAt;
    private int _snapshotEnd;

    public int DrainOps(ByteBuffer to)
    {
        var count = _removedOpCount;
        to.WriteBytes(_removedOps.Span);
        _removedOps.Clear();
        _removedOpCount = 0;

        // What is finished does not expire any more, what is put now has not expired.
        var begin = to.Length;
        var entries = DrainEntries(to, areFinished: true);
        if (_expiredTo != long.MinValue)
        {
            to.WriteByte(ExpireOp);
            to.WriteInt64(_expiredTo);
            _expiredTo = long.MinValue;
            count++;
        }

        entries += DrainEntries(to, areFinished: false);
        _values.LearnOps(to.Length - begin, entries);
        _dirty.Clear();
        if (!IsFollowed)
        {
            ForgetExpired();
        }

        return count + entries;
    }

    public void Apply(ref ByteReader ops, int count)
    {
        var bytes = 0L;
        for (var left = count; left > 0; left--)
        {
            var kind = ops.ReadByte();
            var start = ops.ReadInt64();
            if (kind == ExpireOp)
            {
                ExpireUpTo(start);
                continue;
            }

            var end = ops.ReadInt64();
            var key = ops.ReadBlock();
            bytes += OpHeadBytes + key.Length;
            if (kind is PutOp or PutFinishedOp)
            {
                var value = ops.ReadBlock();
                bytes += sizeof(int) + value.Length;
                ApplyPut(key, start, end, value, kind == PutFinishedOp);
                continue;
            }

            var entry = Find(key, start, end);
            switch (kind)
            {
                case RemoveOp when entry >= 0:
                    Drop(entry);
                    break;
                case FinishOp when entry >= 0 && !IsFinished(entry):
                    Finish(entry);
                    break;
                case RemoveOp or FinishOp:
                    // A snapshot that is read from its beginning tells of what a later part of it would have held.
                    break;
                default:
                    throw ByteReader.Damaged();
            }
        }

        _values.LearnOps(bytes, count);
        ForgetChanges();
    }

    // Called behind a commit or a replay, so that the journal knows what is finished: a replay then evicts the same.
    public void Evict(long maxEventTime, IChangeSink? sink)
    {
        while (_finished.Count > 0)
        {
            var (time, entry) = _finished.First;
            var isKept = maxEventTime == long.MinValue || time > maxEventTime - retentionMs;
            if (isKept && _finishedCount <= FinishedMax)
            {
                return;
            }

            _finished.RemoveFirst();
            Dequeued(entry);
            if (_entries[entry].QueuedAt == time && IsLive(entry) && IsFinished(entry))
            {
                sink?.Remove(KeyBytesOf(entry), StartOf(entry), EndOf(entry));
                Drop(entry);
            }
            else
            {
                FreeIfUnused(entry);
            }
        }
    }

    public void BeginSnapshot()
    {
        _snapshotAt = 0;

        // Entries that get later slots come with later commits.
        _snapshotEnd = _entries.Count;
    }

    public (int Count, bool IsLast) WriteSnapshotPart(ByteBuffer to, int maxBytes)
    {
        var limit = to.Length + maxBytes;
        var slotLimit = (int)Math.Min(_snapshotEnd, (long)_snapshotAt + SlotsPerPartMax);
        var count = 0;
        for (; _snapshotAt < slotLimit && to.Length < limit; _snapshotAt++)
        {
            if (IsLive(_snapshotAt))
            {
                WritePut(to, _snapshotAt);
                count++;
            }
        }

        return (count, _snapshotAt >= _snapshotEnd);
    }

    public void Query(ReadOnlySpan<byte> key, long from, long to, int limit, List<StateEntry> entries, long afterEnd)
    {
        for (var entry = FirstFrom(key, from); entry >= 0 && StartOf(entry) < to && entries.Count < limit; entry = Next(entry))
        {
            if (StartOf(entry) != from || EndOf(entry) > afterEnd || afterEnd == long.MinValue)
            {
                entries.Add(new StateEntry(StartOf(entry), EndOf(entry), _values.ToArray(_entries[entry].Value!), IsFinished(entry)));
            }
        }
    }

    public void ReadChanges(ByteReader ops, int count, IChangeSink sink)
    {
        for (; count > 0; count--)
        {
            var kind = ops.ReadByte();
            var start = ops.ReadInt64();
            if (kind == ExpireOp)
            {
                TellExpired(sink);
                continue;
            }

            var end = ops.ReadInt64();
            var key = ops.ReadBlock();
            if (kind is PutOp or PutFinishedOp)
            {
                sink.Put(key, start, end, ops.ReadBlock(), kind == PutFinishedOp);
            }
            else if (kind == FinishOp && Find(key, start, end) is var entry and >= 0)
            {
                sink.Put(key, start, end, _values.ToArray(_entries[entry].Value!), isFinal: true);
            }
            else
            {
                sink.Remove(key, start, end);
            }
        }
    }

    /// <summary>Notes an entry that is about to expire, when somebody follows the store: the journal does not say which ones do.</summary>
    private void NoteExpired(int entry)
    {
        if ((_entries[entry].State & EntryStates.Stored) == 0)
        {
            return;
        }

        if (!IsFollowed || _expiredRowCount == ExpiredRowsMax || _expiredRows.Length >= ExpiredBytesMax)
        {
            _isExpiryUntold = true;
            return;
        }

        _expiredRows.WriteInt64(_entries[entry].Start);
        _expiredRows.WriteInt64(_entries[entry].End);
        _expiredRows.WriteBlock(KeyBytesOf(entry));
        _expiredRowCount++;
    }

    private void TellExpired(IChangeSink sink)
    {
        if (_isExpiryUntold)
        {
            sink.Forget();
        }
        else
        {
            for (var rows = new ByteReader(_expiredRows.Span); !rows.IsAtEnd;)
            {
                var (start, end) = (rows.ReadInt64(), rows.ReadInt64());
                sink.Remove(rows.ReadBlock(), start, end);
            }
        }

        ForgetExpired();
    }

    private void ForgetExpired()
    {
        _expiredRows.Clear();
        _expiredRowCount = 0;
        _isExpiryUntold = false;
    }

    private int DrainEntries(ByteBuffer to, bool areFinished)
    {
        var count = 0;
        foreach (var entry in _dirty)
        {
            var state = _entries[entry].State;
            if (IsFinished(entry) != areFinished)
            {
                continue;
            }

            _entries[entry].State &= ~EntryStates.Listed;
            if ((state & EntryStates.Live) == 0)
            {
                FreeIfUnused(entry);
                continue;
            }

            if ((state & EntryStates.ValueStored) != 0)
            {
                WriteIdentity(to, FinishOp, entry);
            }
            else
            {
                WritePut(to, entry);
            }

            _entries[entry].State = (_entries[entry].State & ~EntryStates.Dirty) | EntryStates.Stored | EntryStates.ValueStored;
            count++;
        }

        return count;
    }

    private void ApplyPut(ReadOnlySpan<byte> key, long start, long end, ReadOnlySpan<byte> value, bool isFinished)
    {
        var entry = FindOrAdd(key, start, end, out _);
        _entries[entry].Value = _values.Read(value, entry);
        if (isFinished && !IsFinished(entry))
        {
            Finish(entry);
        }
    }

    /// <summary>What is restored is committed already.</summary>
    private void ForgetChanges()
    {
        _expiredTo = long.MinValue;
        ForgetExpired();
        _removedOps.Clear();
        _removedOpCount = 0;
        foreach (var entry in _dirty)
        {
            _entries[entry].State &= ~(EntryStates.Listed | EntryStates.Dirty);
            if (IsLive(entry))
            {
                _entries[entry].State |= EntryStates.Stored | EntryStates.ValueStored;
            }
            else
            {
                FreeIfUnused(entry);
            }
        }

        _dirty.Clear();
    }

    private void WritePut(ByteBuffer to, int entry)
    {
        WriteIdentity(to, IsFinished(entry) ? PutFinishedOp : PutOp, entry);
        _values.Write(to, entry, _entries[entry].Value!);
    }

    private void WriteIdentity(ByteBuffer to, byte kind, int entry)
    {
        to.WriteByte(kind);
        to.WriteInt64(_entries[entry].Start);
        to.WriteInt64(_entries[entry].End);
        to.WriteBlock(KeyBytesOf(entry));
    }

    private void NoteRemoved(int entry)
    {
        if ((_entries[entry].State & EntryStates.Stored) != 0)
        {
            WriteIdentity(_removedOps, RemoveOp, entry);
            _removedOpCount++;
        }
    }

    private void MarkDirty(int entry, EntryStates set, EntryStates clear)
    {
        ref var state = ref _entries[entry].State;
        state = (state | set) & ~clear;
        if ((state & EntryStates.Listed) == 0)
        {
            state |= EntryStates.Listed;
            _dirty.Add(entry);
        }
    }

    private int AddBehind(int slot, int before, long start, long end)
    {
        var entry = _freeEntry;
        if (entry >= 0)
        {
            _freeEntry = _entries[entry].After;
        }
        else
        {
            entry = _entries.Add(default);
        }

        _entries[entry] = new Entry { Start = start, End = end, State = EntryStates.Live, QueuedAt = NotQueued };
        Link(slot, before, entry);
        Enqueue(_open, entry);
        _openCount++;
        MarkDirty(entry, EntryStates.Dirty, 0);
        return entry;
    }

    private void Link(int slot, int before, int entry)
    {
        ref var chain = ref _keys[slot];
        ref var added = ref _entries[entry];
        added.Key = slot;
        added.Before = before;
        added.After = before < 0 ? chain.First : _entries[before].After;
        if (before < 0)
        {
            chain.First = entry;
        }
        else
        {
            _entries[before].After = entry;
        }

        if (added.After < 0)
        {
            chain.Last = entry;
        }
        else
        {
            _entries[added.After].Before = entry;
        }
    }

    private void Unlink(int entry)
    {
        ref var removed = ref _entries[entry];
        ref var chain = ref _keys[removed.Key];
        if (removed.Before < 0)
        {
            chain.First = removed.After;
        }
        else
        {
            _entries[removed.Before].After = removed.After;
        }

        if (removed.After < 0)
        {
            chain.Last = removed.Before;
        }
        else
        {
            _entries[removed.After].Before = removed.Before;
        }
    }

    /// <summary>Takes an entry out of everything but the queues and the list of changes, which give it up when they meet it.</summary>
    private void Drop(int entry)
    {
        Unlink(entry);
        ref var dropped = ref _entries[entry];
        var key = dropped.Key;
        _openCount -= IsFinished(entry) ? 0 : 1;
        _finishedCount -= IsFinished(entry) ? 1 : 0;
        dropped.State &= EntryStates.Listed;
        dropped.Value = default;
        dropped.QueuedAt = NotQueued;
        _values.Forget(entry);
        if (_keys[key].First < 0)
        {
            RemoveKey(key);
        }

        FreeIfUnused(entry);
    }

    private bool IsLive(int entry) => (_entries[entry].State & EntryStates.Live) != 0;

    private void Enqueue(TimeHeap queue, int entry)
    {
        var time = ReferenceEquals(queue, _open) ? ExpiryOf(entry) : _entries[entry].End;
        _entries[entry].QueuedAt = time;
        _entries[entry].QueuedTimes++;
        queue.Add(time, entry);
    }

    private void Dequeued(int entry) => _entries[entry].QueuedTimes--;

    private void FreeIfUnused(int entry)
    {
        ref var free = ref _entries[entry];
        if (free.QueuedTimes == 0 && (free.State & (EntryStates.Live | EntryStates.Listed)) == 0 && free.Key != None)
        {
            free.Key = None;
            free.After = _freeEntry;
            _freeEntry = entry;
        }
    }

    /// <summary>Drops what is void at the head of the queue, and puts back what was moved to a later time.</summary>
    private void Clean()
    {
        while (_open.Count > 0)
        {
            var (time, entry) = _open.First;
            var isValid = IsLive(entry) && !IsFinished(entry) && _entries[entry].QueuedAt == time;
            if (isValid && ExpiryOf(entry) == time)
            {
                return;
            }

            _open.RemoveFirst();
            Dequeued(entry);
            if (isValid)
            {
                Enqueue(_open, entry);
            }
            else
            {
                FreeIfUnused(entry);
            }
        }
    }
}
