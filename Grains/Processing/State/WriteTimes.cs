using OrleansStreams.Processing.Operators;
using OrleansStreams.Topologies;

namespace OrleansStreams.Processing.State;

/// <summary>A store whose entries live for a time.</summary>
internal interface IMortal<in TKey>
{
    /// <summary>Forgets a key.</summary>
    /// <param name="keyBytes">The key's bytes, good until the call returns.</param>
    /// <param name="key">The key.</param>
    /// <param name="timeMs">When its time had come.</param>
    void Forget(ReadOnlySpan<byte> keyBytes, TKey key, long timeMs);
}

/// <summary>
/// When each key of a store was written last, in a store of its own beside it, so that a restore knows it:
/// <code>
///  key | start = latest event time of its writes | end = 0  ->  nothing
/// </code>
/// A write costs a look-up and, with a later time, a change of that entry, whose place in the queue is put right only when its old time comes; to forget a key costs O(log n) of the number of keys.
/// </summary>
internal sealed class WriteTimes<TKey>(TimedStore<TKey, Present> times, long timeToLiveMs, StepClock clock) : IEventTimeStep, IRestoredStep
{
    // Written before the first event: forgotten with the first watermark unless written again before.
    private const long BeforeAll = -2 * EventTimes.Max;

    private readonly List<int> _due = [];
    private IMortal<TKey>? _store;

    /// <summary>The watermark at which the first key may have to go.</summary>
    public long NextDue { get; private set; } = long.MaxValue;

    /// <summary>Says whose keys these are.</summary>
    public void Guard(IMortal<TKey> store) => _store = store;

    /// <summary>A key was written.</summary>
    public void Written(ReadOnlySpan<byte> key, long timeMs)
    {
        timeMs = Math.Max(timeMs, BeforeAll);
        var entry = times.Last(key);
        if (entry < 0)
        {
            times.Put(key, timeMs, 0, default);
        }
        else if (times.StartOf(entry) < timeMs)
        {
            times.Move(entry, timeMs, 0);
        }

        NextDue = Math.Min(NextDue, timeMs + timeToLiveMs);
    }

    /// <summary>A key was deleted.</summary>
    public void Deleted(ReadOnlySpan<byte> key)
    {
        if (times.Last(key) is >= 0 and var entry)
        {
            times.Remove(entry);
        }
    }

    /// <summary>Forgets what was not written for too long, by time and key bytes.</summary>
    public void OnWatermark(long watermark)
    {
        if (clock.IsEnding)
        {
            // That nothing comes any more is no time that has passed.
            NextDue = long.MaxValue;
            return;
        }

        while (times.TakeExpired(watermark - timeToLiveMs, _due, out var time))
        {
            foreach (var entry in _due)
            {
                _store!.Forget(times.KeyBytesOf(entry), times.KeyOf(entry), time + timeToLiveMs);
            }

            times.Expire(_due, time);
        }

        Restored();
    }

    public void Restored()
    {
        var first = times.NextExpiry;
        NextDue = first == long.MaxValue ? first : first + timeToLiveMs;
    }
}
