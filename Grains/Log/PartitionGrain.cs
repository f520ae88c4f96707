using System.Globalization;
using Microsoft.Extensions.Logging;
using Orleans.Placement;
using OrleansStreams.Log.Compaction;
using OrleansStreams.Storage;

namespace OrleansStreams.Log;

/// <summary>
/// One partition: a thin shell around <see cref="PartitionLog"/>. Opens it with the first request; when it fails, ends this activation, and the
/// next one recovers from storage. Two activations at once are harmless: storage serves the newest opener only.
/// </summary>
[Reentrant]
[RandomPlacement]
internal sealed class PartitionGrain(
    ILogStorage storage,
    StreamsOptions options,
    CompactionSlots compactions,
    PartitionMaintenance maintenance,
    TimeProvider time,
    ILogger<PartitionGrain> logger) : Grain, IPartitionGrain
{
    private PartitionLog? _log;
    private Task<PartitionLog>? _opening;
    private TopicDescription? _topic;
    private IDisposable? _maintenance;
    private bool _isDeactivating;

    private string Key => this.GetPrimaryKeyString();

    public Task<ProduceResult> AppendAsync(ProduceRequest request) =>
        _log is { IsUsable: true } log ? log.AppendAsync(request.Batches) : OpenAndAppendAsync(request);

    public async Task AppendOneWayAsync(ProduceRequest request)
    {
        try
        {
            await AppendAsync(request);
        }
        catch (Exception exception)
        {
            // acks = none: nobody waits for an answer.
            logger.OneWayAppendDropped(exception, Key);
        }
    }

    public Task<FetchResult> FetchAsync(FetchRequest request, CancellationToken cancellationToken) =>
        _log is { IsUsable: true } log ? log.FetchAsync(request, cancellationToken) : OpenAndFetchAsync(request, cancellationToken);

    public async Task<PartitionOffsets> GetOffsetsAsync() => (await OpenAsync()).Offsets;

    public async Task<TimestampOffset> OffsetForTimestampAsync(long timestamp) => await (await OpenAsync()).OffsetForTimestampAsync(timestamp);

    public async Task<long> DeleteRecordsAsync(long beforeOffset) => await (await OpenAsync()).DeleteRecordsAsync(beforeOffset);

    public async Task TopicChangedAsync(TopicDescription? topic)
    {
        // An opening under way may have asked before the change.
        if (_opening is { } opening)
        {
            await Settle(opening);
        }

        if (_log is null || _topic is null)
        {
            return;
        }

        if (topic is null || topic.TopicId != _topic.TopicId)
        {
            await CloseAsync();
            EndActivation();
            return;
        }

        _topic = topic;
        _log.Config = topic.Config;
    }

    public override async Task OnDeactivateAsync(DeactivationReason reason, CancellationToken cancellationToken)
    {
        if (_opening is { } opening)
        {
            await Settle(opening);
        }

        await CloseAsync();
    }

    private static async Task Settle(Task opening)
    {
        try
        {
            await opening;
        }
        catch (Exception)
        {
            // The requests that wait for it hear of it.
        }
    }

    private async Task<ProduceResult> OpenAndAppendAsync(ProduceRequest request) => await (await OpenAsync()).AppendAsync(request.Batches);

    private async Task<FetchResult> OpenAndFetchAsync(FetchRequest request, CancellationToken cancellationToken) =>
        await (await OpenAsync()).FetchAsync(request, cancellationToken);

    /// <summary>The open log. Requests that come while it is being opened share the one opening.</summary>
    private ValueTask<PartitionLog> OpenAsync() => _log is { IsUsable: true } log ? new(log) : new(OpenSlowlyAsync());

    private async Task<PartitionLog> OpenSlowlyAsync()
    {
        if (_isDeactivating)
        {
            throw new StreamsException(StreamsErrorCode.NotLeader, $"The partition {Key} is being opened anew: send again.", WriteOutcome.NotWritten);
        }

        if (_opening is { } running)
        {
            return await running;
        }

        var opening = OpenCoreAsync();
        _opening = opening;
        try
        {
            return await opening;
        }
        finally
        {
            _opening = null;
        }
    }

    private async Task<PartitionLog> OpenCoreAsync()
    {
        var partition = ParseKey();
        var topic = await DescribeTopicAsync(partition);
        var log = await PartitionLog.OpenAsync(storage, TopicRules.LogIdOf(topic.Name, topic.TopicId, partition.Partition), topic.Config, options, time);
        log.Failed = OnFailed;
        log.CompactionFailed = exception => logger.CompactionFailed(exception, Key);
        _topic = topic;
        _log = log;
        _maintenance ??= maintenance.Register(MaintainAsync);
        var offsets = log.Offsets;
        logger.PartitionOpened(Key, offsets.LeaderEpoch, offsets.LogStartOffset, offsets.HighWatermark, log.ProducerCount);
        return log;
    }

    private TopicPartition ParseKey()
    {
        var key = Key;
        var slash = key.LastIndexOf('/');
        if (slash <= 0 || !int.TryParse(key.AsSpan(slash + 1), NumberStyles.None, CultureInfo.InvariantCulture, out var number))
        {
            throw Unknown($"'{key}' names no partition: a partition is named by its topic and its number from 0.");
        }

        return new TopicPartition(key[..slash], number);
    }

    private async Task<TopicDescription> DescribeTopicAsync(TopicPartition partition)
    {
        TopicDescription topic;
        try
        {
            topic = await GrainFactory.GetGrain<ITopicGrain>(partition.Topic).DescribeAsync();
        }
        catch (StreamsException exception) when (exception.Code == StreamsErrorCode.UnknownTopicOrPartition)
        {
            // Activations for topics that do not exist are not worth keeping.
            DeactivateOnIdle();
            throw;
        }

        if (partition.Partition >= topic.PartitionCount)
        {
            DeactivateOnIdle();
            throw Unknown($"The topic '{topic.Name}' has no partition {partition.Partition}: it has {topic.PartitionCount}, counted from 0.");
        }

        return topic;
    }

    private async Task MaintainAsync()
    {
        if (_log is not { IsUsable: true } log || _topic is null)
        {
            return;
        }

        try
        {
            await TopicChangedAsync(await CurrentTopicAsync());
            await log.MaintainAsync(compactions);
            if (_log == log && log.IdleTime >= options.PartitionIdleTimeout)
            {
                // Closed with a checkpoint it costs nothing; the next request opens it again.
                EndActivation();
            }
        }
        catch (Exception exception)
        {
            logger.MaintenanceFailed(exception, Key);
        }
    }

    private async Task<TopicDescription?> CurrentTopicAsync()
    {
        try
        {
            return await GrainFactory.GetGrain<ITopicGrain>(ParseKey().Topic).DescribeAsync();
        }
        catch (StreamsException exception) when (exception.Code == StreamsErrorCode.UnknownTopicOrPartition)
        {
            return null;
        }
    }

    private void OnFailed(StreamsException error)
    {
        logger.PartitionFailed(Key, error.Message);
        EndActivation();
    }

    private void EndActivation()
    {
        _isDeactivating = true;
        DeactivateOnIdle();
    }

    private async Task CloseAsync()
    {
        _maintenance?.Dispose();
        _maintenance = null;
        if (_log is not { } log)
        {
            return;
        }

        _log = null;
        try
        {
            await log.DisposeAsync();
        }
        catch (Exception exception)
        {
            logger.PartitionCloseFailed(exception, Key);
        }
    }

    private static StreamsException Unknown(string message) => new(StreamsErrorCode.UnknownTopicOrPartition, message, WriteOutcome.NotWritten);
}
