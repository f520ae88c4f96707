using OrleansStreams.Clients;

namespace OrleansStreams.Streaming;

/// <summary>The topics of a provider, made when they are missing.</summary>
internal sealed class LogStreamTopics(AdminClient admin, LogStreamOptions options, string provider)
{
    // Headers that say why come on top of a record that may be as large as its own topic allows.
    private const int DeadLetterRoomBytes = 64 * 1024;

    // The most that max.message.bytes may be.
    private const int MessageBytesMax = 64 * 1024 * 1024;

    private volatile bool _hasTopic;
    private volatile bool _hasDeadLetters;

    /// <summary>Makes one of the provider's topics when it is missing.</summary>
    /// <exception cref="StreamsException">As <see cref="EnsureTopicAsync"/>.</exception>
    public Task EnsureAsync(string topic) => topic == options.Topic ? EnsureTopicAsync() : EnsureDeadLettersAsync();

    /// <summary>Makes the topic when it is missing, and checks that it has the partitions that the queues are.</summary>
    /// <exception cref="StreamsException">InvalidConfig for another number of partitions; what the topic answers.</exception>
    public async Task EnsureTopicAsync(CancellationToken cancellationToken = default)
    {
        if (_hasTopic)
        {
            return;
        }

        var topic = await EnsureAsync(options.Topic!, options.TopicConfig, cancellationToken);
        if (topic.PartitionCount != options.Partitions)
        {
            throw new StreamsException(
                StreamsErrorCode.InvalidConfig,
                $"The topic '{topic.Name}' has {topic.PartitionCount} partitions, but LogStreamOptions.Partitions of the stream provider '{provider}' is {options.Partitions}: "
                + $"set it to {topic.PartitionCount}, or name another topic.",
                WriteOutcome.NotWritten);
        }

        _hasTopic = true;
    }

    /// <summary>Forgets that the topic is there: somebody found it missing.</summary>
    public void Forget() => _hasTopic = false;

    private async Task EnsureDeadLettersAsync()
    {
        if (!_hasDeadLetters)
        {
            var config = options.TopicConfig with { MaxMessageBytes = Math.Min(options.TopicConfig.MaxMessageBytes + DeadLetterRoomBytes, MessageBytesMax) };
            await EnsureAsync(options.DeadLetterTopic!, config, CancellationToken.None);
            _hasDeadLetters = true;
        }
    }

    private async Task<Log.TopicDescription> EnsureAsync(string name, Log.TopicConfig config, CancellationToken cancellationToken)
    {
        try
        {
            return await admin.DescribeTopicAsync(name, cancellationToken);
        }
        catch (StreamsException error) when (error.Code == StreamsErrorCode.UnknownTopicOrPartition)
        {
            try
            {
                return await admin.CreateTopicAsync(name, options.Partitions, config, cancellationToken);
            }
            catch (StreamsException race) when (race.Code == StreamsErrorCode.TopicAlreadyExists)
            {
                return await admin.DescribeTopicAsync(name, cancellationToken);
            }
        }
    }
}
