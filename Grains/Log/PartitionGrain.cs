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
    ILogger<PartitionGrain> logger) : Grain, IPartitionGrain, ILongPolls
{
    // A woken partition waits so long for its compaction; a longer one ends with a later round. Below the host's response timeout.
    private static readonly TimeSpan s_compactionWait = TimeSpan.FromSeconds(10);

    private PartitionLog? _log;
    private Task<PartitionLog>? _opening;
    private Task _lastWaiting = Task.CompletedTask;
    private int _appendsWaiting;
    private TopicDescription? _topic;
    private IDisposable? _maintenance;
    private bool _isDeactivating;
    private bool _isWoken;

    private long Now => time.GetUtcNow().ToUnixTimeMilliseconds();

    private string Key => this.GetPrimaryKeyString();

    public Task<ProduceResult> AppendAsync(ProduceRequest request) =>
        _appendsWaiting == 0 && _log is { IsUsable: true } log ? log.AppendAsync(request.Batches) : OpenAndAppendAsync(request);

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

    public async Task<PartitionOffsets> GetOffsetsAsync()
    {
        var log = await OpenAsync();

        // Who asks again and again must not meet a partition that is closed and opened again and again.
        log.Touch();
        return log.Offsets;
    }

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
            NoteChangeWhileClosed(topic);
            return;
        }

        if (topic is null || topic.TopicId != _topic.TopicId)
        {
            await CloseAsync(isGone: true);
            EndActivation();
            return;
        }

        _topic = topic;
        _log.Config = topic.Config;
    }

    public async Task WakeAsync()
    {
        if (_log is not null || _opening is not null)
        {
            return;
        }

        PartitionLog log;
        try
        {
            log = await OpenAsync();
        }
        catch (StreamsException exception) when (exception.Code == StreamsErrorCode.UnknownTopicOrPartition)
        {
            return;
        }
        catch (Exception exception)
        {
            logger.WakeFailed(exception, Key);
            throw;
        }

        _isWoken = true;
        await MaintainAsync();
        try
        {
            await log.Compacting.WaitAsync(s_compactionWait, time);
        }
        catch (TimeoutException)
        {
            // The next round looks again.
        }

        CloseIfUnused(log);
    }

    public void EndLongPolls() => _log?.EndLongPolls();

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

    /// <summary>
    /// Appends that came while the log was being opened go on one after the other, and later ones behind them: a producer with several requests under way
    /// has numbered its batches in the order in which it sent them.
    /// </summary>
    private async Task<ProduceResult> OpenAndAppendAsync(ProduceRequest request)
    {
        var before = _lastWaiting;
        var passed = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _lastWaiting = passed.Task;
        _appendsWaiting++;
        Task<ProduceResult> append;
        try
        {
            await before;
            var log = await OpenAsync();
            append = log.AppendAsync(request.Batches);
        }
        finally
        {
            _appendsWaiting--;
            passed.SetResult();
        }

        return await append;
    }

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
        maintenance.Forget(Key);
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
            CloseIfUnused(log);
        }
        catch (Exception exception)
        {
            logger.MaintenanceFailed(exception, Key);
        }
    }

    /// <summary>Closed with a checkpoint it costs nothing; the next request opens it again, or the time at which it has upkeep to do.</summary>
    private void CloseIfUnused(PartitionLog log)
    {
        var isOnlyWoken = _isWoken && !log.WasUsed && log.Compacting.IsCompleted;
        if (_log == log && !_isDeactivating && (isOnlyWoken || log.IdleTime >= options.PartitionIdleTimeout))
        {
            EndActivation();
        }
    }

    private void NoteChangeWhileClosed(TopicDescription? topic)
    {
        if (topic is null)
        {
            maintenance.Forget(Key);
        }
        else if (TopicRules.HasUpkeep(topic.Config))
        {
            // The new configuration may ask for something at once.
            maintenance.WakeAt(Key, Now, Waker(GrainFactory));
        }
    }

    /// <summary>Leaves the time at which it has upkeep to do, as it closes. Not at once: what was due now has just been tried.</summary>
    private async Task NoteUpkeepAsync(PartitionLog log)
    {
        var soonest = Now + (long)options.PartitionIdleTimeout.TotalMilliseconds;
        var due = TopicRules.HasUpkeep(log.Config) ? soonest : long.MaxValue;
        try
        {
            if (log.IsUsable && due != long.MaxValue)
            {
                due = Math.Max(soonest, await log.NextUpkeepAsync());
            }
        }
        catch (StreamsException)
        {
            // Then it is looked at soon.
        }

        maintenance.WakeAt(Key, due, Waker(GrainFactory));
    }

    /// <summary>What the silo's clock keeps for longer than this activation lives.</summary>
    private static Func<string, Task> Waker(IGrainFactory grains) => partition => grains.GetGrain<IPartitionGrain>(partition).WakeAsync();

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

    private async Task CloseAsync(bool isGone = false)
    {
        _maintenance?.Dispose();
        _maintenance = null;
        if (_log is not { } log)
        {
            return;
        }

        _log = null;
        if (isGone)
        {
            maintenance.Forget(Key);
        }
        else
        {
            await NoteUpkeepAsync(log);
        }

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
