namespace OrleansStreams.Topologies;

/// <summary>How a source's event-time watermark follows from its records, per partition.</summary>
public sealed record WatermarkStrategy
{
    private WatermarkStrategy(long outOfOrdernessMs) => OutOfOrdernessMs = outOfOrdernessMs;

    /// <summary>How far the watermark trails the largest event time, in ms.</summary>
    public long OutOfOrdernessMs { get; }

    /// <summary>Ms without a record after which the source no longer holds watermarks back, or null.</summary>
    public long? IdlenessMs { get; private init; }

    /// <summary>How far in ms the source's watermark may be ahead of the slowest input's before the source is paused, or null.</summary>
    public long? MaxDriftMs { get; private init; }

    /// <summary>The watermark is the largest event time of the partition, minus the bound, minus one.</summary>
    /// <exception cref="StreamsException">InvalidConfig when the bound is negative or above 1000 years.</exception>
    public static WatermarkStrategy BoundedOutOfOrderness(TimeSpan bound) => new(EventTimes.Milliseconds(bound, 0, "The bound of out-of-orderness"));

    /// <summary>Event times never decrease within a partition: the watermark is the largest event time minus one, since the next event may have the same time.</summary>
    public static WatermarkStrategy Monotonic() => new(0);

    /// <summary>
    /// Lets a partition that is silent for so long step aside: in a task with several inputs it no longer holds back the others, and tasks downstream are told, so that
    /// they don't wait either. When it speaks again it counts as soon as its watermark has caught up with the task's. What is idle is a matter of the wall
    /// clock, so that with this setting a record that comes after a silence may be late for its window.
    /// </summary>
    /// <exception cref="StreamsException">InvalidConfig when the timeout is below 1 ms or above 1000 years.</exception>
    public WatermarkStrategy WithIdleness(TimeSpan timeout) => this with { IdlenessMs = EventTimes.Milliseconds(timeout, 1, "The idle timeout") };

    /// <summary>
    /// Pauses the source while its watermark is further ahead than this of the slowest other input of the same task, or of the slowest aligned source of the application's other tasks (other
    /// partitions are other tasks), so that what waits for that one stays small. Inputs that are idle or at their end hold nobody up; give sources that may fall silent an idle timeout
    /// (<see cref="WithIdleness"/>), else they do, and so does a partition that has no event yet. It is looked at between record batches, so that a source runs ahead by up to a batch more; and
    /// tasks hear of each other about once a second (as in Flink), so that one that is held comes on by at most the drift a second: choose it larger than what is to be processed in one.
    /// </summary>
    /// <exception cref="StreamsException">InvalidConfig when the drift is negative or above 1000 years.</exception>
    public WatermarkStrategy WithAlignment(TimeSpan maxDrift) => this with { MaxDriftMs = EventTimes.Milliseconds(maxDrift, 0, "The drift between sources") };
}

/// <summary>
/// Makes the watermarks of one partition from its records: for sources whose records say themselves how far time has come, or whose disorder changes. Each partition of
/// a source has its own generator. What it returns may be lower than before; the watermark then stays.
/// </summary>
public interface IWatermarkGenerator<in TKey, in TValue>
{
    /// <summary>Sees an event; the watermark rises after the event was processed. Must depend on nothing but the events and what was restored.</summary>
    /// <param name="key">The key; default for a null key.</param>
    /// <param name="value">The value; default for a null value.</param>
    /// <param name="eventTime">The event time, ms since the Unix epoch.</param>
    /// <returns>The watermark: no event at or before it is expected any more. long.MinValue to say nothing.</returns>
    long OnEvent(TKey key, TValue value, long eventTime);

    /// <summary>Is called from time to time, also when no events come.</summary>
    /// <param name="nowMs">The wall clock, ms since the Unix epoch; it never goes back, over restarts neither.</param>
    /// <returns>The watermark, or long.MinValue to say nothing.</returns>
    long OnPeriodic(long nowMs);

    /// <summary>Writes the generator's state, with each commit: keep it small.</summary>
    void Save(System.Buffers.IBufferWriter<byte> to);

    /// <summary>Takes up what <see cref="Save"/> wrote last before a restart.</summary>
    void Restore(ReadOnlySpan<byte> from);
}
