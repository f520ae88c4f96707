using OrleansStreams.Records;

namespace OrleansStreams.Topologies;

/// <summary>
/// A stream grouped by key. A record with a null key belongs to no group: the step fails on it, so filter such records before. Without windows, a record with a null value
/// is left out, as in Kafka Streams.
/// </summary>
public sealed partial class KGroupedStream<TKey, TValue>
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
        return new TimeWindowedKStream<TKey, TValue>(new GroupedWindows<TKey>(_builder, _node, _keySerde), new HoppingWindows(windows.SizeMs, windows.SizeMs, windows.GraceMs));
    }

    /// <summary>Divides each group into windows of event time that overlap: an event belongs to several of them.</summary>
    public TimeWindowedKStream<TKey, TValue> WindowedBy(HoppingWindows windows)
    {
        ArgumentNullException.ThrowIfNull(windows);
        return new TimeWindowedKStream<TKey, TValue>(new GroupedWindows<TKey>(_builder, _node, _keySerde), windows);
    }

    /// <summary>Divides each group into sessions: events of which each follows the one before within a gap.</summary>
    public SessionWindowedKStream<TKey, TValue> WindowedBy(SessionWindows windows)
    {
        ArgumentNullException.ThrowIfNull(windows);
        return new SessionWindowedKStream<TKey, TValue>(new GroupedWindows<TKey>(_builder, _node, _keySerde), windows);
    }

    /// <summary>Divides each group into windows of which each begins or ends with an event: one for every set of events that lie together within the time difference.</summary>
    public SlidingWindowedKStream<TKey, TValue> WindowedBy(SlidingWindows windows)
    {
        ArgumentNullException.ThrowIfNull(windows);
        return new SlidingWindowedKStream<TKey, TValue>(new GroupedWindows<TKey>(_builder, _node, _keySerde), windows);
    }

    /// <summary>Counts the records of each group.</summary>
    /// <param name="materialized">The store's name and serde.</param>
    public KTable<TKey, long> Count(Materialized<long> materialized) => Add("count", materialized, (_, _) => 1L, (_, _, count) => count + 1);

    /// <summary>Combines the values of each group, two at a time.</summary>
    /// <param name="reducer">Gives the combination of what was reduced so far and the next value, as a new object; null deletes the key.</param>
    /// <param name="materialized">The store's name and serde.</param>
    public KTable<TKey, TValue> Reduce(Func<TValue, TValue, TValue> reducer, Materialized<TValue> materialized)
    {
        ArgumentNullException.ThrowIfNull(reducer);
        return Add("reduce", materialized, (_, value) => value, (_, value, reduced) => reducer(reduced, value));
    }

    /// <summary>Adds the records of each group to an aggregate.</summary>
    /// <param name="initializer">Makes an empty aggregate.</param>
    /// <param name="aggregator">Gives the aggregate with one record more, as a new object: the old one is told to what follows. Null deletes the key.</param>
    /// <param name="materialized">The store's name and serde.</param>
    public KTable<TKey, TAggregate> Aggregate<TAggregate>(
        Func<TAggregate> initializer, Func<TKey, TValue, TAggregate, TAggregate> aggregator, Materialized<TAggregate> materialized)
    {
        ArgumentNullException.ThrowIfNull(initializer);
        ArgumentNullException.ThrowIfNull(aggregator);
        return Add("aggregate", materialized, (key, value) => aggregator(key, value, initializer()), aggregator);
    }

    private KTable<TKey, TAggregate> Add<TAggregate>(
        string kind, Materialized<TAggregate> materialized, Func<TKey, TValue, TAggregate> first, Func<TKey, TValue, TAggregate, TAggregate> next)
    {
        ArgumentNullException.ThrowIfNull(materialized);
        var node = new AggregateNode<TKey, TValue, TAggregate>(_builder.NextId, _builder.NameOf(kind), _node, _keySerde, materialized, first, next);
        return new(_builder, _builder.Add(node), _keySerde, materialized.StoreName);
    }
}
