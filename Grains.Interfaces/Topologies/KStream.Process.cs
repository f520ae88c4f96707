using OrleansStreams.Records;

namespace OrleansStreams.Topologies;

/// <summary>Processors: steps of one's own.</summary>
public sealed partial class KStream<TKey, TValue>
{
    /// <summary>
    /// Hands each record to a processor and goes on with what it forwards. The new stream has lost its key unless the processor keeps it (<see cref="Processed.KeepsKey"/>).
    /// </summary>
    /// <param name="factory">Makes a processor: a new one with each call, as every task has its own.</param>
    /// <param name="processed">Stores, name; null for a processor without stores.</param>
    /// <exception cref="StreamsException">InvalidConfig when it is to keep keys of another type than it gets.</exception>
    /// <example>
    /// <code>
    /// var last = Stores.KeyValue("last", Serdes.Utf8, Serdes.Int64);
    /// var changes = prices.Process(() => new ChangesOnly(last), Processed.With(last).KeepsKey());
    /// changes.To("price-changes", produced);                 // what was forwarded to all
    /// changes.Child("suspect").To("suspect", produced);      // and to this child alone
    ///
    /// sealed class ChangesOnly(KeyValueStoreDefinition&lt;string, long&gt; definition) : IStreamProcessor&lt;string, long, string, long&gt;
    /// {
    ///     private IProcessorContext&lt;string, long&gt; _context = null!;
    ///     private IKeyValueState&lt;string, long&gt; _last = null!;
    ///
    ///     public void Init(IProcessorContext&lt;string, long&gt; context) => (_context, _last) = (context, context.GetStore(definition));
    ///
    ///     public void Process(ProcessorRecord&lt;string, long&gt; record)
    ///     {
    ///         if (record.Value &lt; 0)
    ///         {
    ///             _context.Forward(record, "suspect");
    ///         }
    ///         else if (!_last.TryGet(record.Key, out var price) || price != record.Value)
    ///         {
    ///             _last.Put(record.Key, record.Value);
    ///             _context.Forward(record);
    ///         }
    ///     }
    /// }
    /// </code>
    /// </example>
    public KStream<TNewKey, TNewValue> Process<TNewKey, TNewValue>(Func<IStreamProcessor<TKey, TValue, TNewKey, TNewValue>> factory, Processed? processed = null)
    {
        ArgumentNullException.ThrowIfNull(factory);
        processed ??= Processed.With();
        if (processed.IsKeyKept && typeof(TKey) != typeof(TNewKey))
        {
            throw Topology.Invalid($"A processor cannot keep keys of {typeof(TKey).Name} as {typeof(TNewKey).Name}: leave out KeepsKey().");
        }

        var name = processed.Name ?? _builder.NameOf("process");
        var keySerde = processed.IsKeyKept ? (ISerde<TNewKey>?)(object?)_keySerde : null;
        StoreDefinition[] owned = [.. processed.Stores.Where(_builder.Define)];
        var node = new ProcessorNode<TKey, TValue, TNewKey, TNewValue>(_builder.NextId, name, _node, processed, owned, factory, keySerde);
        return new(_builder, _builder.Add(node), keySerde);
    }

    /// <summary>
    /// Of the stream that <see cref="Process"/> has made: what the processor forwards to the child of this name, and what it forwards to all. Asked for twice, it is the same child.
    /// </summary>
    /// <exception cref="StreamsException">InvalidConfig for any other stream, and for a name that cannot be used.</exception>
    public KStream<TKey, TValue> Child(string name)
    {
        TopologyNames.Check(name, "child");
        if (_node is not IForwardingNode processor)
        {
            throw Topology.Invalid($"'{_node.Name}' has no children by name: call Child on the stream that Process has made.");
        }

        if (!processor.Children.TryGetValue(name, out var child))
        {
            child = _builder.Add(new ChildNode<TKey, TValue>(_builder.NextId, _builder.NameOf(name), _node, name));
            processor.Children.Add(name, child);
        }

        return new(_builder, child, _keySerde);
    }
}

/// <summary>The stores of processors.</summary>
public sealed partial class StreamsBuilder
{
    private readonly HashSet<StoreDefinition> _definitions = [];

    /// <summary>Whether a step is the first that declares a store, and so the one that makes it.</summary>
    internal bool Define(StoreDefinition definition) => _definitions.Add(definition);
}
