using System.Diagnostics.CodeAnalysis;
using System.Runtime.InteropServices;
using OrleansStreams.Records;

namespace OrleansStreams.Processing.State;

/// <summary>
/// Values by key, in memory: the store of tables and of processors. Keys are their serialized bytes, values stand typed in slots and are serialized only when a commit
/// or a snapshot writes them; an update allocates nothing, and a commit writes what changed since the last one.
/// <code>
///  put     kind byte = 1 | key length int32 | key | value length int32 | value
///  delete  kind byte = 2 | key length int32 | key
/// </code>
/// A store holds no nulls: a null value is a deletion.
/// </summary>
internal sealed class KeyValueStore<TKey, TValue>(string name, ISerde<TKey> keySerde, ISerde<TValue> valueSerde) : IStateStore, IKeyedStore, IServedStore
{
    private const byte PutOp = 1;
    private const byte DeleteOp = 2;

    // What a slot is: changed since the last commit; deleted since then, which the next commit is to say; in the journal.
    private const byte Dirty = 1;
    private const byte Deleted = 2;
    private const byte Stored = 4;

    // A kind and a length.
    private const int OpHeadBytes = 5;

    // See KeyTable.Warm.
    private const int KeysAhead = 32;

    // A part of a snapshot may meet nothing but free slots.
    private const int SlotsPerPartMax = 1 << 20;

    private readonly KeyTable<TValue?> _table = new();
    private readonly ValueSizes<TValue> _values = new(valueSerde);
    private readonly List<int> _dirty = [];
    private readonly ByteBuffer _key = new();
    private OrderedSlots? _ordered;
    private int _deleted;
    private int _snapshotAt;
    private int _snapshotEnd;
    private bool _keepsOrder;

    public string Name => name;

    public string ValueSerde => valueSerde.Name;

    public int SchemaVersion => 1;

    public long Entries => _table.Count - _deleted;

    public long PendingBytes => _values.PendingBytes(_dirty.Count);

    public long Bytes => _table.Bytes + _values.Bytes;

    public bool IsFollowed { get; set; }

    public ISerde<TKey> KeySerde => keySerde;

    string? IServedStore.KeySerde => keySerde.Name;

    /// <summary>The bytes of a key, good until the next call.</summary>
    public ReadOnlySpan<byte> BytesOf(TKey key)
    {
        _key.Clear();
        keySerde.Serialize(key, _key);
        return _key.Span;
    }

    /// <summary>The slot of a key that has a value, or -1. It is the key's as long as the key has a value.</summary>
    public int Find(ReadOnlySpan<byte> key)
    {
        var slot = _table.Find(key);
        return slot >= 0 && !Is(slot, Deleted) ? slot : -1;
    }

    /// <summary>The value of a slot.</summary>
    public TValue ValueOf(int slot) => _table[slot]!;

    /// <summary>The key of a slot.</summary>
    public TKey KeyOf(int slot) => keySerde.Deserialize(_table.KeyOf(slot));

    /// <summary>The key's bytes of a slot, good until its deletion is committed.</summary>
    public ReadOnlySpan<byte> KeyBytesOf(int slot) => _table.KeyOf(slot);

    public bool TryGet(ReadOnlySpan<byte> key, [MaybeNullWhen(false)] out TValue value)
    {
        var slot = Find(key);
        value = slot < 0 ? default : _table[slot]!;
        return slot >= 0;
    }

    /// <summary>Sets the value of a slot.</summary>
    public void Set(int slot, TValue value)
    {
        _table[slot] = value;
        MarkDirty(slot);
    }

    /// <summary>Sets the value of a key.</summary>
    /// <returns>Its slot.</returns>
    public int Put(ReadOnlySpan<byte> key, TValue value)
    {
        var slot = _table.FindOrAdd(key, out var isNew);
        if (Is(slot, Deleted))
        {
            _table.FlagsOf(slot) &= unchecked((byte)~Deleted);
            _deleted--;
            isNew = true;
        }

        _table[slot] = value;
        MarkDirty(slot);
        if (isNew)
        {
            _ordered?.Add(slot);
        }

        return slot;
    }

    /// <summary>Deletes a key. False when it had no value.</summary>
    public bool Remove(ReadOnlySpan<byte> key, [MaybeNullWhen(false)] out TValue old)
    {
        var slot = Find(key);
        if (slot < 0)
        {
            old = default;
            return false;
        }

        old = _table[slot]!;
        RemoveAt(slot);
        return true;
    }

    /// <summary>Deletes the key of a slot.</summary>
    public void RemoveAt(int slot)
    {
        _ordered?.Remove(slot);
        _table[slot] = default;
        _values.Forget(slot);
        _table.FlagsOf(slot) |= Deleted;
        _deleted++;
        MarkDirty(slot);
    }

    /// <summary>
    /// The slots of the keys in [from, to) in the order of their bytes, or against it; null is no bound. Unless the order is kept, the first call brings all keys into it, and from then on every new key
    /// costs some 100 ns more. The store may be changed meanwhile: keys that come or go are met or not.
    /// </summary>
    public IEnumerable<int> Range(byte[]? from = null, byte[]? to = null, bool isDescending = false)
    {
        _keepsOrder = true;
        Order(int.MaxValue);
        return _ordered!.Range(from, to, isDescending);
    }

    /// <summary>Keeps the order of keys from the beginning, so that the first range after a restore costs no more than others.</summary>
    public void KeepOrder()
    {
        _keepsOrder = true;
        Order(int.MaxValue);
    }

    public bool Order(int slotsMax) => (_ordered ??= new OrderedSlots(_table, slot => _table.IsUsed(slot) && !Is(slot, Deleted))).Build(slotsMax);

    public void DropOrder() => _ordered = _keepsOrder ? _ordered : null;

    public void Warm(ReadOnlySpan<uint> hashes) => _table.Warm(hashes);

    public int DrainOps(ByteBuffer to)
    {
        var count = 0;
        var begin = to.Length;
        var dirty = CollectionsMarshal.AsSpan(_dirty);
        for (var at = 0; at < dirty.Length; at++)
        {
            if (at % KeysAhead == 0)
            {
                _table.Warm(dirty.Slice(at, Math.Min(KeysAhead, dirty.Length - at)));
            }

            var slot = dirty[at];
            if (Is(slot, Deleted))
            {
                if (Is(slot, Stored))
                {
                    to.WriteByte(DeleteOp);
                    to.WriteBlock(_table.KeyOf(slot));
                    count++;
                }

                _deleted--;
                _table.Remove(slot);
                continue;
            }

            _table.FlagsOf(slot) = Stored;
            WritePut(to, slot);
            count++;
        }

        _dirty.Clear();
        _values.LearnOps(to.Length - begin, count);
        return count;
    }

    public void Apply(ref ByteReader ops, int count)
    {
        var bytes = 0L;
        var left = count;
        for (var ahead = 0; left > 0; left--, ahead--)
        {
            if (ahead == 0)
            {
                WarmNext(ops, left);
                ahead = KeysAhead;
            }

            var kind = ops.ReadByte();
            var key = ops.ReadBlock();
            bytes += OpHeadBytes + key.Length;
            switch (kind)
            {
                case PutOp:
                    var value = ops.ReadBlock();
                    var slot = _table.FindOrAdd(key, out var isNew);
                    _table[slot] = _values.Read(value, slot);
                    _table.FlagsOf(slot) = Stored;
                    bytes += sizeof(int) + value.Length;
                    if (isNew)
                    {
                        _ordered?.Add(slot);
                    }

                    break;
                case DeleteOp:
                    slot = _table.Find(key);
                    if (slot >= 0)
                    {
                        _ordered?.Remove(slot);
                        _values.Forget(slot);
                        _table.Remove(slot);
                    }

                    break;
                default:
                    throw ByteReader.Damaged();
            }
        }

        _values.LearnOps(bytes, count);
    }

    public void Evict(long maxEventTime, IChangeSink? sink)
    {
        // Nothing is kept for queries alone.
    }

    public void BeginSnapshot()
    {
        _snapshotAt = 0;

        // Keys that get later slots come with later commits.
        _snapshotEnd = _table.SlotCount;
    }

    public (int Count, bool IsLast) WriteSnapshotPart(ByteBuffer to, int maxBytes)
    {
        var limit = to.Length + maxBytes;
        var slotLimit = (int)Math.Min(_snapshotEnd, (long)_snapshotAt + SlotsPerPartMax);
        var count = 0;
        for (; _snapshotAt < slotLimit && to.Length < limit; _snapshotAt++)
        {
            if (_table.IsUsed(_snapshotAt))
            {
                WritePut(to, _snapshotAt);
                count++;
            }
        }

        return (count, _snapshotAt >= _snapshotEnd);
    }

    public void Query(ReadOnlySpan<byte> key, long from, long to, int limit, List<StateEntry> entries, long afterEnd)
    {
        var slot = Find(key);
        if (slot >= 0 && entries.Count < limit)
        {
            entries.Add(new StateEntry(-1, -1, _values.ToArray(_table[slot]!), false));
        }
    }

    public void Scan(StorePage page)
    {
        foreach (var slot in _ordered!.Range(page.FromKey, page.ToKey, isDescending: false))
        {
            if (page.Offer(_table.KeyOf(slot), -1, -1))
            {
                page.Add(_table.KeyOf(slot), -1, -1, false, _values.ToArray(_table[slot]!));
            }

            if (page.IsDone)
            {
                return;
            }
        }
    }

    public void ReadChanges(ByteReader ops, int count, IChangeSink sink)
    {
        for (; count > 0; count--)
        {
            var isPut = ops.ReadByte() == PutOp;
            var key = ops.ReadBlock();
            if (isPut)
            {
                sink.Put(key, -1, -1, ops.ReadBlock(), false);
            }
            else
            {
                sink.Remove(key, -1, -1);
            }
        }
    }

    private void WarmNext(ByteReader ops, int count)
    {
        Span<uint> hashes = stackalloc uint[Math.Min(count, KeysAhead)];
        foreach (ref var hash in hashes)
        {
            var isPut = ops.ReadByte() == PutOp;
            hash = ByteKeys.Hash(ops.ReadBlock());
            if (isPut)
            {
                ops.ReadBlock();
            }
        }

        _table.Warm(hashes);
    }

    private bool Is(int slot, byte flag) => (_table.FlagsOf(slot) & flag) != 0;

    private void MarkDirty(int slot)
    {
        ref var flags = ref _table.FlagsOf(slot);
        if ((flags & Dirty) == 0)
        {
            flags |= Dirty;
            _dirty.Add(slot);
        }
    }

    private void WritePut(ByteBuffer to, int slot)
    {
        to.WriteByte(PutOp);
        to.WriteBlock(_table.KeyOf(slot));
        _values.Write(to, slot, _table[slot]!);
    }
}
