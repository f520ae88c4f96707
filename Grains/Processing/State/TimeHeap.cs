namespace OrleansStreams.Processing.State;

/// <summary>
/// The earliest of many times: a binary heap, in memory that is never copied. Times that come in about their own order cost one comparison each.
/// </summary>
internal sealed class TimeHeap
{
    private readonly ChunkedArray<(long Time, int Slot)> _items = new();

    public int Count => _items.Count;

    public long Bytes => _items.Capacity * 16;

    public (long Time, int Slot) First => _items[0];

    public void Add(long time, int slot)
    {
        var at = _items.Add((time, slot));
        while (at > 0)
        {
            var parent = (at - 1) / 2;
            if (_items[parent].Time <= time)
            {
                break;
            }

            _items[at] = _items[parent];
            at = parent;
        }

        _items[at] = (time, slot);
    }

    public void RemoveFirst()
    {
        var last = _items[_items.Count - 1];
        _items.RemoveLast();
        var count = _items.Count;
        if (count == 0)
        {
            return;
        }

        var at = 0;
        for (var child = 1; child < count; child = (2 * at) + 1)
        {
            if (child + 1 < count && _items[child + 1].Time < _items[child].Time)
            {
                child++;
            }

            if (_items[child].Time >= last.Time)
            {
                break;
            }

            _items[at] = _items[child];
            at = child;
        }

        _items[at] = last;
    }
}
