using System.Diagnostics.CodeAnalysis;
using OrleansStreams.Processing.Operators;
using OrleansStreams.Processing.State;
using OrleansStreams.Topologies;

namespace OrleansStreams.Processing.Processors;

/// <summary>A store by key and time as processors see it.</summary>
internal sealed class TimedState<TKey, TValue>(TimedStore<TKey, TValue> store, long? retentionMs, StepClock clock) : ITimedState<TKey, TValue>, IEventTimeStep, IRestoredStep
{
    public string Name => store.Name;

    public long Count => store.OpenEntries;

    /// <summary>The watermark at which the first entry is to be forgotten.</summary>
    public long NextDue { get; private set; } = long.MaxValue;

    public bool TryGet(TKey key, long startMs, long endMs, [MaybeNullWhen(false)] out TValue value)
    {
        var entry = store.Find(BytesOf(key), startMs, endMs);
        value = entry < 0 ? default : store.ValueOf(entry);
        return entry >= 0;
    }

    public void Put(TKey key, long startMs, long endMs, TValue? value)
    {
        if (endMs < startMs || startMs < -EventTimes.Max || endMs > EventTimes.Max)
        {
            throw new StreamsException(StreamsErrorCode.InvalidInput, $"The store '{Name}' was given an entry from {startMs} to {endMs}: give two times in ms since the Unix epoch, the end not before the start.");
        }

        if (value is null)
        {
            Delete(key, startMs, endMs);
            return;
        }

        store.Put(BytesOf(key), startMs, endMs, value);
        if (retentionMs is { } retention)
        {
            NextDue = Math.Min(NextDue, endMs + retention);
        }
    }

    public bool Delete(TKey key, long startMs, long endMs)
    {
        var entry = store.Find(BytesOf(key), startMs, endMs);
        if (entry >= 0)
        {
            store.Remove(entry);
        }

        return entry >= 0;
    }

    public IReadOnlyList<TimedEntry<TKey, TValue>> Range(TKey key, long fromMs, long toMs)
    {
        var entries = new List<TimedEntry<TKey, TValue>>();
        for (var entry = store.FirstFrom(BytesOf(key), fromMs); entry >= 0 && store.StartOf(entry) < toMs; entry = store.Next(entry))
        {
            entries.Add(new(key, store.StartOf(entry), store.EndOf(entry), store.ValueOf(entry)));
        }

        return entries;
    }

    public IReadOnlyList<TimedEntry<TKey, TValue>> All() => store.SortedEntries().ConvertAll(Read);

    public IReadOnlyList<TimedEntry<TKey, TValue>> TakeEnded(long upToMs)
    {
        var taken = new List<TimedEntry<TKey, TValue>>();
        var ended = new List<int>();
        while (store.TakeExpired(upToMs, ended, out var time))
        {
            taken.AddRange(ended.ConvertAll(Read));
            store.Expire(ended, time);
        }

        return taken;
    }

    public void OnWatermark(long watermark)
    {
        if (clock.IsEnding)
        {
            // That nothing comes any more is no time that has passed.
            NextDue = long.MaxValue;
            return;
        }

        store.ExpireUpTo(watermark - retentionMs!.Value);
        Restored();
    }

    public void Restored()
    {
        var first = store.NextExpiry;
        NextDue = first == long.MaxValue || retentionMs is not { } retention ? long.MaxValue : first + retention;
    }

    private TimedEntry<TKey, TValue> Read(int entry) => new(store.KeyOf(entry), store.StartOf(entry), store.EndOf(entry), store.ValueOf(entry));

    private ReadOnlySpan<byte> BytesOf(TKey key)
    {
        StateKeys.Check(key, store.Name);
        return store.BytesOf(key);
    }
}
