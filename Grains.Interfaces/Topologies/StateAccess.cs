using System.Diagnostics.CodeAnalysis;

namespace OrleansStreams.Topologies;

/// <summary>
/// A store of values by key, as a processor uses it. Changes become durable with the task's next commit, together with everything else that the task did. A key or value that was given to it or
/// taken from it must not be changed afterwards: put a new one. Enumerations go on when the store is changed meanwhile; keys that come or go are then met or not.
/// </summary>
public interface IKeyValueState<TKey, TValue>
{
    /// <summary>Its name.</summary>
    string Name { get; }

    /// <summary>The number of keys that have a value.</summary>
    long Count { get; }

    /// <summary>The value of a key; false without one.</summary>
    /// <exception cref="StreamsException">InvalidInput for a null key.</exception>
    bool TryGet(TKey key, [MaybeNullWhen(false)] out TValue value);

    /// <summary>Sets the value of a key; a null value deletes the key, as in Kafka Streams.</summary>
    /// <exception cref="StreamsException">InvalidInput for a null key.</exception>
    void Put(TKey key, TValue? value);

    /// <summary>Deletes a key.</summary>
    /// <returns>Whether it had a value.</returns>
    /// <exception cref="StreamsException">InvalidInput for a null key.</exception>
    bool Delete(TKey key);

    /// <summary>The keys whose serialized bytes lie in [from, to), in the order of their bytes. The first call sorts all keys; from then on the order is kept up.</summary>
    /// <exception cref="StreamsException">InvalidInput for a null bound.</exception>
    IEnumerable<KeyValuePair<TKey, TValue>> Range(TKey from, TKey to);

    /// <summary>All keys, in the order of their serialized bytes. The first call sorts all keys; from then on the order is kept up.</summary>
    IEnumerable<KeyValuePair<TKey, TValue>> All();
}

/// <summary>
/// A store of values by key and time, as a processor uses it: an entry is known by its key, its start and its end, and the entries of a key stand in the order of start and end. Changes become
/// durable with the task's next commit. A key or value that was given to it or taken from it must not be changed afterwards. What it gives is as of the call.
/// </summary>
public interface ITimedState<TKey, TValue>
{
    /// <summary>Its name.</summary>
    string Name { get; }

    /// <summary>The number of entries.</summary>
    long Count { get; }

    /// <summary>The value of an entry; false without one.</summary>
    /// <exception cref="StreamsException">InvalidInput for a null key.</exception>
    bool TryGet(TKey key, long startMs, long endMs, [MaybeNullWhen(false)] out TValue value);

    /// <summary>Sets the value of an entry; a null value deletes it.</summary>
    /// <param name="key">Its key.</param>
    /// <param name="startMs">Its start, ms since the Unix epoch.</param>
    /// <param name="endMs">Its end, not before its start.</param>
    /// <param name="value">Its value.</param>
    /// <exception cref="StreamsException">InvalidInput for a null key, for an end before the start, and for times that are none.</exception>
    void Put(TKey key, long startMs, long endMs, TValue? value);

    /// <summary>Deletes an entry.</summary>
    /// <returns>Whether it was there.</returns>
    /// <exception cref="StreamsException">InvalidInput for a null key.</exception>
    bool Delete(TKey key, long startMs, long endMs);

    /// <summary>The entries of a key whose start lies in [from, to), by start and end.</summary>
    /// <exception cref="StreamsException">InvalidInput for a null key.</exception>
    IReadOnlyList<TimedEntry<TKey, TValue>> Range(TKey key, long fromMs = long.MinValue, long toMs = long.MaxValue);

    /// <summary>All entries, by key bytes, start and end. Each call sorts them all.</summary>
    IReadOnlyList<TimedEntry<TKey, TValue>> All();

    /// <summary>
    /// Deletes the entries whose end is at or before a time, by end, key bytes and start: what a punctuator takes out that has come to its end. It costs as much as it gives, however large the
    /// store is.
    /// </summary>
    IReadOnlyList<TimedEntry<TKey, TValue>> TakeEnded(long upToMs);
}

/// <summary>An entry of a store by key and time.</summary>
/// <param name="Key">Its key.</param>
/// <param name="StartMs">Its start, ms since the Unix epoch.</param>
/// <param name="EndMs">Its end.</param>
/// <param name="Value">Its value.</param>
public readonly record struct TimedEntry<TKey, TValue>(TKey Key, long StartMs, long EndMs, TValue Value);
