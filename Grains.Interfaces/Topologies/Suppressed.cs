namespace OrleansStreams.Topologies;

/// <summary>Says until when changes are held back.</summary>
public static class Suppressed
{
    /// <summary>Holds back the results of windows until their windows close: each has one result, the final one, as with emit on close.</summary>
    /// <param name="buffer">How much may be held back. A final result cannot be told early, so that a buffer with a bound stops the task when it is full.</param>
    public static WindowsSuppressed UntilWindowCloses(StrictBufferConfig buffer)
    {
        ArgumentNullException.ThrowIfNull(buffer);
        return new WindowsSuppressed(null, buffer);
    }

    /// <summary>
    /// Holds back the changes of a key, from the first one on, until the watermark is this time after it; then the last one is told, with its time (or that of the first, if that is later). A change of a key
    /// whose time is over when it comes is told at once.
    /// </summary>
    /// <param name="time">How long, in event time.</param>
    /// <param name="buffer">How much may be held back, and what happens when it is more.</param>
    /// <exception cref="StreamsException">InvalidConfig when the time is negative or above 1000 years.</exception>
    public static TimeSuppressed UntilTimeLimit(TimeSpan time, BufferConfig buffer)
    {
        ArgumentNullException.ThrowIfNull(buffer);
        return new TimeSuppressed(null, EventTimes.Milliseconds(time, 0, "The time to hold changes back"), buffer);
    }
}

/// <summary>Results of windows are held back until their windows close.</summary>
public sealed record WindowsSuppressed
{
    internal WindowsSuppressed(string? name, StrictBufferConfig buffer)
    {
        Name = name;
        Buffer = buffer;
    }

    internal string? Name { get; init; }

    internal StrictBufferConfig Buffer { get; }

    /// <summary>Names the store of what is held back. Without a name it is numbered by its place in the description, which a change of the description may move.</summary>
    /// <exception cref="StreamsException">InvalidConfig for a name that cannot be used.</exception>
    public WindowsSuppressed WithName(string name)
    {
        TopologyNames.Check(name, "store");
        return this with { Name = name };
    }
}

/// <summary>Changes of a table are held back for a time.</summary>
public sealed record TimeSuppressed
{
    internal TimeSuppressed(string? name, long timeMs, BufferConfig buffer)
    {
        Name = name;
        TimeMs = timeMs;
        Buffer = buffer;
    }

    internal string? Name { get; init; }

    internal long TimeMs { get; }

    internal BufferConfig Buffer { get; }

    /// <summary>Names the store of what is held back. Without a name it is numbered by its place in the description, which a change of the description may move.</summary>
    /// <exception cref="StreamsException">InvalidConfig for a name that cannot be used.</exception>
    public TimeSuppressed WithName(string name)
    {
        TopologyNames.Check(name, "store");
        return this with { Name = name };
    }
}

/// <summary>How much a task may hold back, and what happens when it is more. The bounds are per task.</summary>
public abstract record BufferConfig
{
    private protected BufferConfig(long maxRecords, long maxBytes)
    {
        RecordsMax = maxRecords;
        BytesMax = maxBytes;
    }

    internal long RecordsMax { get; init; }

    internal long BytesMax { get; init; }

    /// <summary>Any number of records: what is held back is bounded by the time that it is held back for alone.</summary>
    public static StrictBufferConfig Unbounded() => new(long.MaxValue, long.MaxValue);

    /// <summary>At most so many keys (or windows of keys). Beyond it the oldest are told early, unless <see cref="EagerBufferConfig.ShutDownWhenFull"/> is called.</summary>
    /// <exception cref="StreamsException">InvalidConfig when the number is below 0.</exception>
    public static EagerBufferConfig MaxRecords(long records) => new(Bound(records, "records"), long.MaxValue);

    /// <summary>
    /// At most so many bytes of serialized keys and values, with 16 bytes for the times of each. Beyond it the oldest are told early, unless <see cref="EagerBufferConfig.ShutDownWhenFull"/> is called. To
    /// count them, each change is serialized.
    /// </summary>
    /// <exception cref="StreamsException">InvalidConfig when the number is below 0.</exception>
    public static EagerBufferConfig MaxBytes(long bytes) => new(long.MaxValue, Bound(bytes, "bytes"));

    private protected static long Bound(long bound, string what) => bound >= 0 ? bound : throw Topology.Invalid($"A buffer cannot hold {bound} {what}: give 0 or more.");
}

/// <summary>A buffer that tells its oldest entries early when it is full: all that have the oldest time, until it is within its bounds.</summary>
public sealed record EagerBufferConfig : BufferConfig
{
    internal EagerBufferConfig(long maxRecords, long maxBytes)
        : base(maxRecords, maxBytes)
    {
    }

    /// <summary>The same with a bound of records too.</summary>
    /// <exception cref="StreamsException">InvalidConfig when the number is below 0.</exception>
    public EagerBufferConfig WithMaxRecords(long records) => this with { RecordsMax = Bound(records, "records") };

    /// <summary>The same with a bound of bytes too.</summary>
    /// <exception cref="StreamsException">InvalidConfig when the number is below 0.</exception>
    public EagerBufferConfig WithMaxBytes(long bytes) => this with { BytesMax = Bound(bytes, "bytes") };

    /// <summary>Stops the task with <see cref="StreamsErrorCode.StateTooLarge"/> when the buffer is full, and tells nothing early.</summary>
    public StrictBufferConfig ShutDownWhenFull() => new(RecordsMax, BytesMax);
}

/// <summary>A buffer that tells nothing early: a task that would hold back more stops with <see cref="StreamsErrorCode.StateTooLarge"/>.</summary>
public sealed record StrictBufferConfig : BufferConfig
{
    internal StrictBufferConfig(long maxRecords, long maxBytes)
        : base(maxRecords, maxBytes)
    {
    }

    /// <summary>The same with a bound of records too.</summary>
    /// <exception cref="StreamsException">InvalidConfig when the number is below 0.</exception>
    public StrictBufferConfig WithMaxRecords(long records) => this with { RecordsMax = Bound(records, "records") };

    /// <summary>The same with a bound of bytes too.</summary>
    /// <exception cref="StreamsException">InvalidConfig when the number is below 0.</exception>
    public StrictBufferConfig WithMaxBytes(long bytes) => this with { BytesMax = Bound(bytes, "bytes") };

    /// <summary>Tells the oldest entries early when the buffer is full.</summary>
    public EagerBufferConfig EmitEarlyWhenFull() => new(RecordsMax, BytesMax);
}
