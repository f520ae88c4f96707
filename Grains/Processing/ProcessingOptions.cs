using System.Globalization;
using OrleansStreams.Storage;
using OrleansStreams.Topologies;

namespace OrleansStreams.Processing;

/// <summary>Limits and timers of stream tasks. Registered as a singleton; the same values hold for every task.</summary>
public sealed record ProcessingOptions
{
    private static readonly TimeSpan s_longest = TimeSpan.FromDays(1);

    /// <summary>What results are worth after a crash, unless an application says otherwise.</summary>
    public ProcessingGuarantee Guarantee { get; init; }

    /// <summary>How long a task collects changes before it commits them. Tasks of one process commit at the same moments, so that they share flushes.</summary>
    public TimeSpan CommitInterval { get; init; } = TimeSpan.FromMilliseconds(100);

    /// <summary>Bytes of changes and results at which a task commits at once; while its last commit is under way it collects up to four times as many.</summary>
    public long CommitBytes { get; init; } = 1024 * 1024;

    /// <summary>Bytes that a task reads from a partition at a time.</summary>
    public int FetchBytes { get; init; } = 1024 * 1024;

    /// <summary>Bytes that a task reads from a source file at a time; also the longest line.</summary>
    public int FileBlockBytes { get; init; } = 1024 * 1024;

    /// <summary>How long a fetch waits for records.</summary>
    public TimeSpan FetchWait { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>How long a task processes before it lets status and queries have a turn.</summary>
    public TimeSpan TurnLength { get; init; } = TimeSpan.FromMilliseconds(10);

    /// <summary>The first pause before a failed call or task is tried again; it doubles up to <see cref="RetryPauseMax"/>.</summary>
    public TimeSpan RetryPause { get; init; } = TimeSpan.FromMilliseconds(50);

    /// <summary>The longest pause before a failed call or task is tried again.</summary>
    public TimeSpan RetryPauseMax { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>How often an application looks after its tasks.</summary>
    public TimeSpan SupervisionInterval { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>How long a query waits for the commit that it reflects.</summary>
    public TimeSpan QueryWait { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>How often a task deletes from repartition topics what it has committed.</summary>
    public TimeSpan PurgeInterval { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>
    /// The memory, in bytes, that the state of a task may take: tables and keys as they are, objects behind values by their serialized size. Before a task would commit more it
    /// fails with StateTooLarge, and with what was committed before it goes on when it is started with a higher bound. No bound unless set.
    /// </summary>
    public long StateBytesMax { get; init; } = long.MaxValue;

    /// <summary>Bytes that a journal grows before its state is written whole, at least.</summary>
    public long SnapshotBytesMin { get; init; } = 8L * 1024 * 1024;

    /// <summary>How journals are stored: in short segments, because a snapshot frees whole ones. Tasks in a silo take the flush mode of its <see cref="Log.StreamsOptions"/>.</summary>
    public LogOptions Journal { get; init; } = new() { SegmentBytes = 16L * 1024 * 1024 };

    /// <exception cref="StreamsException">InvalidConfig, naming the option and its bounds.</exception>
    internal void Check()
    {
        if (!Enum.IsDefined(Guarantee))
        {
            throw Topology.Invalid($"ProcessingOptions.{nameof(Guarantee)} is {Guarantee}: choose ExactlyOnce, AtLeastOnce or AtMostOnce.");
        }

        Check(nameof(CommitInterval), CommitInterval, TimeSpan.Zero, CommitIntervalMax);
        Check(nameof(CommitBytes), CommitBytes, 1, 1L << 30);
        Check(nameof(FetchBytes), FetchBytes, 1, 1 << 30);
        Check(nameof(FileBlockBytes), FileBlockBytes, 1, 1 << 30);
        Check(nameof(FetchWait), FetchWait, TimeSpan.Zero, TimeSpan.FromMinutes(1));
        Check(nameof(TurnLength), TurnLength, TimeSpan.Zero, TimeSpan.FromMinutes(1));
        Check(nameof(RetryPause), RetryPause, TimeSpan.FromMilliseconds(1), s_longest);
        Check(nameof(RetryPauseMax), RetryPauseMax, RetryPause, s_longest);
        Check(nameof(SupervisionInterval), SupervisionInterval, TimeSpan.FromMilliseconds(1), s_longest);
        Check(nameof(QueryWait), QueryWait, TimeSpan.Zero, s_longest);
        Check(nameof(PurgeInterval), PurgeInterval, TimeSpan.FromMilliseconds(1), s_longest);
        Check(nameof(StateBytesMax), StateBytesMax, 1, long.MaxValue);
        Check(nameof(SnapshotBytesMin), SnapshotBytesMin, 0, long.MaxValue);
    }

    /// <summary>The longest interval of commits.</summary>
    internal static TimeSpan CommitIntervalMax { get; } = TimeSpan.FromHours(1);

    private static void Check<T>(string option, T value, T least, T most)
        where T : IComparable<T>
    {
        if (value.CompareTo(least) < 0 || value.CompareTo(most) > 0)
        {
            throw Topology.Invalid(string.Create(CultureInfo.InvariantCulture, $"ProcessingOptions.{option} is {value}: give {least} to {most}."));
        }
    }
}
