using OrleansStreams.Processing.Tables;
using OrleansStreams.Topologies;

namespace OrleansStreams.Processing.Operators;

/// <summary>Aggregates of grouped tables, and of several streams.</summary>
internal sealed partial class TaskGraph
{
    public void Visit<TKey, TValue, TNewKey, TNewValue>(TableGroupByNode<TKey, TValue, TNewKey, TNewValue> node) =>
        Feed(node, new TableGroupByProcessor<TKey, TValue, TNewKey, TNewValue>(node.Selector, node.NewKeySerde, Output<TNewKey, Change<TNewValue>>(node)));

    public void Visit<TKey, TValue, TAggregate>(TableAggregateNode<TKey, TValue, TAggregate> node)
    {
        var (store, table) = KeepTable(node, node.Materialized!);
        Feed(node, new TableAggregateProcessor<TKey, TValue, TAggregate>(node, KeysOf(node, node.KeySerde), store, table));
    }

    public void Visit<TKey, TValue, TAggregate>(CogroupNode<TKey, TValue, TAggregate> node) =>
        Feed(node, new CogroupProcessor<TKey, TValue, TAggregate>(_context, node, Output<TKey, CogroupedValue<TKey, TAggregate>>(node)));
}
