using OrleansStreams.Records;

namespace OrleansStreams.Topologies;

internal partial interface ITopologyVisitor
{
    void Visit<TKey, TValue, TTable, TResult>(TableJoinNode<TKey, TValue, TTable, TResult> node);

    void Visit<TKey, TValue, TTableKey, TTable, TResult>(GlobalTableJoinNode<TKey, TValue, TTableKey, TTable, TResult> node);

    void Visit<TKey, TValue>(BroadcastSinkNode<TKey, TValue> node);

    void Visit<TKey, TLeft, TRight, TResult>(StreamJoinNode<TKey, TLeft, TRight, TResult> node);

    void Visit<TKey, TLeft, TRight, TResult>(TableTableJoinNode<TKey, TLeft, TRight, TResult> node);
}

/// <summary>Which records of joined streams have a result without a partner.</summary>
internal enum StreamJoinKind
{
    Inner,
    Left,
    Outer,
}

/// <summary>A stream joined with a table: its first parent is the stream, its second the table.</summary>
internal sealed class TableJoinNode<TKey, TValue, TTable, TResult>(
    int id, string name, TopologyNode stream, TopologyNode table, ISerde<TKey> keySerde, bool isLeft, Func<TKey, TValue, TTable?, TResult> joiner)
    : TopologyNode(id, name, stream, table)
{
    public ISerde<TKey> KeySerde { get; } = keySerde;

    public bool IsLeft { get; } = isLeft;

    public Func<TKey, TValue, TTable?, TResult> Joiner { get; } = joiner;

    public override bool KeepsKey => Parents[0].KeepsKey;

    public override TopologyNode LookedUp => Parents[1];

    public override string Shape => IsLeft ? "left-join with table" : "join with table";

    public override void Accept(ITopologyVisitor visitor) => visitor.Visit(this);
}

/// <summary>A stream joined with a table that every task has whole: its first parent is the stream, its second the table.</summary>
internal sealed class GlobalTableJoinNode<TKey, TValue, TTableKey, TTable, TResult>(
    int id,
    string name,
    TopologyNode stream,
    TopologyNode table,
    ISerde<TTableKey> tableKeySerde,
    bool isLeft,
    Func<TKey, TValue, TTableKey> keySelector,
    Func<TValue, TTable?, TResult> joiner) : TopologyNode(id, name, stream, table)
{
    public ISerde<TTableKey> TableKeySerde { get; } = tableKeySerde;

    public bool IsLeft { get; } = isLeft;

    public Func<TKey, TValue, TTableKey> KeySelector { get; } = keySelector;

    public Func<TValue, TTable?, TResult> Joiner { get; } = joiner;

    public override bool KeepsKey => Parents[0].KeepsKey;

    public override TopologyNode LookedUp => Parents[1];

    public override string Shape => IsLeft ? "left-join with global table" : "join with global table";

    public override void Accept(ITopologyVisitor visitor) => visitor.Visit(this);
}

/// <summary>Writes every record to every partition of a topic.</summary>
internal sealed class BroadcastSinkNode<TKey, TValue>(int id, string name, TopologyNode parent, string topic, Produced<TKey, TValue> produced) : SinkNode(id, name, parent, topic)
{
    public Produced<TKey, TValue> Produced { get; } = produced;

    public override bool TakesRows => true;

    public override string Shape => $"to all partitions of {Topic}";

    public override void Accept(ITopologyVisitor visitor) => visitor.Visit(this);
}

/// <summary>Two streams joined over windows: its first parent is the left one, its second the right one.</summary>
internal sealed class StreamJoinNode<TKey, TLeft, TRight, TResult>(
    int id,
    string name,
    TopologyNode left,
    TopologyNode right,
    StreamJoined<TKey, TLeft, TRight> joined,
    StreamJoinKind kind,
    JoinWindows windows,
    Func<TKey, TLeft?, TRight?, TResult> joiner) : TopologyNode(id, name, left, right)
{
    public StreamJoined<TKey, TLeft, TRight> Joined { get; } = joined;

    public JoinWindows Windows { get; } = windows;

    public Func<TKey, TLeft?, TRight?, TResult> Joiner { get; } = joiner;

    /// <summary>Whether a left record without a partner has a result.</summary>
    public bool KeepsLeft => kind != StreamJoinKind.Inner;

    /// <summary>Whether a right record without a partner has a result.</summary>
    public bool KeepsRight => kind == StreamJoinKind.Outer;

    public string LeftStore => $"{Name}-left";

    public string RightStore => $"{Name}-right";

    public override bool KeepsKey => Parents.All(parent => parent.KeepsKey);

    public override IReadOnlyList<string> Stores => [LeftStore, RightStore];

    // A pair is at most the grace older than the watermark; a record without a partner waits for its window to close, with its own time.
    public override long? EmitDelayMs => Windows.GraceMs + 1 + Math.Max(0, Math.Max(KeepsLeft ? Windows.AfterMs : 0, KeepsRight ? Windows.BeforeMs : 0));

    public override string Shape =>
        $"{(kind == StreamJoinKind.Inner ? "join" : kind == StreamJoinKind.Left ? "left-join" : "outer-join")} before {Windows.BeforeMs} after {Windows.AfterMs} grace {Windows.GraceMs} stores {LeftStore}, {RightStore} key {Joined.KeySerde.Name} values {Joined.ValueSerde.Name}, {Joined.OtherSerde.Name}";

    public override void Accept(ITopologyVisitor visitor) => visitor.Visit(this);
}

/// <summary>Two tables joined by their common key: its first parent is the left one, its second the right one.</summary>
internal sealed class TableTableJoinNode<TKey, TLeft, TRight, TResult>(
    int id,
    string name,
    TopologyNode left,
    TopologyNode right,
    string kind,
    Func<TLeft?, TRight?, TResult> joiner,
    bool needsLeft,
    bool needsRight,
    ISerde<TKey> keySerde,
    Materialized<TResult>? materialized) : TableNode<TKey, TResult>(id, name, keySerde, materialized, left, right)
{
    public Func<TLeft?, TRight?, TResult> Joiner { get; } = joiner;

    /// <summary>Whether a key must be in the left table.</summary>
    public bool NeedsLeft { get; } = needsLeft;

    /// <summary>Whether a key must be in the right table.</summary>
    public bool NeedsRight { get; } = needsRight;

    public override string Shape => $"{kind}{StoreShape}";

    public override void Accept(ITopologyVisitor visitor) => visitor.Visit(this);
}
