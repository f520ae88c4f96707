namespace OrleansStreams.Topologies;

internal partial interface ITopologyVisitor
{
    void Visit<TKey, TValue, TNewValue>(FlatMapValuesNode<TKey, TValue, TNewValue> node);

    void Visit<TKey, TValue>(PeekNode<TKey, TValue> node);

    void Visit<TKey, TValue>(SplitNode<TKey, TValue> node);

    void Visit<TKey, TValue>(BranchNode<TKey, TValue> node);

    void Visit<TKey, TValue>(ChoosingSinkNode<TKey, TValue> node);
}

internal sealed class FlatMapValuesNode<TKey, TValue, TNewValue>(int id, string name, TopologyNode parent, Func<TKey, TValue, IEnumerable<TNewValue>> mapper)
    : TopologyNode(id, name, parent)
{
    public Func<TKey, TValue, IEnumerable<TNewValue>> Mapper { get; } = mapper;

    public override bool KeepsKey => Parents[0].KeepsKey;

    public override bool IgnoresTime => true;

    public override string Shape => "flat-map-values";

    public override void Accept(ITopologyVisitor visitor) => visitor.Visit(this);
}

/// <summary>Looks at records: peek, and for-each when nothing follows.</summary>
internal sealed class PeekNode<TKey, TValue>(int id, string name, TopologyNode parent, Action<TKey, TValue> action) : TopologyNode(id, name, parent)
{
    public Action<TKey, TValue> Action { get; } = action;

    public override bool KeepsKey => Parents[0].KeepsKey;

    public override bool KeepsNull => Parents[0].KeepsNull;

    public override bool IgnoresTime => true;

    public override string Shape => "peek";

    public override void Accept(ITopologyVisitor visitor) => visitor.Visit(this);
}

/// <summary>Divides a stream among the branches that follow it.</summary>
internal sealed class SplitNode<TKey, TValue>(int id, string name, TopologyNode parent) : TopologyNode(id, name, parent)
{
    /// <summary>The branches in the order in which they are asked.</summary>
    public List<BranchNode<TKey, TValue>> Branches { get; } = [];

    public override bool KeepsKey => Parents[0].KeepsKey;

    public override bool KeepsNull => Parents[0].KeepsNull;

    public override bool IgnoresTime => true;

    public override string Shape => "split";

    public override void Accept(ITopologyVisitor visitor) => visitor.Visit(this);
}

/// <summary>One branch of a split stream; without a predicate it is the default one.</summary>
internal sealed class BranchNode<TKey, TValue>(int id, string name, SplitNode<TKey, TValue> parent, int index, Func<TKey, TValue, bool>? predicate)
    : TopologyNode(id, name, parent)
{
    public int Index { get; } = index;

    public Func<TKey, TValue, bool>? Predicate { get; } = predicate;

    public override bool KeepsKey => Parents[0].KeepsKey;

    public override bool KeepsNull => Parents[0].KeepsNull;

    public override bool IgnoresTime => true;

    public override string Shape => Predicate is null ? "default branch" : "branch";

    public override void Accept(ITopologyVisitor visitor) => visitor.Visit(this);
}

/// <summary>A sink whose records choose among several topics.</summary>
internal sealed class ChoosingSinkNode<TKey, TValue>(
    int id, string name, TopologyNode parent, Func<TKey, TValue, string> extractor, string[] topics, Produced<TKey, TValue> produced) : TopologyNode(id, name, parent)
{
    public Func<TKey, TValue, string> Extractor { get; } = extractor;

    public Produced<TKey, TValue> Produced { get; } = produced;

    public override IEnumerable<string> Writes => topics;

    public override string Shape => $"to one of {string.Join(", ", topics)}";

    public override void Accept(ITopologyVisitor visitor) => visitor.Visit(this);
}
