using System.Text.Json;

namespace OrleansStreams.Silo.Http.Topics;

/// <summary>A new topic. Configuration names are Kafka's, for example retention.ms.</summary>
internal sealed record CreateTopicBody(string? Name, int? Partitions = null, Dictionary<string, JsonElement>? Config = null);

/// <summary>Changes of a topic: more partitions, configuration values, or both.</summary>
internal sealed record AlterTopicBody(int? Partitions = null, Dictionary<string, JsonElement>? Config = null);

/// <summary>All topics by name.</summary>
internal sealed record TopicListBody(IReadOnlyList<TopicSummary> Topics);

/// <summary>A topic in the list.</summary>
internal sealed record TopicSummary(string Name, string TopicId, int Partitions);

/// <summary>A topic with its configuration and its partitions' offsets.</summary>
internal sealed record TopicBody(string Name, string TopicId, IReadOnlyDictionary<string, object> Config, IReadOnlyList<PartitionBody> Partitions);

/// <summary>A partition's offsets; highWatermark is the end for readers.</summary>
internal sealed record PartitionBody(int Partition, long LogStartOffset, long HighWatermark, long LogEndOffset, long SizeBytes, int LeaderEpoch);

/// <summary>The first offset that can be read after records were deleted.</summary>
internal sealed record DeletedRecordsBody(string Topic, int Partition, long LogStartOffset);
