using OrleansStreams.Records;

namespace OrleansStreams.Topologies;

internal partial interface ITopologyVisitor
{
    void Visit<TKey, TValue, TNewKey, TNewValue>(ProcessorNode<TKey, TValue, TNewKey, TNewValue> node);

    void Visit<TKey, TValue>(ChildNode<TKey, TValue> node);
}

/// <summary>A step that can forward to children by their names.</summary>
internal interface IForwardingNode
{
    Dictionary<string, TopologyNode> Children { get; }
}

/// <summary>A processor of the user's.</summary>
internal sealed class ProcessorNode<TKey, TValue, TNewKey, TNewValue>(
    int id,
    string name,
    TopologyNode parent,
    Processed processed,
    IReadOnlyList<StoreDefinition> owned,
    Func<IStreamProcessor<TKey, TValue, TNewKey, TNewValue>> factory,
    ISerde<TNewKey>? keySerde) : TopologyNode(id, name, parent), IForwardingNode
{
    private object? _last;

    /// <summary>All stores that it may use.</summary>
    public IReadOnlyList<StoreDefinition> Declared => processed.Stores;

    /// <summary>The stores that no step before it makes.</summary>
    public IReadOnlyList<StoreDefinition> Owned => owned;

    /// <summary>Of the key, where that is known and kept.</summary>
    public ISerde<TNewKey>? KeySerde => keySerde;

    public bool IsKeyKept => processed.IsKeyKept;

    public Dictionary<string, TopologyNode> Children { get; } = new(StringComparer.Ordinal);

    /// <summary>The store of the times at which punctuators are due.</summary>
    public string PunctuatorStore => Name + "-punctuators";

    public override bool KeepsKey => processed.IsKeyKept && Parents[0].KeepsKey;

    public override IReadOnlyList<string> Stores => [PunctuatorStore, .. owned.SelectMany(definition => definition.StoreNames)];

    public override IEnumerable<string> ResultStores => owned.Select(definition => definition.Name);

    public override IReadOnlyList<string> SharedStores => [.. Declared.Where(definition => !owned.Contains(definition)).Select(definition => definition.Name)];

    // Whether it schedules punctuators is seen when it runs.
    public override long? EmitDelayMs => processed.DelayMs;

    public override string Shape => Declared.Count == 0 ? "process" : $"process with stores {string.Join(", ", Declared.Select(definition => definition.Shape))}";

    public override void Accept(ITopologyVisitor visitor) => visitor.Visit(this);

    /// <summary>Makes a task's processor.</summary>
    /// <exception cref="StreamsException">InvalidConfig when the factory gave none, or the same one again.</exception>
    public IStreamProcessor<TKey, TValue, TNewKey, TNewValue> Create()
    {
        var created = factory() ?? throw Topology.Invalid($"The factory of the processor '{Name}' gave none.");
        return created.GetType().IsValueType || !ReferenceEquals(Interlocked.Exchange(ref _last, created), created)
            ? created
            : throw Topology.Invalid($"The factory of the processor '{Name}' gave the same processor twice, but every task needs one of its own: let it make a new one with each call.");
    }
}

/// <summary>What a processor forwards to one child.</summary>
internal sealed class ChildNode<TKey, TValue>(int id, string name, TopologyNode parent, string child) : TopologyNode(id, name, parent)
{
    public string Child => child;

    public override bool KeepsKey => Parents[0].KeepsKey;

    public override string Shape => $"child {child}";

    public override void Accept(ITopologyVisitor visitor) => visitor.Visit(this);
}
