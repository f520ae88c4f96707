using System.Collections.Immutable;

namespace OrleansStreams.Testing;

/// <summary>The world that a <see cref="TopologyTestDriver"/> gives to its topology.</summary>
public sealed record TopologyTestDriverOptions
{
    /// <summary>The application's name.</summary>
    public string Application { get; init; } = "test";

    /// <summary>Partitions of every topic that is not named in <see cref="TopicPartitions"/>; 1 unless set.</summary>
    public int Partitions { get; init; } = 1;

    /// <summary>Partitions by topic.</summary>
    public ImmutableDictionary<string, int> TopicPartitions { get; init; } = ImmutableDictionary<string, int>.Empty;

    /// <summary>The wall clock at the beginning; the Unix epoch unless set.</summary>
    public DateTimeOffset StartTime { get; init; } = DateTimeOffset.UnixEpoch;

    /// <summary>Tasks commit after so many records or lines have been piped in; 1 unless set. What is not committed is not in the output topics, and is processed again after a crash.</summary>
    public int CommitEvery { get; init; } = 1;

    /// <summary>Bytes that a task's journal grows before its state is written whole, at least; small unless set, so that tests meet snapshots.</summary>
    public long SnapshotBytesMin { get; init; } = 4096;
}

/// <summary>Where <see cref="TopologyTestDriver.Restart"/> lets all tasks crash.</summary>
public enum TestCrash
{
    /// <summary>What was processed since the last commit is lost, and processed again.</summary>
    BeforeCommit,

    /// <summary>The commit is durable, none of its results has been delivered.</summary>
    BeforeDelivery,

    /// <summary>The commit is durable, a part of its results has been delivered.</summary>
    DuringDelivery,

    /// <summary>The commit is durable and delivered.</summary>
    AfterDelivery,
}
