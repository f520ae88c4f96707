namespace OrleansStreams.Log.Compaction;

/// <summary>Bounds how many partitions of a silo are compacted at a time, and so the memory of their tables of keys.</summary>
internal sealed class CompactionSlots(StreamsOptions options)
{
    private int _taken;

    /// <summary>Takes a slot, or says that there is none now.</summary>
    public bool TryTake()
    {
        if (Interlocked.Increment(ref _taken) <= options.CompactionsMax)
        {
            return true;
        }

        Interlocked.Decrement(ref _taken);
        return false;
    }

    /// <summary>Gives a slot back.</summary>
    public void Release() => Interlocked.Decrement(ref _taken);
}
