using OrleansStreams.Records;

namespace OrleansStreams.Topologies;

/// <summary>Cogrouping.</summary>
public sealed partial class KGroupedStream<TKey, TValue>
{
    /// <summary>
    /// Begins an aggregate over several grouped streams of equal keys. In it, with windows or without, a record with a null value is left out, as in Kafka Streams.
    /// </summary>
    /// <param name="aggregator">Gives the aggregate with one record of this stream more, as a new object: the old one is told to what follows.</param>
    /// <param name="valueSerde">The serde of this stream's values; only sliding windows need it, which keep events.</param>
    public CogroupedKStream<TKey, TAggregate> Cogroup<TAggregate>(Func<TKey, TValue, TAggregate, TAggregate> aggregator, ISerde<TValue>? valueSerde = null) =>
        new(_builder, _keySerde, [InputOf(aggregator, valueSerde)]);

    internal CogroupInput<TKey, TAggregate> InputOf<TAggregate>(Func<TKey, TValue, TAggregate, TAggregate> aggregator, ISerde<TValue>? valueSerde)
    {
        ArgumentNullException.ThrowIfNull(aggregator);
        return new CogroupInput<TKey, TValue, TAggregate>(_builder, _node, _keySerde, aggregator, valueSerde);
    }
}

/// <summary>
/// Several streams grouped by equal keys, each with a way into one aggregate: cheaper and simpler than to aggregate each and to join the results. The topics that meet must have equally many
/// partitions, which is checked when the application starts.
/// </summary>
/// <example>
/// <code>
/// clicks.GroupByKey().Cogroup&lt;Activity&gt;((user, click, activity) => activity.With(click))
///     .Cogroup(purchases.GroupByKey(), (user, purchase, activity) => activity.With(purchase))
///     .Aggregate(() => Activity.None, Materialized.As("activities", Serdes.Json&lt;Activity&gt;()));
/// </code>
/// </example>
public sealed class CogroupedKStream<TKey, TAggregate>
{
    private readonly StreamsBuilder _builder;
    private readonly ISerde<TKey> _keySerde;
    private readonly CogroupInput<TKey, TAggregate>[] _inputs;

    internal CogroupedKStream(StreamsBuilder builder, ISerde<TKey> keySerde, CogroupInput<TKey, TAggregate>[] inputs)
    {
        _builder = builder;
        _keySerde = keySerde;
        _inputs = inputs;
    }

    /// <summary>Adds another stream.</summary>
    /// <param name="grouped">The stream.</param>
    /// <param name="aggregator">Gives the aggregate with one record of it more, as a new object.</param>
    /// <param name="valueSerde">The serde of its values; only sliding windows need it, which keep events.</param>
    /// <exception cref="StreamsException">InvalidConfig: another builder; keys that are written by another serde, so that equal keys would lie in different tasks.</exception>
    public CogroupedKStream<TKey, TAggregate> Cogroup<TValue>(
        KGroupedStream<TKey, TValue> grouped, Func<TKey, TValue, TAggregate, TAggregate> aggregator, ISerde<TValue>? valueSerde = null)
    {
        ArgumentNullException.ThrowIfNull(grouped);
        var input = grouped.InputOf(aggregator, valueSerde);
        _builder.CheckSame(input.Builder);
        return input.KeySerde.Name == _keySerde.Name
            ? new(_builder, _keySerde, [.. _inputs, input])
            : throw Topology.Invalid($"The cogrouped streams '{_inputs[0].Node.Name}' and '{input.Node.Name}' write their keys as '{_keySerde.Name}' and '{input.KeySerde.Name}': equal keys would lie in different tasks. Group one of them with GroupByKey(Grouped.With(...)) or GroupBy by the other's key serde.");
    }

    /// <summary>Adds the records of all streams to an aggregate of each key.</summary>
    /// <param name="initializer">Makes an empty aggregate.</param>
    /// <param name="materialized">The store's name and serde.</param>
    public KTable<TKey, TAggregate> Aggregate(Func<TAggregate> initializer, Materialized<TAggregate> materialized)
    {
        ArgumentNullException.ThrowIfNull(initializer);
        return new KGroupedStream<TKey, CogroupedValue<TKey, TAggregate>>(_builder, AddInputs(isKept: false), _keySerde).Aggregate(initializer, Add, materialized);
    }

    /// <summary>Divides each group into windows of event time.</summary>
    public TimeWindowedCogroupedKStream<TKey, TAggregate> WindowedBy(TumblingWindows windows)
    {
        ArgumentNullException.ThrowIfNull(windows);
        return WindowedBy(new HoppingWindows(windows.SizeMs, windows.SizeMs, windows.GraceMs));
    }

    /// <summary>Divides each group into windows of event time that overlap.</summary>
    public TimeWindowedCogroupedKStream<TKey, TAggregate> WindowedBy(HoppingWindows windows)
    {
        ArgumentNullException.ThrowIfNull(windows);
        return new(new(Windows(isKept: false), windows));
    }

    /// <summary>Divides each group into sessions, over the records of all streams.</summary>
    public SessionWindowedCogroupedKStream<TKey, TAggregate> WindowedBy(SessionWindows windows)
    {
        ArgumentNullException.ThrowIfNull(windows);
        return new(new(Windows(isKept: false), windows));
    }

    /// <summary>Divides each group into windows of which each begins or ends with an event of any of the streams.</summary>
    /// <exception cref="StreamsException">InvalidConfig when a stream was cogrouped without the serde of its values.</exception>
    public SlidingWindowedCogroupedKStream<TKey, TAggregate> WindowedBy(SlidingWindows windows)
    {
        ArgumentNullException.ThrowIfNull(windows);
        if (Array.Find(_inputs, input => !input.HasValueSerde) is { } without)
        {
            throw Topology.Invalid($"Sliding windows keep events, but the stream '{without.Node.Name}' was cogrouped without the serde of its values: give it to Cogroup behind the aggregator.");
        }

        return new(new(Windows(isKept: true), windows), new CogroupedValueSerde<TKey, TAggregate>(_inputs));
    }

    internal static TAggregate Add(TKey key, CogroupedValue<TKey, TAggregate> value, TAggregate aggregate) => value.AddTo(key, aggregate);

    private GroupedWindows<TKey> Windows(bool isKept) => new(_builder, AddInputs(isKept), _keySerde);

    /// <param name="isKept">Whether values outlive the step that they are made for.</param>
    private TopologyNode AddInputs(bool isKept)
    {
        TopologyNode[] inputs = [.. _inputs.Select((input, number) => input.AddNode(number, isKept))];
        return inputs.Length == 1 ? inputs[0] : _builder.Add(new MergeNode<TKey, CogroupedValue<TKey, TAggregate>>(_builder.NextId, _builder.NameOf("merge"), inputs));
    }
}
