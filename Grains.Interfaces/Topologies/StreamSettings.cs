using OrleansStreams.Records;

namespace OrleansStreams.Topologies;

/// <summary>A key and its window.</summary>
/// <param name="Key">The key.</param>
/// <param name="WindowStartMs">The window's start, ms since the Unix epoch.</param>
/// <param name="WindowEndMs">Its end (exclusive).</param>
public readonly record struct Windowed<TKey>(TKey Key, long WindowStartMs, long WindowEndMs);

/// <summary>How a topic's records are read.</summary>
public static class Consumed
{
    /// <summary>With serdes; event time is the record's timestamp, watermarks allow no disorder.</summary>
    public static Consumed<TKey, TValue> With<TKey, TValue>(ISerde<TKey> keySerde, ISerde<TValue> valueSerde) => new(keySerde, valueSerde, null, WatermarkStrategy.BoundedOutOfOrderness(TimeSpan.Zero));
}

/// <summary>How a topic's records are read: serdes, event time, watermarks.</summary>
/// <param name="KeySerde">The key's format.</param>
/// <param name="ValueSerde">The value's format.</param>
/// <param name="EventTime">Takes the event time (ms since the Unix epoch) of a record; null for the record's timestamp.</param>
/// <param name="Watermarks">How watermarks are made.</param>
public sealed record Consumed<TKey, TValue>(ISerde<TKey> KeySerde, ISerde<TValue> ValueSerde, Func<TKey, TValue, long, long>? EventTime, WatermarkStrategy Watermarks)
{
    /// <summary>With an event-time extractor, which gets key, value and the record's timestamp.</summary>
    public Consumed<TKey, TValue> WithEventTime(Func<TKey, TValue, long, long> extractor) => this with { EventTime = extractor };

    /// <summary>With a watermark strategy.</summary>
    public Consumed<TKey, TValue> WithWatermarks(WatermarkStrategy strategy) => this with { Watermarks = strategy };
}

/// <summary>
/// How a source partition's watermark follows its events: the largest event time minus the bound, minus 1 ms. It says that no event at or before it
/// is expected any more (Akidau et al., The Dataflow Model, VLDB 2015).
/// </summary>
/// <param name="OutOfOrderness">The bound.</param>
/// <param name="Idleness">Without records for this long (wall clock), the partition no longer holds back a task with several inputs; null for never.</param>
public sealed record WatermarkStrategy(TimeSpan OutOfOrderness, TimeSpan? Idleness)
{
    /// <summary>Events may be out of order by at most a bound; later ones may be late.</summary>
    /// <exception cref="StreamsException">InvalidRequest for a negative bound.</exception>
    public static WatermarkStrategy BoundedOutOfOrderness(TimeSpan bound)
    {
        StreamsBuilder.Check(bound >= TimeSpan.Zero, "the out-of-orderness must not be negative");
        return new WatermarkStrategy(bound, null);
    }

    /// <summary>With idleness.</summary>
    public WatermarkStrategy WithIdleness(TimeSpan timeout) => this with { Idleness = timeout };
}

/// <summary>How records are written.</summary>
public static class Produced
{
    /// <summary>With serdes.</summary>
    public static Produced<TKey, TValue> With<TKey, TValue>(ISerde<TKey> keySerde, ISerde<TValue> valueSerde) => new(keySerde, valueSerde);
}

/// <summary>How records are written.</summary>
/// <param name="KeySerde">The key's format.</param>
/// <param name="ValueSerde">The value's format.</param>
public sealed record Produced<TKey, TValue>(ISerde<TKey> KeySerde, ISerde<TValue> ValueSerde);

/// <summary>A state store.</summary>
public static class Materialized
{
    /// <summary>A store with a name, unique in its application, and a format.</summary>
    public static Materialized<TValue> As<TValue>(string store, ISerde<TValue> valueSerde) => new(store, valueSerde, TimeSpan.FromDays(1));
}

/// <summary>A state store.</summary>
/// <param name="Store">Its name.</param>
/// <param name="ValueSerde">The value's format.</param>
/// <param name="Retention">How long closed windows can still be queried, in event time behind the watermark.</param>
public sealed record Materialized<TValue>(string Store, ISerde<TValue> ValueSerde, TimeSpan Retention)
{
    /// <summary>With a retention.</summary>
    public Materialized<TValue> WithRetention(TimeSpan retention) => this with { Retention = retention };
}

/// <summary>Windows of fixed size, one after the other, aligned to the Unix epoch: [0, size), [size, 2 size), ...</summary>
/// <param name="SizeMs">The size in ms.</param>
/// <param name="GraceMs">How long a window stays open after its end, in event time, ms.</param>
public sealed record TumblingWindows(long SizeMs, long GraceMs)
{
    /// <summary>Windows of a size, without grace.</summary>
    /// <exception cref="StreamsException">InvalidRequest for less than 1 ms.</exception>
    public static TumblingWindows Of(TimeSpan size)
    {
        StreamsBuilder.Check(size >= TimeSpan.FromMilliseconds(1), "a window's size must be at least 1 ms");
        return new TumblingWindows((long)size.TotalMilliseconds, 0);
    }

    /// <summary>With a grace.</summary>
    /// <exception cref="StreamsException">InvalidRequest for a negative one.</exception>
    public TumblingWindows Grace(TimeSpan grace)
    {
        StreamsBuilder.Check(grace >= TimeSpan.Zero, "the grace must not be negative");
        return this with { GraceMs = (long)grace.TotalMilliseconds };
    }

    /// <summary>The start of the window that holds an event time.</summary>
    public long StartOf(long eventTime)
    {
        var into = eventTime % SizeMs;
        return eventTime - (into < 0 ? into + SizeMs : into);
    }
}

/// <summary>The parameters that an application was started with.</summary>
/// <param name="values">The parameters by name.</param>
public sealed class ApplicationParameters(IReadOnlyDictionary<string, string> values)
{
    /// <summary>A text.</summary>
    /// <exception cref="StreamsException">InvalidRequest when it is missing.</exception>
    public string GetString(string name) => values.TryGetValue(name, out var value)
        ? value
        : throw new StreamsException(StreamsErrorCode.InvalidRequest, $"the application needs the parameter '{name}'");

    /// <summary>A time span in its invariant text form (02:00:00).</summary>
    /// <exception cref="StreamsException">InvalidRequest when it is no time span.</exception>
    public TimeSpan GetTimeSpan(string name, TimeSpan otherwise) => !values.TryGetValue(name, out var value) ? otherwise
        : TimeSpan.TryParse(value, System.Globalization.CultureInfo.InvariantCulture, out var parsed) ? parsed
        : throw new StreamsException(StreamsErrorCode.InvalidRequest, $"the parameter '{name}' is '{value}'; write a time span such as 02:00:00");

    /// <summary>A number.</summary>
    /// <exception cref="StreamsException">InvalidRequest when it is no number.</exception>
    public double GetNumber(string name, double otherwise) => !values.TryGetValue(name, out var value) ? otherwise
        : double.TryParse(value, System.Globalization.CultureInfo.InvariantCulture, out var parsed) ? parsed
        : throw new StreamsException(StreamsErrorCode.InvalidRequest, $"the parameter '{name}' is '{value}'; write a number");
}
