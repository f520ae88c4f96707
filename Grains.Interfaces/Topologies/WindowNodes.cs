using OrleansStreams.Records;

namespace OrleansStreams.Topologies;

internal partial interface ITopologyVisitor
{
    void Visit<TKey, TValue, TAggregate>(HoppingWindowNode<TKey, TValue, TAggregate> node);

    void Visit<TKey, TValue, TAggregate>(SessionWindowNode<TKey, TValue, TAggregate> node);

    void Visit<TKey, TValue, TAggregate>(SlidingWindowNode<TKey, TValue, TAggregate> node);
}

/// <summary>When a window's results are emitted.</summary>
internal enum WindowEmitKind
{
    /// <summary>Once, when it closes.</summary>
    OnClose,

    /// <summary>With every event.</summary>
    OnUpdate,

    /// <summary>When the watermark reaches a multiple of an interval and when the window closes, if it has changed since.</summary>
    Every,
}

/// <param name="Kind">When.</param>
/// <param name="IntervalMs">The interval of <see cref="WindowEmitKind.Every"/>.</param>
internal readonly record struct WindowEmit(WindowEmitKind Kind, long IntervalMs)
{
    public string Shape => Kind switch
    {
        WindowEmitKind.OnClose => "on close",
        WindowEmitKind.OnUpdate => "on update",
        _ => $"every {IntervalMs}",
    };

    /// <exception cref="StreamsException">InvalidConfig when the interval is below 1 ms or above 1000 years.</exception>
    public static WindowEmit Every(TimeSpan interval) => new(WindowEmitKind.Every, EventTimes.Milliseconds(interval, 1, "The interval between results"));
}

/// <summary>What the windows of a grouped stream have in common, whatever their kind.</summary>
/// <param name="Builder">The description.</param>
/// <param name="Node">The stream.</param>
/// <param name="KeySerde">Of its key.</param>
internal sealed record GroupedWindows<TKey>(StreamsBuilder Builder, TopologyNode Node, ISerde<TKey> KeySerde)
{
    public string? LateTopic { get; init; }

    public WindowEmit Emit { get; init; }

    public GroupedWindows<TKey> LateTo(string topic)
    {
        TopologyNames.Check(topic, "topic");
        return this with { LateTopic = topic };
    }

    public KStream<Windowed<TKey>, TAggregate> Add<TAggregate>(TopologyNode node) => new(Builder, Builder.Add(node), null);
}

/// <summary>A windowed aggregate that is kept in a store ordered by time.</summary>
internal abstract class TimedWindowNode<TKey, TValue, TAggregate>(
    GroupedWindows<TKey> grouped, Materialized<TAggregate> materialized, WindowAggregator<TKey, TValue, TAggregate> aggregator, long closeDelayMs)
    : TopologyNode(grouped.Builder.NextId, grouped.Builder.NameOf("window"), grouped.Node), IWindowedNode<TKey, TAggregate>
{
    public ISerde<TKey> KeySerde { get; } = grouped.KeySerde;

    public string? LateTopic { get; } = grouped.LateTopic;

    public WindowEmit Emit { get; } = grouped.Emit;

    public Materialized<TAggregate> Materialized { get; } = materialized.ForWindows();

    ISerde<TAggregate> IWindowedNode<TKey, TAggregate>.ValueSerde => Materialized.ValueSerde;

    public WindowAggregator<TKey, TValue, TAggregate> Aggregator { get; } = aggregator;

    /// <summary>How long after its end (exclusive) a window closes, in ms of the watermark.</summary>
    public long CloseDelayMs { get; } = closeDelayMs;

    /// <summary>The store of the windows that have changed since they were emitted, for <see cref="WindowEmitKind.Every"/>.</summary>
    public string PendingStore => Materialized.StoreName + "-pending";

    public override IEnumerable<string> ResultStores => [Materialized.StoreName];

    public override IReadOnlyList<string> Stores => Emit.Kind == WindowEmitKind.Every ? [Materialized.StoreName, PendingStore] : [Materialized.StoreName];

    public override IEnumerable<string> Writes => LateTopic is null ? [] : [LateTopic];

    // A result has its window's last millisecond, end - 1, when the window closes at end + delay, and nothing older before.
    public override long? EmitDelayMs => Emit.Kind == WindowEmitKind.OnUpdate ? null : CloseDelayMs + 1;

    public override string Shape =>
        $"{Kind} emit {Emit.Shape} store {Materialized.StoreName} key {KeySerde.Name} value {Materialized.ValueSerde.Name} late {LateTopic}";

    protected abstract string Kind { get; }
}

internal sealed class HoppingWindowNode<TKey, TValue, TAggregate>(
    GroupedWindows<TKey> grouped, HoppingWindows windows, Materialized<TAggregate> materialized, WindowAggregator<TKey, TValue, TAggregate> aggregator)
    : TimedWindowNode<TKey, TValue, TAggregate>(grouped, materialized, aggregator, windows.GraceMs)
{
    public HoppingWindows Windows { get; } = windows;

    protected override string Kind => $"hopping {Windows.SizeMs} advance {Windows.AdvanceMs} grace {Windows.GraceMs}";

    public override void Accept(ITopologyVisitor visitor) => visitor.Visit(this);
}

internal sealed class SessionWindowNode<TKey, TValue, TAggregate>(
    GroupedWindows<TKey> grouped,
    SessionWindows windows,
    Materialized<TAggregate> materialized,
    WindowAggregator<TKey, TValue, TAggregate> aggregator,
    Func<TKey, TAggregate, TAggregate, TAggregate> merger)
    : TimedWindowNode<TKey, TValue, TAggregate>(grouped, materialized, aggregator, windows.GapMs + windows.GraceMs - 1)
{
    public SessionWindows Windows { get; } = windows;

    /// <summary>The aggregate of two sessions that have become one; the earlier one comes first.</summary>
    public Func<TKey, TAggregate, TAggregate, TAggregate> Merger { get; } = merger;

    // A session that has grown is deleted under its old bounds when it had been emitted under them.
    public override bool KeepsNull => Emit.Kind != WindowEmitKind.OnClose;

    protected override string Kind => $"session gap {Windows.GapMs} grace {Windows.GraceMs}";

    public override void Accept(ITopologyVisitor visitor) => visitor.Visit(this);
}

internal sealed class SlidingWindowNode<TKey, TValue, TAggregate>(
    GroupedWindows<TKey> grouped,
    SlidingWindows windows,
    Materialized<TAggregate> materialized,
    WindowAggregator<TKey, TValue, TAggregate> aggregator,
    ISerde<TValue>? valueSerde)
    : TimedWindowNode<TKey, TValue, TAggregate>(grouped, materialized, aggregator, windows.GraceMs - 1)
{
    public SlidingWindows Windows { get; } = windows;

    /// <summary>Of the events' values, which are kept as long as new windows can hold them; null when the aggregator does not look at them.</summary>
    public ISerde<TValue>? ValueSerde { get; } = valueSerde;

    /// <summary>The store of the events.</summary>
    public string EventStore => Materialized.StoreName + "-events";

    public override IReadOnlyList<string> Stores => [.. base.Stores, EventStore];

    protected override string Kind => $"sliding {Windows.TimeDifferenceMs} grace {Windows.GraceMs} events {ValueSerde?.Name}";

    public override void Accept(ITopologyVisitor visitor) => visitor.Visit(this);
}
