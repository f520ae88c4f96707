using OrleansStreams.Processing.State;
using OrleansStreams.Topologies;

namespace OrleansStreams.Processing.Operators;

/// <summary>Turns a sub-topology's nodes into running steps.</summary>
internal sealed class TaskGraph : ITopologyVisitor
{
    private readonly TaskContext _context;
    private readonly Dictionary<TopologyNode, object> _emitters = [];
    private readonly List<TopicSource> _sources = [];
    private readonly List<IWindowCloser> _closers = [];
    private readonly List<IStateStore> _stores = [];
    private readonly List<Action> _restored = [];

    public TaskGraph(SubTopology subTopology, TaskContext context)
    {
        _context = context;
        foreach (var node in subTopology.Nodes)
        {
            node.Accept(this);
        }
    }

    /// <summary>The topic sources in order of inputs.</summary>
    public TopicSource[] Sources => [.. _sources];

    public FileSource? File { get; private set; }

    public IWindowCloser[] Closers => [.. _closers];

    public IStateStore[] Stores => [.. _stores];

    /// <summary>Called after the stores were restored.</summary>
    public void Restored() => _restored.ForEach(restored => restored());

    public void Visit<TKey, TValue>(TopicSourceNode<TKey, TValue> node) => _sources.Add(new TopicSource<TKey, TValue>(node.Consumed, _context, Output<TKey, TValue>(node)));

    public void Visit<TKey, TValue>(FileSourceNode<TKey, TValue> node) => File = new FileSource<TKey, TValue>(node.Parser, Output<TKey, TValue>(node));

    public void Visit<TKey, TValue>(FilterNode<TKey, TValue> node) =>
        Feed(node, new FilterProcessor<TKey, TValue>(node.Predicate, Output<TKey, TValue>(node)));

    public void Visit<TKey, TValue, TNewKey, TNewValue>(MapNode<TKey, TValue, TNewKey, TNewValue> node) =>
        Feed(node, new MapProcessor<TKey, TValue, TNewKey, TNewValue>(node.Mapper, Output<TNewKey, TNewValue>(node)));

    public void Visit<TKey, TValue, TNewValue>(MapValuesNode<TKey, TValue, TNewValue> node) =>
        Feed(node, new MapValuesProcessor<TKey, TValue, TNewValue>(node.Mapper, Output<TKey, TNewValue>(node)));

    public void Visit<TKey, TValue, TNewKey, TNewValue>(FlatMapNode<TKey, TValue, TNewKey, TNewValue> node) =>
        Feed(node, new FlatMapProcessor<TKey, TValue, TNewKey, TNewValue>(node.Mapper, Output<TNewKey, TNewValue>(node)));

    public void Visit<TKey, TValue>(MergeNode<TKey, TValue> node) => Feed(node, new MergeProcessor<TKey, TValue>(Output<TKey, TValue>(node)));

    public void Visit<TKey, TValue, TAggregate>(WindowAggregateNode<TKey, TValue, TAggregate> node)
    {
        var store = new WindowStore<TKey, TAggregate>(
            node.StoreName, node.Windows.SizeMs, node.Materialized.RetentionMs, node.KeySerde, node.Materialized.ValueSerde);
        var late = node.LateTopic is { } topic ? _context.Outbox.IndexOf(topic) : -1;
        var processor = new WindowProcessor<TKey, TValue, TAggregate>(_context, node, store, late, Output<Windowed<TKey>, TAggregate>(node));
        _stores.Add(store);
        _closers.Add(processor);
        _restored.Add(processor.Restored);
        Feed(node, processor);
    }

    public void Visit<TKey, TValue>(SinkNode<TKey, TValue> node) => Feed(
        node, new SinkProcessor<TKey, TValue>(_context.Outbox, _context.Outbox.IndexOf(node.Topic), node.Produced.KeySerde, node.Produced.ValueSerde));

    private Emitter<TKey, TValue> Output<TKey, TValue>(TopologyNode node)
    {
        var emitter = new Emitter<TKey, TValue>();
        _emitters.Add(node, emitter);
        return emitter;
    }

    private void Feed<TKey, TValue>(TopologyNode node, Processor<TKey, TValue> processor)
    {
        foreach (var parent in node.Parents)
        {
            ((Emitter<TKey, TValue>)_emitters[parent]).Add(processor);
        }
    }
}
