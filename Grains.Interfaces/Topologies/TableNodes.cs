using OrleansStreams.Records;

namespace OrleansStreams.Topologies;

internal partial interface ITopologyVisitor
{
    void Visit<TKey, TValue>(ToTableNode<TKey, TValue> node);

    void Visit<TKey, TValue, TAggregate>(AggregateNode<TKey, TValue, TAggregate> node);

    void Visit<TKey, TValue>(TableFilterNode<TKey, TValue> node);

    void Visit<TKey, TValue, TNewValue>(TableMapValuesNode<TKey, TValue, TNewValue> node);

    void Visit<TKey, TValue>(TableToStreamNode<TKey, TValue> node);
}

/// <summary>
/// A table: what it feeds gets <see cref="Change{TValue}"/>s. <typeparamref name="TValue"/> is the type of its values. The step of every table says how the table is read, whether it is
/// kept in a store or follows from another table.
/// </summary>
internal abstract class TableNode<TKey, TValue>(int id, string name, ISerde<TKey> keySerde, Materialized<TValue>? materialized, params TopologyNode[] parents)
    : TopologyNode(id, name, parents)
{
    public ISerde<TKey> KeySerde { get; } = keySerde;

    /// <summary>Where it is kept; null when it follows from another table.</summary>
    public Materialized<TValue>? Materialized { get; } = materialized;

    /// <summary>The serde of its values; null when there is none because it is not kept.</summary>
    public virtual ISerde<TValue>? ValueSerde => Materialized?.ValueSerde;

    public override bool KeepsKey => Parents.All(parent => parent.KeepsKey);

    public override IReadOnlyList<string> Stores =>
        Materialized is null ? [] : Materialized.TimeToLiveMs is null ? [Materialized.StoreName] : [Materialized.StoreName, TimeToLive.StoreOf(Materialized.StoreName)];

    public override IEnumerable<string> ResultStores => Materialized is null ? [] : [Materialized.StoreName];

    // A key whose time to live is over is deleted with that time, when the watermark is there.
    public override long? EmitDelayMs => Materialized?.TimeToLiveMs is null ? null : 0;

    public override bool IgnoresTime => EmitDelayMs is null && !Writes.Any();

    /// <summary>The store's part of the shape.</summary>
    protected string StoreShape => Materialized is null ? string.Empty : $" store {Materialized.StoreName} key {KeySerde.Name} value {Materialized.ValueSerde.Name}{TimeToLive.ShapeOf(Materialized.TimeToLiveMs)}";
}

/// <summary>A stream taken for the changes of a table.</summary>
internal sealed class ToTableNode<TKey, TValue>(int id, string name, TopologyNode parent, ISerde<TKey> keySerde, Materialized<TValue> materialized)
    : TableNode<TKey, TValue>(id, name, keySerde, materialized, parent)
{
    public override bool TakesRows => true;

    public override string Shape => $"to-table{StoreShape}";

    public override void Accept(ITopologyVisitor visitor) => visitor.Visit(this);
}

/// <summary>An aggregate over all records of a key.</summary>
internal sealed class AggregateNode<TKey, TValue, TAggregate>(
    int id,
    string name,
    TopologyNode parent,
    ISerde<TKey> keySerde,
    Materialized<TAggregate> materialized,
    Func<TKey, TValue, TAggregate> first,
    Func<TKey, TValue, TAggregate, TAggregate> next) : TableNode<TKey, TAggregate>(id, name, keySerde, materialized, parent)
{
    /// <summary>The aggregate of the first record.</summary>
    public Func<TKey, TValue, TAggregate> First { get; } = first;

    /// <summary>The aggregate with one record more.</summary>
    public Func<TKey, TValue, TAggregate, TAggregate> Next { get; } = next;

    public override string Shape => $"aggregate{StoreShape}";

    public override void Accept(ITopologyVisitor visitor) => visitor.Visit(this);
}

internal sealed class TableFilterNode<TKey, TValue>(
    int id, string name, TopologyNode parent, Func<TKey, TValue, bool> predicate, ISerde<TKey> keySerde, Materialized<TValue>? materialized)
    : TableNode<TKey, TValue>(id, name, keySerde, materialized, parent)
{
    public Func<TKey, TValue, bool> Predicate { get; } = predicate;

    public override ISerde<TValue>? ValueSerde => base.ValueSerde ?? (Parents[0] as TableNode<TKey, TValue>)?.ValueSerde;

    public override string Shape => $"table-filter{StoreShape}";

    public override void Accept(ITopologyVisitor visitor) => visitor.Visit(this);
}

internal sealed class TableMapValuesNode<TKey, TValue, TNewValue>(
    int id, string name, TopologyNode parent, Func<TKey, TValue, TNewValue> mapper, ISerde<TKey> keySerde, Materialized<TNewValue>? materialized)
    : TableNode<TKey, TNewValue>(id, name, keySerde, materialized, parent)
{
    public Func<TKey, TValue, TNewValue> Mapper { get; } = mapper;

    public override string Shape => $"table-map-values{StoreShape}";

    public override void Accept(ITopologyVisitor visitor) => visitor.Visit(this);
}

/// <summary>A table's changes as a stream of its new values.</summary>
internal sealed class TableToStreamNode<TKey, TValue>(int id, string name, TopologyNode parent) : TopologyNode(id, name, parent)
{
    public override bool KeepsKey => Parents[0].KeepsKey;

    public override bool KeepsNull => true;

    public override bool IgnoresTime => true;

    public override string Shape => "to-stream";

    public override void Accept(ITopologyVisitor visitor) => visitor.Visit(this);
}
