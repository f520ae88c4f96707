using OrleansStreams.Processing.State;
using OrleansStreams.Processing.Tables;
using OrleansStreams.Topologies;

namespace OrleansStreams.Processing.Operators;

/// <summary>
/// Turns a sub-topology's nodes into running steps. This file has what all steps are put together with; each family of operators adds its own nodes, steps and
/// visits in its own files, as parts of <see cref="ITopologyVisitor"/> and of this class: the compiler then knows that no node is left out, types reach the
/// steps without reflection, and neither the engine nor the other families change.
/// <para>
/// A visit makes its stores by <see cref="Keep"/>, its step with <see cref="Output{TKey, TValue}(TopologyNode)"/>, registers it by <see cref="Run"/> when it waits for time or must know of a restore, and hangs it
/// behind its parents by <see cref="Feed{TKey, TValue}(TopologyNode, Processor{TKey, TValue})"/>. A step with several inputs of different types has a processor for each, fed by
/// <see cref="FeedFrom"/>.
/// </para>
/// </summary>
internal sealed partial class TaskGraph : ITopologyVisitor
{
    private readonly TaskContext _context;
    private readonly Dictionary<TopologyNode, object> _emitters = [];
    private readonly Dictionary<TopologyNode, object> _tables = [];
    private readonly List<TopicSource> _sources = [];
    private readonly Dictionary<TopicSourceNode, TopicSource> _sourceSteps = [];
    private readonly List<(IEventTimeStep Step, long DelayMs)> _eventTimeSteps = [];
    private readonly List<IWallClockStep> _wallClockSteps = [];
    private readonly List<IRestoredStep> _restoredSteps = [];
    private readonly List<IStartedStep> _startedSteps = [];
    private readonly List<IStateStore> _stores = [];

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

    public (IEventTimeStep Step, long DelayMs)[] EventTimeSteps => [.. _eventTimeSteps];

    public IWallClockStep[] WallClockSteps => [.. _wallClockSteps];

    public IStateStore[] Stores => [.. _stores];

    /// <summary>Called after the stores were restored.</summary>
    public void Restored() => _restoredSteps.ForEach(step => step.Restored());

    /// <summary>Called before anything is processed.</summary>
    public void Start() => _startedSteps.ForEach(step => step.Start());

    /// <summary>What a node feeds; to be called once a node.</summary>
    private Emitter<TKey, TValue> Output<TKey, TValue>(TopologyNode node) => Output(node, new Emitter<TKey, TValue>());

    private Emitter<TKey, TValue> Output<TKey, TValue>(TopologyNode node, Emitter<TKey, TValue> emitter)
    {
        _emitters.Add(node, emitter);
        return emitter;
    }

    /// <summary>Hangs a step behind all parents of its node.</summary>
    private void Feed<TKey, TValue>(TopologyNode node, Processor<TKey, TValue> processor)
    {
        foreach (var parent in node.Parents)
        {
            FeedFrom(parent, processor);
        }
    }

    /// <summary>Hangs a step behind one node.</summary>
    private void FeedFrom<TKey, TValue>(TopologyNode parent, Processor<TKey, TValue> processor)
    {
        processor.Touched = processor.IsStateless ? null : _context;
        ((Emitter<TKey, TValue>)_emitters[parent]).Add(processor);
    }

    /// <summary>Adds a store, in the order of nodes: journals know stores by their number.</summary>
    private TStore Keep<TStore>(TStore store)
        where TStore : IStateStore
    {
        _stores.Add(store);
        return store;
    }

    /// <summary>A store that a node before has added.</summary>
    private TStore StoreOf<TStore>(string name)
        where TStore : IStateStore => (TStore)_stores.Single(store => store.Name == name);

    /// <summary>Registers what a step waits for.</summary>
    private void Run(TopologyNode node, object step)
    {
        if (step is IEventTimeStep eventTime)
        {
            _eventTimeSteps.Add((eventTime, node.InputDelayMs));
        }

        if (step is IWallClockStep wallClock)
        {
            _wallClockSteps.Add(wallClock);
        }

        if (step is IRestoredStep restored)
        {
            _restoredSteps.Add(restored);
        }

        if (step is IStartedStep started)
        {
            _startedSteps.Add(started);
        }
    }

    /// <summary>Tells the sources whose records a node gets with their keys unchanged that a store is looked up by them.</summary>
    private void LookAhead(TopologyNode node, IKeyedStore store)
    {
        foreach (var parent in node.Parents)
        {
            if (parent is TopicSourceNode source)
            {
                _sourceSteps[source].AddStore(store);
            }
            else if (parent.KeepsKey)
            {
                LookAhead(parent, store);
            }
        }
    }

    private StepClock ClockOf(TopologyNode node) => new(_context, node.InputDelayMs);

    /// <summary>Says how the table that a node makes is read.</summary>
    private void Read<TKey, TValue>(TopologyNode node, TableReader<TKey, TValue> reader) => _tables.Add(node, reader);

    /// <summary>Reads the table that a node before makes.</summary>
    private TableReader<TKey, TValue> TableOf<TKey, TValue>(TopologyNode node) => (TableReader<TKey, TValue>)_tables[node];
}
