namespace OrleansStreams.Topologies;

/// <summary>
/// A stream grouped by key and tumbling or hopping window. Unless it is said otherwise, a window's result is emitted once, when the task's watermark has passed its end plus the
/// grace, with the window's last millisecond as its timestamp. An event that comes when all its windows have closed is late: it is counted and, with <see cref="LateTo"/>, written to a topic.
/// </summary>
public sealed partial class TimeWindowedKStream<TKey, TValue>
{
    private readonly GroupedWindows<TKey> _grouped;
    private readonly HoppingWindows _windows;

    internal TimeWindowedKStream(GroupedWindows<TKey> grouped, HoppingWindows windows)
    {
        _grouped = grouped;
        _windows = windows;
    }

    /// <summary>Writes late events to a topic as they were read (key, value, timestamp, headers), with the headers <c>late-window-start</c>,
    /// <c>late-window-end</c> (of the last window that would have held the event) and <c>late-watermark</c> (decimal text, ms since the Unix epoch).</summary>
    /// <exception cref="StreamsException">InvalidTopic for a name that cannot be used.</exception>
    public TimeWindowedKStream<TKey, TValue> LateTo(string topic) => new(_grouped.LateTo(topic), _windows);

    /// <summary>Emits each window once, when it closes: the default.</summary>
    public TimeWindowedKStream<TKey, TValue> EmitOnClose() => new(_grouped with { Emit = default }, _windows);

    /// <summary>Emits a window with every event that it takes, with the event's time as the result's timestamp. The last result is the final one.</summary>
    public TimeWindowedKStream<TKey, TValue> EmitOnUpdate() => new(_grouped with { Emit = new(WindowEmitKind.OnUpdate, 0) }, _windows);

    /// <summary>Emits the windows that have changed since they were emitted last, whenever the watermark comes to a multiple of an interval, and when they close. The last
    /// result is the final one.</summary>
    /// <exception cref="StreamsException">InvalidConfig when the interval is below 1 ms or above 1000 years.</exception>
    public TimeWindowedKStream<TKey, TValue> EmitEvery(TimeSpan interval) => new(_grouped with { Emit = WindowEmit.Every(interval) }, _windows);

    /// <summary>Counts the events of each window.</summary>
    /// <param name="materialized">The store's name and serde.</param>
    public KStream<Windowed<TKey>, long> Count(Materialized<long> materialized) => Add(materialized, WindowAggregators.Count<TKey, TValue>());

    /// <summary>Combines the values of each window, two at a time.</summary>
    /// <param name="reducer">Gives the combination of what was reduced so far and the next value; as a new object unless windows are emitted on close alone.</param>
    /// <param name="materialized">The store's name and serde.</param>
    public KStream<Windowed<TKey>, TValue> Reduce(Func<TValue, TValue, TValue> reducer, Materialized<TValue> materialized) =>
        Add(materialized, WindowAggregators.Reduce<TKey, TValue>(reducer));

    /// <summary>Adds the events of each window to an aggregate.</summary>
    /// <param name="initializer">Makes an empty aggregate: a new one with each call when it is an object that the aggregator changes.</param>
    /// <param name="aggregator">Gives the aggregate with one event more; it may change the object that it is given when windows are emitted on close alone.</param>
    /// <param name="materialized">The store's name and serde.</param>
    public KStream<Windowed<TKey>, TAggregate> Aggregate<TAggregate>(
        Func<TAggregate> initializer, Func<TKey, TValue, TAggregate, TAggregate> aggregator, Materialized<TAggregate> materialized) =>
        Add(materialized, WindowAggregators.Aggregate(initializer, aggregator));

    private KStream<Windowed<TKey>, TAggregate> Add<TAggregate>(Materialized<TAggregate> materialized, WindowAggregator<TKey, TValue, TAggregate> aggregator)
    {
        ArgumentNullException.ThrowIfNull(materialized);
        if (_windows.AdvanceMs != _windows.SizeMs || _grouped.Emit.Kind != WindowEmitKind.OnClose)
        {
            return _grouped.Add<TAggregate>(new HoppingWindowNode<TKey, TValue, TAggregate>(_grouped, _windows, materialized, aggregator));
        }

        // Windows that do not overlap have a store of their own, which is faster.
        var tumbling = new TumblingWindows(_windows.SizeMs, _windows.GraceMs);
        return _grouped.Add<TAggregate>(new WindowAggregateNode<TKey, TValue, TAggregate>(
            _grouped.Builder.NextId, _grouped.Builder.NameOf("window"), _grouped.Node, _grouped.KeySerde, tumbling, _grouped.LateTopic, materialized, aggregator));
    }
}

/// <summary>Makes <see cref="WindowAggregator{TKey, TValue, TAggregate}"/>.</summary>
internal static class WindowAggregators
{
    public static WindowAggregator<TKey, TValue, long> Count<TKey, TValue>() => new((_, _) => 1, (_, _, count) => count + 1, UsesEvent: false);

    public static WindowAggregator<TKey, TValue, TValue> Reduce<TKey, TValue>(Func<TValue, TValue, TValue> reducer)
    {
        ArgumentNullException.ThrowIfNull(reducer);
        return new((_, value) => value, (_, value, reduced) => reducer(reduced, value), UsesEvent: true);
    }

    public static WindowAggregator<TKey, TValue, TAggregate> Aggregate<TKey, TValue, TAggregate>(Func<TAggregate> initializer, Func<TKey, TValue, TAggregate, TAggregate> aggregator)
    {
        ArgumentNullException.ThrowIfNull(initializer);
        ArgumentNullException.ThrowIfNull(aggregator);
        return new((key, value) => aggregator(key, value, initializer()), aggregator, UsesEvent: true);
    }
}
