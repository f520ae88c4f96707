namespace OrleansStreams.Topologies;

/// <summary>Several streams grouped by key and tumbling or hopping window. When windows close, what is late and when results are emitted is as for one stream (<see cref="TimeWindowedKStream{TKey, TValue}"/>).</summary>
public sealed class TimeWindowedCogroupedKStream<TKey, TAggregate>
{
    private readonly TimeWindowedKStream<TKey, CogroupedValue<TKey, TAggregate>> _windowed;

    internal TimeWindowedCogroupedKStream(TimeWindowedKStream<TKey, CogroupedValue<TKey, TAggregate>> windowed) => _windowed = windowed;

    /// <inheritdoc cref="TimeWindowedKStream{TKey, TValue}.LateTo"/>
    public TimeWindowedCogroupedKStream<TKey, TAggregate> LateTo(string topic) => new(_windowed.LateTo(topic));

    /// <inheritdoc cref="TimeWindowedKStream{TKey, TValue}.EmitOnClose"/>
    public TimeWindowedCogroupedKStream<TKey, TAggregate> EmitOnClose() => new(_windowed.EmitOnClose());

    /// <inheritdoc cref="TimeWindowedKStream{TKey, TValue}.EmitOnUpdate"/>
    public TimeWindowedCogroupedKStream<TKey, TAggregate> EmitOnUpdate() => new(_windowed.EmitOnUpdate());

    /// <inheritdoc cref="TimeWindowedKStream{TKey, TValue}.EmitEvery"/>
    public TimeWindowedCogroupedKStream<TKey, TAggregate> EmitEvery(TimeSpan interval) => new(_windowed.EmitEvery(interval));

    /// <summary>Adds the events of all streams to an aggregate of each window.</summary>
    /// <param name="initializer">Makes an empty aggregate: a new one with each call when it is an object that an aggregator changes.</param>
    /// <param name="materialized">The store's name and serde.</param>
    public KStream<Windowed<TKey>, TAggregate> Aggregate(Func<TAggregate> initializer, Materialized<TAggregate> materialized) =>
        _windowed.Aggregate(initializer, CogroupedKStream<TKey, TAggregate>.Add, materialized);
}

/// <summary>Several streams grouped by key and session. When sessions close, what is late and when results are emitted is as for one stream (<see cref="SessionWindowedKStream{TKey, TValue}"/>).</summary>
public sealed class SessionWindowedCogroupedKStream<TKey, TAggregate>
{
    private readonly SessionWindowedKStream<TKey, CogroupedValue<TKey, TAggregate>> _windowed;

    internal SessionWindowedCogroupedKStream(SessionWindowedKStream<TKey, CogroupedValue<TKey, TAggregate>> windowed) => _windowed = windowed;

    /// <inheritdoc cref="SessionWindowedKStream{TKey, TValue}.LateTo"/>
    public SessionWindowedCogroupedKStream<TKey, TAggregate> LateTo(string topic) => new(_windowed.LateTo(topic));

    /// <inheritdoc cref="SessionWindowedKStream{TKey, TValue}.EmitOnClose"/>
    public SessionWindowedCogroupedKStream<TKey, TAggregate> EmitOnClose() => new(_windowed.EmitOnClose());

    /// <inheritdoc cref="SessionWindowedKStream{TKey, TValue}.EmitOnUpdate"/>
    public SessionWindowedCogroupedKStream<TKey, TAggregate> EmitOnUpdate() => new(_windowed.EmitOnUpdate());

    /// <inheritdoc cref="SessionWindowedKStream{TKey, TValue}.EmitEvery"/>
    public SessionWindowedCogroupedKStream<TKey, TAggregate> EmitEvery(TimeSpan interval) => new(_windowed.EmitEvery(interval));

    /// <summary>Adds the events of all streams to an aggregate of each session.</summary>
    /// <param name="initializer">Makes an empty aggregate: a new one with each call when it is an object that an aggregator changes.</param>
    /// <param name="merger">Gives the aggregate of two sessions that have become one; the earlier one comes first.</param>
    /// <param name="materialized">The store's name and serde.</param>
    public KStream<Windowed<TKey>, TAggregate> Aggregate(
        Func<TAggregate> initializer, Func<TKey, TAggregate, TAggregate, TAggregate> merger, Materialized<TAggregate> materialized) =>
        _windowed.Aggregate(initializer, CogroupedKStream<TKey, TAggregate>.Add, merger, materialized);
}

/// <summary>Several streams grouped by key and sliding window. When windows close, what is late and when results are emitted is as for one stream (<see cref="SlidingWindowedKStream{TKey, TValue}"/>).</summary>
public sealed class SlidingWindowedCogroupedKStream<TKey, TAggregate>
{
    private readonly SlidingWindowedKStream<TKey, CogroupedValue<TKey, TAggregate>> _windowed;
    private readonly CogroupedValueSerde<TKey, TAggregate> _events;

    internal SlidingWindowedCogroupedKStream(SlidingWindowedKStream<TKey, CogroupedValue<TKey, TAggregate>> windowed, CogroupedValueSerde<TKey, TAggregate> events)
    {
        _windowed = windowed;
        _events = events;
    }

    /// <inheritdoc cref="SlidingWindowedKStream{TKey, TValue}.LateTo"/>
    public SlidingWindowedCogroupedKStream<TKey, TAggregate> LateTo(string topic) => new(_windowed.LateTo(topic), _events);

    /// <inheritdoc cref="SlidingWindowedKStream{TKey, TValue}.EmitOnClose"/>
    public SlidingWindowedCogroupedKStream<TKey, TAggregate> EmitOnClose() => new(_windowed.EmitOnClose(), _events);

    /// <inheritdoc cref="SlidingWindowedKStream{TKey, TValue}.EmitOnUpdate"/>
    public SlidingWindowedCogroupedKStream<TKey, TAggregate> EmitOnUpdate() => new(_windowed.EmitOnUpdate(), _events);

    /// <inheritdoc cref="SlidingWindowedKStream{TKey, TValue}.EmitEvery"/>
    public SlidingWindowedCogroupedKStream<TKey, TAggregate> EmitEvery(TimeSpan interval) => new(_windowed.EmitEvery(interval), _events);

    /// <summary>Adds the events of all streams to an aggregate of each window.</summary>
    /// <param name="initializer">Makes an empty aggregate: a new one with each call when it is an object that an aggregator changes.</param>
    /// <param name="materialized">The store's name and serde.</param>
    public KStream<Windowed<TKey>, TAggregate> Aggregate(Func<TAggregate> initializer, Materialized<TAggregate> materialized) =>
        _windowed.Aggregate(initializer, CogroupedKStream<TKey, TAggregate>.Add, materialized, _events);
}
