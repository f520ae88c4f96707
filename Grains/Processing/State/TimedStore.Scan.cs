namespace OrleansStreams.Processing.State;

/// <summary>Looking at all entries.</summary>
internal sealed partial class TimedStore<TKey, TValue>
{
    // An object's header and fields; its content is counted by its bytes.
    private const int KeyObjectBytes = 32;

    /// <summary>All entries that are not finished, by key bytes, start and end: they are sorted with each call.</summary>
    public List<int> SortedEntries()
    {
        var all = new List<int>(_openCount);
        for (var entry = 0; entry < _entries.Count; entry++)
        {
            if (IsLive(entry) && !IsFinished(entry))
            {
                all.Add(entry);
            }
        }

        all.Sort(CompareEntries);
        return all;
    }

    public bool Order(int slotsMax) => (_ordered ??= new OrderedSlots(_keys, _keys.IsUsed)).Build(slotsMax);

    public void DropOrder() => _ordered = null;

    public void Scan(StorePage page)
    {
        foreach (var slot in _ordered!.Range(page.FromKey, page.ToKey, isDescending: false))
        {
            for (var entry = FirstInChain(slot, page.FirstStartOf(_keys.KeyOf(slot))); entry >= 0 && StartOf(entry) < page.ToMs; entry = Next(entry))
            {
                if (page.Offer(_keys.KeyOf(slot), StartOf(entry), EndOf(entry)))
                {
                    page.Add(_keys.KeyOf(slot), StartOf(entry), EndOf(entry), IsFinished(entry), _values.ToArray(_entries[entry].Value!));
                }

                if (page.IsDone)
                {
                    return;
                }
            }

            page.Pass(_keys.KeyOf(slot));
            if (page.IsDone)
            {
                return;
            }
        }
    }

    private TKey KeepKey(int slot)
    {
        var bytes = _keys.KeyOf(slot);
        _keyObjectBytes += KeyObjectBytes + bytes.Length;
        return (_keyObjects![slot] = keySerde.Deserialize(bytes))!;
    }

    private void RemoveKey(int slot)
    {
        _ordered?.Remove(slot);
        if (_keyObjects is { } objects && slot < objects.Count && objects[slot] is not null)
        {
            _keyObjectBytes -= KeyObjectBytes + _keys.KeyOf(slot).Length;
            objects[slot] = default;
        }

        _keys.Remove(slot);
    }
}
