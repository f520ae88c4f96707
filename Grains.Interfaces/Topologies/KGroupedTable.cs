using OrleansStreams.Records;

namespace OrleansStreams.Topologies;

/// <summary>
/// A table grouped by another key. An aggregate of it follows the table: when a row changes, its old value is subtracted from the group that it was in and its new value is added to the group
/// that it is in. A row that stays in its group does both in one step, so that nobody sees the group without it; one that moves from group to group leaves the one before it enters
/// the other, and both can be seen meanwhile, as they may lie in different tasks.
/// </summary>
public sealed class KGroupedTable<TKey, TValue>
{
    private readonly StreamsBuilder _builder;
    private readonly TopologyNode _node;
    private readonly ISerde<TKey> _keySerde;

    internal KGroupedTable(StreamsBuilder builder, TopologyNode node, ISerde<TKey> keySerde)
    {
        _builder = builder;
        _node = node;
        _keySerde = keySerde;
    }

    /// <summary>Counts the rows of each group. A group that has lost all its rows counts 0, as in Kafka Streams.</summary>
    /// <param name="materialized">The store's name and serde.</param>
    public KTable<TKey, long> Count(Materialized<long> materialized) =>
        Add("table-count", materialized, (_, _) => 1, (_, _, count) => count + 1, (_, _, count) => count - 1);

    /// <summary>Combines the values of each group.</summary>
    /// <param name="adder">Gives the combination of what was reduced so far and the value of a row that enters; null deletes the group.</param>
    /// <param name="subtractor">Gives what was reduced so far without the value of a row that leaves; null deletes the group.</param>
    /// <param name="materialized">The store's name and serde.</param>
    public KTable<TKey, TValue> Reduce(Func<TValue, TValue, TValue> adder, Func<TValue, TValue, TValue> subtractor, Materialized<TValue> materialized)
    {
        ArgumentNullException.ThrowIfNull(adder);
        ArgumentNullException.ThrowIfNull(subtractor);
        return Add("table-reduce", materialized, (_, value) => value, (_, value, reduced) => adder(reduced, value), (_, value, reduced) => subtractor(reduced, value));
    }

    /// <summary>Adds the values of each group to an aggregate.</summary>
    /// <param name="initializer">Makes an empty aggregate: for the first row of a group, and for the next one after the group was deleted.</param>
    /// <param name="adder">Gives the aggregate with one row more, as a new object; null deletes the group.</param>
    /// <param name="subtractor">Gives the aggregate without a row, as a new object; null deletes the group.</param>
    /// <param name="materialized">The store's name and serde.</param>
    public KTable<TKey, TAggregate> Aggregate<TAggregate>(
        Func<TAggregate> initializer,
        Func<TKey, TValue, TAggregate, TAggregate> adder,
        Func<TKey, TValue, TAggregate, TAggregate> subtractor,
        Materialized<TAggregate> materialized)
    {
        ArgumentNullException.ThrowIfNull(initializer);
        ArgumentNullException.ThrowIfNull(adder);
        ArgumentNullException.ThrowIfNull(subtractor);
        return Add("table-aggregate", materialized, (key, value) => adder(key, value, initializer()), adder, subtractor);
    }

    private KTable<TKey, TAggregate> Add<TAggregate>(
        string kind,
        Materialized<TAggregate> materialized,
        Func<TKey, TValue, TAggregate> first,
        Func<TKey, TValue, TAggregate, TAggregate> adder,
        Func<TKey, TValue, TAggregate, TAggregate> subtractor)
    {
        ArgumentNullException.ThrowIfNull(materialized);
        var node = new TableAggregateNode<TKey, TValue, TAggregate>(_builder.NextId, _builder.NameOf(kind), _node, _keySerde, materialized, first, adder, subtractor);
        return new(_builder, _builder.Add(node), _keySerde, materialized.StoreName);
    }
}

/// <summary>Grouping of tables.</summary>
public sealed partial class KTable<TKey, TValue>
{
    /// <summary>
    /// Groups the rows by another key, by which their changes are repartitioned, through a topic that the application makes for itself. The changes of a row come there in their order.
    /// </summary>
    /// <param name="selector">Gives a row's group and the value that it has in it; the same for the same row. A row with a null group or a null value is in no group.</param>
    /// <param name="grouped">Serdes, and the topic's name and partitions.</param>
    public KGroupedTable<TNewKey, TNewValue> GroupBy<TNewKey, TNewValue>(Func<TKey, TValue, (TNewKey Key, TNewValue Value)> selector, Grouped<TNewKey, TNewValue> grouped)
    {
        ArgumentNullException.ThrowIfNull(selector);
        ArgumentNullException.ThrowIfNull(grouped);
        var (keys, values) = (grouped.Repartitioned.KeySerde, grouped.Repartitioned.ValueSerde);
        var node = _builder.Add(new TableGroupByNode<TKey, TValue, TNewKey, TNewValue>(_builder.NextId, _builder.NameOf("table-group-by"), _node, keys, selector));
        var name = grouped.Repartitioned.Name ?? _builder.NameOf("repartition");
        var topic = new RepartitionTopic(name + RepartitionTopic.Suffix, grouped.Repartitioned.Partitions);
        return new(_builder, _builder.AddRepartition(node, name, topic, keys, new ChangeSerde<TNewValue>(values)), keys);
    }
}

/// <summary>Topics that applications make for themselves.</summary>
public sealed partial class StreamsBuilder
{
    /// <summary>Writes what a node feeds to a topic that the application makes for itself, and reads it from there.</summary>
    /// <returns>What reads it.</returns>
    internal TopologyNode AddRepartition<TKey, TValue>(TopologyNode node, string name, RepartitionTopic topic, ISerde<TKey> keys, ISerde<TValue> values)
    {
        AddInternalSink(node, name, topic, keys, values);
        return AddInternalSource(name + "-source", topic, keys, values);
    }

    internal void AddInternalSink<TKey, TValue>(TopologyNode node, string name, RepartitionTopic topic, ISerde<TKey> keys, ISerde<TValue> values) =>
        Add(new SinkNode<TKey, TValue>(NextId, name, node, topic.Name, Produced.With(keys, values)) { Internal = topic });

    // Any time that a record had on its way here is right here too.
    internal TopologyNode AddInternalSource<TKey, TValue>(string name, RepartitionTopic topic, ISerde<TKey> keys, ISerde<TValue> values) =>
        Add(new TopicSourceNode<TKey, TValue>(NextId, name, topic.Name, Consumed.With(keys, values).AllowTimesBefore1970()) { Internal = topic });
}
