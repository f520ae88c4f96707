using System.Globalization;
using Microsoft.Extensions.Logging;
using OrleansStreams.Storage;

namespace OrleansStreams.Log;

/// <summary>One topic: its life, partition count and configuration.</summary>
internal sealed class TopicGrain(
    [PersistentState("topic", "streams")] IPersistentState<TopicState> state,
    ILogStorage storage,
    StreamsOptions options,
    Random random,
    ILogger<TopicGrain> logger) : Grain, ITopicGrain
{
    private TopicState _stored = new();
    private Task? _transition;
    private bool _isChanging;

    private string Name => this.GetPrimaryKeyString();

    public override Task OnActivateAsync(CancellationToken cancellationToken)
    {
        _stored = state.State;
        return Task.CompletedTask;
    }

    public async Task<TopicDescription> CreateAsync(int partitionCount, TopicConfig config)
    {
        TopicRules.CheckName(Name);
        TopicRules.CheckPartitionCount(partitionCount, options.TopicPartitionsMax);
        TopicRules.CheckConfig(config);
        return await ChangingAsync(() => CreateCoreAsync(partitionCount, config));
    }

    public async Task<TopicDescription> DescribeAsync()
    {
        // Interleaves with everything, so it shows what is stored: a topic that a request is creating or deleting is not there. What an
        // earlier activation left unfinished is finished first.
        if (_stored.Status is TopicStatus.Creating or TopicStatus.Deleting && !_isChanging)
        {
            await FinishTransitionAsync();
        }

        ThrowUnlessActive();
        return _stored.Describe(Name);
    }

    public Task<TopicDescription> IncreasePartitionsAsync(int partitionCount) => ChangingAsync(() => IncreasePartitionsCoreAsync(partitionCount));

    public Task<TopicDescription> AlterConfigAsync(TopicConfig config)
    {
        TopicRules.CheckConfig(config);
        return ChangingAsync(() => UpdateAsync(_stored.Describe(Name) with { Config = config }));
    }

    public async Task<TopicDescription?> AlterAsync(TopicAlteration alteration)
    {
        if (alteration.Config is { } config)
        {
            TopicRules.CheckConfig(config);
        }

        var isStale = false;
        var topic = await ChangingAsync(async () =>
        {
            ThrowUnlessActive();
            var before = _stored.Describe(Name);
            isStale = alteration.ConfigBefore is { } expected && expected != before.Config;
            return isStale ? before : await UpdateAsync(before with
            {
                PartitionCount = alteration.PartitionCount is { } count ? Increased(before, count) : before.PartitionCount,
                Config = alteration.Config ?? before.Config,
            });
        });
        return isStale ? null : topic;
    }

    public Task DeleteAsync() => ChangingAsync(DeleteCoreAsync);

    /// <summary>Runs a change, of which there is one at a time because only Describe interleaves, after what is left of an earlier one.</summary>
    private async Task<TopicDescription> ChangingAsync(Func<Task<TopicDescription>> change)
    {
        _isChanging = true;
        try
        {
            await FinishTransitionAsync();
            return await change();
        }
        finally
        {
            _isChanging = false;
        }
    }

    private async Task<TopicDescription> CreateCoreAsync(int partitionCount, TopicConfig config)
    {
        if (_stored.Status == TopicStatus.Active)
        {
            throw new StreamsException(StreamsErrorCode.TopicAlreadyExists, $"The topic '{Name}' exists already: use it, delete it first, or take another name.", WriteOutcome.NotWritten);
        }

        var topic = new TopicDescription(Name, NewTopicId(), partitionCount, config);
        await ReplaceAsync(TopicState.Of(TopicStatus.Creating, topic));
        await FinishTransitionAsync();
        logger.TopicCreated(Name, topic.TopicId, partitionCount);
        return topic;
    }

    private async Task<TopicDescription> IncreasePartitionsCoreAsync(int partitionCount)
    {
        ThrowUnlessActive();
        var topic = _stored.Describe(Name);
        return await UpdateAsync(topic with { PartitionCount = Increased(topic, partitionCount) });
    }

    private int Increased(TopicDescription topic, int partitionCount)
    {
        TopicRules.CheckPartitionCount(partitionCount, options.TopicPartitionsMax);
        return partitionCount > topic.PartitionCount
            ? partitionCount
            : throw new StreamsException(
                StreamsErrorCode.InvalidPartitions,
                $"The topic '{Name}' has {topic.PartitionCount} partitions, which can only become more, not {partitionCount}.",
                WriteOutcome.NotWritten);
    }

    private async Task<TopicDescription> DeleteCoreAsync()
    {
        ThrowUnlessActive();
        var topic = _stored.Describe(Name);
        await ReplaceAsync(TopicState.Of(TopicStatus.Deleting, topic));
        await FinishTransitionAsync();
        logger.TopicDeleted(Name);
        return topic;
    }

    private async Task<TopicDescription> UpdateAsync(TopicDescription topic)
    {
        ThrowUnlessActive();
        await ReplaceAsync(TopicState.Of(TopicStatus.Active, topic));
        await TellPartitionsAsync(topic, topic.PartitionCount);
        return topic;
    }

    /// <summary>Rolls a topic forward that is half created or half deleted. One at a time.</summary>
    private async Task FinishTransitionAsync()
    {
        while (_transition is { IsCompleted: false } running)
        {
            await running;
        }

        var transition = _stored.Status switch
        {
            TopicStatus.Creating => FinishCreatingAsync(),
            TopicStatus.Deleting => FinishDeletingAsync(),
            _ => Task.CompletedTask,
        };
        _transition = transition;
        try
        {
            await transition;
        }
        finally
        {
            _transition = null;
        }
    }

    private async Task FinishCreatingAsync()
    {
        await GrainFactory.GetGrain<ITopicDirectoryGrain>(ITopicDirectoryGrain.Key).AddAsync(Name);
        await ReplaceAsync(TopicState.Of(TopicStatus.Active, _stored.Describe(Name)));
    }

    private async Task FinishDeletingAsync()
    {
        var topic = _stored.Describe(Name);
        await TellPartitionsAsync(null, topic.PartitionCount);
        for (var partition = 0; partition < topic.PartitionCount; partition++)
        {
            // Fences a partition that could not be told.
            await storage.DeleteAsync(TopicRules.LogIdOf(Name, topic.TopicId, partition));
        }

        await GrainFactory.GetGrain<ITopicDirectoryGrain>(ITopicDirectoryGrain.Key).RemoveAsync(Name);
        await ReplaceAsync(new TopicState());
    }

    private async Task TellPartitionsAsync(TopicDescription? topic, int partitionCount)
    {
        var told = new Task[partitionCount];
        for (var partition = 0; partition < partitionCount; partition++)
        {
            told[partition] = TellAsync(new TopicPartition(Name, partition), topic);
        }

        await Task.WhenAll(told);
    }

    private async Task TellAsync(TopicPartition partition, TopicDescription? topic)
    {
        try
        {
            await GrainFactory.GetGrain<IPartitionGrain>(partition.GrainKey).TopicChangedAsync(topic);
        }
        catch (Exception exception)
        {
            // It asks by itself every maintenance interval; and storage fences it when the topic goes.
            logger.PartitionNotTold(exception, partition);
        }
    }

    private void ThrowUnlessActive()
    {
        if (_stored.Status != TopicStatus.Active)
        {
            throw new StreamsException(StreamsErrorCode.UnknownTopicOrPartition, $"There is no topic '{Name}': create it, or check the name.", WriteOutcome.NotWritten);
        }
    }

    private string NewTopicId()
    {
        // The silo's random source is shared by its grains.
        lock (random)
        {
            return random.NextInt64().ToString("x16", CultureInfo.InvariantCulture);
        }
    }

    private async Task ReplaceAsync(TopicState replacement)
    {
        await state.ReplaceAsync(replacement, DeactivateOnIdle);
        _stored = replacement;
    }
}
