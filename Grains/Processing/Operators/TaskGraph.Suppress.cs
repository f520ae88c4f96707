using OrleansStreams.Processing.State;
using OrleansStreams.Processing.Suppress;
using OrleansStreams.Processing.Tables;
using OrleansStreams.Topologies;

namespace OrleansStreams.Processing.Operators;

/// <summary>Suppression.</summary>
internal sealed partial class TaskGraph
{
    public void Visit<TKey, TValue>(TableSuppressNode<TKey, TValue> node)
    {
        var serde = new HeldChangeSerde<TValue>(node.ValueSerde);
        var store = Keep(new TimedStore<TKey, HeldChange<TValue>>(node.BufferStore, TimedOrder.Start, 0, node.KeySerde, serde));
        var buffer = new SuppressBuffer<TKey, HeldChange<TValue>>(node.Name, store, serde, node.Buffer);
        Read(node, new SuppressedTableReader<TKey, TValue>(TableOf<TKey, TValue>(node.Parents[0]), store));
        LookAhead(node, store);
        Add(node, new TableSuppressProcessor<TKey, TValue>(_context, ClockOf(node), node, KeysOf(node, node.KeySerde), buffer, Output<TKey, Change<TValue>>(node)));
    }

    public void Visit<TKey, TValue>(WindowSuppressNode<TKey, TValue> node)
    {
        var store = Keep(new TimedStore<TKey, TValue>(node.BufferStore, TimedOrder.End, 0, node.KeySerde, node.ValueSerde));
        var buffer = new SuppressBuffer<TKey, TValue>(node.Name, store, node.ValueSerde, node.Buffer);
        Add(node, new WindowSuppressProcessor<TKey, TValue>(_context, node, KeysOf(node, node.KeySerde), buffer, Output<Windowed<TKey>, TValue>(node)));
    }
}
