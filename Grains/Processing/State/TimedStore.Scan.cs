namespace OrleansStreams.Processing.State;

/// <summary>Looking at all entries.</summary>
internal sealed partial class TimedStore<TKey, TValue>
{
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
}
