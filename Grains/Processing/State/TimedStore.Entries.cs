namespace OrleansStreams.Processing.State;

/// <summary>All entries.</summary>
internal sealed partial class TimedStore<TKey, TValue>
{
    /// <summary>Every entry, finished or not, in no order. The store must not be changed meanwhile.</summary>
    public IEnumerable<int> All()
    {
        for (var entry = 0; entry < _entries.Count; entry++)
        {
            if (IsLive(entry))
            {
                yield return entry;
            }
        }
    }
}
