using OrleansStreams.Records;

namespace OrleansStreams.Topologies;

internal partial interface ITopologyVisitor
{
    void Visit<TKey, TValue>(TopNNode<TKey, TValue> node);
}

/// <summary>The first values of each group in an order.</summary>
internal sealed class TopNNode<TKey, TValue>(
    int id, string name, TopologyNode parent, ISerde<TKey> keySerde, Materialized<TValue> materialized, int count, IComparer<TValue> order)
    : TableNode<TKey, IReadOnlyList<TValue>>(id, name, keySerde, materialized.Of(Serdes.List(materialized.ValueSerde)), parent)
{
    /// <summary>Lists are copied when they change.</summary>
    public const int CountMax = 10_000;

    public int Count => count;

    public IComparer<TValue> Order => order;

    /// <summary>Of one value.</summary>
    public ISerde<TValue> ElementSerde => materialized.ValueSerde;

    public override string Shape => $"top {Count}{StoreShape}";

    public override void Accept(ITopologyVisitor visitor) => visitor.Visit(this);
}
