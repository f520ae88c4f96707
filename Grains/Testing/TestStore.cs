using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;
using OrleansStreams.Processing;
using OrleansStreams.Processing.State;
using OrleansStreams.Records;

namespace OrleansStreams.Testing;

/// <summary>A window in a store of a <see cref="TopologyTestDriver"/>.</summary>
/// <param name="StartMs">Its start, ms since the Unix epoch.</param>
/// <param name="EndMs">Its end (exclusive).</param>
/// <param name="Value">Its value.</param>
/// <param name="IsFinal">Whether it has closed.</param>
public sealed record TestWindow<TValue>(long StartMs, long EndMs, TValue Value, bool IsFinal);

/// <summary>Reads a state store of a <see cref="TopologyTestDriver"/>, over all tasks that keep a part of it.</summary>
public sealed class TestStore<TKey, TValue>
{
    private readonly string _name;
    private readonly TestTask[] _tasks;
    private readonly ISerde<TKey> _keySerde;
    private readonly ISerde<TValue> _valueSerde;

    internal TestStore(string name, TestTask[] tasks, ISerde<TKey> keySerde, ISerde<TValue> valueSerde)
    {
        _name = name;
        _tasks = tasks;
        _keySerde = keySerde;
        _valueSerde = valueSerde;
    }

    /// <summary>Entries in it.</summary>
    public long Count => _tasks.Sum(task => task.StoreOf(_name).Entries);

    /// <summary>The value of a key; false without one. For a store of windows the value of the key's first window.</summary>
    public bool TryGet(TKey key, [MaybeNullWhen(false)] out TValue value)
    {
        var found = Query(key, long.MinValue, long.MaxValue);
        value = found.Count == 0 ? default : _valueSerde.Deserialize(found[0].Value.Span);
        return found.Count > 0;
    }

    /// <summary>The windows of a key whose start lies in [from, to), by start and end.</summary>
    public ImmutableArray<TestWindow<TValue>> Windows(TKey key, long fromMs = long.MinValue, long toMs = long.MaxValue) =>
        [.. Query(key, fromMs, toMs).Select(entry => new TestWindow<TValue>(entry.WindowStartMs, entry.WindowEndMs, _valueSerde.Deserialize(entry.Value.Span), entry.IsFinal))];

    /// <summary>All keys and values of a store without windows, by the bytes of the keys.</summary>
    /// <exception cref="StreamsException">InvalidRequest for a store of windows, or of other types.</exception>
    public ImmutableArray<KeyValuePair<TKey, TValue>> All()
    {
        var all = new List<(byte[] Bytes, KeyValuePair<TKey, TValue> Entry)>();
        foreach (var task in _tasks)
        {
            var store = task.StoreOf(_name) as KeyValueStore<TKey, TValue> ?? throw new StreamsException(
                StreamsErrorCode.InvalidRequest, $"Store '{_name}' has windows, or keys or values of other types than {typeof(TKey).Name} and {typeof(TValue).Name}: read it key by key with Windows or TryGet.");
            foreach (var slot in store.Range())
            {
                all.Add((store.KeyBytesOf(slot).ToArray(), new(store.KeyOf(slot), store.ValueOf(slot))));
            }
        }

        all.Sort((x, y) => x.Bytes.AsSpan().SequenceCompareTo(y.Bytes));
        return [.. all.Select(pair => pair.Entry)];
    }

    private List<StateEntry> Query(TKey key, long from, long to)
    {
        var bytes = new ByteBuffer();
        _keySerde.Serialize(key, bytes);
        var entries = new List<StateEntry>();
        foreach (var task in _tasks)
        {
            task.StoreOf(_name).Query(bytes.Span, from, to, int.MaxValue, entries);
        }

        return entries;
    }
}
