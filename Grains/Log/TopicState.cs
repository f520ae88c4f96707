using OrleansStreams.Records;

namespace OrleansStreams.Log;

/// <summary>Where a topic is in its life; persisted, so that a crash midway is finished by the next activation.</summary>
/// <remarks>
/// <code>
///  None --Create--> Creating --listed--> Active --Delete--> Deleting --logs gone, unlisted--> None
/// </code>
/// </remarks>
internal enum TopicStatus
{
    /// <summary>There is no such topic.</summary>
    None = 0,

    /// <summary>Accepted, not listed yet.</summary>
    Creating = 1,

    /// <summary>In use.</summary>
    Active = 2,

    /// <summary>Refused to everybody; its logs are being removed.</summary>
    Deleting = 3,
}

/// <summary>What a topic grain stores.</summary>
internal sealed class TopicState
{
    public TopicStatus Status { get; set; }

    public string TopicId { get; set; } = "";

    public int PartitionCount { get; set; }

    public long RetentionMs { get; set; }

    public long RetentionBytes { get; set; }

    public long SegmentBytes { get; set; }

    public int MaxMessageBytes { get; set; }

    public TimestampType MessageTimestampType { get; set; }

    // What a topic stored before it had these means their defaults.
    public CleanupPolicy CleanupPolicy { get; set; } = TopicConfig.Default.CleanupPolicy;

    public long SegmentMs { get; set; } = TopicConfig.Default.SegmentMs;

    public long DeleteRetentionMs { get; set; } = TopicConfig.Default.DeleteRetentionMs;

    public long MinCompactionLagMs { get; set; } = TopicConfig.Default.MinCompactionLagMs;

    public long MaxCompactionLagMs { get; set; } = TopicConfig.Default.MaxCompactionLagMs;

    public double MinCleanableDirtyRatio { get; set; } = TopicConfig.Default.MinCleanableDirtyRatio;

    public long DedupWindowMs { get; set; } = TopicConfig.Default.DedupWindowMs;

    public int DedupKeysMax { get; set; } = TopicConfig.Default.DedupKeysMax;

    public static TopicState Of(TopicStatus status, TopicDescription topic) => new()
    {
        Status = status,
        TopicId = topic.TopicId,
        PartitionCount = topic.PartitionCount,
        RetentionMs = topic.Config.RetentionMs,
        RetentionBytes = topic.Config.RetentionBytes,
        SegmentBytes = topic.Config.SegmentBytes,
        MaxMessageBytes = topic.Config.MaxMessageBytes,
        MessageTimestampType = topic.Config.MessageTimestampType,
        CleanupPolicy = topic.Config.CleanupPolicy,
        SegmentMs = topic.Config.SegmentMs,
        DeleteRetentionMs = topic.Config.DeleteRetentionMs,
        MinCompactionLagMs = topic.Config.MinCompactionLagMs,
        MaxCompactionLagMs = topic.Config.MaxCompactionLagMs,
        MinCleanableDirtyRatio = topic.Config.MinCleanableDirtyRatio,
        DedupWindowMs = topic.Config.DedupWindowMs,
        DedupKeysMax = topic.Config.DedupKeysMax,
    };

    public TopicDescription Describe(string name) => new(name, TopicId, PartitionCount, new TopicConfig
    {
        RetentionMs = RetentionMs,
        RetentionBytes = RetentionBytes,
        SegmentBytes = SegmentBytes,
        MaxMessageBytes = MaxMessageBytes,
        MessageTimestampType = MessageTimestampType,
        CleanupPolicy = CleanupPolicy,
        SegmentMs = SegmentMs,
        DeleteRetentionMs = DeleteRetentionMs,
        MinCompactionLagMs = MinCompactionLagMs,
        MaxCompactionLagMs = MaxCompactionLagMs,
        MinCleanableDirtyRatio = MinCleanableDirtyRatio,
        DedupWindowMs = DedupWindowMs,
        DedupKeysMax = DedupKeysMax,
    });
}

/// <summary>What the topic directory stores.</summary>
internal sealed class TopicDirectoryState
{
    /// <summary>The names in ordinal order.</summary>
    public List<string> Topics { get; set; } = [];
}

/// <summary>What the producer id grain stores.</summary>
internal sealed class ProducerIdState
{
    /// <summary>The first id that was never set aside.</summary>
    public long NextId { get; set; }
}
