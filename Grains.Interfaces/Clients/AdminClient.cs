using System.Collections.Immutable;
using OrleansStreams.Groups;
using OrleansStreams.Log;

namespace OrleansStreams.Clients;

/// <summary>Creates, describes and changes topics and groups. Passing failures are tried again for up to 60 s.</summary>
public sealed class AdminClient
{
    private static readonly TimeSpan RequestTimeout = TimeSpan.FromSeconds(60);

    private readonly IGrainFactory _grains;
    private readonly ClientRetry _retry;

    internal AdminClient(IGrainFactory grains, ClientRetry retry)
    {
        _grains = grains;
        _retry = retry;
    }

    /// <summary>Creates a topic.</summary>
    /// <exception cref="StreamsException">TopicAlreadyExists, InvalidTopic, InvalidPartitions, InvalidConfig.</exception>
    public async Task<TopicDescription> CreateTopicAsync(string topic, int partitionCount, TopicConfig? config = null, CancellationToken cancellationToken = default)
    {
        var wanted = config ?? TopicConfig.Default;
        var attempts = 0;
        try
        {
            return await RetryAsync(
                () =>
                {
                    attempts++;
                    return Topic(topic).CreateAsync(partitionCount, wanted);
                },
                cancellationToken);
        }
        catch (StreamsException error) when (error.Code == StreamsErrorCode.TopicAlreadyExists && attempts > 1)
        {
            // An earlier attempt whose answer was lost may have created it.
            var found = await DescribeTopicAsync(topic, cancellationToken);
            return found.PartitionCount == partitionCount && found.Config == wanted
                ? found
                : throw new StreamsException(error.Code, error.Message, error.Outcome, error);
        }
    }

    /// <summary>Deletes a topic with its records.</summary>
    /// <exception cref="StreamsException">UnknownTopicOrPartition.</exception>
    public Task DeleteTopicAsync(string topic, CancellationToken cancellationToken = default) =>
        DeleteAsync(Topic(topic).DeleteAsync, StreamsErrorCode.UnknownTopicOrPartition, cancellationToken);

    /// <summary>Describes a topic.</summary>
    /// <exception cref="StreamsException">UnknownTopicOrPartition.</exception>
    public Task<TopicDescription> DescribeTopicAsync(string topic, CancellationToken cancellationToken = default) => RetryAsync(Topic(topic).DescribeAsync, cancellationToken);

    /// <summary>The names of all topics in ordinal order.</summary>
    public Task<ImmutableArray<string>> ListTopicsAsync(CancellationToken cancellationToken = default) =>
        RetryAsync(_grains.GetGrain<ITopicDirectoryGrain>(ITopicDirectoryGrain.Key).ListAsync, cancellationToken);

    /// <summary>Raises a topic's number of partitions. Keys may move to other partitions: their order holds within each partition only.</summary>
    /// <exception cref="StreamsException">UnknownTopicOrPartition, InvalidPartitions.</exception>
    public async Task<TopicDescription> IncreasePartitionsAsync(string topic, int partitionCount, CancellationToken cancellationToken = default)
    {
        var attempts = 0;
        try
        {
            return await RetryAsync(
                () =>
                {
                    attempts++;
                    return Topic(topic).IncreasePartitionsAsync(partitionCount);
                },
                cancellationToken);
        }
        catch (StreamsException error) when (error.Code == StreamsErrorCode.InvalidPartitions && attempts > 1)
        {
            // An earlier attempt whose answer was lost may have raised it.
            var found = await DescribeTopicAsync(topic, cancellationToken);
            return found.PartitionCount == partitionCount ? found : throw new StreamsException(error.Code, error.Message, error.Outcome, error);
        }
    }

    /// <summary>Replaces a topic's configuration.</summary>
    /// <exception cref="StreamsException">UnknownTopicOrPartition, InvalidConfig.</exception>
    public Task<TopicDescription> AlterTopicConfigAsync(string topic, TopicConfig config, CancellationToken cancellationToken = default) =>
        RetryAsync(() => Topic(topic).AlterConfigAsync(config), cancellationToken);

    /// <summary>A partition's offsets.</summary>
    /// <exception cref="StreamsException">UnknownTopicOrPartition.</exception>
    public Task<PartitionOffsets> GetOffsetsAsync(TopicPartition partition, CancellationToken cancellationToken = default) =>
        RetryAsync(Partition(partition).GetOffsetsAsync, cancellationToken);

    /// <summary>The first offset at or after a timestamp (ms since the Unix epoch).</summary>
    /// <exception cref="StreamsException">UnknownTopicOrPartition.</exception>
    public Task<TimestampOffset> OffsetForTimestampAsync(TopicPartition partition, long timestamp, CancellationToken cancellationToken = default) =>
        RetryAsync(() => Partition(partition).OffsetForTimestampAsync(timestamp), cancellationToken);

    /// <summary>Deletes the records below an offset (-1: all); answers the new log start offset.</summary>
    /// <exception cref="StreamsException">UnknownTopicOrPartition, OffsetOutOfRange.</exception>
    public Task<long> DeleteRecordsAsync(TopicPartition partition, long beforeOffset, CancellationToken cancellationToken = default) =>
        RetryAsync(() => Partition(partition).DeleteRecordsAsync(beforeOffset), cancellationToken);

    /// <summary>The ids of all groups in ordinal order.</summary>
    public Task<ImmutableArray<string>> ListGroupsAsync(CancellationToken cancellationToken = default) =>
        RetryAsync(_grains.GetGrain<IGroupDirectoryGrain>(IGroupDirectoryGrain.Key).ListAsync, cancellationToken);

    /// <summary>Describes a group.</summary>
    /// <exception cref="StreamsException">GroupIdNotFound.</exception>
    public Task<GroupDescription> DescribeGroupAsync(string groupId, CancellationToken cancellationToken = default) => RetryAsync(Group(groupId).DescribeAsync, cancellationToken);

    /// <summary>Deletes a group that has no members.</summary>
    /// <exception cref="StreamsException">GroupIdNotFound, NonEmptyGroup.</exception>
    public Task DeleteGroupAsync(string groupId, CancellationToken cancellationToken = default) =>
        DeleteAsync(Group(groupId).DeleteAsync, StreamsErrorCode.GroupIdNotFound, cancellationToken);

    /// <summary>Sets the committed offsets of a group that has no members.</summary>
    /// <exception cref="StreamsException">NonEmptyGroup.</exception>
    public Task ResetGroupOffsetsAsync(string groupId, ImmutableArray<CommittedOffset> offsets, CancellationToken cancellationToken = default) =>
        _retry.RunAsync(() => Group(groupId).ResetOffsetsAsync(offsets), RequestTimeout, cancellationToken);

    /// <summary>Deletes; what is not there any more after an attempt whose answer was lost is deleted.</summary>
    private async Task DeleteAsync(Func<Task> call, StreamsErrorCode absent, CancellationToken cancellationToken)
    {
        var attempts = 0;
        try
        {
            await _retry.RunAsync(
                () =>
                {
                    attempts++;
                    return call();
                },
                RequestTimeout,
                cancellationToken);
        }
        catch (StreamsException error) when (error.Code == absent && attempts > 1)
        {
            // By that attempt, or by somebody else: it is gone.
        }
    }

    private ITopicGrain Topic(string topic) => _grains.Topic(topic);

    private IPartitionGrain Partition(TopicPartition partition) => _grains.GetGrain<IPartitionGrain>(partition.GrainKey);

    private IConsumerGroupGrain Group(string groupId) => _grains.Group(groupId);

    private Task<T> RetryAsync<T>(Func<Task<T>> call, CancellationToken cancellationToken) => _retry.RunAsync(call, RequestTimeout, cancellationToken);
}
