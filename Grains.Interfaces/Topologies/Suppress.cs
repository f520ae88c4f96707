using OrleansStreams.Records;

namespace OrleansStreams.Topologies;

/// <summary>Suppression of a table's changes.</summary>
public sealed partial class KTable<TKey, TValue>
{
    /// <summary>
    /// Holds back the changes of each key for a time and tells the last of them (KIP-328). A key that is added and deleted meanwhile is never told of. What follows sees the table as it was told.
    /// </summary>
    /// <param name="suppressed">Until when, and how much may be held back.</param>
    /// <param name="valueSerde">The serde of values that are held back; null for that of the store of the table, if it has one.</param>
    /// <exception cref="StreamsException">InvalidConfig when the table is not kept in a store and no serde is given.</exception>
    public KTable<TKey, TValue> Suppress(TimeSuppressed suppressed, ISerde<TValue>? valueSerde = null)
    {
        ArgumentNullException.ThrowIfNull(suppressed);
        var node = new TableSuppressNode<TKey, TValue>(
            _builder.NextId, _builder.NameOf("suppress"), _node, _keySerde, suppressed, suppressed.Name ?? _builder.NameOf("suppress"), ValueSerdeOr(valueSerde, "Suppress"));
        return new(_builder, _builder.Add(node), _keySerde, null);
    }

    /// <summary>The serde of its values.</summary>
    private ISerde<TValue> ValueSerdeOr(ISerde<TValue>? given, string method) => given ?? (_node as TableNode<TKey, TValue>)?.ValueSerde
        ?? throw Topology.Invalid($"The values of the table '{_node.Name}' have to be written, but it is kept in no store whose serde they could be written with: give {method} the serde of its values.");
}

/// <summary>Suppression of windows' results.</summary>
public static class WindowedKStreamExtensions
{
    /// <summary>
    /// Holds back the results of windows that are emitted on update until their windows close, and tells each window's last one, with the window's last millisecond as its timestamp (KIP-328): the same that
    /// emit on close tells. Where nobody reads the results before, emit on close is the cheaper way to it; this one serves those who want both.
    /// </summary>
    /// <param name="stream">The results, as the windowed aggregate gives them.</param>
    /// <param name="suppressed">How much may be held back.</param>
    /// <exception cref="StreamsException">InvalidConfig when the stream is not the result of a windowed aggregate: when its windows close is not known then.</exception>
    public static KStream<Windowed<TKey>, TValue> Suppress<TKey, TValue>(this KStream<Windowed<TKey>, TValue> stream, WindowsSuppressed suppressed)
    {
        ArgumentNullException.ThrowIfNull(stream);
        ArgumentNullException.ThrowIfNull(suppressed);
        var (builder, parent) = stream.Description;
        if (parent is not IWindowedNode<TKey, TValue> windows)
        {
            throw Topology.Invalid($"The windows of '{parent.Name}' are not known, so that nobody can say when they close: call Suppress right behind the windowed aggregate.");
        }

        var store = suppressed.Name ?? builder.NameOf("suppress");
        return new(builder, builder.Add(new WindowSuppressNode<TKey, TValue>(builder.NextId, builder.NameOf("suppress"), parent, windows, suppressed, store)), null);
    }
}

/// <summary>What extensions see of a stream.</summary>
public sealed partial class KStream<TKey, TValue>
{
    internal (StreamsBuilder Builder, TopologyNode Node) Description => (_builder, _node);
}
