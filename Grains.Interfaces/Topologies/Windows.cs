namespace OrleansStreams.Topologies;

/// <summary>A key in a window.</summary>
/// <param name="Key">The key.</param>
/// <param name="WindowStartMs">The window's start, ms since the Unix epoch.</param>
/// <param name="WindowEndMs">The window's end (exclusive).</param>
public readonly record struct Windowed<TKey>(TKey Key, long WindowStartMs, long WindowEndMs);

/// <summary>Windows of one size that neither overlap nor leave gaps, aligned to the Unix epoch.</summary>
public sealed record TumblingWindows
{
    internal TumblingWindows(long sizeMs, long graceMs)
    {
        SizeMs = sizeMs;
        GraceMs = graceMs;
    }

    /// <summary>The size in ms.</summary>
    public long SizeMs { get; }

    /// <summary>How long after its end a window still takes events, in ms of event time.</summary>
    public long GraceMs { get; }

    /// <summary>Windows of a size, without grace.</summary>
    /// <exception cref="StreamsException">InvalidConfig when the size is below 1 ms or above 1000 years.</exception>
    public static TumblingWindows Of(TimeSpan size) => new(EventTimes.Milliseconds(size, 1, "A window's size"), 0);

    /// <summary>The same windows with a grace period.</summary>
    /// <exception cref="StreamsException">InvalidConfig when the grace is negative or above 1000 years.</exception>
    public TumblingWindows Grace(TimeSpan grace) => new(SizeMs, EventTimes.Milliseconds(grace, 0, "A window's grace"));
}

/// <summary>The bounds of event time. They leave room so that adding sizes, graces and bounds never overflows.</summary>
internal static class EventTimes
{
    /// <summary>The largest magnitude of an event time.</summary>
    public const long Max = 1L << 60;

    private static readonly TimeSpan s_longest = TimeSpan.FromDays(365_250);

    public static long Milliseconds(TimeSpan time, long least, string what)
    {
        var ms = time.Ticks / TimeSpan.TicksPerMillisecond;
        return ms >= least && time <= s_longest
            ? ms
            : throw new StreamsException(StreamsErrorCode.InvalidConfig, $"{what} is {time}: give {least} ms to 1000 years.");
    }
}
