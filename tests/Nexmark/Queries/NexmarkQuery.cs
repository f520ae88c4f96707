using OrleansStreams.Nexmark.Events;
using OrleansStreams.Processing;
using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.Nexmark.Queries;

/// <summary>A query of Nexmark three times: as a topology, as a naive model over all events at once, and as the loop that one would write by hand.</summary>
internal abstract class NexmarkQuery(string name, EventParts parts)
{
    public const string EventTopic = "nexmark";
    public const string SideTopic = "nexmark-side";
    public const string OutputTopic = "nexmark-results";

    /// <summary>q0 to q22.</summary>
    public string Name { get; } = name;

    /// <summary>What of the events it looks at: topology and loop decode no more.</summary>
    public EventParts Parts { get; } = parts;

    /// <summary>Whether its results are the changes of a table, of which the last of each key counts; else each result counts.</summary>
    public virtual bool IsTable => false;

    /// <summary>The topics that it writes.</summary>
    public virtual IReadOnlyList<string> OutputTopics => [OutputTopic];

    /// <summary>The records of <see cref="SideTopic"/>, which is read to its end before the events; none for a query that does not read it.</summary>
    public virtual IReadOnlyList<(long Key, Texts Value)> Side => [];

    public abstract void Describe(StreamsBuilder builder);

    /// <summary>The results by the model.</summary>
    public abstract ResultSet Expect(IReadOnlyList<Event> events);

    /// <summary>A new loop, to be run once.</summary>
    public abstract HandLoop CreateLoop();
}

/// <inheritdoc cref="NexmarkQuery"/>
/// <param name="name">q0 to q22.</param>
/// <param name="parts">What of the events it looks at.</param>
/// <param name="keySerde">Of the results' keys.</param>
/// <param name="valueSerde">Of the results.</param>
internal abstract class NexmarkQuery<TKey, TValue>(string name, EventParts parts, ISerde<TKey> keySerde, ISerde<TValue> valueSerde) : NexmarkQuery(name, parts)
{
    protected static TimeSpan TenSeconds { get; } = TimeSpan.FromSeconds(10);

    protected Produced<TKey, TValue> Produced { get; } = Topologies.Produced.With(keySerde, valueSerde);

    public override void Describe(StreamsBuilder builder) => Results(builder.Stream(EventTopic, Consumed)).To(OutputTopic, Produced);

    public override ResultSet Expect(IReadOnlyList<Event> events)
    {
        var results = new ResultSet(IsTable);
        var (keyBytes, valueBytes) = (new ByteBuffer(), new ByteBuffer());
        foreach (var (key, value) in Model(events))
        {
            keyBytes.Clear();
            valueBytes.Clear();
            keySerde.Serialize(key, keyBytes);
            valueSerde.Serialize(value, valueBytes);
            results.Add(keyBytes.Span, valueBytes.Span);
        }

        return results;
    }

    public override HandLoop CreateLoop()
    {
        var loop = Loop();
        loop.Begin(new EventSerde(Parts), keySerde, valueSerde);
        return loop;
    }

    /// <summary>How the events are read.</summary>
    protected virtual Consumed<long, Event> Consumed => Topologies.Consumed.With(Serdes.Int64, new EventSerde(Parts)).WithWatermarks(WatermarkStrategy.Monotonic());

    protected abstract KStream<TKey, TValue> Results(KStream<long, Event> events);

    protected abstract IEnumerable<(TKey Key, TValue Value)> Model(IReadOnlyList<Event> events);

    protected abstract HandLoop<TKey, TValue> Loop();
}

/// <summary>What queries begin with.</summary>
internal static class EventStreams
{
    /// <summary>The bids, by auction.</summary>
    public static KStream<long, Bid> Bids(this KStream<long, Event> events) => events.Filter((_, item) => item.Kind == EventKind.Bid).MapValues((_, item) => item.Bid);

    /// <summary>The bids, in the order of the log.</summary>
    public static IEnumerable<Bid> Bids(this IEnumerable<Event> events) => events.Where(item => item.Kind == EventKind.Bid).Select(item => item.Bid);

    /// <summary>The auctions, in the order of the log.</summary>
    public static IEnumerable<Auction> Auctions(this IEnumerable<Event> events) => events.Where(item => item.Kind == EventKind.Auction).Select(item => item.Auction!);

    /// <summary>The persons, in the order of the log.</summary>
    public static IEnumerable<Person> Persons(this IEnumerable<Event> events) => events.Where(item => item.Kind == EventKind.Person).Select(item => item.Person!);
}
