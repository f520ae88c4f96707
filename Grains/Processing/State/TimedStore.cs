using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using OrleansStreams.Records;

namespace OrleansStreams.Processing.State;

/// <summary>By which of its times an entry of a <see cref="TimedStore{TKey, TValue}"/> expires.</summary>
internal enum TimedOrder
{
    /// <summary>By its start: join buffers, whose second number only tells entries of one time apart.</summary>
    Start,

    /// <summary>By its end: windows and sessions.</summary>
    End,
}

/// <summary>
/// Entries by key and time, in memory: windows, sessions, join buffers. An entry is known by its key, its start and its end (or, in a buffer, a sequence among
/// those of one start). The entries of a key form a chain in the order of (start, end), which is searched from its nearer end; all entries together are taken out in the
/// order in which they expire. Like <see cref="KeyValueStore{TKey, TValue}"/>, a change allocates nothing, and a commit writes what changed.
/// <code>
///  put      kind byte = 1, or 2 when finished | start int64 | end int64 | key length int32 | key | value length int32 | value
///  remove   kind byte = 3                     | start int64 | end int64 | key length int32 | key
///  finish   kind byte = 4                     | start int64 | end int64 | key length int32 | key
///  expire   kind byte = 5 | time int64        every entry that is not finished and expires at or before the time is gone
/// </code>
/// A commit has what was removed first, then what was finished, its expiry, and the open entries as they are. Slots of entries are ints, good until the entry is removed; -1 is none.
/// </summary>
/// <param name="name">The store's name.</param>
/// <param name="order">By which time entries expire.</param>
/// <param name="retentionMs">How long after its time a finished entry can be queried, in event time; 0 forgets it at once.</param>
/// <param name="keySerde">For keys.</param>
/// <param name="valueSerde">For values.</param>
internal sealed partial class TimedStore<TKey, TValue>(string name, TimedOrder order, long retentionMs, ISerde<TKey> keySerde, ISerde<TValue> valueSerde) : IStateStore, IKeyedStore, IServedStore
{
    private const int None = -1;
    private const long NotQueued = long.MinValue;

    private readonly KeyTable<Chain> _keys = new();
    private readonly ChunkedArray<Entry> _entries = new();
    private readonly TimeHeap _open = new();
    private readonly TimeHeap _finished = new();
    private readonly ValueSizes<TValue> _values = new(valueSerde);
    private readonly List<int> _dirty = [];
    private readonly ByteBuffer _removedOps = new();
    private readonly ByteBuffer _key = new();
    private ChunkedArray<TKey?>? _keyObjects;
    private OrderedSlots? _ordered;
    private long _keyObjectBytes;
    private int _removedOpCount;
    private long _expiredTo = long.MinValue;
    private int _freeEntry = None;
    private int _openCount;
    private int _finishedCount;

    [Flags]
    private enum EntryStates : byte
    {
        Live = 1,

        /// <summary>Stands in the list of changes.</summary>
        Listed = 2,

        /// <summary>To be written with the next commit.</summary>
        Dirty = 4,

        /// <summary>In the journal under its present start and end.</summary>
        Stored = 8,

        /// <summary>Kept for queries alone.</summary>
        Finished = 16,

        /// <summary>Its value is in the journal; only that it is finished is not.</summary>
        ValueStored = 32,
    }

    public string Name => name;

    public string ValueSerde => valueSerde.Name;

    public int SchemaVersion => 2;

    public long Entries => _openCount + _finishedCount;

    /// <summary>Entries that are not finished.</summary>
    public int OpenEntries => _openCount;

    public long PendingBytes => _removedOps.Length + _values.PendingBytes(_dirty.Count);

    public long Bytes =>
        _keys.Bytes + (_entries.Capacity * Unsafe.SizeOf<Entry>()) + _open.Bytes + _finished.Bytes + _values.Bytes + _keyObjectBytes + ((_keyObjects?.Capacity ?? 0) * Unsafe.SizeOf<TKey>());

    public bool IsFollowed { get; set; }

    public ISerde<TKey> KeySerde => keySerde;

    string? IServedStore.KeySerde => keySerde.Name;

    /// <summary>The earliest time at which an entry that is not finished expires, or long.MaxValue.</summary>
    public long NextExpiry
    {
        get
        {
            Clean();
            return _open.Count == 0 ? long.MaxValue : _open.First.Time;
        }
    }

    /// <summary>The bytes of a key, good until the next call.</summary>
    public ReadOnlySpan<byte> BytesOf(TKey key)
    {
        _key.Clear();
        keySerde.Serialize(key, _key);
        return _key.Span;
    }

    /// <summary>The entry, finished or not, or -1.</summary>
    public int Find(ReadOnlySpan<byte> key, long start, long end)
    {
        var slot = _keys.Find(key);
        var entry = slot < 0 ? None : FirstInChain(slot, start);
        while (entry >= 0 && _entries[entry].Start == start && _entries[entry].End < end)
        {
            entry = _entries[entry].After;
        }

        return entry >= 0 && _entries[entry].Start == start && _entries[entry].End == end ? entry : None;
    }

    /// <summary>The first entry of a key whose start is at or after a time, finished or not, or -1.</summary>
    public int FirstFrom(ReadOnlySpan<byte> key, long start)
    {
        var slot = _keys.Find(key);
        return slot < 0 ? None : FirstInChain(slot, start);
    }

    /// <summary>The last entry of a key, finished or not, or -1.</summary>
    public int Last(ReadOnlySpan<byte> key)
    {
        var slot = _keys.Find(key);
        return slot < 0 ? None : _keys[slot].Last;
    }

    /// <summary>The next entry of the same key in the order of start and end, or -1.</summary>
    public int Next(int entry) => _entries[entry].After;

    /// <summary>The entry of the same key before, or -1.</summary>
    public int Previous(int entry) => _entries[entry].Before;

    public long StartOf(int entry) => _entries[entry].Start;

    public long EndOf(int entry) => _entries[entry].End;

    /// <summary>Whether it is kept for queries alone.</summary>
    public bool IsFinished(int entry) => (_entries[entry].State & EntryStates.Finished) != 0;

    public TKey KeyOf(int entry)
    {
        var slot = _entries[entry].Key;
        return _keyObjects is { } objects && slot < objects.Count && objects[slot] is { } key ? key : keySerde.Deserialize(_keys.KeyOf(slot));
    }

    /// <summary>The key of an entry, for who asks again and again: an object is made once, and kept as long as the key has entries.</summary>
    public TKey KeptKeyOf(int entry)
    {
        var slot = _entries[entry].Key;
        if (typeof(TKey).IsValueType)
        {
            return keySerde.Deserialize(_keys.KeyOf(slot));
        }

        _keyObjects ??= new();
        while (_keyObjects.Count <= slot)
        {
            _keyObjects.Add(default);
        }

        return _keyObjects[slot] ?? KeepKey(slot);
    }

    /// <summary>The key's bytes, good until the entry is removed.</summary>
    public ReadOnlySpan<byte> KeyBytesOf(int entry) => _keys.KeyOf(_entries[entry].Key);

    public TValue ValueOf(int entry) => _entries[entry].Value;

    /// <summary>The entry's value, to be changed in place; good until the next entry is added.</summary>
    public ref TValue Touch(int entry)
    {
        MarkDirty(entry, EntryStates.Dirty, EntryStates.ValueStored);
        return ref _entries[entry].Value;
    }

    public void Set(int entry, TValue value) => Touch(entry) = value;

    /// <summary>Sets the value of an entry, which is added when there is none.</summary>
    /// <returns>The entry.</returns>
    public int Put(ReadOnlySpan<byte> key, long start, long end, TValue value)
    {
        var entry = FindOrAdd(key, start, end, out _);
        Touch(entry) = value;
        return entry;
    }

    /// <summary>The entry, which is added with the type's default value when there is none. Its value becomes part of the next commit.</summary>
    public int Touch(ReadOnlySpan<byte> key, long start, long end, out bool isNew)
    {
        TouchValue(key, start, end, out var entry, out isNew);
        return entry;
    }

    /// <summary>As <see cref="Touch(ReadOnlySpan{byte}, long, long, out bool)"/>, with the value to be changed in place; good until the next entry is added.</summary>
    public ref TValue TouchValue(ReadOnlySpan<byte> key, long start, long end, out int entry, out bool isNew)
    {
        var slot = FindOrAddKey(key);
        entry = _keys[slot].Last;
        if (entry >= 0)
        {
            // Nearly always: the key's last window, which has changed in this commit already or changes now.
            ref var last = ref _entries[entry];
            if (last.Start == start && last.End == end)
            {
                isNew = false;
                if ((last.State & (EntryStates.Listed | EntryStates.Dirty | EntryStates.ValueStored)) != (EntryStates.Listed | EntryStates.Dirty))
                {
                    MarkDirty(entry, EntryStates.Dirty, EntryStates.ValueStored);
                }

                return ref last.Value;
            }
        }

        entry = FindOrAdd(slot, start, end, out isNew);
        MarkDirty(entry, EntryStates.Dirty, EntryStates.ValueStored);
        return ref _entries[entry].Value;
    }

    /// <summary>As <see cref="Touch(ReadOnlySpan{byte}, long, long, out bool)"/>, for an entry of the same key that stands behind one which is known: no key is looked up.</summary>
    /// <param name="before">An entry that is not behind the wanted one; the search goes on from there.</param>
    /// <param name="start">The wanted entry's start.</param>
    /// <param name="end">Its end.</param>
    /// <param name="isNew">Whether it was added.</param>
    public int TouchBehind(int before, long start, long end, out bool isNew)
    {
        for (var next = _entries[before].After; next >= 0 && !IsAfter(next, start, end); next = _entries[before].After)
        {
            before = next;
        }

        isNew = _entries[before].Start != start || _entries[before].End != end;
        var entry = isNew ? AddBehind(_entries[before].Key, before, start, end) : before;
        MarkDirty(entry, EntryStates.Dirty, EntryStates.ValueStored);
        return entry;
    }

    /// <summary>The value of an entry that was touched, to be changed in place; good until the next entry is added.</summary>
    public ref TValue Touched(int entry) => ref _entries[entry].Value;

    /// <summary>Adds an entry behind those of the same key and start; the sequence that tells it from them stands in its end.</summary>
    public int Append(ReadOnlySpan<byte> key, long start, TValue value)
    {
        var slot = FindOrAddKey(key);
        var before = _keys[slot].Last;
        while (before >= 0 && _entries[before].Start > start)
        {
            before = _entries[before].Before;
        }

        var sequence = before >= 0 && _entries[before].Start == start ? _entries[before].End + 1 : 0;
        var entry = AddBehind(slot, before, start, sequence);
        Touch(entry) = value;
        return entry;
    }

    /// <summary>Gives an entry another start and end, as a session that has grown: cheaper than to remove and to add it. No other entry of the key may be there.</summary>
    public void Move(int entry, long start, long end)
    {
        NoteRemoved(entry);
        var slot = _entries[entry].Key;
        Unlink(entry);
        _entries[entry].Start = start;
        _entries[entry].End = end;
        var before = _keys[slot].Last;
        while (before >= 0 && IsAfter(before, start, end))
        {
            before = _entries[before].Before;
        }

        Link(slot, before, entry);
        _entries[entry].State &= ~EntryStates.Stored;
        MarkDirty(entry, EntryStates.Dirty, EntryStates.ValueStored);
        if (ExpiryOf(entry) < _entries[entry].QueuedAt)
        {
            // A later time is taken up when the earlier one comes.
            Enqueue(_open, entry);
        }
    }

    /// <summary>Removes an entry.</summary>
    public void Remove(int entry)
    {
        NoteRemoved(entry);
        Drop(entry);
    }

    /// <summary>
    /// Takes the entries with the earliest expiry, if that is at or before a time, in the order of key bytes, start and end. Each of them must then be removed, finished or moved to
    /// a later time, one by one or by <see cref="Expire"/>.
    /// </summary>
    /// <param name="upTo">The last time that is due.</param>
    /// <param name="entries">Cleared and filled.</param>
    /// <param name="time">Their expiry.</param>
    public bool TakeExpired(long upTo, List<int> entries, out long time)
    {
        entries.Clear();
        time = NextExpiry;
        if (time > upTo || time == long.MaxValue)
        {
            return false;
        }

        do
        {
            var entry = _open.First.Slot;
            _open.RemoveFirst();
            _entries[entry].QueuedTimes--;
            _entries[entry].QueuedAt = NotQueued;
            entries.Add(entry);
        }
        while (NextExpiry == time);
        entries.Sort(CompareEntries);
        return true;
    }

    /// <summary>Removes what <see cref="TakeExpired"/> gave, with one operation in the journal.</summary>
    /// <param name="entries">All that were taken.</param>
    /// <param name="time">Their expiry. Nothing that expires before may be left.</param>
    public void Expire(List<int> entries, long time)
    {
        foreach (var entry in entries)
        {
            NoteExpired(entry);
            Drop(entry);
        }

        _expiredTo = Math.Max(_expiredTo, time);
    }

    /// <summary>Removes every entry that expires at or before a time and is not finished, in no order.</summary>
    public void ExpireUpTo(long time)
    {
        while (NextExpiry <= time && _open.Count > 0)
        {
            NoteExpired(_open.First.Slot);
            Drop(_open.First.Slot);
            _expiredTo = Math.Max(_expiredTo, time);
        }
    }

    /// <summary>Keeps an entry for queries alone, for the retention.</summary>
    public void Finish(int entry)
    {
        if (retentionMs <= 0)
        {
            Remove(entry);
            return;
        }

        MarkDirty(entry, EntryStates.Finished, 0);
        _openCount--;
        _finishedCount++;
        Enqueue(_finished, entry);
    }

    public void Warm(ReadOnlySpan<uint> hashes) => _keys.Warm(hashes);

    private int FindOrAddKey(ReadOnlySpan<byte> key)
    {
        var slot = _keys.FindOrAdd(key, out var isNew);
        if (isNew)
        {
            NewKey(slot);
        }

        return slot;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void NewKey(int slot)
    {
        _keys[slot] = Chain.Empty;
        _ordered?.Add(slot);
    }

    private int FindOrAdd(ReadOnlySpan<byte> key, long start, long end, out bool isNew) => FindOrAdd(FindOrAddKey(key), start, end, out isNew);

    private int FindOrAdd(int slot, long start, long end, out bool isNew)
    {
        var before = _keys[slot].Last;
        while (before >= 0 && IsAfter(before, start, end))
        {
            before = _entries[before].Before;
        }

        isNew = before < 0 || _entries[before].Start != start || _entries[before].End != end;
        return isNew ? AddBehind(slot, before, start, end) : before;
    }

    private int FirstInChain(int slot, long start)
    {
        var chain = _keys[slot];
        if (chain.First < 0 || _entries[chain.Last].Start < start)
        {
            return None;
        }

        var entry = chain.First;
        if (start <= _entries[entry].Start)
        {
            return entry;
        }

        // From the end that is nearer in time.
        if (start - _entries[entry].Start < _entries[chain.Last].Start - start)
        {
            while (_entries[entry].Start < start)
            {
                entry = _entries[entry].After;
            }

            return entry;
        }

        entry = chain.Last;
        for (var before = _entries[entry].Before; before >= 0 && _entries[before].Start >= start; before = _entries[entry].Before)
        {
            entry = before;
        }

        return entry;
    }

    private bool IsAfter(int entry, long start, long end)
    {
        ref var other = ref _entries[entry];
        return other.Start > start || (other.Start == start && other.End > end);
    }

    private int CompareEntries(int x, int y)
    {
        if (_entries[x].Key != _entries[y].Key)
        {
            return _keys.Compare(_entries[x].Key, _entries[y].Key);
        }

        return _entries[x].Start != _entries[y].Start ? _entries[x].Start.CompareTo(_entries[y].Start) : _entries[x].End.CompareTo(_entries[y].End);
    }

    private long ExpiryOf(int entry) => order == TimedOrder.Start ? _entries[entry].Start : _entries[entry].End;

    private struct Chain
    {
        public int First;
        public int Last;

        public static Chain Empty => new() { First = None, Last = None };
    }

    private struct Entry
    {
        public long Start;
        public long End;

        /// <summary>The time under which it stands in the queue that takes it out; what else stands there of it is void.</summary>
        public long QueuedAt;
        public int Key;
        public int Before;
        public int After;

        /// <summary>How often it stands in queues. Its slot is used again only when it is in none.</summary>
        public int QueuedTimes;
        public EntryStates State;
        [AllowNull]
        public TValue Value;
    }
}
