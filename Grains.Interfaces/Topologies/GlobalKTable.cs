using OrleansStreams.Records;

namespace OrleansStreams.Topologies;

/// <summary>
/// A table that every task which joins it has whole, so that a stream is joined with it by any key without being repartitioned. Each join has a copy of its own: the changes of the topic are
/// written once to every partition of a topic that the application makes for itself, and so reach each task exactly once, with their watermarks. Whenever a task starts it reads the table as far as
/// its topic goes then, before any record looks it up; later changes are met as they come.
/// </summary>
public sealed class GlobalKTable<TKey, TValue>
{
    private readonly StreamsBuilder _builder;
    private readonly TopologyNode _source;
    private readonly Consumed<TKey, TValue> _consumed;
    private readonly Materialized<TValue> _materialized;
    private int _copies;

    internal GlobalKTable(StreamsBuilder builder, TopologyNode source, Consumed<TKey, TValue> consumed, Materialized<TValue> materialized)
    {
        _builder = builder;
        _source = source;
        _consumed = consumed;
        _materialized = materialized;
    }

    internal StreamsBuilder Builder => _builder;

    internal ISerde<TKey> KeySerde => _consumed.KeySerde;

    /// <summary>The table as the tasks of one join have it. The first copy's store has the table's name, later ones are numbered.</summary>
    internal TopologyNode AddCopy()
    {
        _copies++;
        var store = _copies == 1 ? _materialized.StoreName : string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{_materialized.StoreName}-{_copies}");
        var topic = new RepartitionTopic(store + RepartitionTopic.BroadcastSuffix, null);
        var (keys, values) = (_consumed.KeySerde, _consumed.ValueSerde);
        _builder.Add(new BroadcastSinkNode<TKey, TValue>(_builder.NextId, _builder.NameOf("broadcast"), _source, topic.Name, Produced.With(keys, values)) { Internal = topic });
        var source = _builder.Add(
            new TopicSourceNode<TKey, TValue>(_builder.NextId, _builder.NameOf("broadcast-source"), topic.Name, Consumed.With(keys, values).AllowTimesBefore1970()) { Internal = topic });
        var materialized = Materialized.As(store, _materialized.ValueSerde) with { TimeToLiveMs = _materialized.TimeToLiveMs };
        return _builder.Add(new ToTableNode<TKey, TValue>(_builder.NextId, _builder.NameOf("global-table"), source, keys, materialized));
    }
}

/// <summary>Global tables.</summary>
public sealed partial class StreamsBuilder
{
    /// <summary>
    /// Reads a topic as a table that every task has whole. It costs a task the memory of the whole table, and the log a copy of each change per partition: for tables
    /// that are small against the streams that are joined with them.
    /// </summary>
    /// <param name="topic">The topic, of any number of partitions, which must exist when the application starts; best one that is compacted.</param>
    /// <param name="consumed">Serdes, event time and watermarks.</param>
    /// <param name="materialized">The store's name and serde; null for a name made of the topic and the topic's serde.</param>
    public GlobalKTable<TKey, TValue> GlobalTable<TKey, TValue>(string topic, Consumed<TKey, TValue> consumed, Materialized<TValue>? materialized = null)
    {
        ArgumentNullException.ThrowIfNull(consumed);
        TopologyNames.Check(topic, "topic");
        materialized ??= Materialized.As(NameOf(topic.Length <= 200 ? topic : topic[..200]), consumed.ValueSerde);
        var source = Add(new TopicSourceNode<TKey, TValue>(NextId, NameOf("source"), topic, consumed));
        return new GlobalKTable<TKey, TValue>(this, source, consumed, materialized);
    }
}
