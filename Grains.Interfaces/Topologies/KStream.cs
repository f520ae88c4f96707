using OrleansStreams.Records;

namespace OrleansStreams.Topologies;

/// <summary>A stream of records in a topology's description. A null key or value reaches functions as the type's default.</summary>
public sealed partial class KStream<TKey, TValue>
{
    private readonly StreamsBuilder _builder;
    private readonly TopologyNode _node;
    private readonly ISerde<TKey>? _keySerde;

    internal KStream(StreamsBuilder builder, TopologyNode node, ISerde<TKey>? keySerde)
    {
        _builder = builder;
        _node = node;
        _keySerde = keySerde;
    }

    /// <summary>Keeps the records for which the predicate holds.</summary>
    public KStream<TKey, TValue> Filter(Func<TKey, TValue, bool> predicate)
    {
        ArgumentNullException.ThrowIfNull(predicate);
        return new(_builder, _builder.Add(new FilterNode<TKey, TValue>(_builder.NextId, _builder.NameOf("filter"), _node, predicate)), _keySerde);
    }

    /// <summary>Drops the records for which the predicate holds.</summary>
    public KStream<TKey, TValue> FilterNot(Func<TKey, TValue, bool> predicate)
    {
        ArgumentNullException.ThrowIfNull(predicate);
        return Filter((key, value) => !predicate(key, value));
    }

    /// <summary>Makes a new key and value of each record.</summary>
    public KStream<TNewKey, TNewValue> Map<TNewKey, TNewValue>(Func<TKey, TValue, (TNewKey Key, TNewValue Value)> mapper)
    {
        ArgumentNullException.ThrowIfNull(mapper);
        return new(_builder, _builder.Add(new MapNode<TKey, TValue, TNewKey, TNewValue>(_builder.NextId, _builder.NameOf("map"), _node, mapper)), null);
    }

    /// <summary>Makes a new value of each record; the key stays.</summary>
    public KStream<TKey, TNewValue> MapValues<TNewValue>(Func<TValue, TNewValue> mapper)
    {
        ArgumentNullException.ThrowIfNull(mapper);
        return MapValues((_, value) => mapper(value));
    }

    /// <summary>Makes a new value of each record's key and value; the key stays.</summary>
    public KStream<TKey, TNewValue> MapValues<TNewValue>(Func<TKey, TValue, TNewValue> mapper)
    {
        ArgumentNullException.ThrowIfNull(mapper);
        return new(_builder, _builder.Add(new MapValuesNode<TKey, TValue, TNewValue>(_builder.NextId, _builder.NameOf("map-values"), _node, mapper)), _keySerde);
    }

    /// <summary>Makes any number of records of each record.</summary>
    public KStream<TNewKey, TNewValue> FlatMap<TNewKey, TNewValue>(Func<TKey, TValue, IEnumerable<(TNewKey Key, TNewValue Value)>> mapper)
    {
        ArgumentNullException.ThrowIfNull(mapper);
        return new(_builder, _builder.Add(new FlatMapNode<TKey, TValue, TNewKey, TNewValue>(_builder.NextId, _builder.NameOf("flat-map"), _node, mapper)), null);
    }

    /// <summary>Gives each record a new key.</summary>
    public KStream<TNewKey, TValue> SelectKey<TNewKey>(Func<TKey, TValue, TNewKey> selector)
    {
        ArgumentNullException.ThrowIfNull(selector);
        return Map((key, value) => (selector(key, value), value));
    }

    /// <summary>Takes the records of both streams. Topics that meet in one sub-topology must have equally many partitions.</summary>
    public KStream<TKey, TValue> Merge(KStream<TKey, TValue> other)
    {
        ArgumentNullException.ThrowIfNull(other);
        if (other._builder != _builder)
        {
            throw new StreamsException(StreamsErrorCode.InvalidConfig, "Streams of two builders cannot be merged: describe both with the same StreamsBuilder.");
        }

        var sameKeys = _keySerde is not null && other._keySerde is not null && _keySerde.Name == other._keySerde.Name;
        return new(_builder, _builder.Add(new MergeNode<TKey, TValue>(_builder.NextId, _builder.NameOf("merge"), _node, other._node)), sameKeys ? _keySerde : null);
    }

    /// <summary>
    /// Groups by the key that the source topic is partitioned by. A record with a null key belongs to no group: the task fails on it, so filter such records before.
    /// </summary>
    /// <exception cref="StreamsException">InvalidConfig when the key may have changed since the topic was read: then equal keys may lie in several
    /// partitions, and each task would see only a part of a group.</exception>
    public KGroupedStream<TKey, TValue> GroupByKey()
    {
        if (_keySerde is null || !_node.KeepsKey)
        {
            throw new StreamsException(
                StreamsErrorCode.InvalidConfig,
                $"The records of '{_node.Name}' cannot be grouped by key here: the key comes from a file, from Map, FlatMap or SelectKey, or from topics with different key serdes, so that equal keys may lie in several partitions. Let them be repartitioned with .GroupByKey(Grouped.With(keySerde, valueSerde)), or write them to a topic with .To(topic, ...) and read it again.");
        }

        return new KGroupedStream<TKey, TValue>(_builder, _node, _keySerde);
    }

    /// <summary>Writes the records to a topic, which must exist when the application starts.</summary>
    public void To(string topic, Produced<TKey, TValue> produced)
    {
        ArgumentNullException.ThrowIfNull(produced);
        TopologyNames.Check(topic, "topic");
        _builder.Add(new SinkNode<TKey, TValue>(_builder.NextId, _builder.NameOf("sink"), _node, topic, produced));
    }
}

/// <summary>A stream grouped by key.</summary>
public sealed class KGroupedStream<TKey, TValue>
{
    private readonly StreamsBuilder _builder;
    private readonly TopologyNode _node;
    private readonly ISerde<TKey> _keySerde;

    internal KGroupedStream(StreamsBuilder builder, TopologyNode node, ISerde<TKey> keySerde)
    {
        _builder = builder;
        _node = node;
        _keySerde = keySerde;
    }

    /// <summary>Divides each group into windows of event time.</summary>
    public TimeWindowedKStream<TKey, TValue> WindowedBy(TumblingWindows windows)
    {
        ArgumentNullException.ThrowIfNull(windows);
        return new TimeWindowedKStream<TKey, TValue>(_builder, _node, _keySerde, windows, null);
    }
}

/// <summary>
/// A stream grouped by key and window. A window's result is emitted once, when the task's watermark has passed its end plus the grace, with the window's last millisecond as
/// its timestamp. Events that come later are counted and, with <see cref="LateTo"/>, written to a topic.
/// </summary>
public sealed class TimeWindowedKStream<TKey, TValue>
{
    private readonly StreamsBuilder _builder;
    private readonly TopologyNode _node;
    private readonly ISerde<TKey> _keySerde;
    private readonly TumblingWindows _windows;
    private readonly string? _lateTopic;

    internal TimeWindowedKStream(StreamsBuilder builder, TopologyNode node, ISerde<TKey> keySerde, TumblingWindows windows, string? lateTopic)
    {
        _builder = builder;
        _node = node;
        _keySerde = keySerde;
        _windows = windows;
        _lateTopic = lateTopic;
    }

    /// <summary>Writes late events to a topic as they were read (key, value, timestamp, headers), with the headers <c>late-window-start</c>,
    /// <c>late-window-end</c> and <c>late-watermark</c> (decimal text, ms since the Unix epoch).</summary>
    public TimeWindowedKStream<TKey, TValue> LateTo(string topic)
    {
        TopologyNames.Check(topic, "topic");
        return new(_builder, _node, _keySerde, _windows, topic);
    }

    /// <summary>Emits each window once, when it closes. This is how every window is emitted; the call says so to the reader.</summary>
    public TimeWindowedKStream<TKey, TValue> EmitOnClose() => this;

    /// <summary>Counts the events of each window.</summary>
    public KStream<Windowed<TKey>, long> Count(Materialized<long> materialized) =>
        Add(materialized, new WindowAggregator<TKey, TValue, long>((_, _) => 1, (_, _, count) => count + 1, UsesEvent: false));

    /// <summary>Combines the values of each window, two at a time.</summary>
    public KStream<Windowed<TKey>, TValue> Reduce(Func<TValue, TValue, TValue> reducer, Materialized<TValue> materialized)
    {
        ArgumentNullException.ThrowIfNull(reducer);
        return Add(materialized, new WindowAggregator<TKey, TValue, TValue>((_, value) => value, (_, value, reduced) => reducer(reduced, value), UsesEvent: true));
    }

    /// <summary>Adds the events of each window to an aggregate.</summary>
    /// <param name="initializer">Makes an empty aggregate: a new one with each call when it is an object that the aggregator changes.</param>
    /// <param name="aggregator">Gives the aggregate with one event more; it may change the object that it is given.</param>
    /// <param name="materialized">The store's name and serde.</param>
    public KStream<Windowed<TKey>, TAggregate> Aggregate<TAggregate>(
        Func<TAggregate> initializer, Func<TKey, TValue, TAggregate, TAggregate> aggregator, Materialized<TAggregate> materialized)
    {
        ArgumentNullException.ThrowIfNull(initializer);
        ArgumentNullException.ThrowIfNull(aggregator);
        return Add(materialized, new WindowAggregator<TKey, TValue, TAggregate>((key, value) => aggregator(key, value, initializer()), aggregator, UsesEvent: true));
    }

    private KStream<Windowed<TKey>, TAggregate> Add<TAggregate>(Materialized<TAggregate> materialized, WindowAggregator<TKey, TValue, TAggregate> aggregator)
    {
        ArgumentNullException.ThrowIfNull(materialized);
        var node = new WindowAggregateNode<TKey, TValue, TAggregate>(
            _builder.NextId, _builder.NameOf("window"), _node, _keySerde, _windows, _lateTopic, materialized, aggregator);
        return new(_builder, _builder.Add(node), null);
    }
}
