namespace OrleansStreams.Processing.State;

/// <summary>
/// Closed windows, kept for queries. A window start closes once, for all its keys, in the order of key bytes, and starts close in their order: so this is a sorted list of
/// sorted lists, and nothing is ever inserted in between.
/// </summary>
internal sealed class ClosedWindows
{
    private readonly List<Bucket> _buckets = [];

    public long Count { get; private set; }

    /// <summary>The latest start that closed, or long.MinValue.</summary>
    public long LastStart => _buckets.Count == 0 ? long.MinValue : _buckets[^1].Start;

    public void Add(long start, byte[] key, byte[] value)
    {
        var bucket = _buckets.Count > 0 && _buckets[^1].Start == start ? _buckets[^1] : BucketOf(start);
        if (bucket.Keys.Count > 0 && bucket.Keys[^1].AsSpan().SequenceCompareTo(key) >= 0)
        {
            // Only a replayed snapshot repeats what is there.
            var at = bucket.Find(key);
            if (at >= 0)
            {
                bucket.Values[at] = value;
                return;
            }

            bucket.Keys.Insert(~at, key);
            bucket.Values.Insert(~at, value);
            Count++;
            return;
        }

        bucket.Keys.Add(key);
        bucket.Values.Add(value);
        Count++;
    }

    /// <summary>Forgets whole starts, the oldest first.</summary>
    public void Evict(long startsBelow, long countMax)
    {
        var evicted = 0;
        while (evicted < _buckets.Count && (_buckets[evicted].Start < startsBelow || Count > countMax))
        {
            Count -= _buckets[evicted++].Keys.Count;
        }

        if (evicted > 0)
        {
            _buckets.RemoveRange(0, evicted);
        }
    }

    public void Query(ReadOnlySpan<byte> key, long from, long to, long size, int limit, List<StateEntry> entries)
    {
        for (var i = LowerBound(from); i < _buckets.Count && _buckets[i].Start < to && entries.Count < limit; i++)
        {
            var at = _buckets[i].Find(key);
            if (at >= 0)
            {
                entries.Add(new StateEntry(_buckets[i].Start, _buckets[i].Start + size, _buckets[i].Values[at], true));
            }
        }
    }

    /// <summary>Offers the entries of a page's range of starts.</summary>
    public void Scan(StorePage page, long size)
    {
        for (var i = LowerBound(page.FromMs); i < _buckets.Count && _buckets[i].Start < page.ToMs; i++)
        {
            var bucket = _buckets[i];
            for (var at = 0; at < bucket.Keys.Count; at++)
            {
                if (page.Wants(bucket.Keys[at], bucket.Start, bucket.Start + size))
                {
                    var value = bucket.Values[at];
                    page.Add(bucket.Keys[at], bucket.Start, bucket.Start + size, true, () => value);
                }
            }
        }
    }

    /// <summary>Writes entries from a position on, up to a start; answers where to go on, or null at the end.</summary>
    public (long Start, int Index)? Write(ByteBuffer to, long fromStart, int fromIndex, long throughStart, int maxBytes, ref int count)
    {
        var limit = to.Length + maxBytes;
        for (var i = LowerBound(fromStart); i < _buckets.Count && _buckets[i].Start <= throughStart; i++)
        {
            var bucket = _buckets[i];
            for (var k = bucket.Start == fromStart ? fromIndex : 0; k < bucket.Keys.Count; k++)
            {
                if (to.Length >= limit)
                {
                    return (bucket.Start, k);
                }

                to.WriteByte((byte)WindowOp.Closed);
                to.WriteInt64(bucket.Start);
                to.WriteBlock(bucket.Keys[k]);
                to.WriteBlock(bucket.Values[k]);
                count++;
            }
        }

        return null;
    }

    private Bucket BucketOf(long start)
    {
        var at = LowerBound(start);
        if (at < _buckets.Count && _buckets[at].Start == start)
        {
            return _buckets[at];
        }

        var bucket = new Bucket(start);
        _buckets.Insert(at, bucket);
        return bucket;
    }

    private int LowerBound(long start)
    {
        var low = 0;
        var high = _buckets.Count;
        while (low < high)
        {
            var middle = (low + high) / 2;
            if (_buckets[middle].Start < start)
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

    private sealed class Bucket(long start)
    {
        public long Start { get; } = start;

        public List<byte[]> Keys { get; } = [];

        public List<byte[]> Values { get; } = [];

        /// <summary>The key's index, or the complement of where it would stand.</summary>
        public int Find(ReadOnlySpan<byte> key)
        {
            var low = 0;
            var high = Keys.Count - 1;
            while (low <= high)
            {
                var middle = (low + high) / 2;
                var order = Keys[middle].AsSpan().SequenceCompareTo(key);
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
}
