using OrleansStreams.Processing.Processors;
using OrleansStreams.Processing.State;
using OrleansStreams.Processing.Tables;
using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.Processing.Operators;

/// <summary>Processors of the user's and their stores, deduplication, the best of groups.</summary>
internal sealed partial class TaskGraph
{
    private readonly Dictionary<StoreDefinition, object> _states = [];
    private readonly Dictionary<TopologyNode, object> _forwardTargets = [];
    private ProcessorClock? _processorClock;

    private ProcessorClock ProcessorTime => _processorClock ??= new ProcessorClock(_context);

    public void Visit<TKey, TValue, TNewKey, TNewValue>(ProcessorNode<TKey, TValue, TNewKey, TNewValue> node)
    {
        var times = Keep(new KeyValueStore<int, long>(node.PunctuatorStore, Serdes.Int32, Serdes.Int64));
        var stores = new StoreMaker(this, node);
        var targets = new ForwardTargets<TNewKey, TNewValue>(Output<TNewKey, TNewValue>(node), new(StringComparer.Ordinal));
        _forwardTargets.Add(node, targets);
        var processor = new UserProcessor<TKey, TValue, TNewKey, TNewValue>(node, _context, ClockOf(node), ProcessorTime, definition => _states[definition], times, targets);

        // What a punctuator looks for at a time has not yet expired at that time.
        Run(node, processor.EventTimers);
        Run(node, processor.WallClockTimers);
        Run(node, processor);
        foreach (var definition in node.Owned)
        {
            definition.Accept(stores);
        }

        Feed(node, processor);
    }

    public void Visit<TKey, TValue>(ChildNode<TKey, TValue> node)
    {
        var targets = (ForwardTargets<TKey, TValue>)_forwardTargets[node.Parents[0]];
        var output = Output<TKey, TValue>(node);
        targets.Children.Add(node.Child, output);
        Feed(node, new MergeProcessor<TKey, TValue>(output));
    }

    public void Visit<TKey, TValue, TId>(DeduplicateNode<TKey, TValue, TId> node)
    {
        var seen = Keep(new TimedStore<TId, Present>(node.SeenStore, TimedOrder.Start, 0, node.IdSerde, new PresentSerde()));
        var ids = new KeyBytes<TId>(node.IdSerde, keepsKey: node.IsByKey && node.Parents[0].KeepsKey);
        if (node.IsByKey)
        {
            LookAhead(node, seen);
        }

        Add(node, new DeduplicateProcessor<TKey, TValue, TId>(_context, ClockOf(node), node, ids, seen, Output<TKey, TValue>(node)));
    }

    public void Visit<TKey, TValue>(TopNNode<TKey, TValue> node)
    {
        var (store, table) = KeepTable(node, node.Materialized!);
        Feed(node, new TopNProcessor<TKey, TValue>(_context, node, KeysOf(node, node.KeySerde), store, table));
    }

    /// <summary>Keeps when the keys of a store were written, if they live for a time only.</summary>
    private WriteTimes<TKey>? TimesOf<TKey>(TopologyNode node, string store, ISerde<TKey> keySerde, long? timeToLiveMs) => timeToLiveMs is { } timeToLive
        ? new WriteTimes<TKey>(Keep(new TimedStore<TKey, Present>(TimeToLive.StoreOf(store), TimedOrder.Start, 0, keySerde, new PresentSerde())), timeToLive, ClockOf(node))
        : null;

    /// <summary>Lets a store's keys be forgotten when their time has come.</summary>
    private void Expire<TKey>(TopologyNode node, WriteTimes<TKey>? times, IMortal<TKey> store)
    {
        if (times is not null)
        {
            times.Guard(store);
            Run(node, times);
        }
    }

    /// <summary>Makes the stores of a processor.</summary>
    private sealed class StoreMaker(TaskGraph graph, TopologyNode node) : IStoreDefinitionVisitor
    {
        public void Visit<TKey, TValue>(KeyValueStoreDefinition<TKey, TValue> definition)
        {
            var store = graph.Keep(new KeyValueStore<TKey, TValue>(definition.Name, definition.KeySerde, definition.ValueSerde));
            var times = graph.TimesOf(node, definition.Name, definition.KeySerde, definition.TimeToLiveMs);
            var state = new KeyValueState<TKey, TValue>(store, graph.ProcessorTime, times);
            graph.Expire(node, times, state);
            graph._states.Add(definition, state);
        }

        public void Visit<TKey, TValue>(TimedStoreDefinition<TKey, TValue> definition)
        {
            var store = graph.Keep(new TimedStore<TKey, TValue>(definition.Name, TimedOrder.End, 0, definition.KeySerde, definition.ValueSerde));
            var state = new TimedState<TKey, TValue>(store, definition.RetentionMs, graph.ClockOf(node));
            graph._states.Add(definition, state);
            if (definition.RetentionMs is not null)
            {
                graph.Run(node, state);
            }
        }
    }
}
