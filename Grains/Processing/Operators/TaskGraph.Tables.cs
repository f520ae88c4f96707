using OrleansStreams.Processing.State;
using OrleansStreams.Processing.Tables;
using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.Processing.Operators;

/// <summary>Tables, and aggregates without windows.</summary>
internal sealed partial class TaskGraph
{
    public void Visit<TKey, TValue>(ToTableNode<TKey, TValue> node)
    {
        var (_, table) = KeepTable(node, node.Materialized!);
        Feed(node, new ToTableProcessor<TKey, TValue>(_context, KeysOf(node, node.KeySerde), node.Parents[0].KeepsNull, table));
    }

    public void Visit<TKey, TValue, TAggregate>(AggregateNode<TKey, TValue, TAggregate> node)
    {
        var (store, table) = KeepTable(node, node.Materialized!);
        Feed(node, new AggregateProcessor<TKey, TValue, TAggregate>(_context, node, KeysOf(node, node.KeySerde), store, table));
    }

    public void Visit<TKey, TValue>(TableFilterNode<TKey, TValue> node)
    {
        if (node.Materialized is { } materialized)
        {
            var (_, table) = KeepTable(node, materialized);
            Feed(node, new StoredTableFilterProcessor<TKey, TValue>(node.Predicate, KeysOf(node, node.KeySerde), table));
            return;
        }

        Read(node, new FilteredTableReader<TKey, TValue>(TableOf<TKey, TValue>(node.Parents[0]), node.Predicate));
        Feed(node, new TableFilterProcessor<TKey, TValue>(node.Predicate, Output<TKey, Change<TValue>>(node)));
    }

    public void Visit<TKey, TValue, TNewValue>(TableMapValuesNode<TKey, TValue, TNewValue> node)
    {
        if (node.Materialized is { } materialized)
        {
            var (_, table) = KeepTable(node, materialized);
            Feed(node, new StoredTableMapValuesProcessor<TKey, TValue, TNewValue>(node.Mapper, KeysOf(node, node.KeySerde), table));
            return;
        }

        Read(node, new MappedTableReader<TKey, TValue, TNewValue>(TableOf<TKey, TValue>(node.Parents[0]), node.Mapper));
        Feed(node, new TableMapValuesProcessor<TKey, TValue, TNewValue>(node.Mapper, Output<TKey, Change<TNewValue>>(node)));
    }

    public void Visit<TKey, TValue>(TableToStreamNode<TKey, TValue> node) => Feed(node, new TableToStreamProcessor<TKey, TValue>(_context, Output<TKey, TValue>(node)));

    /// <summary>Makes a table's store, and its reader.</summary>
    private (KeyValueStore<TKey, TValue> Store, TableWriter<TKey, TValue> Table) KeepTable<TKey, TValue>(TableNode<TKey, TValue> node, Materialized<TValue> materialized)
    {
        var store = Keep(new KeyValueStore<TKey, TValue>(materialized.StoreName, node.KeySerde, materialized.ValueSerde));
        var times = TimesOf(node, materialized.StoreName, node.KeySerde, materialized.TimeToLiveMs);
        var table = new TableWriter<TKey, TValue>(store, Output<TKey, Change<TValue>>(node), times);
        Expire(node, times, table);
        Read(node, new StoredTableReader<TKey, TValue>(store));
        LookAhead(node, store);
        return (store, table);
    }

    /// <summary>The bytes of the keys that a node gets from its parents.</summary>
    private static KeyBytes<TKey> KeysOf<TKey>(TopologyNode node, ISerializer<TKey> serializer) => new(serializer, node.Parents.All(parent => parent.KeepsKey));
}
