using OrleansStreams.Records;

namespace OrleansStreams.Topologies;

/// <summary>Makes <see cref="Repartitioned{TKey, TValue}"/>.</summary>
public static class Repartitioned
{
    /// <summary>An internal topic with these serdes, with as many partitions as the largest topic that is read before it.</summary>
    public static Repartitioned<TKey, TValue> With<TKey, TValue>(ISerde<TKey> keySerde, ISerde<TValue> valueSerde)
    {
        ArgumentNullException.ThrowIfNull(keySerde);
        ArgumentNullException.ThrowIfNull(valueSerde);
        return new Repartitioned<TKey, TValue>(keySerde, valueSerde);
    }
}

/// <summary>How records are partitioned anew.</summary>
public sealed record Repartitioned<TKey, TValue>
{
    private const int PartitionsMax = 10_000;

    internal Repartitioned(ISerde<TKey> keySerde, ISerde<TValue> valueSerde)
    {
        KeySerde = keySerde;
        ValueSerde = valueSerde;
    }

    internal ISerde<TKey> KeySerde { get; }

    internal ISerde<TValue> ValueSerde { get; }

    internal int? PartitionCount { get; private init; }

    internal string? Name { get; private init; }

    /// <summary>Sets the number of partitions, and by it of the tasks behind.</summary>
    /// <exception cref="StreamsException">InvalidPartitions when it is not 1 to 10,000.</exception>
    public Repartitioned<TKey, TValue> WithPartitions(int count) => count is >= 1 and <= PartitionsMax
        ? this with { PartitionCount = count }
        : throw new StreamsException(StreamsErrorCode.InvalidPartitions, $"An internal topic cannot have {count} partitions: give it 1 to {PartitionsMax}.");

    /// <summary>Names the step, and by it the internal topic <c>application-name-repartition</c>, so that it keeps its name when steps before it change.</summary>
    /// <exception cref="StreamsException">InvalidConfig for a name that no topic can have.</exception>
    public Repartitioned<TKey, TValue> WithName(string name)
    {
        TopologyNames.Check(name, "repartition step");
        return this with { Name = name };
    }
}

/// <summary>Makes <see cref="Grouped{TKey, TValue}"/>.</summary>
public static class Grouped
{
    /// <summary>Groups whose keys and values have these serdes on their way to the task that holds the group.</summary>
    public static Grouped<TKey, TValue> With<TKey, TValue>(ISerde<TKey> keySerde, ISerde<TValue> valueSerde) => new(Topologies.Repartitioned.With(keySerde, valueSerde));
}

/// <summary>How records are grouped by a new key.</summary>
public sealed record Grouped<TKey, TValue>
{
    internal Grouped(Repartitioned<TKey, TValue> repartitioned) => Repartitioned = repartitioned;

    internal Repartitioned<TKey, TValue> Repartitioned { get; }

    /// <inheritdoc cref="Repartitioned{TKey, TValue}.WithName"/>
    public Grouped<TKey, TValue> WithName(string name) => new(Repartitioned.WithName(name));

    /// <inheritdoc cref="Repartitioned{TKey, TValue}.WithPartitions"/>
    public Grouped<TKey, TValue> WithPartitions(int count) => new(Repartitioned.WithPartitions(count));
}
