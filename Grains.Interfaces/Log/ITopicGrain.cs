using System.Collections.Immutable;
using OrleansStreams.Records;

namespace OrleansStreams.Log;

/// <summary>What becomes of a topic's old records (cleanup.policy).</summary>
[Flags]
[GenerateSerializer]
[Alias("streams.cleanup-policy")]
public enum CleanupPolicy
{
    /// <summary>delete: whole segments go by age and by size.</summary>
    Delete = 1,

    /// <summary>compact: of each key the latest record stays.</summary>
    Compact = 2,

    /// <summary>compact,delete: both.</summary>
    CompactAndDelete = Delete | Compact,
}

/// <summary>A topic's configuration. Names in comments are Kafka's.</summary>
[GenerateSerializer]
[Immutable]
[Alias("streams.topic-config")]
public sealed record TopicConfig
{
    /// <summary>The configuration of a topic created without one.</summary>
    public static TopicConfig Default { get; } = new();

    /// <summary>retention.ms: age in ms after which whole segments are removed; -1 keeps them for ever.</summary>
    [Id(0)]
    public long RetentionMs { get; init; } = 7L * 24 * 3600 * 1000;

    /// <summary>retention.bytes: bytes per partition above which the oldest segments are removed; -1 for no bound.</summary>
    [Id(1)]
    public long RetentionBytes { get; init; } = -1;

    /// <summary>segment.bytes.</summary>
    [Id(2)]
    public long SegmentBytes { get; init; } = 128L * 1024 * 1024;

    /// <summary>max.message.bytes: the largest batch.</summary>
    [Id(3)]
    public int MaxMessageBytes { get; init; } = 1024 * 1024 + 12;

    /// <summary>message.timestamp.type.</summary>
    [Id(4)]
    public TimestampType MessageTimestampType { get; init; } = TimestampType.CreateTime;

    /// <summary>cleanup.policy: delete, compact, or both.</summary>
    [Id(5)]
    public CleanupPolicy CleanupPolicy { get; init; } = CleanupPolicy.Delete;

    /// <summary>segment.ms: age in ms after which a segment ends although it is not full, so that retention and compaction reach it.</summary>
    [Id(6)]
    public long SegmentMs { get; init; } = 7L * 24 * 3600 * 1000;

    /// <summary>delete.retention.ms: how long in ms a tombstone (a null value) stays readable after compaction met it first, so that readers learn of it.</summary>
    [Id(7)]
    public long DeleteRetentionMs { get; init; } = 24L * 3600 * 1000;

    /// <summary>min.compaction.lag.ms: the age in ms below which a record is not compacted.</summary>
    [Id(8)]
    public long MinCompactionLagMs { get; init; }

    /// <summary>max.compaction.lag.ms: the age in ms at which a record is compacted however little there is to clean.</summary>
    [Id(9)]
    public long MaxCompactionLagMs { get; init; } = long.MaxValue;

    /// <summary>min.cleanable.dirty.ratio: the share of the log, 0 to 1, that must not have been compacted yet before it is.</summary>
    [Id(10)]
    public double MinCleanableDirtyRatio { get; init; } = 0.5;

    /// <summary>
    /// dedup.window.ms: for how long in ms a partition remembers a record's header "idempotency-key" and answers a second record with the same one
    /// by the first one's offset, storing nothing; 0 is off.
    /// </summary>
    [Id(11)]
    public long DedupWindowMs { get; init; }

    /// <summary>dedup.keys.max: idempotency keys that a partition remembers at most; past it the oldest is forgotten before its window is over.</summary>
    [Id(12)]
    public int DedupKeysMax { get; init; } = 100_000;
}

/// <summary>A topic as it is.</summary>
/// <param name="Name">Its name.</param>
/// <param name="TopicId">Its identity: a topic that is deleted and created again has another.</param>
/// <param name="PartitionCount">The number of partitions.</param>
/// <param name="Config">Its configuration.</param>
[GenerateSerializer]
[Immutable]
[Alias("streams.topic-description")]
public sealed record TopicDescription(
    [property: Id(0)] string Name, [property: Id(1)] string TopicId, [property: Id(2)] int PartitionCount, [property: Id(3)] TopicConfig Config);

/// <summary>Changes of a topic that are made together or not at all.</summary>
/// <param name="PartitionCount">The new number of partitions, or null to keep it.</param>
/// <param name="Config">The new configuration, or null to keep it.</param>
/// <param name="ConfigBefore">The configuration that <paramref name="Config"/> was made from; null changes whatever it is now.</param>
[GenerateSerializer]
[Immutable]
[Alias("streams.topic-alteration")]
public sealed record TopicAlteration(
    [property: Id(0)] int? PartitionCount, [property: Id(1)] TopicConfig? Config, [property: Id(2)] TopicConfig? ConfigBefore);

/// <summary>One topic; the grain's key is the topic's name.</summary>
[Alias("streams.ITopicGrain")]
public interface ITopicGrain : IGrainWithStringKey
{
    /// <summary>Creates the topic.</summary>
    /// <exception cref="StreamsException">TopicAlreadyExists, InvalidTopic, InvalidPartitions, InvalidConfig.</exception>
    [Alias("CreateAsync")]
    Task<TopicDescription> CreateAsync(int partitionCount, TopicConfig config);

    /// <summary>Describes the topic.</summary>
    /// <exception cref="StreamsException">UnknownTopicOrPartition.</exception>
    [AlwaysInterleave]
    [Alias("DescribeAsync")]
    Task<TopicDescription> DescribeAsync();

    /// <summary>Raises the number of partitions.</summary>
    /// <exception cref="StreamsException">UnknownTopicOrPartition, InvalidPartitions (not more than now).</exception>
    [Alias("IncreasePartitionsAsync")]
    Task<TopicDescription> IncreasePartitionsAsync(int partitionCount);

    /// <summary>Replaces the configuration.</summary>
    /// <exception cref="StreamsException">UnknownTopicOrPartition, InvalidConfig.</exception>
    [Alias("AlterConfigAsync")]
    Task<TopicDescription> AlterConfigAsync(TopicConfig config);

    /// <summary>Changes partition count and configuration by one write, after all of it was checked.</summary>
    /// <returns>The topic as it is then; null when its configuration is another one than <see cref="TopicAlteration.ConfigBefore"/>, and nothing was changed.</returns>
    /// <exception cref="StreamsException">UnknownTopicOrPartition, InvalidPartitions (not more than now), InvalidConfig.</exception>
    [Alias("AlterAsync")]
    Task<TopicDescription?> AlterAsync(TopicAlteration alteration);

    /// <summary>Deletes the topic and its records. Resumes when a silo died midway.</summary>
    /// <exception cref="StreamsException">UnknownTopicOrPartition.</exception>
    [Alias("DeleteAsync")]
    Task DeleteAsync();
}

/// <summary>The list of topics; its key is <see cref="Key"/>.</summary>
[Alias("streams.ITopicDirectoryGrain")]
public interface ITopicDirectoryGrain : IGrainWithStringKey
{
    /// <summary>The one key.</summary>
    const string Key = "topics";

    /// <summary>All topic names in ordinal order.</summary>
    [Alias("ListAsync")]
    Task<ImmutableArray<string>> ListAsync();

    /// <summary>Adds a name; called by topic grains only.</summary>
    [Alias("AddAsync")]
    Task AddAsync(string topic);

    /// <summary>Removes a name; called by topic grains only.</summary>
    [Alias("RemoveAsync")]
    Task RemoveAsync(string topic);
}

/// <summary>Hands out producer ids, each once for ever; its key is <see cref="Key"/>.</summary>
[Alias("streams.IProducerIdGrain")]
public interface IProducerIdGrain : IGrainWithStringKey
{
    /// <summary>The one key.</summary>
    const string Key = "producer-ids";

    /// <summary>A new producer id.</summary>
    [Alias("AllocateAsync")]
    Task<long> AllocateAsync();
}
