using OrleansStreams.Records;

namespace OrleansStreams.Topologies;

/// <summary>Defines the stores of processors. Processors of one sub-topology share a store when they are given the same definition.</summary>
public static class Stores
{
    /// <summary>A store of values by key, which can be queried by its name.</summary>
    /// <exception cref="StreamsException">InvalidConfig for a name that cannot be used.</exception>
    public static KeyValueStoreDefinition<TKey, TValue> KeyValue<TKey, TValue>(string name, ISerde<TKey> keySerde, ISerde<TValue> valueSerde)
    {
        TopologyNames.Check(name, "store");
        ArgumentNullException.ThrowIfNull(keySerde);
        ArgumentNullException.ThrowIfNull(valueSerde);
        return new(name, keySerde, valueSerde);
    }

    /// <summary>A store of values by key and time, from a start to an end: per key in the order of time.</summary>
    /// <exception cref="StreamsException">InvalidConfig for a name that cannot be used.</exception>
    public static TimedStoreDefinition<TKey, TValue> Timed<TKey, TValue>(string name, ISerde<TKey> keySerde, ISerde<TValue> valueSerde)
    {
        TopologyNames.Check(name, "store");
        ArgumentNullException.ThrowIfNull(keySerde);
        ArgumentNullException.ThrowIfNull(valueSerde);
        return new(name, keySerde, valueSerde);
    }
}

/// <summary>A store that processors declare (<see cref="Processed.With"/>).</summary>
public abstract record StoreDefinition
{
    private protected StoreDefinition(string name) => Name = name;

    /// <summary>The store's name.</summary>
    public string Name { get; }

    /// <summary>The stores that it takes, itself first.</summary>
    internal virtual IReadOnlyList<string> StoreNames => [Name];

    /// <summary>What stored state depends on.</summary>
    internal abstract string Shape { get; }

    internal abstract void Accept(IStoreDefinitionVisitor visitor);
}

/// <summary>Visits definitions by their types.</summary>
internal interface IStoreDefinitionVisitor
{
    void Visit<TKey, TValue>(KeyValueStoreDefinition<TKey, TValue> definition);

    void Visit<TKey, TValue>(TimedStoreDefinition<TKey, TValue> definition);
}

/// <summary>A store of values by key.</summary>
public sealed record KeyValueStoreDefinition<TKey, TValue> : StoreDefinition
{
    internal KeyValueStoreDefinition(string name, ISerde<TKey> keySerde, ISerde<TValue> valueSerde)
        : base(name)
    {
        KeySerde = keySerde;
        ValueSerde = valueSerde;
    }

    internal ISerde<TKey> KeySerde { get; }

    internal ISerde<TValue> ValueSerde { get; }

    /// <summary>Null: entries are kept until they are deleted.</summary>
    internal long? TimeToLiveMs { get; private init; }

    internal override IReadOnlyList<string> StoreNames => TimeToLiveMs is null ? [Name] : [Name, TimeToLive.StoreOf(Name)];

    internal override string Shape => $"{Name} key {KeySerde.Name} value {ValueSerde.Name}{TimeToLive.ShapeOf(TimeToLiveMs)}";

    /// <summary>
    /// Forgets an entry that was not written for a time of event time: when the watermark reaches the time of its last write plus this. The time of a write is that of the record that is
    /// being processed, of several the latest, and in punctuators the watermark. Reading an entry does not keep it. At the end of the input what is there stays.
    /// </summary>
    /// <exception cref="StreamsException">InvalidConfig when it is below 1 ms or above 1000 years.</exception>
    public KeyValueStoreDefinition<TKey, TValue> WithTimeToLive(TimeSpan timeToLive) => this with { TimeToLiveMs = TimeToLive.Milliseconds(timeToLive) };

    internal override void Accept(IStoreDefinitionVisitor visitor) => visitor.Visit(this);
}

/// <summary>A store of values by key and time.</summary>
public sealed record TimedStoreDefinition<TKey, TValue> : StoreDefinition
{
    internal TimedStoreDefinition(string name, ISerde<TKey> keySerde, ISerde<TValue> valueSerde)
        : base(name)
    {
        KeySerde = keySerde;
        ValueSerde = valueSerde;
    }

    internal ISerde<TKey> KeySerde { get; }

    internal ISerde<TValue> ValueSerde { get; }

    /// <summary>Null: entries are kept until they are deleted.</summary>
    internal long? RetentionMs { get; private init; }

    internal override string Shape => $"{Name} by time key {KeySerde.Name} value {ValueSerde.Name}{(RetentionMs is { } retention ? $" retention {retention}" : string.Empty)}";

    /// <summary>Forgets entries when the watermark reaches their end plus a time. At the end of the input what is there stays.</summary>
    /// <exception cref="StreamsException">InvalidConfig when it is negative or above 1000 years.</exception>
    public TimedStoreDefinition<TKey, TValue> WithRetention(TimeSpan retention) => this with { RetentionMs = EventTimes.Milliseconds(retention, 0, "A store's retention") };

    internal override void Accept(IStoreDefinitionVisitor visitor) => visitor.Visit(this);
}

/// <summary>The names and bounds of what entries live for.</summary>
internal static class TimeToLive
{
    /// <summary>The store of the times at which a store's entries were written last.</summary>
    public static string StoreOf(string store) => store + "-times";

    public static string ShapeOf(long? timeToLiveMs) => timeToLiveMs is { } ms ? $" time-to-live {ms}" : string.Empty;

    public static long Milliseconds(TimeSpan time) => EventTimes.Milliseconds(time, 1, "A store's time to live");
}
