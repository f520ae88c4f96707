using OrleansStreams.Records;

namespace OrleansStreams.Topologies;

/// <summary>
/// One step of a topology: what it does, typed, and what feeds it. Nodes only describe; whoever runs them visits them
/// (<see cref="ITopologyVisitor"/>), which is how types reach the runtime without reflection.
/// </summary>
internal abstract class TopologyNode
{
    protected TopologyNode(int id, string name, params TopologyNode[] parents)
    {
        Id = id;
        Name = name;
        Parents = parents;
        InputDelayMs = parents.Length == 0 ? 0 : parents.Max(parent => parent.InputDelayMs + (parent.EmitDelayMs ?? 0));
    }

    public int Id { get; }

    public string Name { get; }

    public IReadOnlyList<TopologyNode> Parents { get; }

    /// <summary>Whether the record's key is the one that its source read, byte for byte.</summary>
    public virtual bool KeepsKey => false;

    /// <summary>Whether a null value that its source read is still told apart from a value type's default: the value is the source's, or a table's deletion.</summary>
    public virtual bool KeepsNull => false;

    /// <summary>Whether it takes what its source reads for the rows of a table, and not for events.</summary>
    public virtual bool TakesRows => false;

    /// <summary>Those of <see cref="Stores"/> that hold results, and not what a step needs besides.</summary>
    public virtual IEnumerable<string> ResultStores => [];

    /// <summary>The state stores that it keeps, in the order in which its step makes them.</summary>
    public virtual IReadOnlyList<string> Stores => [];

    /// <summary>The state stores that it uses and a step before it keeps.</summary>
    public virtual IReadOnlyList<string> SharedStores => [];

    /// <summary>The topics that it writes.</summary>
    public virtual IEnumerable<string> Writes => [];

    /// <summary>
    /// For a step that emits when the watermark rises (a window that closes): how far behind the watermark, in ms, the timestamps can lie of what it has not emitted
    /// yet. Null for a step that emits only when a record comes.
    /// </summary>
    public virtual long? EmitDelayMs => null;

    /// <summary>Whether it does the same whatever the watermark is, and writes no topic that tells it on.</summary>
    public virtual bool IgnoresTime => false;

    /// <summary>The parent that it only looks up: nothing is emitted because that one has changed. Null without one.</summary>
    public virtual TopologyNode? LookedUp => null;

    /// <summary>How far the watermark that the node sees is behind the task's: what the steps before it hold back.</summary>
    public long InputDelayMs { get; }

    /// <summary>What stored state depends on; a change of it makes journals incompatible.</summary>
    public abstract string Shape { get; }

    public abstract void Accept(ITopologyVisitor visitor);
}

/// <summary>Visits nodes by their types. A family of operators declares its visits beside its nodes, in a part of this interface of its own.</summary>
internal partial interface ITopologyVisitor
{
    void Visit<TKey, TValue>(TopicSourceNode<TKey, TValue> node);

    void Visit<TKey, TValue>(FileSourceNode<TKey, TValue> node);

    void Visit<TKey, TValue>(FilterNode<TKey, TValue> node);

    void Visit<TKey, TValue, TNewKey, TNewValue>(MapNode<TKey, TValue, TNewKey, TNewValue> node);

    void Visit<TKey, TValue, TNewValue>(MapValuesNode<TKey, TValue, TNewValue> node);

    void Visit<TKey, TValue, TNewKey, TNewValue>(FlatMapNode<TKey, TValue, TNewKey, TNewValue> node);

    void Visit<TKey, TValue>(MergeNode<TKey, TValue> node);

    void Visit<TKey, TValue, TAggregate>(WindowAggregateNode<TKey, TValue, TAggregate> node);

    void Visit<TKey, TValue>(SinkNode<TKey, TValue> node);
}

/// <summary>A source that reads a topic.</summary>
internal abstract class TopicSourceNode(int id, string name, string topic) : TopologyNode(id, name)
{
    public string Topic { get; } = topic;

    /// <summary>Set when the topic is one that the application makes for itself; <see cref="Topic"/> is then its name without the application's.</summary>
    public RepartitionTopic? Internal { get; init; }

    /// <summary>Whether it reads a copy of a global table's changes.</summary>
    public bool IsBroadcast => Internal is { } made && made.Name.EndsWith(RepartitionTopic.BroadcastSuffix, StringComparison.Ordinal);

    public abstract WatermarkStrategy Watermarks { get; }

    /// <summary>What becomes of its poison records, if it says so itself.</summary>
    public abstract ErrorPolicy? Errors { get; }

    /// <summary>Whether event times are others than the records' timestamps, or watermarks come from a generator: then upstream tasks' watermarks say nothing about them.</summary>
    public abstract bool HasOwnTime { get; }

    /// <summary>Whether watermarks come from a generator or from the clock rather than from the event times.</summary>
    public abstract bool HasOwnWatermarks { get; }

    public override bool KeepsKey => true;

    public override bool KeepsNull => true;
}

internal sealed class TopicSourceNode<TKey, TValue>(int id, string name, string topic, Consumed<TKey, TValue> consumed) : TopicSourceNode(id, name, topic)
{
    public Consumed<TKey, TValue> Consumed { get; } = consumed;

    public override WatermarkStrategy Watermarks => Consumed.Watermarks;

    public override ErrorPolicy? Errors => Consumed.Errors;

    public override bool HasOwnTime => Consumed.Time != EventTimeKind.RecordTimestamp || Consumed.Generator is not null;

    public override bool HasOwnWatermarks => Consumed.Time == EventTimeKind.Processing || Consumed.Generator is not null;

    public override string Shape => $"topic {Topic} key {Consumed.KeySerde.Name} value {Consumed.ValueSerde.Name}";

    public override void Accept(ITopologyVisitor visitor) => visitor.Visit(this);
}

/// <summary>A source that reads a file of lines.</summary>
internal abstract class FileSourceNode(int id, string name, string path, double? rowsPerSecond, WatermarkStrategy? watermarks) : TopologyNode(id, name)
{
    /// <summary>Null: the watermark comes with the end of the file.</summary>
    public WatermarkStrategy? Watermarks { get; } = watermarks;

    public string Path { get; } = path;

    public double? RowsPerSecond { get; } = rowsPerSecond;

    // The path is not part of it: a file may move; its content is checked against the journal.
    public override string Shape => "file";
}

internal sealed class FileSourceNode<TKey, TValue>(
    int id, string name, string path, double? rowsPerSecond, FileLineParser<TKey, TValue> parser, WatermarkStrategy? watermarks)
    : FileSourceNode(id, name, path, rowsPerSecond, watermarks)
{
    public FileLineParser<TKey, TValue> Parser { get; } = parser;

    public override void Accept(ITopologyVisitor visitor) => visitor.Visit(this);
}

internal sealed class FilterNode<TKey, TValue>(int id, string name, TopologyNode parent, Func<TKey, TValue, bool> predicate) : TopologyNode(id, name, parent)
{
    public Func<TKey, TValue, bool> Predicate { get; } = predicate;

    public override bool KeepsKey => Parents[0].KeepsKey;

    public override bool KeepsNull => Parents[0].KeepsNull;

    public override bool IgnoresTime => true;

    public override string Shape => "filter";

    public override void Accept(ITopologyVisitor visitor) => visitor.Visit(this);
}

internal sealed class MapNode<TKey, TValue, TNewKey, TNewValue>(
    int id, string name, TopologyNode parent, Func<TKey, TValue, (TNewKey Key, TNewValue Value)> mapper, bool keepsValue = false) : TopologyNode(id, name, parent)
{
    public Func<TKey, TValue, (TNewKey Key, TNewValue Value)> Mapper { get; } = mapper;

    public override bool KeepsNull => keepsValue && Parents[0].KeepsNull;

    public override bool IgnoresTime => true;

    public override string Shape => "map";

    public override void Accept(ITopologyVisitor visitor) => visitor.Visit(this);
}

internal sealed class MapValuesNode<TKey, TValue, TNewValue>(int id, string name, TopologyNode parent, Func<TKey, TValue, TNewValue> mapper) : TopologyNode(id, name, parent)
{
    public Func<TKey, TValue, TNewValue> Mapper { get; } = mapper;

    public override bool KeepsKey => Parents[0].KeepsKey;

    public override bool IgnoresTime => true;

    public override string Shape => "map-values";

    public override void Accept(ITopologyVisitor visitor) => visitor.Visit(this);
}

internal sealed class FlatMapNode<TKey, TValue, TNewKey, TNewValue>(
    int id, string name, TopologyNode parent, Func<TKey, TValue, IEnumerable<(TNewKey Key, TNewValue Value)>> mapper) : TopologyNode(id, name, parent)
{
    public Func<TKey, TValue, IEnumerable<(TNewKey Key, TNewValue Value)>> Mapper { get; } = mapper;

    public override bool IgnoresTime => true;

    public override string Shape => "flat-map";

    public override void Accept(ITopologyVisitor visitor) => visitor.Visit(this);
}

internal sealed class MergeNode<TKey, TValue>(int id, string name, params TopologyNode[] parents) : TopologyNode(id, name, parents)
{
    public override bool KeepsKey => Parents.All(parent => parent.KeepsKey);

    public override bool KeepsNull => Parents.All(parent => parent.KeepsNull);

    public override bool IgnoresTime => true;

    public override string Shape => "merge";

    public override void Accept(ITopologyVisitor visitor) => visitor.Visit(this);
}

/// <summary>A windowed aggregate.</summary>
internal abstract class WindowAggregateNode(int id, string name, TopologyNode parent, string storeName, TumblingWindows windows, string? lateTopic)
    : TopologyNode(id, name, parent)
{
    public string StoreName { get; } = storeName;

    public TumblingWindows Windows { get; } = windows;

    public string? LateTopic { get; } = lateTopic;

    public override IReadOnlyList<string> Stores => [StoreName];

    public override IEnumerable<string> ResultStores => Stores;

    public override IEnumerable<string> Writes => LateTopic is null ? [] : [LateTopic];

    // At watermark w all windows with end + grace <= w are out; a later one has its last millisecond, end - 1, at w - grace or after it.
    public override long? EmitDelayMs => Windows.GraceMs + 1;
}

internal sealed class WindowAggregateNode<TKey, TValue, TAggregate>(
    int id,
    string name,
    TopologyNode parent,
    ISerde<TKey> keySerde,
    TumblingWindows windows,
    string? lateTopic,
    Materialized<TAggregate> materialized,
    WindowAggregator<TKey, TValue, TAggregate> aggregator)
    : WindowAggregateNode(id, name, parent, materialized.StoreName, windows, lateTopic), IWindowedNode<TKey, TAggregate>
{
    public ISerde<TKey> KeySerde { get; } = keySerde;

    public Materialized<TAggregate> Materialized { get; } = materialized.ForWindows();

    ISerde<TAggregate> IWindowedNode<TKey, TAggregate>.ValueSerde => Materialized.ValueSerde;

    long IWindowedNode<TKey, TAggregate>.CloseDelayMs => Windows.GraceMs;

    public WindowAggregator<TKey, TValue, TAggregate> Aggregator { get; } = aggregator;

    public override string Shape =>
        $"tumbling {Windows.SizeMs} grace {Windows.GraceMs} store {StoreName} key {KeySerde.Name} value {Materialized.ValueSerde.Name} late {LateTopic}";

    public override void Accept(ITopologyVisitor visitor) => visitor.Visit(this);
}

/// <summary>How an event enters a window's aggregate.</summary>
/// <param name="First">The aggregate of the first event.</param>
/// <param name="Next">The aggregate with one event more.</param>
/// <param name="UsesEvent">False when key and value are not looked at, so that they need not be read.</param>
internal sealed record WindowAggregator<TKey, TValue, TAggregate>(Func<TKey, TValue, TAggregate> First, Func<TKey, TValue, TAggregate, TAggregate> Next, bool UsesEvent);

/// <summary>A sink that writes a topic.</summary>
internal abstract class SinkNode(int id, string name, TopologyNode parent, string topic) : TopologyNode(id, name, parent)
{
    public string Topic { get; } = topic;

    /// <summary>Set when the topic is one that the application makes for itself; <see cref="Topic"/> is then its name without the application's.</summary>
    public RepartitionTopic? Internal { get; init; }

    public override IEnumerable<string> Writes => [Topic];
}

internal sealed class SinkNode<TKey, TValue>(int id, string name, TopologyNode parent, string topic, Produced<TKey, TValue> produced) : SinkNode(id, name, parent, topic)
{
    public Produced<TKey, TValue> Produced { get; } = produced;

    public override string Shape => $"to {Topic}";

    public override void Accept(ITopologyVisitor visitor) => visitor.Visit(this);
}
