using OrleansStreams.Records;

namespace OrleansStreams.Topologies;

/// <summary>
/// A stream grouped by key and window. A window's result is emitted once, when the task's watermark has passed its end plus the grace, with the window's last millisecond as
/// its timestamp. Events that come later are counted and, with <see cref="LateTo"/>, written to a topic.
/// </summary>
public sealed partial class TimeWindowedKStream<TKey, TValue>
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
