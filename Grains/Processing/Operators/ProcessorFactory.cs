using OrleansStreams.Processing.Windows;
using OrleansStreams.Topologies;

namespace OrleansStreams.Processing.Operators;

/// <summary>Builds the running steps of a sub-topology, the last first.</summary>
internal sealed class ProcessorFactory(IReadOnlyDictionary<string, TopicOutput> outputs, TaskCounters counters) : ITopologyVisitor<object>
{
    private readonly List<IStateStore> _stores = [];
    private readonly List<IWatermarkListener> _listeners = [];

    /// <summary>The stores in the order of their description.</summary>
    public IReadOnlyList<IStateStore> Stores => _stores;

    public IReadOnlyList<IWatermarkListener> Listeners => _listeners;

    public object Visit<TKey, TValue>(TopicSourceNode<TKey, TValue> node) => new TopicInput<TKey, TValue>(node.Consumed, Next<TKey, TValue>(node));

    public object Visit<TKey, TValue>(FileSourceNode<TKey, TValue> node) => new FileInput<TKey, TValue>(node, Next<TKey, TValue>(node));

    public object Visit<TKey, TValue>(FilterNode<TKey, TValue> node) => new FilterProcessor<TKey, TValue>(node.Predicate, Next<TKey, TValue>(node));

    public object Visit<TKey, TValue, TKeyOut, TValueOut>(MapNode<TKey, TValue, TKeyOut, TValueOut> node) =>
        new MapProcessor<TKey, TValue, TKeyOut, TValueOut>(node.Mapper, Next<TKeyOut, TValueOut>(node));

    public object Visit<TKey, TValue, TKeyOut, TValueOut>(FlatMapNode<TKey, TValue, TKeyOut, TValueOut> node) =>
        new FlatMapProcessor<TKey, TValue, TKeyOut, TValueOut>(node.Mapper, Next<TKeyOut, TValueOut>(node));

    public object Visit<TKey, TValue, TAggregate>(WindowAggregateNode<TKey, TValue, TAggregate> node)
    {
        var late = node.Late is null ? null : new SinkProcessor<TKey, TValue>(outputs[node.Late.Topic], node.Late.KeySerde, node.Late.ValueSerde);
        var processor = new WindowProcessor<TKey, TValue, TAggregate>(node, Next<Windowed<TKey>, TAggregate>(node), late, counters);
        _stores.Add(processor);
        _listeners.Add(processor);
        return processor;
    }

    public object Visit<TKey, TValue>(SinkNode<TKey, TValue> node) => new SinkProcessor<TKey, TValue>(outputs[node.Topic], node.KeySerde, node.ValueSerde);

    private IProcessor<TKey, TValue> Next<TKey, TValue>(TopologyNode node)
    {
        var next = node.Children.Select(child => (IProcessor<TKey, TValue>)child.Accept(this)).ToArray();
        return next.Length == 1 ? next[0] : new Fork<TKey, TValue>(next);
    }
}
