using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using OrleansStreams.Storage;

namespace OrleansStreams.Log;

/// <summary>
/// At silo start nobody knows which partitions have records that are due to go: partitions are opened by their requests. So each one that has a log, of a topic
/// whose records go by age or are compacted, is woken once, slowly; from then on it knows its time by itself. Host it after the silo, in every silo.
/// </summary>
internal sealed class UpkeepSweep(IGrainFactory grains, ILogStorage storage, PartitionMaintenance maintenance, TimeProvider time, ILogger<UpkeepSweep> logger) : BackgroundService
{
    private static readonly TimeSpan s_retryWait = TimeSpan.FromSeconds(30);

    /// <summary>Has the partitions woken; returns how many there are.</summary>
    public async Task<int> SweepAsync()
    {
        var logs = (await storage.ListAsync(TopicRules.LogPrefix)).ToHashSet();
        var count = 0;
        foreach (var name in logs.Count == 0 ? [] : await grains.GetGrain<ITopicDirectoryGrain>(ITopicDirectoryGrain.Key).ListAsync())
        {
            if (await DescribeAsync(name) is not { } topic || !TopicRules.HasUpkeep(topic.Config))
            {
                continue;
            }

            var now = time.GetUtcNow().ToUnixTimeMilliseconds();
            for (var partition = 0; partition < topic.PartitionCount; partition++)
            {
                // One that was never opened holds nothing.
                if (logs.Contains(TopicRules.LogIdOf(name, topic.TopicId, partition)))
                {
                    maintenance.WakeAt(new TopicPartition(name, partition).GrainKey, now, WakeAsync);
                    count++;
                }
            }
        }

        return count;
    }

    /// <inheritdoc/>
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        try
        {
            while (!await TrySweepAsync())
            {
                await Task.Delay(s_retryWait, time, stoppingToken);
            }
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
            // The silo stops.
        }
    }

    private async Task<bool> TrySweepAsync()
    {
        try
        {
            await SweepAsync();
            return true;
        }
        catch (Exception error)
        {
            logger.SweepFailed(error.Message);
            return false;
        }
    }

    private async Task<TopicDescription?> DescribeAsync(string name)
    {
        try
        {
            return await grains.GetGrain<ITopicGrain>(name).DescribeAsync();
        }
        catch (StreamsException error) when (error.Code == StreamsErrorCode.UnknownTopicOrPartition)
        {
            // Deleted meanwhile.
            return null;
        }
    }

    private Task WakeAsync(string partition) => grains.GetGrain<IPartitionGrain>(partition).WakeAsync();
}
