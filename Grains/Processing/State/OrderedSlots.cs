using System.Buffers.Binary;

namespace OrleansStreams.Processing.State;

/// <summary>The keys of slots.</summary>
internal interface ISlotKeys
{
    /// <summary>Slots in use or free: every key's slot is below.</summary>
    int SlotCount { get; }

    /// <summary>The key of a slot that has one.</summary>
    ReadOnlySpan<byte> KeyOf(int slot);
}

/// <summary>
/// Slots in the order of their keys' bytes: sorted leaves in a sorted list. Made when somebody first asks for an order, some slots at a time, and kept up from then on: most stores are
/// never asked, and shall not pay for it, and no store shall stand still for it. The slots below a cursor are in it, those from there on are not looked at; when the cursor has come to the end, all are
/// in it. A key costs a search and the shift of half a leaf, whose first eight bytes stand in the leaf; a leaf that is split, once in some hundred keys, shifts the list of leaves.
/// </summary>
/// <param name="keys">The keys.</param>
/// <param name="isListed">Whether a slot belongs to the order, for the slots that the cursor comes to.</param>
internal sealed class OrderedSlots(ISlotKeys keys, Func<int, bool> isListed)
{
    private const int LeafMax = 512;

    private readonly List<Leaf> _leaves = [];
    private readonly List<ulong> _firsts = [];
    private readonly List<(ulong Prefix, int Slot)> _batch = [];
    private int _cursor;
    private int _version;

    /// <summary>Whether all keys are in it.</summary>
    public bool IsComplete { get; private set; }

    /// <summary>Takes up the next slots.</summary>
    /// <param name="slotsMax">How many of them to look at.</param>
    /// <returns><see cref="IsComplete"/>.</returns>
    public bool Build(int slotsMax)
    {
        if (IsComplete)
        {
            return true;
        }

        var end = (int)Math.Min(keys.SlotCount, (long)_cursor + slotsMax);
        for (; _cursor < end; _cursor++)
        {
            if (isListed(_cursor))
            {
                _batch.Add((PrefixOf(keys.KeyOf(_cursor)), _cursor));
            }
        }

        // Neighbours go to the same leaves, which the processor has at hand then.
        _batch.Sort(CompareSlots);
        foreach (var (_, slot) in _batch)
        {
            Insert(slot);
        }

        _batch.Clear();
        return IsComplete = _cursor == keys.SlotCount;
    }

    /// <summary>A slot has got a key.</summary>
    public void Add(int slot)
    {
        if (IsComplete || slot < _cursor)
        {
            Insert(slot);
        }
    }

    /// <summary>Removes a slot whose key is still there.</summary>
    public void Remove(int slot)
    {
        if (!IsComplete && slot >= _cursor)
        {
            return;
        }

        _version++;
        var key = keys.KeyOf(slot);
        var prefix = PrefixOf(key);
        var number = LeafOf(prefix, key);
        var leaf = _leaves[number];
        leaf.RemoveAt(leaf.LowerBound(this, prefix, key, isInclusive: true));
        if (leaf.Count == 0)
        {
            _leaves.RemoveAt(number);
            _firsts.RemoveAt(number);
        }
        else
        {
            _firsts[number] = leaf.Prefixes[0];
        }
    }

    /// <summary>
    /// The slots whose keys lie in [from, to), ascending or descending; null is no bound. Keys that come or go while it runs are met or not, and every other key once.
    /// </summary>
    public IEnumerable<int> Range(byte[]? from, byte[]? to, bool isDescending)
    {
        // Ascending goes on behind the last key, descending before it: found anew when the index has changed.
        var version = _version;
        var (leaf, index) = isDescending ? BeforeLowerBound(to) : LowerBound(from, isInclusive: true);
        while (leaf >= 0 && leaf < _leaves.Count)
        {
            var slot = _leaves[leaf].Slots[index];
            var bound = isDescending ? from : to;
            if (bound is not null && keys.KeyOf(slot).SequenceCompareTo(bound) is var order && (isDescending ? order < 0 : order >= 0))
            {
                yield break;
            }

            var key = keys.KeyOf(slot).ToArray();
            yield return slot;
            if (version != _version)
            {
                version = _version;
                (leaf, index) = isDescending ? BeforeLowerBound(key) : LowerBound(key, isInclusive: false);
            }
            else if (isDescending)
            {
                (leaf, index) = index > 0 ? (leaf, index - 1) : leaf > 0 ? (leaf - 1, _leaves[leaf - 1].Count - 1) : (-1, 0);
            }
            else
            {
                (leaf, index) = index + 1 < _leaves[leaf].Count ? (leaf, index + 1) : (leaf + 1, 0);
            }
        }
    }

    private void Insert(int slot)
    {
        _version++;
        var key = keys.KeyOf(slot);
        var prefix = PrefixOf(key);
        if (_leaves.Count == 0)
        {
            _leaves.Add(new Leaf());
            _firsts.Add(prefix);
        }

        var number = LeafOf(prefix, key);
        var leaf = _leaves[number];
        if (leaf.Count == LeafMax)
        {
            var upper = leaf.Split();
            _leaves.Insert(number + 1, upper);
            _firsts.Insert(number + 1, upper.Prefixes[0]);
            (number, leaf) = Compare(upper.Prefixes[0], upper.Slots[0], prefix, key) <= 0 ? (number + 1, upper) : (number, leaf);
        }

        leaf.Insert(leaf.LowerBound(this, prefix, key, isInclusive: true), prefix, slot);
        _firsts[number] = leaf.Prefixes[0];
    }

    private (int Leaf, int Index) LowerBound(byte[]? key, bool isInclusive)
    {
        if (key is null || _leaves.Count == 0)
        {
            return (0, 0);
        }

        var prefix = PrefixOf(key);
        var number = LeafOf(prefix, key);
        var index = _leaves[number].LowerBound(this, prefix, key, isInclusive);
        return index < _leaves[number].Count ? (number, index) : (number + 1, 0);
    }

    private (int Leaf, int Index) BeforeLowerBound(byte[]? key)
    {
        var (leaf, index) = key is null ? (_leaves.Count, 0) : LowerBound(key, isInclusive: true);
        return index > 0 ? (leaf, index - 1) : leaf > 0 ? (leaf - 1, _leaves[leaf - 1].Count - 1) : (-1, 0);
    }

    /// <summary>The last leaf that begins at or before a key, or the first one.</summary>
    private int LeafOf(ulong prefix, ReadOnlySpan<byte> key)
    {
        var (low, high) = (0, _leaves.Count - 1);
        while (low < high)
        {
            var middle = (low + high + 1) / 2;
            var first = _firsts[middle];
            if (first < prefix || (first == prefix && keys.KeyOf(_leaves[middle].Slots[0]).SequenceCompareTo(key) <= 0))
            {
                low = middle;
            }
            else
            {
                high = middle - 1;
            }
        }

        return low;
    }

    private int Compare(ulong slotPrefix, int slot, ulong prefix, ReadOnlySpan<byte> key) =>
        slotPrefix != prefix ? slotPrefix.CompareTo(prefix) : keys.KeyOf(slot).SequenceCompareTo(key);

    private int CompareSlots((ulong Prefix, int Slot) x, (ulong Prefix, int Slot) y) =>
        x.Prefix != y.Prefix ? x.Prefix.CompareTo(y.Prefix) : keys.KeyOf(x.Slot).SequenceCompareTo(keys.KeyOf(y.Slot));

    /// <summary>The first eight bytes of a key, as a number that has their order; equal ones say nothing.</summary>
    private static ulong PrefixOf(ReadOnlySpan<byte> key)
    {
        if (key.Length >= sizeof(ulong))
        {
            return BinaryPrimitives.ReadUInt64BigEndian(key);
        }

        Span<byte> padded = stackalloc byte[sizeof(ulong)];
        padded.Clear();
        key.CopyTo(padded);
        return BinaryPrimitives.ReadUInt64BigEndian(padded);
    }

    private sealed class Leaf
    {
        public ulong[] Prefixes { get; } = new ulong[LeafMax];

        public int[] Slots { get; } = new int[LeafMax];

        public int Count { get; private set; }

        /// <summary>The first index at or behind a key, or behind it.</summary>
        public int LowerBound(OrderedSlots order, ulong prefix, ReadOnlySpan<byte> key, bool isInclusive)
        {
            var (low, high) = (0, Count);
            while (low < high)
            {
                var middle = (low + high) / 2;
                var difference = order.Compare(Prefixes[middle], Slots[middle], prefix, key);
                if (isInclusive ? difference < 0 : difference <= 0)
                {
                    low = middle + 1;
                }
                else
                {
                    high = middle;
                }
            }

            return low;
        }

        public void Insert(int at, ulong prefix, int slot)
        {
            Array.Copy(Prefixes, at, Prefixes, at + 1, Count - at);
            Array.Copy(Slots, at, Slots, at + 1, Count - at);
            (Prefixes[at], Slots[at]) = (prefix, slot);
            Count++;
        }

        public void RemoveAt(int at)
        {
            Count--;
            Array.Copy(Prefixes, at + 1, Prefixes, at, Count - at);
            Array.Copy(Slots, at + 1, Slots, at, Count - at);
        }

        /// <summary>Gives its upper half to a leaf of its own.</summary>
        public Leaf Split()
        {
            var upper = new Leaf { Count = Count / 2 };
            Count -= upper.Count;
            Array.Copy(Prefixes, Count, upper.Prefixes, 0, upper.Count);
            Array.Copy(Slots, Count, upper.Slots, 0, upper.Count);
            return upper;
        }
    }
}
