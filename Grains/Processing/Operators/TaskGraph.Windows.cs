using OrleansStreams.Processing.State;
using OrleansStreams.Processing.Windows;
using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.Processing.Operators;

/// <summary>Windows that overlap or grow, and those that are emitted before they close.</summary>
internal sealed partial class TaskGraph
{
    public void Visit<TKey, TValue, TAggregate>(HoppingWindowNode<TKey, TValue, TAggregate> node) =>
        Add(node, new HoppingWindowProcessor<TKey, TValue, TAggregate>(StepOf(node), node.Windows));

    public void Visit<TKey, TValue, TAggregate>(SessionWindowNode<TKey, TValue, TAggregate> node) =>
        Add(node, new SessionWindowProcessor<TKey, TValue, TAggregate>(StepOf(node), node.Windows, node.Merger));

    public void Visit<TKey, TValue, TAggregate>(SlidingWindowNode<TKey, TValue, TAggregate> node)
    {
        var step = StepOf(node);
        var events = Keep(new TimedStore<TKey, SlidingEvent<TValue>>(node.EventStore, TimedOrder.Start, 0, node.KeySerde, new SlidingEventSerde<TValue>(node.ValueSerde)));
        Add(node, new SlidingWindowProcessor<TKey, TValue, TAggregate>(step, node.Windows, events));
    }

    private void Add<TKey, TValue>(TopologyNode node, Processor<TKey, TValue> processor)
    {
        Run(node, processor);
        Feed(node, processor);
    }

    private WindowStep<TKey, TValue, TAggregate> StepOf<TKey, TValue, TAggregate>(TimedWindowNode<TKey, TValue, TAggregate> node)
    {
        var materialized = node.Materialized;
        var store = Keep(new TimedStore<TKey, TAggregate>(materialized.StoreName, TimedOrder.End, materialized.RetentionMs, node.KeySerde, materialized.ValueSerde));
        var pending = node.Emit.Kind == WindowEmitKind.Every
            ? Keep(new TimedStore<TKey, long>(node.PendingStore, TimedOrder.Start, 0, node.KeySerde, Serdes.Int64))
            : null;
        var clock = ClockOf(node);
        var output = new WindowOutput<TKey, TAggregate>(node.Emit, _context, clock, store, pending, Output<Windowed<TKey>, TAggregate>(node));
        return new(node, clock, KeysOf(node, node.KeySerde), store, output, LateOf(clock, node.LateTopic));
    }

    private LateEvents LateOf(StepClock clock, string? topic) => new(_context, clock, topic is null ? -1 : _context.Outbox.IndexOf(topic));
}
