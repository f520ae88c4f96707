using OrleansStreams.Records;

namespace OrleansStreams.Topologies;

/// <summary>
/// A stream grouped by key and sliding window. Unless it is said otherwise, a window's result is emitted once, when the task's watermark has passed its last millisecond plus the
/// grace, with that millisecond as its timestamp. An event that comes when all its windows have closed is late: it is counted and, with <see cref="LateTo"/>, written to a topic.
/// <para>An event costs as much as the windows that it is in, and a new window as much as the events that it holds: keep the time difference such that these are few.</para>
/// </summary>
public sealed partial class SlidingWindowedKStream<TKey, TValue>
{
    private readonly GroupedWindows<TKey> _grouped;
    private readonly SlidingWindows _windows;

    internal SlidingWindowedKStream(GroupedWindows<TKey> grouped, SlidingWindows windows)
    {
        _grouped = grouped;
        _windows = windows;
    }

    /// <summary>Writes late events to a topic as they were read (key, value, timestamp, headers), with the headers <c>late-window-start</c>,
    /// <c>late-window-end</c> (of the window that ends with the event) and <c>late-watermark</c> (decimal text, ms since the Unix epoch).</summary>
    /// <exception cref="StreamsException">InvalidTopic for a name that cannot be used.</exception>
    public SlidingWindowedKStream<TKey, TValue> LateTo(string topic) => new(_grouped.LateTo(topic), _windows);

    /// <summary>Emits each window once, when it closes: the default.</summary>
    public SlidingWindowedKStream<TKey, TValue> EmitOnClose() => new(_grouped with { Emit = default }, _windows);

    /// <summary>Emits a window with every event that it takes, with the event's time as the result's timestamp. The last result is the final one.</summary>
    public SlidingWindowedKStream<TKey, TValue> EmitOnUpdate() => new(_grouped with { Emit = new(WindowEmitKind.OnUpdate, 0) }, _windows);

    /// <summary>Emits the windows that have changed since they were emitted last, whenever the watermark comes to a multiple of an interval, and when they close. The last
    /// result is the final one.</summary>
    /// <exception cref="StreamsException">InvalidConfig when the interval is below 1 ms or above 1000 years.</exception>
    public SlidingWindowedKStream<TKey, TValue> EmitEvery(TimeSpan interval) => new(_grouped with { Emit = WindowEmit.Every(interval) }, _windows);

    /// <summary>Counts the events of each window.</summary>
    /// <param name="materialized">The store's name and serde.</param>
    public KStream<Windowed<TKey>, long> Count(Materialized<long> materialized) => Add(materialized, WindowAggregators.Count<TKey, TValue>(), null);

    /// <summary>Combines the values of each window, two at a time.</summary>
    /// <param name="reducer">Gives the combination of two values, as a new object; in an order that depends on how the events came.</param>
    /// <param name="materialized">The store's name and serde.</param>
    public KStream<Windowed<TKey>, TValue> Reduce(Func<TValue, TValue, TValue> reducer, Materialized<TValue> materialized)
    {
        ArgumentNullException.ThrowIfNull(materialized);
        return Add(materialized, WindowAggregators.Reduce<TKey, TValue>(reducer), materialized.ValueSerde);
    }

    /// <summary>Adds the events of each window to an aggregate.</summary>
    /// <param name="initializer">Makes an empty aggregate: a new one with each call when it is an object that the aggregator changes.</param>
    /// <param name="aggregator">Gives the aggregate with one event more; it may change the aggregate that it is given when windows are emitted on close alone, but never the event's
    /// value, which is kept for other windows.</param>
    /// <param name="materialized">The store's name and serde.</param>
    /// <param name="valueSerde">The serde of the events' values, which are kept as long as windows that are not there yet can hold them.</param>
    public KStream<Windowed<TKey>, TAggregate> Aggregate<TAggregate>(
        Func<TAggregate> initializer, Func<TKey, TValue, TAggregate, TAggregate> aggregator, Materialized<TAggregate> materialized, ISerde<TValue> valueSerde)
    {
        ArgumentNullException.ThrowIfNull(valueSerde);
        return Add(materialized, WindowAggregators.Aggregate(initializer, aggregator), valueSerde);
    }

    private KStream<Windowed<TKey>, TAggregate> Add<TAggregate>(
        Materialized<TAggregate> materialized, WindowAggregator<TKey, TValue, TAggregate> aggregator, ISerde<TValue>? valueSerde)
    {
        ArgumentNullException.ThrowIfNull(materialized);
        return _grouped.Add<TAggregate>(new SlidingWindowNode<TKey, TValue, TAggregate>(_grouped, _windows, materialized, aggregator, valueSerde));
    }
}
