namespace OrleansStreams.Topologies;

/// <summary>Windows of one size that begin at every multiple of an advance since the Unix epoch, so that an event belongs to size / advance of them.</summary>
public sealed record HoppingWindows
{
    internal HoppingWindows(long sizeMs, long advanceMs, long graceMs)
    {
        SizeMs = sizeMs;
        AdvanceMs = advanceMs;
        GraceMs = graceMs;
    }

    /// <summary>The size in ms.</summary>
    public long SizeMs { get; }

    /// <summary>From one window's start to the next one's, in ms.</summary>
    public long AdvanceMs { get; }

    /// <summary>How long after its end a window still takes events, in ms of event time.</summary>
    public long GraceMs { get; }

    /// <summary>Windows of a size, of which one begins with every advance; without grace.</summary>
    /// <exception cref="StreamsException">InvalidConfig when the size or the advance is below 1 ms or above 1000 years, or the advance is larger than the size, so that events
    /// between two windows would belong to none.</exception>
    public static HoppingWindows Of(TimeSpan size, TimeSpan advance)
    {
        var sizeMs = EventTimes.Milliseconds(size, 1, "A window's size");
        var advanceMs = EventTimes.Milliseconds(advance, 1, "A window's advance");
        return advanceMs <= sizeMs
            ? new HoppingWindows(sizeMs, advanceMs, 0)
            : throw new StreamsException(StreamsErrorCode.InvalidConfig, $"Windows of {size} that advance by {advance} leave gaps: give an advance that is not larger than the size.");
    }

    /// <summary>The same windows with a grace period.</summary>
    /// <exception cref="StreamsException">InvalidConfig when the grace is negative or above 1000 years.</exception>
    public HoppingWindows Grace(TimeSpan grace) => new(SizeMs, AdvanceMs, EventTimes.Milliseconds(grace, 0, "A window's grace"));
}

/// <summary>
/// Sessions: the events of a key of which each is at most a gap away from the next. A session reaches from its first event to its last one; its end (exclusive) is a millisecond after the last.
/// </summary>
public sealed record SessionWindows
{
    private SessionWindows(long gapMs, long graceMs)
    {
        GapMs = gapMs;
        GraceMs = graceMs;
    }

    /// <summary>The longest time between two neighbours of a session, in ms; two events that are exactly so far apart belong together.</summary>
    public long GapMs { get; }

    /// <summary>How long after the gap a session still takes events, in ms of event time.</summary>
    public long GraceMs { get; }

    /// <summary>Sessions that end when nothing came for a gap; without grace.</summary>
    /// <exception cref="StreamsException">InvalidConfig when the gap is below 1 ms or above 1000 years.</exception>
    public static SessionWindows With(TimeSpan gap) => new(EventTimes.Milliseconds(gap, 1, "A session's gap"), 0);

    /// <summary>The same sessions with a grace period.</summary>
    /// <exception cref="StreamsException">InvalidConfig when the grace is negative or above 1000 years.</exception>
    public SessionWindows Grace(TimeSpan grace) => new(GapMs, EventTimes.Milliseconds(grace, 0, "A window's grace"));
}

/// <summary>
/// Windows that slide over the events of a key, as in Kafka Streams: for each event at a time t the window [t - difference, t], both inclusive, and the window
/// [t + 1, t + 1 + difference] when events lie in it. Each such window is one result, whatever the order in which the events came. Unlike in Kafka Streams, windows
/// before the Unix epoch are windows like others.
/// </summary>
public sealed record SlidingWindows
{
    private SlidingWindows(long timeDifferenceMs, long graceMs)
    {
        TimeDifferenceMs = timeDifferenceMs;
        GraceMs = graceMs;
    }

    /// <summary>The longest time between two events of a window, in ms.</summary>
    public long TimeDifferenceMs { get; }

    /// <summary>How long after its last millisecond a window still takes events, in ms of event time.</summary>
    public long GraceMs { get; }

    /// <summary>Windows of events that lie no further apart than this; without grace.</summary>
    /// <exception cref="StreamsException">InvalidConfig when the difference is negative or above 1000 years.</exception>
    public static SlidingWindows Of(TimeSpan timeDifference) => new(EventTimes.Milliseconds(timeDifference, 0, "The time difference of sliding windows"), 0);

    /// <summary>The same windows with a grace period.</summary>
    /// <exception cref="StreamsException">InvalidConfig when the grace is negative or above 1000 years.</exception>
    public SlidingWindows Grace(TimeSpan grace) => new(TimeDifferenceMs, EventTimes.Milliseconds(grace, 0, "A window's grace"));
}
