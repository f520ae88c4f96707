using OrleansStreams.Processing.State;
using OrleansStreams.Topologies;

namespace OrleansStreams.Processing.Operators;

/// <summary>Sources, sinks, steps without state, and tumbling windows.</summary>
internal sealed partial class TaskGraph
{
    private readonly Dictionary<TopologyNode, object> _splits = [];

    public void Visit<TKey, TValue>(TopicSourceNode<TKey, TValue> node)
    {
        var source = new TopicSource<TKey, TValue>(node.Consumed, _context, Output<TKey, TValue>(node));
        _sources.Add(source);
        _sourceSteps.Add(node, source);
    }

    public void Visit<TKey, TValue>(FileSourceNode<TKey, TValue> node) => File = new FileSource<TKey, TValue>(node.Parser, Output<TKey, TValue>(node));

    public void Visit<TKey, TValue>(FilterNode<TKey, TValue> node) =>
        Feed(node, new FilterProcessor<TKey, TValue>(node.Predicate, Output<TKey, TValue>(node)));

    public void Visit<TKey, TValue, TNewKey, TNewValue>(MapNode<TKey, TValue, TNewKey, TNewValue> node) =>
        Feed(node, new MapProcessor<TKey, TValue, TNewKey, TNewValue>(node.Mapper, Output<TNewKey, TNewValue>(node)));

    public void Visit<TKey, TValue, TNewValue>(MapValuesNode<TKey, TValue, TNewValue> node) =>
        Feed(node, new MapValuesProcessor<TKey, TValue, TNewValue>(node.Mapper, Output<TKey, TNewValue>(node)));

    public void Visit<TKey, TValue, TNewKey, TNewValue>(FlatMapNode<TKey, TValue, TNewKey, TNewValue> node) =>
        Feed(node, new FlatMapProcessor<TKey, TValue, TNewKey, TNewValue>(node.Mapper, Output<TNewKey, TNewValue>(node)));

    public void Visit<TKey, TValue, TNewValue>(FlatMapValuesNode<TKey, TValue, TNewValue> node) =>
        Feed(node, new FlatMapValuesProcessor<TKey, TValue, TNewValue>(node.Mapper, Output<TKey, TNewValue>(node)));

    public void Visit<TKey, TValue>(MergeNode<TKey, TValue> node) => Feed(node, new MergeProcessor<TKey, TValue>(Output<TKey, TValue>(node)));

    public void Visit<TKey, TValue>(PeekNode<TKey, TValue> node) => Feed(node, new PeekProcessor<TKey, TValue>(node.Action, Output<TKey, TValue>(node)));

    public void Visit<TKey, TValue>(SplitNode<TKey, TValue> node)
    {
        var split = new SplitProcessor<TKey, TValue>(node);
        _splits.Add(node, split);
        Feed(node, split);
    }

    public void Visit<TKey, TValue>(BranchNode<TKey, TValue> node) => Output(node, ((SplitProcessor<TKey, TValue>)_splits[node.Parents[0]]).OutputOf(node.Index));

    public void Visit<TKey, TValue, TAggregate>(WindowAggregateNode<TKey, TValue, TAggregate> node)
    {
        var store = Keep(new TimedStore<TKey, TAggregate>(node.StoreName, TimedOrder.End, node.Materialized.RetentionMs, node.KeySerde, node.Materialized.ValueSerde));
        var clock = ClockOf(node);
        Add(node, new WindowProcessor<TKey, TValue, TAggregate>(clock, node, store, LateOf(clock, node.LateTopic), Output<Windowed<TKey>, TAggregate>(node)));
    }

    public void Visit<TKey, TValue>(SinkNode<TKey, TValue> node) =>
        Feed(node, new SinkProcessor<TKey, TValue>(_context.Outbox.IndexOf(node.Topic), WriterOf(node, node.Produced)));

    public void Visit<TKey, TValue>(ChoosingSinkNode<TKey, TValue> node)
    {
        var topics = node.Writes.ToDictionary(topic => topic, _context.Outbox.IndexOf, StringComparer.Ordinal);
        Feed(node, new ChoosingSinkProcessor<TKey, TValue>(node, topics, WriterOf(node, node.Produced)));
    }

    private RecordWriter<TKey, TValue> WriterOf<TKey, TValue>(TopologyNode node, Produced<TKey, TValue> produced) => new(_context, produced, node.Parents[0].KeepsNull);
}
