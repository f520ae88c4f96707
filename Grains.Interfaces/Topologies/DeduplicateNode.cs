using OrleansStreams.Records;

namespace OrleansStreams.Topologies;

internal partial interface ITopologyVisitor
{
    void Visit<TKey, TValue, TId>(DeduplicateNode<TKey, TValue, TId> node);
}

/// <summary>Leaves out records that came before within a window.</summary>
internal sealed class DeduplicateNode<TKey, TValue, TId>(
    int id, string name, TopologyNode parent, Func<TKey, TValue, TId> idSelector, ISerde<TId> idSerde, DeduplicationWindow window, bool isByKey) : TopologyNode(id, name, parent)
{
    public Func<TKey, TValue, TId> IdSelector { get; } = idSelector;

    public ISerde<TId> IdSerde { get; } = idSerde;

    public DeduplicationWindow Window { get; } = window;

    /// <summary>Whether the id is the record's key.</summary>
    public bool IsByKey { get; } = isByKey;

    /// <summary>The store of the times of what has passed.</summary>
    public string SeenStore => Name + "-seen";

    public override bool KeepsKey => Parents[0].KeepsKey;

    public override bool KeepsNull => Parents[0].KeepsNull;

    public override IReadOnlyList<string> Stores => [SeenStore];

    public override string Shape => $"deduplicate by {(IsByKey ? "key" : "id")} {IdSerde.Name} within {Window.SizeMs} grace {Window.GraceMs}";

    public override void Accept(ITopologyVisitor visitor) => visitor.Visit(this);
}
