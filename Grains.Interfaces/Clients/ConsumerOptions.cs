using OrleansStreams.Groups;

namespace OrleansStreams.Clients;

/// <summary>Where a consumer begins when there is no committed offset, or the committed one is out of range.</summary>
public enum AutoOffsetReset
{
    /// <summary>At the log start offset.</summary>
    Earliest,

    /// <summary>At the high watermark.</summary>
    Latest,

    /// <summary>Not at all: OffsetOutOfRange.</summary>
    Error,
}

/// <summary>How a consumer works. Names in comments are Kafka's.</summary>
public sealed record ConsumerOptions
{
    /// <summary>group.id; needed to subscribe and to commit.</summary>
    public string? GroupId { get; init; }

    /// <summary>client.id: a name for people.</summary>
    public string ClientId { get; init; } = "orleans-streams";

    /// <summary>auto.offset.reset.</summary>
    public AutoOffsetReset AutoOffsetReset { get; init; } = AutoOffsetReset.Latest;

    /// <summary>enable.auto.commit: commits what the application has finished, that is, asked for the next record after.</summary>
    public bool EnableAutoCommit { get; init; } = true;

    /// <summary>auto.commit.interval.ms.</summary>
    public int AutoCommitIntervalMs { get; init; } = 5_000;

    /// <summary>max.partition.fetch.bytes: at most two such answers per partition are held in memory.</summary>
    public int MaxPartitionFetchBytes { get; init; } = 1024 * 1024;

    /// <summary>fetch.max.wait.ms, 1 to 20,000.</summary>
    public int FetchMaxWaitMs { get; init; } = 500;

    /// <summary>session.timeout.ms.</summary>
    public int SessionTimeoutMs { get; init; } = 45_000;

    /// <summary>max.poll.interval.ms: an application that takes longer for one record loses its partitions to others.</summary>
    public int MaxPollIntervalMs { get; init; } = 300_000;

    /// <summary>How long a call is tried again after passing failures.</summary>
    public int RequestTimeoutMs { get; init; } = 60_000;

    /// <summary>group.remote.assignor.</summary>
    public AssignorKind Assignor { get; init; } = AssignorKind.Sticky;

    internal TimeSpan RequestTimeout => TimeSpan.FromMilliseconds(RequestTimeoutMs);

    internal void Validate()
    {
        Check(AutoCommitIntervalMs > 0, nameof(AutoCommitIntervalMs), "more than 0");
        Check(MaxPartitionFetchBytes > 0, nameof(MaxPartitionFetchBytes), "more than 0");
        Check(FetchMaxWaitMs is >= 1 and <= 20_000, nameof(FetchMaxWaitMs), "1 to 20000: without waiting an empty partition would be asked without end, and a wait must stay below the response timeout of a grain call");
        Check(SessionTimeoutMs > 0, nameof(SessionTimeoutMs), "more than 0");
        Check(MaxPollIntervalMs > 0, nameof(MaxPollIntervalMs), "more than 0");
        Check(RequestTimeoutMs >= 0, nameof(RequestTimeoutMs), "0 or more");
    }

    private static void Check(bool ok, string name, string allowed)
    {
        if (!ok)
        {
            throw new StreamsException(StreamsErrorCode.InvalidConfig, $"ConsumerOptions.{name} must be {allowed}");
        }
    }
}
