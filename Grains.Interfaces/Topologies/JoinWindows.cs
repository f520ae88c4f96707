namespace OrleansStreams.Topologies;

/// <summary>
/// Which records of two streams belong together: those of equal keys where the right one's time lies between the left one's time minus <see cref="BeforeMs"/> and the left one's time
/// plus <see cref="AfterMs"/>, both ends included. Either bound may be negative, so that an interval need not hold the left one's own time, as in Flink's interval joins.
/// </summary>
public sealed record JoinWindows
{
    private static readonly long s_least = -(long)TimeSpan.FromDays(365_250).TotalMilliseconds;

    private JoinWindows(long beforeMs, long afterMs, long graceMs)
    {
        BeforeMs = beforeMs;
        AfterMs = afterMs;
        GraceMs = graceMs;
        if (beforeMs + afterMs < 0)
        {
            throw Topology.Invalid($"The join window from {-beforeMs} ms to {afterMs} ms around a record ends before it begins: give both bounds at once with JoinWindows.Between(lower, upper), the lower one first.");
        }
    }

    /// <summary>How much earlier than the left record the right one may be, in ms; negative when it must be later by so much.</summary>
    public long BeforeMs { get; }

    /// <summary>How much later than the left record the right one may be, in ms; negative when it must be earlier by so much.</summary>
    public long AfterMs { get; }

    /// <summary>How far behind the watermark of its input a record is still joined, in ms of event time. Unmatched records are told so much later.</summary>
    public long GraceMs { get; }

    /// <summary>Records whose times differ by at most so much.</summary>
    /// <exception cref="StreamsException">InvalidConfig when the difference is negative or above 1000 years.</exception>
    public static JoinWindows Of(TimeSpan difference)
    {
        var ms = EventTimes.Milliseconds(difference, 0, "The time difference of a join");
        return new(ms, ms, 0);
    }

    /// <summary>The right record's time minus the left one's lies between two bounds, each included; both may be negative.</summary>
    /// <exception cref="StreamsException">InvalidConfig when the lower bound is above the upper one, or a magnitude above 1000 years.</exception>
    public static JoinWindows Between(TimeSpan lower, TimeSpan upper) => new(-Bound(lower), Bound(upper), 0);

    /// <summary>The same window, but the right record may be earlier than the left one by so much; negative when it must be later.</summary>
    /// <exception cref="StreamsException">InvalidConfig when the window would end before it begins, or the magnitude is above 1000 years.</exception>
    public JoinWindows Before(TimeSpan difference) => new(Bound(difference), AfterMs, GraceMs);

    /// <summary>The same window, but the right record may be later than the left one by so much; negative when it must be earlier.</summary>
    /// <exception cref="StreamsException">InvalidConfig when the window would end before it begins, or the magnitude is above 1000 years.</exception>
    public JoinWindows After(TimeSpan difference) => new(BeforeMs, Bound(difference), GraceMs);

    /// <summary>The same window with a grace period.</summary>
    /// <exception cref="StreamsException">InvalidConfig when the grace is negative or above 1000 years.</exception>
    public JoinWindows Grace(TimeSpan grace) => new(BeforeMs, AfterMs, EventTimes.Milliseconds(grace, 0, "A join's grace"));

    private static long Bound(TimeSpan bound) => EventTimes.Milliseconds(bound, s_least, "A join window's bound");
}
