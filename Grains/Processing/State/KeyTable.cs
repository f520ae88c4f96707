using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace OrleansStreams.Processing.State;

/// <summary>
/// Finds what belongs to a key by the key's bytes. A look-up or a change of what is there allocates nothing, and no call costs more because the table is large: it is
/// a linear hash table (W. Litwin, "Linear hashing: a new tool for file and table addressing", 1980), which grows by splitting one bucket for each key that
/// comes, in memory that is never copied. Keys of up to 8 bytes stand in their slots, longer ones in a <see cref="KeyArena"/>; slots never move.
/// </summary>
internal sealed class KeyTable<TPayload> : ISlotKeys
{
    private const int InlineBytes = sizeof(ulong);
    private const int NoKey = -1;

    // Longer chains are rare.
    private const int WarmRounds = 4;

    private readonly ChunkedArray<Slot> _slots = new();
    private readonly ChunkedArray<int> _buckets = new();
    private readonly KeyArena _arena = new();
    private uint _lowMask;
    private uint _highMask = 1;
    private int _freeSlot = -1;

    public KeyTable() => _buckets.Add(0);

    /// <summary>Keys in the table.</summary>
    public int Count { get; private set; }

    /// <summary>Slots in use or free: every key's slot is below.</summary>
    public int SlotCount => _slots.Count;

    /// <summary>Bytes of memory held.</summary>
    public long Bytes => (_slots.Capacity * Unsafe.SizeOf<Slot>()) + (_buckets.Capacity * sizeof(int)) + _arena.Bytes;

    /// <summary>What belongs to a slot. The reference is good until the next key is added.</summary>
    public ref TPayload this[int slot]
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => ref _slots[slot].Payload;
    }

    /// <summary>A byte beside it, for whoever uses the table: it costs no memory. The reference is good until the next key is added.</summary>
    public ref byte FlagsOf(int slot) => ref _slots[slot].Flags;

    /// <summary>Whether the slot holds a key.</summary>
    public bool IsUsed(int slot) => _slots[slot].Length != NoKey;

    /// <summary>The key of a slot; good until the slot is removed.</summary>
    public ReadOnlySpan<byte> KeyOf(int slot)
    {
        ref var entry = ref _slots[slot];
        return entry.Length <= InlineBytes
            ? MemoryMarshal.CreateReadOnlySpan(ref Unsafe.As<ulong, byte>(ref entry.Bits), entry.Length)
            : _arena.Get(entry.Bits, entry.Length);
    }

    /// <summary>The order of the bytes of two slots' keys.</summary>
    public int Compare(int x, int y)
    {
        var one = KeyOf(x);
        var other = KeyOf(y);
        return one.Length == InlineBytes && other.Length == InlineBytes
            ? BinaryPrimitives.ReadUInt64BigEndian(one).CompareTo(BinaryPrimitives.ReadUInt64BigEndian(other))
            : one.SequenceCompareTo(other);
    }

    /// <summary>The key's slot, or -1.</summary>
    public int Find(ReadOnlySpan<byte> key) => Find(key, ByteKeys.Hash(key));

    /// <summary>The key's slot, which is new when there was none.</summary>
    public int FindOrAdd(ReadOnlySpan<byte> key, out bool isNew)
    {
        var hash = ByteKeys.Hash(key);
        var slot = Find(key, hash);
        isNew = slot < 0;
        return isNew ? Add(key, hash) : slot;
    }

    /// <summary>
    /// Brings what keys with these hashes need into the processor's caches. Of a table that is larger than those, each look-up waits twice for memory, longer than all else that happens
    /// to a record; looked at together, before any of them is used, the loads overlap. Round by round: the buckets, the first slots of all, the second ones of those that are not found
    /// yet. Within a round nothing depends on what is loaded: a branch on it, mispredicted, would wait for each load on its own.
    /// </summary>
    /// <returns>Nothing of use: it is there so that the loads are.</returns>
    public int Warm(ReadOnlySpan<uint> hashes)
    {
        Span<int> slots = stackalloc int[hashes.Length];
        Span<uint> wanted = stackalloc uint[hashes.Length];
        var left = 0;
        foreach (var hash in hashes)
        {
            slots[left] = _buckets[BucketOf(hash)] - 1;
            wanted[left] = hash;
            left += slots[left] >= 0 ? 1 : 0;
        }

        var sum = 0;
        for (var round = 0; left > 0 && round < WarmRounds; round++)
        {
            sum += Warm(slots[..left]);
            var found = left;
            left = 0;
            for (var i = 0; i < found; i++)
            {
                ref var entry = ref _slots[slots[i]];
                var isOver = entry.Hash == wanted[i] | entry.Next < 0;
                slots[left] = entry.Next;
                wanted[left] = wanted[i];
                left += isOver ? 0 : 1;
            }
        }

        return sum;
    }

    /// <summary>As <see cref="Warm(ReadOnlySpan{uint})"/>, for slots that are known.</summary>
    public int Warm(ReadOnlySpan<int> slots)
    {
        var sum = 0;
        foreach (var slot in slots)
        {
            // Every other slot stands across two lines of the cache.
            ref var first = ref Unsafe.As<Slot, byte>(ref _slots[slot]);
            sum += first + Unsafe.Add(ref first, Unsafe.SizeOf<Slot>() - 1);
        }

        return sum;
    }

    /// <summary>Removes the key of a slot.</summary>
    public void Remove(int slot)
    {
        ref var entry = ref _slots[slot];
        ref var link = ref _buckets[BucketOf(entry.Hash)];
        if (link - 1 == slot)
        {
            link = entry.Next + 1;
        }
        else
        {
            var before = link - 1;
            while (_slots[before].Next != slot)
            {
                before = _slots[before].Next;
            }

            _slots[before].Next = entry.Next;
        }

        if (entry.Length > InlineBytes)
        {
            _arena.Remove(entry.Bits, entry.Length);
        }

        entry = new Slot { Length = NoKey, Next = _freeSlot };
        _freeSlot = slot;
        Count--;
    }

    private int Find(ReadOnlySpan<byte> key, uint hash)
    {
        var slot = _buckets[BucketOf(hash)] - 1;
        if (key.Length <= InlineBytes)
        {
            var bits = Inline(key);
            while (slot >= 0)
            {
                ref var entry = ref _slots[slot];
                if (entry.Bits == bits && entry.Length == key.Length)
                {
                    return slot;
                }

                slot = entry.Next;
            }

            return -1;
        }

        while (slot >= 0)
        {
            ref var entry = ref _slots[slot];
            if (entry.Hash == hash && entry.Length == key.Length && key.SequenceEqual(_arena.Get(entry.Bits, key.Length)))
            {
                return slot;
            }

            slot = entry.Next;
        }

        return -1;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private int Add(ReadOnlySpan<byte> key, uint hash)
    {
        if (Count >= _buckets.Count)
        {
            SplitBucket();
        }

        var slot = _freeSlot;
        if (slot >= 0)
        {
            _freeSlot = _slots[slot].Next;
        }
        else
        {
            slot = _slots.Add(default);
        }

        ref var bucket = ref _buckets[BucketOf(hash)];
        _slots[slot] = new Slot { Bits = key.Length <= InlineBytes ? Inline(key) : _arena.Add(key), Hash = hash, Next = bucket - 1, Length = key.Length };
        bucket = slot + 1;
        Count++;
        return slot;
    }

    /// <summary>Adds a bucket and moves to it what belongs there, from the one bucket that held it.</summary>
    private void SplitBucket()
    {
        var to = (uint)_buckets.Count;
        if (to > _highMask)
        {
            _lowMask = _highMask;
            _highMask = (_highMask << 1) | 1;
        }

        var from = (int)(to & _lowMask);
        var stays = 0;
        var moves = 0;
        for (var slot = _buckets[from] - 1; slot >= 0;)
        {
            ref var entry = ref _slots[slot];
            var next = entry.Next;
            if ((entry.Hash & _highMask) == to)
            {
                entry.Next = moves - 1;
                moves = slot + 1;
            }
            else
            {
                entry.Next = stays - 1;
                stays = slot + 1;
            }

            slot = next;
        }

        _buckets[from] = stays;
        _buckets.Add(moves);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private int BucketOf(uint hash)
    {
        var bucket = hash & _highMask;
        return (int)(bucket < (uint)_buckets.Count ? bucket : hash & _lowMask);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong Inline(ReadOnlySpan<byte> key)
    {
        if (key.Length == sizeof(ulong))
        {
            return MemoryMarshal.Read<ulong>(key);
        }

        var bits = 0UL;
        key.CopyTo(MemoryMarshal.AsBytes(new Span<ulong>(ref bits)));
        return bits;
    }

    private struct Slot
    {
        public ulong Bits;
        public uint Hash;
        public int Next;
        public int Length;
        public byte Flags;
        public TPayload Payload;
    }
}
