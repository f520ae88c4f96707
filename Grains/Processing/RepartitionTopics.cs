using OrleansStreams.Log;

namespace OrleansStreams.Processing;

/// <summary>
/// The topics that an application makes for itself. Nothing of them goes by age or size: a record stays until the task that reads it has committed what it made of it; then that task deletes
/// it (see <see cref="ProcessingOptions.PurgeInterval"/>), as Kafka Streams purges its repartition topics.
/// </summary>
internal static class RepartitionTopics
{
    private static readonly TopicConfig s_config = new() { RetentionMs = -1, RetentionBytes = -1, SegmentBytes = 16L * 1024 * 1024 };

    /// <summary>Finds a topic, or makes it.</summary>
    /// <exception cref="StreamsException">UnknownTopicOrPartition when it is not to be made; InvalidPartitions when it has another number of partitions.</exception>
    public static async Task<TopicDescription> ResolveAsync(string application, string topic, int partitions, ITaskTopics topics, bool create)
    {
        TopicDescription found;
        try
        {
            found = await topics.DescribeAsync(topic);
        }
        catch (StreamsException error) when (error.Code == StreamsErrorCode.UnknownTopicOrPartition && create)
        {
            found = await CreateAsync(topic, partitions, topics, s_config);
        }

        return found.PartitionCount == partitions
            ? found
            : throw new StreamsException(
                StreamsErrorCode.InvalidPartitions,
                $"Application '{application}' made its topic '{topic}' with {found.PartitionCount} partitions, now it would need {partitions}: keys would lie in other tasks than their state. {ApplicationNames.ProcessAnew(application)}",
                WriteOutcome.NotWritten);
    }

    /// <summary>Makes a topic, or finds the one that an earlier call has made.</summary>
    public static async Task<TopicDescription> CreateAsync(string topic, int partitions, ITaskTopics topics, TopicConfig config)
    {
        try
        {
            return await topics.CreateAsync(topic, partitions, config);
        }
        catch (StreamsException error) when (error.Code == StreamsErrorCode.TopicAlreadyExists)
        {
            // An earlier call made it whose answer was lost.
            return await topics.DescribeAsync(topic);
        }
    }
}
