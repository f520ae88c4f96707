using OrleansStreams.Records;

namespace OrleansStreams.Topologies;

/// <summary>Makes <see cref="Joined{TKey, TValue}"/>.</summary>
public static class Joined
{
    /// <summary>A stream whose records are written with these serdes when they have to be repartitioned before a join.</summary>
    public static Joined<TKey, TValue> With<TKey, TValue>(ISerde<TKey> keySerde, ISerde<TValue> valueSerde) => new(Grouped.With(keySerde, valueSerde));
}

/// <summary>How a stream is joined with a table.</summary>
public sealed record Joined<TKey, TValue>
{
    internal Joined(Grouped<TKey, TValue> grouped) => Grouped = grouped;

    internal Grouped<TKey, TValue> Grouped { get; }

    /// <summary>Names the repartition topic, as <see cref="Repartitioned{TKey, TValue}.WithName"/> does.</summary>
    /// <exception cref="StreamsException">InvalidConfig for a name that cannot be used.</exception>
    public Joined<TKey, TValue> WithName(string name) => new(Grouped.WithName(name));
}

/// <summary>Makes <see cref="StreamJoined{TKey, TValue, TOther}"/>.</summary>
public static class StreamJoined
{
    /// <summary>Two streams whose records are kept with these serdes until their windows have closed, and written with them when they have to be repartitioned before.</summary>
    /// <param name="keySerde">For the keys of both.</param>
    /// <param name="valueSerde">For values of the stream that is joined.</param>
    /// <param name="otherSerde">For values of the stream that it is joined with.</param>
    public static StreamJoined<TKey, TValue, TOther> With<TKey, TValue, TOther>(ISerde<TKey> keySerde, ISerde<TValue> valueSerde, ISerde<TOther> otherSerde)
    {
        ArgumentNullException.ThrowIfNull(keySerde);
        ArgumentNullException.ThrowIfNull(valueSerde);
        ArgumentNullException.ThrowIfNull(otherSerde);
        return new(keySerde, valueSerde, otherSerde, null);
    }
}

/// <summary>How two streams are joined.</summary>
public sealed record StreamJoined<TKey, TValue, TOther>
{
    internal StreamJoined(ISerde<TKey> keySerde, ISerde<TValue> valueSerde, ISerde<TOther> otherSerde, string? name)
    {
        KeySerde = keySerde;
        ValueSerde = valueSerde;
        OtherSerde = otherSerde;
        Name = name;
    }

    internal ISerde<TKey> KeySerde { get; }

    internal ISerde<TValue> ValueSerde { get; }

    internal ISerde<TOther> OtherSerde { get; }

    internal string? Name { get; init; }

    /// <summary>
    /// Names the join: its stores and repartition topics are called by it, with -left and -right behind. Without a name they are numbered by their place in the description, which a change of the
    /// description may move.
    /// </summary>
    /// <exception cref="StreamsException">InvalidConfig for a name that cannot be used.</exception>
    public StreamJoined<TKey, TValue, TOther> WithName(string name)
    {
        TopologyNames.Check(name, "join");
        return this with { Name = name };
    }
}
