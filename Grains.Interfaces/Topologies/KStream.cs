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
        return new(_builder, _builder.Add(new FilterNode<TKey, TValue>(_builder.NextId, _builder.NameOf("filter-not"), _node, (key, value) => !predicate(key, value))), _keySerde);
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
        var node = new MapNode<TKey, TValue, TNewKey, TValue>(_builder.NextId, _builder.NameOf("select-key"), _node, (key, value) => (selector(key, value), value), keepsValue: true);
        return new(_builder, _builder.Add(node), null);
    }

    /// <summary>Makes any number of values of each record; the key stays.</summary>
    public KStream<TKey, TNewValue> FlatMapValues<TNewValue>(Func<TKey, TValue, IEnumerable<TNewValue>> mapper)
    {
        ArgumentNullException.ThrowIfNull(mapper);
        return new(_builder, _builder.Add(new FlatMapValuesNode<TKey, TValue, TNewValue>(_builder.NextId, _builder.NameOf("flat-map-values"), _node, mapper)), _keySerde);
    }

    /// <summary>Makes any number of values of each value; the key stays.</summary>
    public KStream<TKey, TNewValue> FlatMapValues<TNewValue>(Func<TValue, IEnumerable<TNewValue>> mapper)
    {
        ArgumentNullException.ThrowIfNull(mapper);
        return FlatMapValues((_, value) => mapper(value));
    }

    /// <summary>The values alone, under null keys.</summary>
    public KStream<byte[], TValue> Values() => SelectKey((_, _) => (byte[])null!);

    /// <summary>The keys alone, as values under themselves.</summary>
    public KStream<TKey, TKey> Keys() => MapValues((key, _) => key);

    /// <summary>
    /// Calls a function for each record and passes the record on unchanged. What the function does elsewhere is done again when a record is processed again after a crash.
    /// </summary>
    public KStream<TKey, TValue> Peek(Action<TKey, TValue> action)
    {
        ArgumentNullException.ThrowIfNull(action);
        return new(_builder, _builder.Add(new PeekNode<TKey, TValue>(_builder.NextId, _builder.NameOf("peek"), _node, action)), _keySerde);
    }

    /// <summary>Calls a function for each record, which ends there. What it does elsewhere is done again when a record is processed again after a crash.</summary>
    public void ForEach(Action<TKey, TValue> action)
    {
        ArgumentNullException.ThrowIfNull(action);
        _builder.Add(new PeekNode<TKey, TValue>(_builder.NextId, _builder.NameOf("for-each"), _node, action));
    }

    /// <summary>Divides the stream: each record goes to the first branch whose predicate holds.</summary>
    public BranchedKStream<TKey, TValue> Split() => new(_builder, _node, _keySerde);

    /// <summary>Takes the records of all streams. Topics that meet in one sub-topology must have equally many partitions.</summary>
    /// <exception cref="StreamsException">InvalidConfig when a stream is described with another builder.</exception>
    public KStream<TKey, TValue> Merge(params ReadOnlySpan<KStream<TKey, TValue>> others)
    {
        var parents = new List<TopologyNode> { _node };
        var keySerde = _keySerde;
        foreach (var other in others)
        {
            ArgumentNullException.ThrowIfNull(other);
            _builder.CheckSame(other._builder);
            parents.Add(other._node);
            keySerde = other._keySerde?.Name == keySerde?.Name ? keySerde : null;
        }

        return new(_builder, _builder.Add(new MergeNode<TKey, TValue>(_builder.NextId, _builder.NameOf("merge"), [.. parents])), keySerde);
    }

    /// <summary>
    /// Groups by the key that the source topic is partitioned by. A record with a null key belongs to no group: the task fails on it, so filter such records before.
    /// </summary>
    /// <exception cref="StreamsException">InvalidConfig when the key may have changed since the topic was read: then equal keys may lie in several
    /// partitions, and each task would see only a part of a group.</exception>
    public KGroupedStream<TKey, TValue> GroupByKey() => new(_builder, _node, KeySerdeOf("grouped by key", ".GroupByKey(Grouped.With(keySerde, valueSerde))"));

    /// <summary>
    /// Takes the records for the changes of a table: the last value of a key is its value, a null value deletes the key. The keys must be those that the source topic is partitioned by.
    /// </summary>
    /// <param name="materialized">The store's name and serde.</param>
    /// <exception cref="StreamsException">InvalidConfig when the key may have changed since the topic was read: use <see cref="Repartition"/> before.</exception>
    public KTable<TKey, TValue> ToTable(Materialized<TValue> materialized)
    {
        ArgumentNullException.ThrowIfNull(materialized);
        var keySerde = KeySerdeOf("taken for a table", ".Repartition(Repartitioned.With(...)).ToTable(...)");
        var node = new ToTableNode<TKey, TValue>(_builder.NextId, _builder.NameOf("to-table"), _node, keySerde, materialized);
        return new(_builder, _builder.Add(node), keySerde, materialized.StoreName);
    }

    /// <summary>Writes the records to a topic, which must exist when the application starts, and reads them from it.</summary>
    /// <param name="topic">The topic.</param>
    /// <param name="produced">How it is written.</param>
    /// <param name="consumed">How it is read.</param>
    public KStream<TKey, TValue> Through(string topic, Produced<TKey, TValue> produced, Consumed<TKey, TValue> consumed)
    {
        To(topic, produced);
        return _builder.Stream(topic, consumed);
    }

    /// <summary>Writes the records to a topic, which must exist when the application starts.</summary>
    public void To(string topic, Produced<TKey, TValue> produced)
    {
        ArgumentNullException.ThrowIfNull(produced);
        TopologyNames.Check(topic, "topic");
        _builder.Add(new SinkNode<TKey, TValue>(_builder.NextId, _builder.NameOf("sink"), _node, topic, produced));
    }

    /// <summary>Writes each record to a topic that is chosen by it. The topics must exist when the application starts.</summary>
    /// <param name="extractor">Names the record's topic. Another one than <paramref name="topics"/> holds is an error of the record (InvalidInput).</param>
    /// <param name="topics">All topics that there are to choose from: they are looked up before anything is processed, so that a missing one is told at once.</param>
    /// <param name="produced">How they are written.</param>
    public void To(Func<TKey, TValue, string> extractor, IReadOnlyCollection<string> topics, Produced<TKey, TValue> produced)
    {
        ArgumentNullException.ThrowIfNull(extractor);
        ArgumentNullException.ThrowIfNull(topics);
        ArgumentNullException.ThrowIfNull(produced);
        if (topics.Count == 0)
        {
            throw Topology.Invalid("A stream is written to one of no topics: name the topics that the extractor chooses from.");
        }

        foreach (var topic in topics)
        {
            TopologyNames.Check(topic, "topic");
        }

        string[] sorted = [.. topics.Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal)];
        _builder.Add(new ChoosingSinkNode<TKey, TValue>(_builder.NextId, _builder.NameOf("sink"), _node, extractor, sorted, produced));
    }

    /// <summary>The serde of the key, if the key is the one that a topic is partitioned by.</summary>
    private ISerde<TKey> KeySerdeOf(string what, string remedy) => _keySerde is not null && _node.KeepsKey
        ? _keySerde
        : throw new StreamsException(
            StreamsErrorCode.InvalidConfig,
            $"The records of '{_node.Name}' cannot be {what} here: the key comes from a file, from Map, FlatMap or SelectKey, or from topics with different key serdes, so that equal keys may lie in several partitions. Let them be repartitioned with {remedy}, or write them to a topic with .To(topic, ...) and read it again.");
}
