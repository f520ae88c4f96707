using OrleansStreams.Records;

namespace OrleansStreams.Topologies;

/// <summary>One step of a topology.</summary>
public abstract class TopologyNode
{
    /// <summary>What the step is, for people and for the fingerprint of state: two topologies with the same names in the same order can read each other's state.</summary>
    public abstract string Name { get; }

    internal int Index { get; set; }

    internal TopologyNode? Parent { get; set; }

    internal List<TopologyNode> Children { get; } = [];

    internal virtual bool IsTerminal => false;

    /// <summary>The topics that the step writes to.</summary>
    internal virtual IEnumerable<string> OutputTopics => [];

    internal abstract TResult Accept<TResult>(ITopologyVisitor<TResult> visitor);
}

/// <summary>Gets each kind of step with its types; how a runtime turns the description into something that runs.</summary>
internal interface ITopologyVisitor<out TResult>
{
    TResult Visit<TKey, TValue>(TopicSourceNode<TKey, TValue> node);

    TResult Visit<TKey, TValue>(FileSourceNode<TKey, TValue> node);

    TResult Visit<TKey, TValue>(FilterNode<TKey, TValue> node);

    TResult Visit<TKey, TValue, TKeyOut, TValueOut>(MapNode<TKey, TValue, TKeyOut, TValueOut> node);

    TResult Visit<TKey, TValue, TKeyOut, TValueOut>(FlatMapNode<TKey, TValue, TKeyOut, TValueOut> node);

    TResult Visit<TKey, TValue, TAggregate>(WindowAggregateNode<TKey, TValue, TAggregate> node);

    TResult Visit<TKey, TValue>(SinkNode<TKey, TValue> node);
}

internal interface ITopicSource
{
    string Topic { get; }

    WatermarkStrategy Watermarks { get; }
}

internal interface IFileSource
{
    string SourceName { get; }

    string Path { get; }

    double RowsPerSecond { get; }
}

internal interface IStoreNode
{
    string Store { get; }
}

internal sealed class TopicSourceNode<TKey, TValue>(string topic, Consumed<TKey, TValue> consumed) : TopologyNode, ITopicSource
{
    public string Topic => topic;

    public Consumed<TKey, TValue> Consumed => consumed;

    public WatermarkStrategy Watermarks => consumed.Watermarks;

    public override string Name => $"source topic {topic} ({consumed.KeySerde.Name}, {consumed.ValueSerde.Name})";

    internal override TResult Accept<TResult>(ITopologyVisitor<TResult> visitor) => visitor.Visit(this);
}

internal sealed class FileSourceNode<TKey, TValue>(string name, string path, LineParser<TKey, TValue> parser, double rowsPerSecond) : TopologyNode, IFileSource
{
    public string SourceName => name;

    public string Path => path;

    public double RowsPerSecond => rowsPerSecond;

    public LineParser<TKey, TValue> Parser => parser;

    public override string Name => $"source file {name}";

    internal override TResult Accept<TResult>(ITopologyVisitor<TResult> visitor) => visitor.Visit(this);
}

internal sealed class FilterNode<TKey, TValue>(Func<TKey, TValue, bool> predicate) : TopologyNode
{
    public Func<TKey, TValue, bool> Predicate => predicate;

    public override string Name => "filter";

    internal override TResult Accept<TResult>(ITopologyVisitor<TResult> visitor) => visitor.Visit(this);
}

internal sealed class MapNode<TKey, TValue, TKeyOut, TValueOut>(Func<TKey, TValue, (TKeyOut Key, TValueOut Value)> mapper) : TopologyNode
{
    public Func<TKey, TValue, (TKeyOut Key, TValueOut Value)> Mapper => mapper;

    public override string Name => "map";

    internal override TResult Accept<TResult>(ITopologyVisitor<TResult> visitor) => visitor.Visit(this);
}

internal sealed class FlatMapNode<TKey, TValue, TKeyOut, TValueOut>(Func<TKey, TValue, IEnumerable<(TKeyOut Key, TValueOut Value)>> mapper) : TopologyNode
{
    public Func<TKey, TValue, IEnumerable<(TKeyOut Key, TValueOut Value)>> Mapper => mapper;

    public override string Name => "flat map";

    internal override TResult Accept<TResult>(ITopologyVisitor<TResult> visitor) => visitor.Visit(this);
}

internal sealed record LateSink<TKey, TValue>(string Topic, ISerde<TKey> KeySerde, ISerde<TValue> ValueSerde);

internal sealed class WindowAggregateNode<TKey, TValue, TAggregate>(
    ISerde<TKey> keySerde,
    TumblingWindows windows,
    Func<TAggregate>? initializer,
    Func<TKey, TValue, TAggregate, TAggregate> aggregator,
    Materialized<TAggregate> materialized,
    LateSink<TKey, TValue>? late) : TopologyNode, IStoreNode
{
    public ISerde<TKey> KeySerde => keySerde;

    public TumblingWindows Windows => windows;

    public Func<TAggregate>? Initializer => initializer;

    public Func<TKey, TValue, TAggregate, TAggregate> Aggregator => aggregator;

    /// <summary>For reduce: the aggregate of a window's first value.</summary>
    public Func<TValue, TAggregate>? First { get; init; }

    public Materialized<TAggregate> Materialized => materialized;

    public LateSink<TKey, TValue>? Late => late;

    public string Store => materialized.Store;

    public override string Name => $"tumbling {windows.SizeMs} ms, grace {windows.GraceMs} ms, store {Store} ({keySerde.Name}, {materialized.ValueSerde.Name})";

    internal override bool IsTerminal => true;

    internal override IEnumerable<string> OutputTopics => late is null ? [] : [late.Topic];

    internal override TResult Accept<TResult>(ITopologyVisitor<TResult> visitor) => visitor.Visit(this);
}

internal sealed class SinkNode<TKey, TValue>(string topic, ISerde<TKey> keySerde, ISerde<TValue> valueSerde) : TopologyNode
{
    public string Topic => topic;

    public ISerde<TKey> KeySerde => keySerde;

    public ISerde<TValue> ValueSerde => valueSerde;

    public override string Name => $"sink topic {topic} ({keySerde.Name}, {valueSerde.Name})";

    internal override bool IsTerminal => true;

    internal override IEnumerable<string> OutputTopics => [topic];

    internal override TResult Accept<TResult>(ITopologyVisitor<TResult> visitor) => visitor.Visit(this);
}
