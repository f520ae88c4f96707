using System.Diagnostics.CodeAnalysis;
using System.Numerics;
using System.Runtime.CompilerServices;
using OrleansStreams.Records;

namespace OrleansStreams.Processing.State;

/// <summary>
/// The windows of one store, in memory. An event finds its window by the raw bytes of its key: a key is deserialized when its first window opens, an aggregate is
/// serialized when it is committed or emitted, and an event that hits an open window allocates nothing (some 20-30 ns).
/// <code>
///  key bytes -> _keyBuckets -> KeyEntry (bytes, key, its last used window) -> hit when that window has the start
///                                                    else (key, start) -> _windowBuckets -> WindowEntry (aggregate)
///  start -> the indexes of its windows, for closing
/// </code>
/// </summary>
internal sealed class WindowStore<TKey, TAggregate>(string name, long sizeMs, long retentionMs, IDeserializer<TKey> keyDeserializer, ISerde<TAggregate> valueSerde) : IStateStore, IServedStore
{
    /// <summary>Closed windows kept at most, whatever the retention.</summary>
    private const long ClosedWindowsMax = 1_000_000;

    // Rough: an array's header and a key of 16 bytes; two references, a shared key and the value's array.
    private const long KeyObjectBytes = 40;
    private const long ClosedWindowBytes = 64;

    private readonly ClosedWindows _closed = new();
    private readonly Dictionary<long, StartWindows> _starts = [];
    private readonly PriorityQueue<long, long> _startQueue = new();
    private readonly List<int> _dirty = [];
    private readonly ByteBuffer _closedOps = new();
    private readonly ByteBuffer _scratch = new();
    private readonly ValueSizes<TAggregate> _values = new(valueSerde);
    private int _closedOpCount;

    private int[] _keyBuckets = new int[64];
    private KeyEntry[] _keys = new KeyEntry[64];
    private int _keyCount;
    private int _freeKey = -1;

    private int[] _windowBuckets = new int[64];
    private WindowEntry[] _windows = new WindowEntry[64];
    private int _windowCount;
    private int _freeWindow = -1;
    private int _openCount;

    private int _snapshotIndex;
    private (long Start, int Index)? _snapshotClosed;
    private long _snapshotClosedThrough;

    public string Name => name;

    public string ValueSerde => valueSerde.Name;

    public string? KeySerde => (keyDeserializer as ISerde<TKey>)?.Name;

    public int SchemaVersion => 1;

    public long Entries => _openCount + _closed.Count;

    public long Bytes =>
        (_keys.Length * (long)(Unsafe.SizeOf<KeyEntry>() + sizeof(int))) + (_windows.Length * (long)(Unsafe.SizeOf<WindowEntry>() + sizeof(int))) +
        (_keyCount * KeyObjectBytes) + _values.BytesOf(_openCount) + (_closed.Count * ClosedWindowBytes);

    public long PendingBytes => _closedOps.Length + (64L * _dirty.Count);

    /// <summary>The earliest start of an open window, or long.MaxValue.</summary>
    public long FirstOpenStart { get; private set; } = long.MaxValue;

    /// <summary>The window of a key and a start, which becomes part of the next commit.</summary>
    /// <param name="keyBytes">The key's bytes.</param>
    /// <param name="start">The window's start.</param>
    /// <param name="key">The key.</param>
    /// <param name="isNew">Whether the window was opened by this call; its aggregate is the type's default then.</param>
    public ref TAggregate Touch(ReadOnlySpan<byte> keyBytes, long start, out TKey key, out bool isNew)
    {
        var keyIndex = FindOrAddKey(keyBytes);
        ref var entry = ref _keys[keyIndex];
        key = entry.Key;
        var index = entry.LastWindow;
        isNew = false;
        if (index < 0 || _windows[index].Start != start)
        {
            index = FindWindow(keyIndex, start);
            if (index < 0)
            {
                index = AddWindow(keyIndex, start);
                isNew = true;
            }

            _keys[keyIndex].LastWindow = index;
        }

        ref var window = ref _windows[index];
        if (!window.IsDirty)
        {
            window.IsDirty = true;
            _dirty.Add(index);
        }

        return ref window.Aggregate;
    }

    /// <summary>The windows of the earliest start, in the order of their key bytes; they stay open until <see cref="Close"/>.</summary>
    public List<int> FirstOpenWindows()
    {
        var windows = _starts[FirstOpenStart].Indexes;
        windows.Sort((x, y) => _keys[_windows[x].Key].Bytes.AsSpan().SequenceCompareTo(_keys[_windows[y].Key].Bytes));
        return windows;
    }

    public void Read(int window, out TKey key, out TAggregate aggregate)
    {
        key = _keys[_windows[window].Key].Key;
        aggregate = _windows[window].Aggregate;
    }

    /// <summary>Closes the windows of the earliest start, given in the order of their key bytes.</summary>
    public void Close(List<int> windows)
    {
        var start = FirstOpenStart;
        foreach (var index in windows)
        {
            var keyBytes = _keys[_windows[index].Key].Bytes;
            var value = Serialize(_windows[index].Aggregate);
            _closedOps.WriteByte((byte)WindowOp.Closed);
            _closedOps.WriteInt64(start);
            _closedOps.WriteBlock(keyBytes);
            _closedOps.WriteBlock(value);
            _closedOpCount++;
            if (retentionMs > 0)
            {
                _closed.Add(start, keyBytes, value.ToArray());
            }

            RemoveWindow(index);
        }

        RemoveStart(start);
    }

    public int DrainOps(ByteBuffer to)
    {
        var count = _closedOpCount;
        to.WriteBytes(_closedOps.Span);
        _closedOps.Clear();
        _closedOpCount = 0;
        foreach (var index in _dirty)
        {
            // A window that closed meanwhile is among the closed ones; its slot may serve another by now, which then stands in the list itself.
            ref var window = ref _windows[index];
            if (window.IsDirty)
            {
                window.IsDirty = false;
                WriteOpen(to, index);
                count++;
            }
        }

        _dirty.Clear();
        return count;
    }

    public void Apply(ref ByteReader ops, int count)
    {
        for (; count > 0; count--)
        {
            var kind = (WindowOp)ops.ReadByte();
            var start = ops.ReadInt64();
            var key = ops.ReadBlock();
            var value = ops.ReadBlock();
            switch (kind)
            {
                case WindowOp.Open:
                    Touch(key, start, out _, out _) = valueSerde.Deserialize(value);
                    break;
                case WindowOp.Closed:
                    RestoreClosed(start, key, value);
                    break;
                default:
                    throw ByteReader.Damaged();
            }
        }

        // What is restored is committed already.
        foreach (var index in _dirty)
        {
            _windows[index].IsDirty = false;
        }

        _dirty.Clear();
    }

    public void Evict(long maxEventTime)
    {
        if (_closed.Count > 0 && maxEventTime != long.MinValue)
        {
            _closed.Evict(maxEventTime - retentionMs - sizeMs + 1, ClosedWindowsMax);
        }
    }

    public void BeginSnapshot()
    {
        _snapshotIndex = 0;
        _snapshotClosed = (long.MinValue, 0);

        // What closes later stands in later commits.
        _snapshotClosedThrough = _closed.LastStart;
    }

    public (int Count, bool IsLast) WriteSnapshotPart(ByteBuffer to, int maxBytes)
    {
        var limit = to.Length + maxBytes;
        var count = 0;
        for (; _snapshotIndex < _windowCount; _snapshotIndex++)
        {
            if (to.Length >= limit)
            {
                return (count, false);
            }

            if (_windows[_snapshotIndex].Key >= 0)
            {
                WriteOpen(to, _snapshotIndex);
                count++;
            }
        }

        if (_snapshotClosed is { } from)
        {
            _snapshotClosed = _closed.Write(to, from.Start, from.Index, _snapshotClosedThrough, Math.Max(limit - to.Length, 1), ref count);
        }

        return (count, _snapshotClosed is null);
    }

    public void Query(ReadOnlySpan<byte> key, long from, long to, int limit, List<StateEntry> entries)
    {
        _closed.Query(key, from, to, sizeMs, limit, entries);
        var keyIndex = FindKey(key, ByteKeys.Hash(key));
        if (keyIndex < 0)
        {
            return;
        }

        // Every open start is later than every closed one.
        foreach (var start in _starts.Keys.Where(start => start >= from && start < to).Order())
        {
            if (entries.Count >= limit)
            {
                return;
            }

            var index = FindWindow(keyIndex, start);
            if (index >= 0)
            {
                entries.Add(new StateEntry(start, start + sizeMs, Serialize(_windows[index].Aggregate).ToArray(), false));
            }
        }
    }

    public void Scan(StorePage page)
    {
        _closed.Scan(page, sizeMs);
        foreach (var (start, windows) in _starts)
        {
            if (!page.WantsStart(start))
            {
                continue;
            }

            foreach (var index in windows.Indexes)
            {
                var key = _keys[_windows[index].Key].Bytes;
                if (page.Wants(key, start, start + sizeMs))
                {
                    page.Add(key, start, start + sizeMs, false, () => Serialize(_windows[index].Aggregate).ToArray());
                }
            }
        }
    }

    public void ReadChanges(ByteReader ops, int count, IChangeSink sink)
    {
        for (; count > 0; count--)
        {
            var isFinal = (WindowOp)ops.ReadByte() == WindowOp.Closed;
            var start = ops.ReadInt64();
            var key = ops.ReadBlock();
            sink.Put(key, start, start + sizeMs, ops.ReadBlock(), isFinal);
        }
    }

    private void RestoreClosed(long start, ReadOnlySpan<byte> key, ReadOnlySpan<byte> value)
    {
        var keyBytes = key.ToArray();
        var keyIndex = FindKey(key, ByteKeys.Hash(key));
        var index = keyIndex < 0 ? -1 : FindWindow(keyIndex, start);
        if (index >= 0)
        {
            keyBytes = _keys[keyIndex].Bytes;

            // The list keeps the index: all windows of a start close in one entry, so the list is gone before anybody looks at it.
            RemoveWindow(index);
            if (--_starts[start].Open == 0)
            {
                RemoveStart(start);
            }
        }

        if (retentionMs > 0)
        {
            _closed.Add(start, keyBytes, value.ToArray());
        }
    }

    private void WriteOpen(ByteBuffer to, int index)
    {
        to.WriteByte((byte)WindowOp.Open);
        to.WriteInt64(_windows[index].Start);
        to.WriteBlock(_keys[_windows[index].Key].Bytes);
        _values.WriteBlock(to, _windows[index].Aggregate);
    }

    private ReadOnlySpan<byte> Serialize(TAggregate aggregate)
    {
        _scratch.Clear();
        valueSerde.Serialize(aggregate, _scratch);
        return _scratch.Span;
    }

    private int FindKey(ReadOnlySpan<byte> bytes, uint hash)
    {
        var keys = _keys;
        for (var index = _keyBuckets[hash & (uint)(_keyBuckets.Length - 1)] - 1; index >= 0; index = keys[index].Next)
        {
            ref var entry = ref keys[index];
            if (entry.Hash == hash && bytes.SequenceEqual(entry.Bytes))
            {
                return index;
            }
        }

        return -1;
    }

    private int FindOrAddKey(ReadOnlySpan<byte> bytes)
    {
        var hash = ByteKeys.Hash(bytes);
        var index = FindKey(bytes, hash);
        return index >= 0 ? index : AddKey(bytes, hash);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private int AddKey(ReadOnlySpan<byte> bytes, uint hash)
    {
        var key = keyDeserializer.Deserialize(bytes);
        var index = _freeKey;
        if (index >= 0)
        {
            _freeKey = _keys[index].Next;
        }
        else
        {
            if (_keyCount == _keys.Length)
            {
                Array.Resize(ref _keys, 2 * _keyCount);
                RehashKeys();
            }

            index = _keyCount++;
        }

        ref var bucket = ref _keyBuckets[hash & (uint)(_keyBuckets.Length - 1)];
        _keys[index] = new KeyEntry { Hash = hash, Next = bucket - 1, Bytes = bytes.ToArray(), Key = key, LastWindow = -1, Windows = 0 };
        bucket = index + 1;
        return index;
    }

    private void RehashKeys()
    {
        // Called when every slot is in use, so each belongs to a chain.
        _keyBuckets = new int[BitOperations.RoundUpToPowerOf2((uint)_keys.Length)];
        for (var i = 0; i < _keyCount; i++)
        {
            ref var bucket = ref _keyBuckets[_keys[i].Hash & (uint)(_keyBuckets.Length - 1)];
            _keys[i].Next = bucket - 1;
            bucket = i + 1;
        }
    }

    private int FindWindow(int key, long start)
    {
        var windows = _windows;
        for (var index = _windowBuckets[ByteKeys.Hash(key, start) & (uint)(_windowBuckets.Length - 1)] - 1; index >= 0; index = windows[index].Next)
        {
            if (windows[index].Key == key && windows[index].Start == start)
            {
                return index;
            }
        }

        return -1;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private int AddWindow(int key, long start)
    {
        var index = _freeWindow;
        if (index >= 0)
        {
            _freeWindow = _windows[index].Next;
        }
        else
        {
            if (_windowCount == _windows.Length)
            {
                Array.Resize(ref _windows, 2 * _windowCount);
                RehashWindows();
            }

            index = _windowCount++;
        }

        ref var bucket = ref _windowBuckets[ByteKeys.Hash(key, start) & (uint)(_windowBuckets.Length - 1)];
        _windows[index] = new WindowEntry { Key = key, Start = start, Next = bucket - 1 };
        bucket = index + 1;
        _keys[key].Windows++;
        _openCount++;
        if (!_starts.TryGetValue(start, out var siblings))
        {
            _starts.Add(start, siblings = new StartWindows());
            _startQueue.Enqueue(start, start);
            FirstOpenStart = Math.Min(FirstOpenStart, start);
        }

        siblings.Indexes.Add(index);
        siblings.Open++;
        return index;
    }

    private void RehashWindows()
    {
        _windowBuckets = new int[BitOperations.RoundUpToPowerOf2((uint)_windows.Length)];
        for (var i = 0; i < _windowCount; i++)
        {
            ref var bucket = ref _windowBuckets[ByteKeys.Hash(_windows[i].Key, _windows[i].Start) & (uint)(_windowBuckets.Length - 1)];
            _windows[i].Next = bucket - 1;
            bucket = i + 1;
        }
    }

    private void RemoveWindow(int index)
    {
        var key = _windows[index].Key;
        ref var link = ref _windowBuckets[ByteKeys.Hash(key, _windows[index].Start) & (uint)(_windowBuckets.Length - 1)];
        if (link - 1 == index)
        {
            link = _windows[index].Next + 1;
        }
        else
        {
            var before = link - 1;
            while (_windows[before].Next != index)
            {
                before = _windows[before].Next;
            }

            _windows[before].Next = _windows[index].Next;
        }

        _windows[index] = new WindowEntry { Key = -1, Next = _freeWindow };
        _freeWindow = index;
        _openCount--;
        _keys[key].LastWindow = -1;
        if (--_keys[key].Windows == 0)
        {
            RemoveKey(key);
        }
    }

    private void RemoveKey(int index)
    {
        ref var link = ref _keyBuckets[_keys[index].Hash & (uint)(_keyBuckets.Length - 1)];
        if (link - 1 == index)
        {
            link = _keys[index].Next + 1;
        }
        else
        {
            var before = link - 1;
            while (_keys[before].Next != index)
            {
                before = _keys[before].Next;
            }

            _keys[before].Next = _keys[index].Next;
        }

        _keys[index] = new KeyEntry { Bytes = [], Key = default!, Next = _freeKey, LastWindow = -1 };
        _freeKey = index;
    }

    private void RemoveStart(long start)
    {
        _starts.Remove(start);
        while (_startQueue.TryPeek(out var first, out _) && !_starts.ContainsKey(first))
        {
            _startQueue.Dequeue();
        }

        FirstOpenStart = _startQueue.TryPeek(out var next, out _) ? next : long.MaxValue;
    }

    private sealed class StartWindows
    {
        public List<int> Indexes { get; } = [];

        public int Open { get; set; }
    }

    private struct KeyEntry
    {
        public uint Hash;
        public int Next;
        public int LastWindow;
        public int Windows;
        public byte[] Bytes;
        [AllowNull]
        public TKey Key;
    }

    private struct WindowEntry
    {
        public long Start;
        public int Key;
        public int Next;
        public bool IsDirty;
        [AllowNull]
        public TAggregate Aggregate;
    }
}
