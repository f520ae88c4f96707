namespace OrleansStreams.Topologies;

/// <summary>
/// A stream grouped by key and session. Unless it is said otherwise, a session's result is emitted once, when the task's watermark has passed its last event plus gap and
/// grace, with the time of its last event as its timestamp. An event is late when the session that it would belong to, with all that it would join, has closed; it is
/// counted and, with <see cref="LateTo"/>, written to a topic.
/// <para>
/// Events that are no further behind their partition's watermark than the grace give the same sessions however partitions are interleaved. One that is further behind is still taken when it meets a
/// session that is open, as in Kafka Streams; in a task with several inputs that can depend on which of them was read first.
/// </para>
/// </summary>
public sealed partial class SessionWindowedKStream<TKey, TValue>
{
    private readonly GroupedWindows<TKey> _grouped;
    private readonly SessionWindows _windows;

    internal SessionWindowedKStream(GroupedWindows<TKey> grouped, SessionWindows windows)
    {
        _grouped = grouped;
        _windows = windows;
    }

    /// <summary>Writes late events to a topic as they were read (key, value, timestamp, headers), with the headers <c>late-window-start</c>,
    /// <c>late-window-end</c> (of the session of the event alone) and <c>late-watermark</c> (decimal text, ms since the Unix epoch).</summary>
    /// <exception cref="StreamsException">InvalidTopic for a name that cannot be used.</exception>
    public SessionWindowedKStream<TKey, TValue> LateTo(string topic) => new(_grouped.LateTo(topic), _windows);

    /// <summary>Emits each session once, when it closes: the default.</summary>
    public SessionWindowedKStream<TKey, TValue> EmitOnClose() => new(_grouped with { Emit = default }, _windows);

    /// <summary>
    /// Emits a session with every event that it takes, with the event's time as the result's timestamp. A session that has grown or was merged is another one: the old
    /// one is deleted by a null value. The last result is the final one.
    /// </summary>
    public SessionWindowedKStream<TKey, TValue> EmitOnUpdate() => new(_grouped with { Emit = new(WindowEmitKind.OnUpdate, 0) }, _windows);

    /// <summary>
    /// Emits the sessions that have changed since they were emitted last, whenever the watermark comes to a multiple of an interval, and when they close. A session that has
    /// grown or was merged after it had been emitted is deleted at once, by a null value. The last result is the final one.
    /// </summary>
    /// <exception cref="StreamsException">InvalidConfig when the interval is below 1 ms or above 1000 years.</exception>
    public SessionWindowedKStream<TKey, TValue> EmitEvery(TimeSpan interval) => new(_grouped with { Emit = WindowEmit.Every(interval) }, _windows);

    /// <summary>Counts the events of each session.</summary>
    /// <param name="materialized">The store's name and serde.</param>
    public KStream<Windowed<TKey>, long> Count(Materialized<long> materialized) =>
        Add(materialized, WindowAggregators.Count<TKey, TValue>(), (_, earlier, later) => earlier + later);

    /// <summary>Combines the values of each session, two at a time.</summary>
    /// <param name="reducer">Gives the combination of what was reduced so far and the next value, or of two sessions that have become one; as a new object unless sessions are
    /// emitted on close alone.</param>
    /// <param name="materialized">The store's name and serde.</param>
    public KStream<Windowed<TKey>, TValue> Reduce(Func<TValue, TValue, TValue> reducer, Materialized<TValue> materialized) =>
        Add(materialized, WindowAggregators.Reduce<TKey, TValue>(reducer), (_, earlier, later) => reducer(earlier, later));

    /// <summary>Adds the events of each session to an aggregate.</summary>
    /// <param name="initializer">Makes an empty aggregate: a new one with each call when it is an object that the aggregator changes.</param>
    /// <param name="aggregator">Gives the aggregate with one event more; it may change the object that it is given when sessions are emitted on close alone.</param>
    /// <param name="merger">Gives the aggregate of two sessions that have become one; the earlier one comes first.</param>
    /// <param name="materialized">The store's name and serde.</param>
    public KStream<Windowed<TKey>, TAggregate> Aggregate<TAggregate>(
        Func<TAggregate> initializer,
        Func<TKey, TValue, TAggregate, TAggregate> aggregator,
        Func<TKey, TAggregate, TAggregate, TAggregate> merger,
        Materialized<TAggregate> materialized)
    {
        ArgumentNullException.ThrowIfNull(merger);
        return Add(materialized, WindowAggregators.Aggregate(initializer, aggregator), merger);
    }

    private KStream<Windowed<TKey>, TAggregate> Add<TAggregate>(
        Materialized<TAggregate> materialized, WindowAggregator<TKey, TValue, TAggregate> aggregator, Func<TKey, TAggregate, TAggregate, TAggregate> merger)
    {
        ArgumentNullException.ThrowIfNull(materialized);
        return _grouped.Add<TAggregate>(new SessionWindowNode<TKey, TValue, TAggregate>(_grouped, _windows, materialized, aggregator, merger));
    }
}
