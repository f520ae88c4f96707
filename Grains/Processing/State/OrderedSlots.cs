namespace OrleansStreams.Processing.State;

/// <summary>
/// Slots in the order of their keys' bytes: sorted leaves in a sorted list. Made when somebody first asks for an order, and kept up from then on: most stores are
/// never asked, and shall not pay for it. A key costs a search and the shift of half a leaf; a leaf that is split, once in some hundred keys, shifts the list of leaves.
/// </summary>
internal sealed class OrderedSlots
{
    private const int LeafMax = 512;

    private readonly Func<int, byte[]> _copyKey;
    private readonly Comparison<int> _compare;
    private readonly KeyOrder _order;
    private readonly List<List<int>> _leaves = [];
    private int _version;

    /// <param name="slots">All slots of keys.</param>
    /// <param name="order">Compares a slot's key with bytes.</param>
    /// <param name="compare">Compares the keys of two slots.</param>
    /// <param name="copyKey">The key of a slot.</param>
    public OrderedSlots(List<int> slots, KeyOrder order, Comparison<int> compare, Func<int, byte[]> copyKey)
    {
        _order = order;
        _compare = compare;
        _copyKey = copyKey;
        slots.Sort(compare);
        for (var at = 0; at < slots.Count; at += LeafMax / 2)
        {
            _leaves.Add(slots.GetRange(at, Math.Min(LeafMax / 2, slots.Count - at)));
        }
    }

    /// <summary>Compares a slot's key with bytes.</summary>
    public delegate int KeyOrder(int slot, ReadOnlySpan<byte> key);

    public void Add(int slot)
    {
        _version++;
        if (_leaves.Count == 0)
        {
            _leaves.Add([slot]);
            return;
        }

        var number = LeafOf(slot);
        var leaf = _leaves[number];
        leaf.Insert(~IndexIn(leaf, slot), slot);
        if (leaf.Count > LeafMax)
        {
            _leaves.Insert(number + 1, leaf.GetRange(LeafMax / 2, leaf.Count - (LeafMax / 2)));
            leaf.RemoveRange(LeafMax / 2, leaf.Count - (LeafMax / 2));
        }
    }

    /// <summary>Removes a slot whose key is still there.</summary>
    public void Remove(int slot)
    {
        _version++;
        var number = LeafOf(slot);
        var leaf = _leaves[number];
        leaf.RemoveAt(IndexIn(leaf, slot));
        if (leaf.Count == 0)
        {
            _leaves.RemoveAt(number);
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
            var slot = _leaves[leaf][index];
            var bound = isDescending ? from : to;
            if (bound is not null && (isDescending ? _order(slot, bound) < 0 : _order(slot, bound) >= 0))
            {
                yield break;
            }

            var key = _copyKey(slot);
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

    private (int Leaf, int Index) LowerBound(byte[]? key, bool isInclusive)
    {
        if (key is null || _leaves.Count == 0)
        {
            return (0, 0);
        }

        var (low, high) = (0, _leaves.Count - 1);
        while (low < high)
        {
            var middle = (low + high) / 2;
            if (IsBelow(_leaves[middle][^1], key, isInclusive))
            {
                low = middle + 1;
            }
            else
            {
                high = middle;
            }
        }

        var leaf = _leaves[low];
        var (first, last) = (0, leaf.Count);
        while (first < last)
        {
            var middle = (first + last) / 2;
            if (IsBelow(leaf[middle], key, isInclusive))
            {
                first = middle + 1;
            }
            else
            {
                last = middle;
            }
        }

        return first < leaf.Count ? (low, first) : (low + 1, 0);
    }

    private (int Leaf, int Index) BeforeLowerBound(byte[]? key)
    {
        var (leaf, index) = key is null ? (_leaves.Count, 0) : LowerBound(key, isInclusive: true);
        return index > 0 ? (leaf, index - 1) : leaf > 0 ? (leaf - 1, _leaves[leaf - 1].Count - 1) : (-1, 0);
    }

    private bool IsBelow(int slot, byte[] key, bool isInclusive)
    {
        var order = _order(slot, key);
        return isInclusive ? order < 0 : order <= 0;
    }

    private int LeafOf(int slot)
    {
        var (low, high) = (0, _leaves.Count - 1);
        while (low < high)
        {
            var middle = (low + high + 1) / 2;
            if (_compare(_leaves[middle][0], slot) <= 0)
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

    private int IndexIn(List<int> leaf, int slot)
    {
        var (low, high) = (0, leaf.Count - 1);
        while (low <= high)
        {
            var middle = (low + high) / 2;
            var order = _compare(leaf[middle], slot);
            if (order == 0)
            {
                return middle;
            }

            if (order < 0)
            {
                low = middle + 1;
            }
            else
            {
                high = middle - 1;
            }
        }

        return ~low;
    }
}
