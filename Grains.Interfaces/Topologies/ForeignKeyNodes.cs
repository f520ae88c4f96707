using OrleansStreams.Records;

namespace OrleansStreams.Topologies;

internal partial interface ITopologyVisitor
{
    void Visit<TKey, TValue, TForeignKey>(ForeignKeySubscribeNode<TKey, TValue, TForeignKey> node);

    void Visit<TForeignKey, TOther>(ForeignKeyLookupNode<TForeignKey, TOther> node);

    void Visit<TKey, TValue, TForeignKey, TOther, TResult>(ForeignKeyJoinNode<TKey, TValue, TForeignKey, TOther, TResult> node);
}

/// <summary>Subscribes rows to their foreign keys.</summary>
internal sealed class ForeignKeySubscribeNode<TKey, TValue, TForeignKey>(
    int id, string name, TopologyNode parent, ISerde<TKey> keySerde, ISerde<TForeignKey> foreignKeySerde, Func<TKey, TValue, TForeignKey?> extractor) : TopologyNode(id, name, parent)
{
    public ISerde<TKey> KeySerde { get; } = keySerde;

    public ISerde<TForeignKey> ForeignKeySerde { get; } = foreignKeySerde;

    public Func<TKey, TValue, TForeignKey?> Extractor { get; } = extractor;

    public override string Shape => "foreign-key";

    public override void Accept(ITopologyVisitor visitor) => visitor.Visit(this);
}

/// <summary>Answers subscriptions with what the other table has: its first parent are the subscriptions, its second is the table.</summary>
internal sealed class ForeignKeyLookupNode<TForeignKey, TOther>(
    int id, string name, TopologyNode subscriptions, TopologyNode table, ISerde<TForeignKey> foreignKeySerde, string store) : TopologyNode(id, name, subscriptions, table)
{
    public ISerde<TForeignKey> ForeignKeySerde { get; } = foreignKeySerde;

    public string SubscriptionStore { get; } = store;

    public override IReadOnlyList<string> Stores => [SubscriptionStore];

    public override string Shape => $"foreign-key-lookup store {SubscriptionStore} key {ForeignKeySerde.Name}";

    public override void Accept(ITopologyVisitor visitor) => visitor.Visit(this);
}

/// <summary>Joins rows with the answers to their subscriptions: its first parent is the table of the rows, its second are the answers.</summary>
internal sealed class ForeignKeyJoinNode<TKey, TValue, TForeignKey, TOther, TResult>(
    int id,
    string name,
    TopologyNode table,
    TopologyNode answers,
    ISerde<TKey> keySerde,
    ISerde<TForeignKey> foreignKeySerde,
    Func<TKey, TValue, TForeignKey?> extractor,
    Func<TValue, TOther?, TResult> joiner,
    bool isLeft,
    Materialized<TResult> materialized) : TableNode<TKey, TResult>(id, name, keySerde, materialized, table, answers)
{
    public ISerde<TForeignKey> ForeignKeySerde { get; } = foreignKeySerde;

    public Func<TKey, TValue, TForeignKey?> Extractor { get; } = extractor;

    public Func<TValue, TOther?, TResult> Joiner { get; } = joiner;

    public bool IsLeft { get; } = isLeft;

    public override string Shape => $"{(IsLeft ? "foreign-key-left-join" : "foreign-key-join")}{StoreShape}";

    public override void Accept(ITopologyVisitor visitor) => visitor.Visit(this);
}
