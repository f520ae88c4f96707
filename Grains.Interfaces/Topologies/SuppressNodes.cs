using OrleansStreams.Records;

namespace OrleansStreams.Topologies;

internal partial interface ITopologyVisitor
{
    void Visit<TKey, TValue>(TableSuppressNode<TKey, TValue> node);

    void Visit<TKey, TValue>(WindowSuppressNode<TKey, TValue> node);
}

/// <summary>A step whose results are windows.</summary>
internal interface IWindowedNode<TKey, TValue>
{
    ISerde<TKey> KeySerde { get; }

    ISerde<TValue> ValueSerde { get; }

    /// <summary>How long after its end (exclusive) a window closes, in ms of the step's watermark.</summary>
    long CloseDelayMs { get; }
}

/// <summary>A table that is kept in its store in part: who reads it looks into its parent too.</summary>
internal interface IPartlyKeptTable;

/// <summary>Holds back a table's changes for a time.</summary>
internal sealed class TableSuppressNode<TKey, TValue>(
    int id, string name, TopologyNode parent, ISerde<TKey> keySerde, TimeSuppressed suppressed, string bufferStore, ISerde<TValue> valueSerde)
    : TableNode<TKey, TValue>(id, name, keySerde, null, parent), IPartlyKeptTable
{
    public string BufferStore { get; } = bufferStore;

    public long TimeMs { get; } = suppressed.TimeMs;

    public BufferConfig Buffer { get; } = suppressed.Buffer;

    public override ISerde<TValue> ValueSerde { get; } = valueSerde;

    public override IReadOnlyList<string> Stores => [BufferStore];

    // What is held back began later than the watermark less the time.
    public override long? EmitDelayMs => TimeMs;

    public override string Shape => $"suppress until time limit {TimeMs} store {BufferStore} key {KeySerde.Name} value {ValueSerde.Name}";

    public override void Accept(ITopologyVisitor visitor) => visitor.Visit(this);
}

/// <summary>Holds back windows' results until their windows close.</summary>
internal sealed class WindowSuppressNode<TKey, TValue>(
    int id, string name, TopologyNode parent, IWindowedNode<TKey, TValue> windows, WindowsSuppressed suppressed, string bufferStore) : TopologyNode(id, name, parent)
{
    public string BufferStore { get; } = bufferStore;

    public BufferConfig Buffer { get; } = suppressed.Buffer;

    public ISerde<TKey> KeySerde { get; } = windows.KeySerde;

    public ISerde<TValue> ValueSerde { get; } = windows.ValueSerde;

    /// <summary>
    /// How long after its end (exclusive) a window closes, in ms of this step's watermark, which is behind that of the step before by what that one holds back. At the same watermark of the task
    /// that one comes first, so that its last results are in.
    /// </summary>
    public long CloseDelayMs { get; } = windows.CloseDelayMs - (parent.EmitDelayMs ?? 0);

    public override IReadOnlyList<string> Stores => [BufferStore];

    // A result has its window's last millisecond, end - 1, when the window closes at end + delay, and nothing older before.
    public override long? EmitDelayMs => Math.Max(0, CloseDelayMs + 1);

    public override string Shape => $"suppress until window closes store {BufferStore} key {KeySerde.Name} value {ValueSerde.Name}";

    public override void Accept(ITopologyVisitor visitor) => visitor.Visit(this);
}
