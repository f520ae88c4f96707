namespace OrleansStreams.Topologies;

/// <summary>Within which event time records are the same.</summary>
public sealed record DeduplicationWindow
{
    private DeduplicationWindow(long sizeMs, long graceMs)
    {
        SizeMs = sizeMs;
        GraceMs = graceMs;
    }

    /// <summary>Records that are less than this apart are the same, in ms; two that are exactly so far apart are not.</summary>
    public long SizeMs { get; }

    /// <summary>How far behind the watermark a record is still taken, in ms of event time.</summary>
    public long GraceMs { get; }

    /// <summary>A window of a size, without grace.</summary>
    /// <exception cref="StreamsException">InvalidConfig when the size is below 1 ms or above 1000 years.</exception>
    public static DeduplicationWindow Of(TimeSpan size) => new(EventTimes.Milliseconds(size, 1, "A window's size"), 0);

    /// <summary>The same window with a grace period.</summary>
    /// <exception cref="StreamsException">InvalidConfig when the grace is negative or above 1000 years.</exception>
    public DeduplicationWindow Grace(TimeSpan grace) => new(SizeMs, EventTimes.Milliseconds(grace, 0, "A window's grace"));
}
