using OrleansStreams.Records;

namespace OrleansStreams.Topologies;

/// <summary>A stream that is being divided. A record goes to the first branch whose predicate holds, and nowhere when none does and there is no default branch.</summary>
/// <example>
/// <code>
/// var branches = orders.Split()
///     .Branch("large", (_, order) => order.Amount > 1000)
///     .Branch("free", (_, order) => order.Amount == 0)
///     .DefaultBranch("rest");
/// branches["large"].To("large-orders", produced);
/// </code>
/// </example>
public sealed class BranchedKStream<TKey, TValue>
{
    private readonly StreamsBuilder _builder;
    private readonly SplitNode<TKey, TValue> _split;
    private readonly ISerde<TKey>? _keySerde;
    private readonly Dictionary<string, KStream<TKey, TValue>> _branches = new(StringComparer.Ordinal);

    internal BranchedKStream(StreamsBuilder builder, TopologyNode node, ISerde<TKey>? keySerde)
    {
        _builder = builder;
        _keySerde = keySerde;
        _split = builder.Add(new SplitNode<TKey, TValue>(builder.NextId, builder.NameOf("split"), node));
    }

    /// <summary>Adds a branch for the records for which its predicate holds and no predicate of a branch before.</summary>
    /// <exception cref="StreamsException">InvalidConfig when two branches have one name, or the name is none.</exception>
    public BranchedKStream<TKey, TValue> Branch(string name, Func<TKey, TValue, bool> predicate)
    {
        ArgumentNullException.ThrowIfNull(predicate);
        Add(name, predicate);
        return this;
    }

    /// <summary>Adds a branch that is described where it stands.</summary>
    /// <exception cref="StreamsException">InvalidConfig when two branches have one name, or the name is none.</exception>
    public BranchedKStream<TKey, TValue> Branch(string name, Func<TKey, TValue, bool> predicate, Action<KStream<TKey, TValue>> describe)
    {
        ArgumentNullException.ThrowIfNull(predicate);
        ArgumentNullException.ThrowIfNull(describe);
        describe(Add(name, predicate));
        return this;
    }

    /// <summary>Ends the division: the records that no branch took go to this one.</summary>
    /// <returns>The branches by name.</returns>
    /// <exception cref="StreamsException">InvalidConfig when another branch has the name, or the name is none.</exception>
    public IReadOnlyDictionary<string, KStream<TKey, TValue>> DefaultBranch(string name = "default")
    {
        Add(name, null);
        return _branches;
    }

    /// <summary>Ends the division: the records that no branch took are dropped.</summary>
    /// <returns>The branches by name.</returns>
    public IReadOnlyDictionary<string, KStream<TKey, TValue>> NoDefaultBranch() => _branches;

    private KStream<TKey, TValue> Add(string name, Func<TKey, TValue, bool>? predicate)
    {
        TopologyNames.Check(name, "branch");
        if (_split.Branches.Count > 0 && _split.Branches[^1].Predicate is null)
        {
            throw Topology.Invalid($"The branch '{name}' would never get a record: describe it before the default branch.");
        }

        var node = new BranchNode<TKey, TValue>(_builder.NextId, _builder.NameOf(name), _split, _split.Branches.Count, predicate);
        var stream = new KStream<TKey, TValue>(_builder, node, _keySerde);
        if (!_branches.TryAdd(name, stream))
        {
            throw Topology.Invalid($"Two branches of '{_split.Name}' are named '{name}': give each its own name.");
        }

        _split.Branches.Add(_builder.Add(node));
        return stream;
    }
}
