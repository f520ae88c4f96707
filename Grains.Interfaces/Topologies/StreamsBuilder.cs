using OrleansStreams.Records;

namespace OrleansStreams.Topologies;

/// <summary>Reads a line of a file source.</summary>
/// <param name="line">The line's bytes without its line break.</param>
/// <param name="lineNumber">Its number, from 1.</param>
/// <returns>Key, value and event time (ms since the Unix epoch).</returns>
public delegate (TKey Key, TValue Value, long Timestamp) LineParser<TKey, TValue>(ReadOnlySpan<byte> line, long lineNumber);

/// <summary>
/// Describes a topology in the terms of Kafka Streams. A pure description: nothing runs, and the same calls give the same topology in every
/// silo, which is what lets a task's journal be read again.
/// </summary>
public sealed class StreamsBuilder
{
    private readonly List<TopologyNode> _nodes = [];

    /// <summary>A stream of a topic's records. The topic must exist when the application starts.</summary>
    /// <param name="topic">The topic.</param>
    /// <param name="consumed">How its records are read, and its watermarks.</param>
    /// <exception cref="StreamsException">InvalidRequest when the topic is a source already.</exception>
    public KStream<TKey, TValue> Stream<TKey, TValue>(string topic, Consumed<TKey, TValue> consumed)
    {
        ArgumentNullException.ThrowIfNull(consumed);
        Check(!_nodes.Any(node => node is ITopicSource source && source.Topic == topic), $"topic {topic} is a source already; use the stream that Stream() answered twice");
        return new KStream<TKey, TValue>(this, Add(new TopicSourceNode<TKey, TValue>(topic, consumed), null), consumed.KeySerde, consumed.ValueSerde, keyChanged: false);
    }

    /// <summary>
    /// A stream of a file's lines, read by one task whose position in the file is part of its journal: a restart neither skips nor repeats a line. At the
    /// file's end the input of every topic that it writes to ends.
    /// </summary>
    /// <param name="name">The source's name.</param>
    /// <param name="path">The file; it must not change while the application exists.</param>
    /// <param name="parser">Reads a line; an exception fails the task, naming file and line.</param>
    /// <param name="rowsPerSecond">Lines per second at most; 0 for no bound.</param>
    public KStream<TKey, TValue> FileSource<TKey, TValue>(string name, string path, LineParser<TKey, TValue> parser, double rowsPerSecond = 0)
    {
        ArgumentNullException.ThrowIfNull(parser);
        Check(rowsPerSecond is >= 0 and < 1e12, "rowsPerSecond must be 0 or a positive number");
        return new KStream<TKey, TValue>(this, Add(new FileSourceNode<TKey, TValue>(name, path, parser, rowsPerSecond), null), null, null, keyChanged: false);
    }

    /// <summary>The topology so far.</summary>
    /// <exception cref="StreamsException">InvalidRequest when a stream ends nowhere or there is none.</exception>
    public Topology Build()
    {
        Check(_nodes.Count > 0, "the topology is empty; call Stream or FileSource");
        foreach (var node in _nodes)
        {
            Check(node.Children.Count > 0 || node.IsTerminal, $"the stream after {node.Name} ends nowhere; write it to a topic with To()");
        }

        return new Topology(_nodes);
    }

    internal T Add<T>(T node, TopologyNode? parent)
        where T : TopologyNode
    {
        node.Index = _nodes.Count;
        node.Parent = parent;
        parent?.Children.Add(node);
        _nodes.Add(node);
        return node;
    }

    internal static void Check(bool ok, string message)
    {
        if (!ok)
        {
            throw new StreamsException(StreamsErrorCode.InvalidRequest, message);
        }
    }
}

/// <summary>A stream of records: a step of a topology to which further steps are added.</summary>
public sealed class KStream<TKey, TValue>
{
    private readonly StreamsBuilder _builder;
    private readonly TopologyNode _node;
    private readonly ISerde<TKey>? _keySerde;
    private readonly ISerde<TValue>? _valueSerde;
    private readonly bool _keyChanged;

    internal KStream(StreamsBuilder builder, TopologyNode node, ISerde<TKey>? keySerde, ISerde<TValue>? valueSerde, bool keyChanged)
    {
        _builder = builder;
        _node = node;
        _keySerde = keySerde;
        _valueSerde = valueSerde;
        _keyChanged = keyChanged;
    }

    /// <summary>Keeps the records for which the predicate holds.</summary>
    public KStream<TKey, TValue> Filter(Func<TKey, TValue, bool> predicate) =>
        new(_builder, _builder.Add(new FilterNode<TKey, TValue>(predicate), _node), _keySerde, _valueSerde, _keyChanged);

    /// <summary>Drops the records for which the predicate holds.</summary>
    public KStream<TKey, TValue> FilterNot(Func<TKey, TValue, bool> predicate) => Filter((key, value) => !predicate(key, value));

    /// <summary>Replaces key and value. The new key counts as changed: see <see cref="GroupByKey"/>.</summary>
    public KStream<TKeyOut, TValueOut> Map<TKeyOut, TValueOut>(Func<TKey, TValue, (TKeyOut Key, TValueOut Value)> mapper) =>
        new(_builder, _builder.Add(new MapNode<TKey, TValue, TKeyOut, TValueOut>(mapper), _node), null, null, keyChanged: true);

    /// <summary>Replaces the value.</summary>
    public KStream<TKey, TValueOut> MapValues<TValueOut>(Func<TValue, TValueOut> mapper) =>
        new(_builder, _builder.Add(new MapNode<TKey, TValue, TKey, TValueOut>((key, value) => (key, mapper(value))), _node), _keySerde, null, _keyChanged);

    /// <summary>Replaces the key. It counts as changed: see <see cref="GroupByKey"/>.</summary>
    public KStream<TKeyOut, TValue> SelectKey<TKeyOut>(Func<TKey, TValue, TKeyOut> selector) =>
        new(_builder, _builder.Add(new MapNode<TKey, TValue, TKeyOut, TValue>((key, value) => (selector(key, value), value)), _node), null, _valueSerde, keyChanged: true);

    /// <summary>Replaces a record by any number of records.</summary>
    public KStream<TKeyOut, TValueOut> FlatMap<TKeyOut, TValueOut>(Func<TKey, TValue, IEnumerable<(TKeyOut Key, TValueOut Value)>> mapper) =>
        new(_builder, _builder.Add(new FlatMapNode<TKey, TValue, TKeyOut, TValueOut>(mapper), _node), null, null, keyChanged: true);

    /// <summary>Groups by the key as it is.</summary>
    /// <exception cref="StreamsException">InvalidRequest when the key was changed since the source: equal keys could lie in different partitions. Write the stream to a topic and read it from there.</exception>
    public KGroupedStream<TKey, TValue> GroupByKey()
    {
        StreamsBuilder.Check(!_keyChanged, $"the key was changed after the source of {_node.Name}, so equal keys may lie in different partitions; write the stream to a topic with To(), and group the Stream() of that topic");
        StreamsBuilder.Check(_keySerde is not null, "a file source cannot be grouped directly; write it to a topic with To(), and group the Stream() of that topic");
        return new KGroupedStream<TKey, TValue>(_builder, _node, _keySerde!, _valueSerde);
    }

    /// <summary>Writes the stream to a topic, which must exist when the application starts. Keys go where Kafka's default partitioner sends them.</summary>
    public void To(string topic, Produced<TKey, TValue> produced) => _builder.Add(new SinkNode<TKey, TValue>(topic, produced.KeySerde, produced.ValueSerde), _node);
}

/// <summary>A stream grouped by its key.</summary>
public sealed class KGroupedStream<TKey, TValue>
{
    private readonly StreamsBuilder _builder;
    private readonly TopologyNode _node;
    private readonly ISerde<TKey> _keySerde;
    private readonly ISerde<TValue>? _valueSerde;

    internal KGroupedStream(StreamsBuilder builder, TopologyNode node, ISerde<TKey> keySerde, ISerde<TValue>? valueSerde)
    {
        _builder = builder;
        _node = node;
        _keySerde = keySerde;
        _valueSerde = valueSerde;
    }

    /// <summary>Puts records into windows of event time.</summary>
    public TimeWindowedKStream<TKey, TValue> WindowedBy(TumblingWindows windows)
    {
        ArgumentNullException.ThrowIfNull(windows);
        return new TimeWindowedKStream<TKey, TValue>(_builder, _node, _keySerde, _valueSerde, windows, null);
    }
}

/// <summary>A grouped stream in windows: each window of each key has an aggregate, which comes out once, when the window closes.</summary>
public sealed class TimeWindowedKStream<TKey, TValue>
{
    private readonly StreamsBuilder _builder;
    private readonly TopologyNode _node;
    private readonly ISerde<TKey> _keySerde;
    private readonly ISerde<TValue>? _valueSerde;
    private readonly TumblingWindows _windows;
    private readonly LateSink<TKey, TValue>? _late;

    internal TimeWindowedKStream(
        StreamsBuilder builder, TopologyNode node, ISerde<TKey> keySerde, ISerde<TValue>? valueSerde, TumblingWindows windows, LateSink<TKey, TValue>? late)
    {
        _builder = builder;
        _node = node;
        _keySerde = keySerde;
        _valueSerde = valueSerde;
        _windows = windows;
        _late = late;
    }

    /// <summary>Writes late records to a topic, besides counting them; with their key, value and timestamp, and the header <c>late-window-start</c> (ms, as text).</summary>
    /// <param name="topic">The topic; it must exist when the application starts.</param>
    /// <param name="produced">How they are written; may be left out when key and value are the source's.</param>
    /// <exception cref="StreamsException">InvalidRequest when it is left out and the value was changed.</exception>
    public TimeWindowedKStream<TKey, TValue> LateTo(string topic, Produced<TKey, TValue>? produced = null)
    {
        StreamsBuilder.Check(produced is not null || _valueSerde is not null, $"the value was changed since the source; say how late records are written to {topic} with Produced.With(...)");
        return new TimeWindowedKStream<TKey, TValue>(
            _builder, _node, _keySerde, _valueSerde, _windows, new LateSink<TKey, TValue>(topic, produced?.KeySerde ?? _keySerde, produced?.ValueSerde ?? _valueSerde!));
    }

    /// <summary>Counts the records of each window.</summary>
    public KStream<Windowed<TKey>, long> Count(Materialized<long> materialized) => Aggregate(() => 0L, (_, _, count) => count + 1, materialized);

    /// <summary>Folds the records of each window into an aggregate, in arrival order.</summary>
    /// <param name="initializer">A new window's aggregate.</param>
    /// <param name="aggregator">The next aggregate; treat aggregates as values, never keep one.</param>
    /// <param name="materialized">The store's name and the aggregate's format.</param>
    public KStream<Windowed<TKey>, TAggregate> Aggregate<TAggregate>(
        Func<TAggregate> initializer, Func<TKey, TValue, TAggregate, TAggregate> aggregator, Materialized<TAggregate> materialized)
    {
        ArgumentNullException.ThrowIfNull(materialized);
        var node = new WindowAggregateNode<TKey, TValue, TAggregate>(_keySerde, _windows, initializer, aggregator, materialized, _late);
        return new KStream<Windowed<TKey>, TAggregate>(_builder, _builder.Add(node, _node), null, materialized.ValueSerde, keyChanged: true);
    }

    /// <summary>Combines the values of each window; the first is the aggregate of a new window.</summary>
    public KStream<Windowed<TKey>, TValue> Reduce(Func<TValue, TValue, TValue> reducer, Materialized<TValue> materialized)
    {
        ArgumentNullException.ThrowIfNull(materialized);
        var node = new WindowAggregateNode<TKey, TValue, TValue>(_keySerde, _windows, null, (_, value, reduced) => reducer(reduced, value), materialized, _late) { First = value => value };
        return new KStream<Windowed<TKey>, TValue>(_builder, _builder.Add(node, _node), null, materialized.ValueSerde, keyChanged: true);
    }
}
