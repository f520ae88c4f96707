using System.Diagnostics.CodeAnalysis;
using OrleansStreams.Processing.State;
using OrleansStreams.Topologies;

namespace OrleansStreams.Processing.Processors;

/// <summary>Keys in a processor's hands.</summary>
internal static class StateKeys
{
    /// <exception cref="StreamsException">InvalidInput for a null key.</exception>
    public static void Check<TKey>(TKey key, string store)
    {
        if (key is null)
        {
            throw new StreamsException(StreamsErrorCode.InvalidInput, $"The store '{store}' was given a null key: a store has no null keys; leave such records out, or give them a key.");
        }
    }
}

/// <summary>A key-value store as processors see it.</summary>
/// <param name="store">The store.</param>
/// <param name="clock">What time it is for those who write.</param>
/// <param name="times">When keys were written; null when they live for ever.</param>
internal sealed class KeyValueState<TKey, TValue>(KeyValueStore<TKey, TValue> store, ProcessorClock clock, WriteTimes<TKey>? times) : IKeyValueState<TKey, TValue>, IMortal<TKey>
{
    public string Name => store.Name;

    public long Count => store.Entries;

    public bool TryGet(TKey key, [MaybeNullWhen(false)] out TValue value) => store.TryGet(BytesOf(key), out value);

    public void Put(TKey key, TValue? value)
    {
        if (value is null)
        {
            Delete(key);
            return;
        }

        var bytes = BytesOf(key);
        store.Put(bytes, value);
        times?.Written(bytes, clock.NowMs);
    }

    public bool Delete(TKey key)
    {
        var bytes = BytesOf(key);
        times?.Deleted(bytes);
        return store.Remove(bytes, out _);
    }

    public IEnumerable<KeyValuePair<TKey, TValue>> Range(TKey from, TKey to) => Read(BytesOf(from).ToArray(), BytesOf(to).ToArray());

    public IEnumerable<KeyValuePair<TKey, TValue>> All() => Read(null, null);

    public void Forget(ReadOnlySpan<byte> keyBytes, TKey key, long timeMs) => store.Remove(keyBytes, out _);

    private IEnumerable<KeyValuePair<TKey, TValue>> Read(byte[]? from, byte[]? to)
    {
        foreach (var slot in store.Range(from, to))
        {
            yield return new(store.KeyOf(slot), store.ValueOf(slot));
        }
    }

    private ReadOnlySpan<byte> BytesOf(TKey key)
    {
        StateKeys.Check(key, store.Name);
        return store.BytesOf(key);
    }
}
