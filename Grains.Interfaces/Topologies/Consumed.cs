using OrleansStreams.Records;

namespace OrleansStreams.Topologies;

/// <summary>Gives a record's event time, ms since the Unix epoch.</summary>
/// <param name="key">The key; default for a null key.</param>
/// <param name="value">The value; default for a null value.</param>
/// <param name="recordTimestamp">The record's own timestamp.</param>
public delegate long EventTimeExtractor<in TKey, in TValue>(TKey key, TValue value, long recordTimestamp);

/// <summary>Reads one line of a source file.</summary>
/// <param name="line">The line without its line break.</param>
/// <param name="lineNumber">Its number from 1.</param>
/// <returns>The record; its timestamp in ms since the Unix epoch.</returns>
public delegate (TKey Key, TValue Value, long Timestamp) FileLineParser<TKey, TValue>(ReadOnlySpan<byte> line, long lineNumber);

/// <summary>Makes <see cref="Consumed{TKey, TValue}"/>.</summary>
public static class Consumed
{
    /// <summary>A topic read with these serdes; event time is the record's timestamp, the watermark trails it by 1 ms.</summary>
    public static Consumed<TKey, TValue> With<TKey, TValue>(ISerde<TKey> keySerde, ISerde<TValue> valueSerde)
    {
        ArgumentNullException.ThrowIfNull(keySerde);
        ArgumentNullException.ThrowIfNull(valueSerde);
        return new Consumed<TKey, TValue>(keySerde, valueSerde, WatermarkStrategy.BoundedOutOfOrderness(TimeSpan.Zero));
    }
}

/// <summary>What becomes of a record whose event time is none: negative, out of bounds, or the extractor threw.</summary>
public enum InvalidTimestampPolicy
{
    /// <summary>The task fails, naming topic and offset, and processes nothing after it.</summary>
    Fail,

    /// <summary>The record is skipped and counted (<see cref="Processing.StreamTaskStatus.SkippedRecords"/>).</summary>
    Skip,

    /// <summary>The record's event time is its ingestion time (see <see cref="Consumed{TKey, TValue}.WithIngestionTime"/>).</summary>
    UseIngestionTime,
}

/// <summary>Where event times come from.</summary>
internal enum EventTimeKind
{
    RecordTimestamp,
    Extractor,
    Ingestion,
    Processing,
}

/// <summary>How a topic is read.</summary>
public sealed record Consumed<TKey, TValue>
{
    internal Consumed(ISerde<TKey> keySerde, ISerde<TValue> valueSerde, WatermarkStrategy watermarks)
    {
        KeySerde = keySerde;
        ValueSerde = valueSerde;
        Watermarks = watermarks;
    }

    internal ISerde<TKey> KeySerde { get; init; }

    internal ISerde<TValue> ValueSerde { get; init; }

    internal EventTimeKind Time { get; init; }

    internal EventTimeExtractor<TKey, TValue>? EventTime { get; init; }

    internal WatermarkStrategy Watermarks { get; init; }

    internal Func<IWatermarkGenerator<TKey, TValue>>? Generator { get; init; }

    internal InvalidTimestampPolicy InvalidTimestamps { get; init; }

    internal long EarliestTime { get; init; }

    internal ErrorPolicy? Errors { get; init; }

    /// <summary>Takes the event time from the record's content.</summary>
    public Consumed<TKey, TValue> WithEventTime(EventTimeExtractor<TKey, TValue> extractor)
    {
        ArgumentNullException.ThrowIfNull(extractor);
        return this with { EventTime = extractor, Time = EventTimeKind.Extractor };
    }

    /// <summary>
    /// The event time is the record's ingestion time: when the log appended it, if the topic has <c>message.timestamp.type = LogAppendTime</c>, which every reading gives again; for
    /// other topics when the task took it in, as <see cref="WithProcessingTime"/>.
    /// </summary>
    public Consumed<TKey, TValue> WithIngestionTime() => this with { EventTime = null, Time = EventTimeKind.Ingestion };

    /// <summary>
    /// The event time is the wall clock's when the record is processed, and the watermark follows the clock also when no records come. The time becomes durable with the
    /// commit of its record: a crash before that leaves no trace of the record or its time, and after it neither is taken again. Within a task it never goes
    /// back, over restarts neither. An application that processes the topic anew gets other times.
    /// </summary>
    public Consumed<TKey, TValue> WithProcessingTime() => this with { EventTime = null, Time = EventTimeKind.Processing };

    /// <summary>Says what becomes of records without a usable event time; without this call the task fails on them.</summary>
    public Consumed<TKey, TValue> WithInvalidTimestamps(InvalidTimestampPolicy policy) => this with { InvalidTimestamps = policy };

    /// <summary>
    /// Says what becomes of records of this topic on which the application fails, from their deserialization on; without this call it is what <see cref="StreamsBuilder.OnError"/> says. Behind a
    /// repartitioning that one holds, because there another topic is read.
    /// </summary>
    public Consumed<TKey, TValue> OnError(ErrorPolicy policy)
    {
        ArgumentNullException.ThrowIfNull(policy);
        return this with { Errors = policy };
    }

    /// <summary>Takes negative event times for times before 1970; without this call they are invalid, as -1 is how Kafka says that there is none.</summary>
    public Consumed<TKey, TValue> AllowTimesBefore1970() => this with { EarliestTime = -EventTimes.Max };

    /// <summary>Sets how the watermark follows from event times.</summary>
    public Consumed<TKey, TValue> WithWatermarks(WatermarkStrategy strategy)
    {
        ArgumentNullException.ThrowIfNull(strategy);
        return this with { Watermarks = strategy };
    }

    /// <summary>Makes the watermarks by generators, one per partition. Idleness and alignment are still those of <see cref="WithWatermarks"/>.</summary>
    public Consumed<TKey, TValue> WithWatermarkGenerator(Func<IWatermarkGenerator<TKey, TValue>> generator)
    {
        ArgumentNullException.ThrowIfNull(generator);
        return this with { Generator = generator };
    }
}

/// <summary>Makes <see cref="Produced{TKey, TValue}"/>.</summary>
public static class Produced
{
    /// <summary>A topic written with these serdes; a key's partition is that of Kafka's default partitioner.</summary>
    public static Produced<TKey, TValue> With<TKey, TValue>(ISerde<TKey> keySerde, ISerde<TValue> valueSerde)
    {
        ArgumentNullException.ThrowIfNull(keySerde);
        ArgumentNullException.ThrowIfNull(valueSerde);
        return new Produced<TKey, TValue>(keySerde, valueSerde);
    }
}

/// <summary>How a topic is written.</summary>
public sealed record Produced<TKey, TValue>
{
    internal Produced(ISerde<TKey> keySerde, ISerde<TValue> valueSerde)
    {
        KeySerde = keySerde;
        ValueSerde = valueSerde;
    }

    internal ISerde<TKey> KeySerde { get; }

    internal ISerde<TValue> ValueSerde { get; }
}

/// <summary>Makes <see cref="Materialized{TValue}"/>.</summary>
public static class Materialized
{
    /// <summary>A state store of this name, which can be queried by it.</summary>
    public static Materialized<TValue> As<TValue>(string storeName, ISerde<TValue> valueSerde)
    {
        ArgumentNullException.ThrowIfNull(valueSerde);
        TopologyNames.Check(storeName, "store");
        return new Materialized<TValue>(storeName, valueSerde, Materialized<TValue>.DefaultRetentionMs);
    }
}

/// <summary>How an aggregate is kept.</summary>
public sealed record Materialized<TValue>
{
    internal const long DefaultRetentionMs = 24L * 3600 * 1000;

    internal Materialized(string storeName, ISerde<TValue> valueSerde, long retentionMs)
    {
        StoreName = storeName;
        ValueSerde = valueSerde;
        RetentionMs = retentionMs;
    }

    internal string StoreName { get; }

    internal ISerde<TValue> ValueSerde { get; }

    internal long RetentionMs { get; init; }

    /// <summary>The same store with values of another kind.</summary>
    internal Materialized<TOther> Of<TOther>(ISerde<TOther> valueSerde) => new(StoreName, valueSerde, RetentionMs) { TimeToLiveMs = TimeToLiveMs };

    /// <summary>Null: keys are kept until they are deleted.</summary>
    internal long? TimeToLiveMs { get; init; }

    /// <summary>
    /// How long after its end, in event time, a closed window can still be queried (a day by default; at most a million windows a task). Open windows are always kept.
    /// </summary>
    public Materialized<TValue> WithRetention(TimeSpan retention) => this with { RetentionMs = EventTimes.Milliseconds(retention, 0, "A store's retention") };

    /// <summary>
    /// Forgets a key of a table or of an aggregate without windows that was not written for a time of event time: when the watermark reaches the latest event time of its writes plus this. Reading a key does not
    /// keep it. What follows the table is told a deletion with that time; an aggregate begins anew with the key's next record. At the end of the input what is there stays.
    /// </summary>
    /// <exception cref="StreamsException">InvalidConfig when it is below 1 ms or above 1000 years; windows refuse it, whose state has its own end (<see cref="WithRetention"/>).</exception>
    public Materialized<TValue> WithTimeToLive(TimeSpan timeToLive) => this with { TimeToLiveMs = TimeToLive.Milliseconds(timeToLive) };

    /// <exception cref="StreamsException">InvalidConfig with a time to live.</exception>
    internal Materialized<TValue> ForWindows() => TimeToLiveMs is null
        ? this
        : throw Topology.Invalid($"The windows in store '{StoreName}' cannot have a time to live: they go when they have closed and their retention is over; use WithRetention.");
}
