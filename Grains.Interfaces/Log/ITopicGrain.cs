using System.Collections.Immutable;
using OrleansStreams.Records;

namespace OrleansStreams.Log;

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
