using OrleansStreams.Records;

namespace OrleansStreams.Topologies;

internal partial interface ITopologyVisitor
{
    void Visit<TKey, TValue, TNewKey, TNewValue>(TableGroupByNode<TKey, TValue, TNewKey, TNewValue> node);

    void Visit<TKey, TValue, TAggregate>(TableAggregateNode<TKey, TValue, TAggregate> node);
}

/// <summary>A table's changes as changes of groups, on their way to where the groups are.</summary>
internal sealed class TableGroupByNode<TKey, TValue, TNewKey, TNewValue>(
    int id, string name, TopologyNode parent, ISerde<TNewKey> newKeySerde, Func<TKey, TValue, (TNewKey Key, TNewValue Value)> selector) : TopologyNode(id, name, parent)
{
    public ISerde<TNewKey> NewKeySerde { get; } = newKeySerde;

    public Func<TKey, TValue, (TNewKey Key, TNewValue Value)> Selector { get; } = selector;

    public override string Shape => "table-group-by";

    public override void Accept(ITopologyVisitor visitor) => visitor.Visit(this);
}

/// <summary>An aggregate over the rows of a group.</summary>
internal sealed class TableAggregateNode<TKey, TValue, TAggregate>(
    int id,
    string name,
    TopologyNode parent,
    ISerde<TKey> keySerde,
    Materialized<TAggregate> materialized,
    Func<TKey, TValue, TAggregate> first,
    Func<TKey, TValue, TAggregate, TAggregate> adder,
    Func<TKey, TValue, TAggregate, TAggregate> subtractor) : TableNode<TKey, TAggregate>(id, name, keySerde, materialized, parent)
{
    /// <summary>The aggregate of the first row.</summary>
    public Func<TKey, TValue, TAggregate> First { get; } = first;

    /// <summary>The aggregate with one row more.</summary>
    public Func<TKey, TValue, TAggregate, TAggregate> Adder { get; } = adder;

    /// <summary>The aggregate without a row.</summary>
    public Func<TKey, TValue, TAggregate, TAggregate> Subtractor { get; } = subtractor;

    public override string Shape => $"table-aggregate{StoreShape}";

    public override void Accept(ITopologyVisitor visitor) => visitor.Visit(this);
}
