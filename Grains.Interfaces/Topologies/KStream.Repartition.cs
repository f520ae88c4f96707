using OrleansStreams.Records;

namespace OrleansStreams.Topologies;

/// <summary>Repartitioning: equal keys come to one task.</summary>
public sealed partial class KStream<TKey, TValue>
{
    /// <summary>
    /// Writes the records to a topic that the application makes for itself, partitioned by their present keys, and goes on with what is read from there. Event times and
    /// watermarks travel along: no window behind it closes while records of it are still on their way.
    /// </summary>
    public KStream<TKey, TValue> Repartition(Repartitioned<TKey, TValue> repartitioned)
    {
        ArgumentNullException.ThrowIfNull(repartitioned);
        var name = repartitioned.Name ?? _builder.NameOf("repartition");
        var topic = new RepartitionTopic(name + RepartitionTopic.Suffix, repartitioned.Partitions);
        var source = _builder.AddRepartition(_node, name, topic, repartitioned.KeySerde, repartitioned.ValueSerde);
        return new KStream<TKey, TValue>(_builder, source, repartitioned.KeySerde);
    }

    /// <summary>Groups by the key, and repartitions the records before when their key may have changed since their topic was read.</summary>
    public KGroupedStream<TKey, TValue> GroupByKey(Grouped<TKey, TValue> grouped)
    {
        ArgumentNullException.ThrowIfNull(grouped);
        return PartitionedByKey(grouped).GroupByKey();
    }

    /// <summary>Groups by a new key, by which the records are repartitioned.</summary>
    public KGroupedStream<TNewKey, TValue> GroupBy<TNewKey>(Func<TKey, TValue, TNewKey> selector, Grouped<TNewKey, TValue> grouped)
    {
        ArgumentNullException.ThrowIfNull(grouped);
        return SelectKey(selector).Repartition(grouped.Repartitioned).GroupByKey();
    }

    /// <summary>This stream if equal keys lie in one partition already and are written by the same serde, else it repartitioned: what grouping and joining need.</summary>
    internal KStream<TKey, TValue> PartitionedByKey(Grouped<TKey, TValue> grouped) =>
        _node.KeepsKey && _keySerde is { } serde && serde.Name == grouped.Repartitioned.KeySerde.Name ? this : Repartition(grouped.Repartitioned);
}

/// <summary>Makes <see cref="Repartitioned{TKey, TValue}"/>.</summary>
public static class Repartitioned
{
    /// <summary>A repartition topic with these serdes; a key's partition is that of Kafka's default partitioner.</summary>
    public static Repartitioned<TKey, TValue> With<TKey, TValue>(ISerde<TKey> keySerde, ISerde<TValue> valueSerde)
    {
        ArgumentNullException.ThrowIfNull(keySerde);
        ArgumentNullException.ThrowIfNull(valueSerde);
        return new Repartitioned<TKey, TValue>(keySerde, valueSerde);
    }
}

/// <summary>How a stream is repartitioned.</summary>
public sealed record Repartitioned<TKey, TValue>
{
    internal Repartitioned(ISerde<TKey> keySerde, ISerde<TValue> valueSerde)
    {
        KeySerde = keySerde;
        ValueSerde = valueSerde;
    }

    internal ISerde<TKey> KeySerde { get; }

    internal ISerde<TValue> ValueSerde { get; }

    internal string? Name { get; init; }

    internal int? Partitions { get; init; }

    /// <summary>Names the topic <c>application-name-repartition</c>. Without a name it is numbered by its place in the description, which a change of the description may move.</summary>
    /// <exception cref="StreamsException">InvalidConfig for a name that cannot be used.</exception>
    public Repartitioned<TKey, TValue> WithName(string name)
    {
        TopologyNames.Check(name, "repartitioning");
        return this with { Name = name };
    }

    /// <summary>Sets the topic's number of partitions, and so of the tasks behind it. Without it, it is that of the topics that meet it in a sub-topology, else the largest among
    /// the inputs of the sub-topologies that write it.</summary>
    /// <exception cref="StreamsException">InvalidPartitions when it is below 1.</exception>
    public Repartitioned<TKey, TValue> WithNumberOfPartitions(int partitions) => partitions >= 1
        ? this with { Partitions = partitions }
        : throw new StreamsException(StreamsErrorCode.InvalidPartitions, $"A repartition topic cannot have {partitions} partitions: give 1 or more.");
}

/// <summary>Makes <see cref="Grouped{TKey, TValue}"/>.</summary>
public static class Grouped
{
    /// <summary>Records that are written with these serdes when they have to be repartitioned.</summary>
    public static Grouped<TKey, TValue> With<TKey, TValue>(ISerde<TKey> keySerde, ISerde<TValue> valueSerde) => new(Repartitioned.With(keySerde, valueSerde));
}

/// <summary>How records are grouped.</summary>
public sealed record Grouped<TKey, TValue>
{
    internal Grouped(Repartitioned<TKey, TValue> repartitioned) => Repartitioned = repartitioned;

    internal Repartitioned<TKey, TValue> Repartitioned { get; }

    /// <summary>Names the repartition topic, as <see cref="Repartitioned{TKey, TValue}.WithName"/> does.</summary>
    /// <exception cref="StreamsException">InvalidConfig for a name that cannot be used.</exception>
    public Grouped<TKey, TValue> WithName(string name) => new(Repartitioned.WithName(name));

    /// <summary>Sets the repartition topic's partitions, as <see cref="Repartitioned{TKey, TValue}.WithNumberOfPartitions"/> does.</summary>
    /// <exception cref="StreamsException">InvalidPartitions when it is below 1.</exception>
    public Grouped<TKey, TValue> WithNumberOfPartitions(int partitions) => new(Repartitioned.WithNumberOfPartitions(partitions));
}

/// <summary>A topic that an application makes for itself.</summary>
/// <param name="Name">Its name without the application's.</param>
/// <param name="Partitions">Its partitions, or null for as many as its inputs have.</param>
internal sealed record RepartitionTopic(string Name, int? Partitions)
{
    public const string Suffix = "-repartition";

    /// <summary>Of a topic whose every partition has every record.</summary>
    public const string BroadcastSuffix = "-broadcast";

    /// <summary>The name of the topic that is made for an application; the sign that parts an application from its version is none that a topic's name may have.</summary>
    public static string NameIn(string application, string name) => $"{application.Replace('@', '.')}-{name}";
}
