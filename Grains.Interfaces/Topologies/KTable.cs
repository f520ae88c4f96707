using OrleansStreams.Records;

namespace OrleansStreams.Topologies;

/// <summary>
/// A table in a topology's description: the last value of each key. What follows it gets its changes (<see cref="Change{TValue}"/>), one for each update. A null value is no value: it deletes
/// the key. Values that a table or an aggregate has handed out must not be changed afterwards: make new ones.
/// </summary>
public sealed partial class KTable<TKey, TValue>
{
    private readonly StreamsBuilder _builder;
    private readonly TopologyNode _node;
    private readonly ISerde<TKey> _keySerde;

    internal KTable(StreamsBuilder builder, TopologyNode node, ISerde<TKey> keySerde, string? storeName)
    {
        _builder = builder;
        _node = node;
        _keySerde = keySerde;
        StoreName = storeName;
    }

    /// <summary>The store that can be queried for it; null when the table is not kept itself, but follows from another by a filter or a mapping.</summary>
    public string? StoreName { get; }

    internal StreamsBuilder Builder => _builder;

    internal TopologyNode Node => _node;

    internal ISerde<TKey> KeySerde => _keySerde;

    /// <summary>Keeps the keys for whose values the predicate holds; a key for which it holds no more is deleted.</summary>
    /// <param name="predicate">Answers the same for the same value.</param>
    /// <param name="materialized">Keeps the result in a store of its own; null does without.</param>
    public KTable<TKey, TValue> Filter(Func<TKey, TValue, bool> predicate, Materialized<TValue>? materialized = null)
    {
        ArgumentNullException.ThrowIfNull(predicate);
        return Filter("table-filter", predicate, materialized);
    }

    /// <summary>Drops the keys for whose values the predicate holds.</summary>
    /// <param name="predicate">Answers the same for the same value.</param>
    /// <param name="materialized">Keeps the result in a store of its own; null does without.</param>
    public KTable<TKey, TValue> FilterNot(Func<TKey, TValue, bool> predicate, Materialized<TValue>? materialized = null)
    {
        ArgumentNullException.ThrowIfNull(predicate);
        return Filter("table-filter-not", (key, value) => !predicate(key, value), materialized);
    }

    /// <summary>Makes a new value of each value; null deletes the key.</summary>
    /// <param name="mapper">Gives the same for the same value.</param>
    /// <param name="materialized">Keeps the result in a store of its own; null computes it anew when it is needed.</param>
    public KTable<TKey, TNewValue> MapValues<TNewValue>(Func<TKey, TValue, TNewValue> mapper, Materialized<TNewValue>? materialized = null)
    {
        ArgumentNullException.ThrowIfNull(mapper);
        var node = new TableMapValuesNode<TKey, TValue, TNewValue>(_builder.NextId, _builder.NameOf("table-map-values"), _node, mapper, _keySerde, materialized);
        return new(_builder, _builder.Add(node), _keySerde, materialized?.StoreName);
    }

    /// <summary>Makes a new value of each value; null deletes the key.</summary>
    /// <param name="mapper">Gives the same for the same value.</param>
    /// <param name="materialized">Keeps the result in a store of its own; null computes it anew when it is needed.</param>
    public KTable<TKey, TNewValue> MapValues<TNewValue>(Func<TValue, TNewValue> mapper, Materialized<TNewValue>? materialized = null)
    {
        ArgumentNullException.ThrowIfNull(mapper);
        return MapValues((_, value) => mapper(value), materialized);
    }

    /// <summary>The new value of each change as a record. A deletion is a null value, which reaches functions as the type's default and a topic as a tombstone.</summary>
    public KStream<TKey, TValue> ToStream() =>
        new(_builder, _builder.Add(new TableToStreamNode<TKey, TValue>(_builder.NextId, _builder.NameOf("to-stream"), _node)), _keySerde);

    private KTable<TKey, TValue> Filter(string kind, Func<TKey, TValue, bool> predicate, Materialized<TValue>? materialized)
    {
        var node = new TableFilterNode<TKey, TValue>(_builder.NextId, _builder.NameOf(kind), _node, predicate, _keySerde, materialized);
        return new(_builder, _builder.Add(node), _keySerde, materialized?.StoreName);
    }
}
