using System.Collections.Immutable;
using Microsoft.Extensions.Logging;
using Orleans.Placement;
using OrleansStreams.Log;
using OrleansStreams.Processing.Journal;
using OrleansStreams.Processing.Sources;
using OrleansStreams.Storage;
using OrleansStreams.Topologies;

namespace OrleansStreams.Processing;

/// <summary>
/// One task: a thin shell around <see cref="StreamTask"/>, which runs in turns of this grain between requests. Two activations at once are harmless: the journal serves
/// its newest opener only, and the other ends itself.
/// </summary>
[RandomPlacement]
internal sealed class StreamTaskGrain(
    StreamApplicationRegistry registry,
    ILogStorage storage,
    ISourceFiles files,
    ProcessingOptions options,
    StreamsOptions streams,
    TimeProvider time,
    ILogger<StreamTaskGrain> logger) : Grain, IStreamTaskGrain, ILongPolls
{
    private static readonly TimeSpan s_keepAlive = TimeSpan.FromMinutes(10);

    private StreamTask? _task;
    private StreamsException? _startError;

    private string Key => this.GetPrimaryKeyString();

    private string TaskId => Key[(Key.LastIndexOf('/') + 1)..];

    public async Task StartAsync(StreamTaskStart start)
    {
        if (_task is { State: not (StreamTaskState.Failed or StreamTaskState.Stopped) })
        {
            return;
        }

        DelayDeactivation(s_keepAlive);
        if (_task is { } ended)
        {
            await ended.DisposeAsync();
            _task = null;
        }

        try
        {
            _task = await CreateAsync(start);
            _task.SetPaused(start.IsPaused);
            _startError = null;
        }
        catch (StreamsException error)
        {
            // Told by the status, like every failure of a task.
            _startError = error;
            return;
        }

        _ = WatchAsync(_task);
    }

    public Task SetPausedAsync(bool isPaused)
    {
        _task?.SetPaused(isPaused);
        return Task.CompletedTask;
    }

    public Task<long> AlignAsync(long slowestOther) => Task.FromResult(_task?.Align(slowestOther) ?? long.MaxValue);

    public async Task StopAsync()
    {
        if (_task is { } task)
        {
            await task.StopAsync();
        }
    }

    public async Task DropAsync()
    {
        if (_task is { } task)
        {
            await task.DisposeAsync();
        }

        _task = null;
        _startError = null;

        // Also fences what another activation may still run.
        await storage.DeleteAsync(TaskJournal.IdOf(Key[..Key.LastIndexOf('/')], TaskId));
    }

    public Task<StreamTaskStatus> GetStatusAsync()
    {
        DelayDeactivation(s_keepAlive);
        var status = _task?.Status();
        status ??= _startError is { } error
            ? Unstarted(StreamTaskState.Failed, error.Message) with { WillRestart = StreamTask.IsRetriable(error) }
            : Unstarted(StreamTaskState.Created, null);
        return Task.FromResult(status);
    }

    public Task<StateQueryResult> QueryAsync(StateQuery query) => Running().QueryAsync(query);

    public Task<StoreScanResult> ScanAsync(StoreScan scan) => Running().ScanAsync(scan);

    public Task<StoreChanges> WatchAsync(StoreWatch watch, CancellationToken cancellationToken) => watch.WaitMs is >= 0 and <= StateQuery.WaitMsMax
        ? Running().WatchAsync(watch, cancellationToken)
        : throw new StreamsException(StreamsErrorCode.InvalidRequest, $"Changes cannot be waited for for {watch.WaitMs} ms: wait 0 to {StateQuery.WaitMsMax} ms.");

    public Task ReflectAsync(InputOffset input, int waitMs) => Running().ReflectAsync(input, TimeSpan.FromMilliseconds(waitMs));

    public void EndLongPolls() => _task?.EndLongPolls();

    public override async Task OnDeactivateAsync(DeactivationReason reason, CancellationToken cancellationToken)
    {
        if (_task is not { } task)
        {
            return;
        }

        try
        {
            // The last commit is a courtesy: what it holds would be processed again.
            await task.StopAsync().WaitAsync(cancellationToken);
        }
        catch (OperationCanceledException error)
        {
            logger.TaskStopFailed(error, Key);
        }
    }

    private StreamTask Running() => _task ?? throw new StreamsException(StreamsErrorCode.TaskNotReady, $"Task {Key} does not run yet: ask again when it does.");

    private async Task<StreamTask> CreateAsync(StreamTaskStart start)
    {
        var parameters = new ApplicationParameters(start.Parameters);
        var application = Key[..Key.LastIndexOf('/')];
        var topics = new GrainTopics(GrainFactory);
        var plan = await ApplicationPlan.ResolveAsync(application, registry.Build(application, parameters), topics);
        var own = registry.OptionsOf(application, options);
        var task = plan.TaskOf(TaskId, own);
        task = task with
        {
            StartOffsets = [.. task.InputTopics.Select((topic, input) => task.IsWholeTable(input) ? -1 : start.StartOffsets.GetValueOrDefault(topic, -1))],
            EndOffsets = [.. task.InputTopics.Select(topic => start.EndOffsets.GetValueOrDefault(topic, long.MaxValue))],
        };
        var rate = task.SubTopology.File?.RowsPerSecond ?? parameters.GetDouble(ApplicationParameters.Rate, 0);
        var flushed = own with { Journal = own.Journal with { Flush = streams.Flush, FlushInterval = streams.FlushInterval } };
        return new StreamTask(task, new TaskEnvironment(topics, storage, files, flushed, time, logger) { Upstream = new GrainUpstreamTasks(GrainFactory) }, rate);
    }

    private async Task WatchAsync(StreamTask task)
    {
        await task.Start();
        if (task.Error is { Code: StreamsErrorCode.FencedLeaderEpoch })
        {
            // Another activation has taken the task over; calls must find that one.
            DeactivateOnIdle();
        }
    }

    private StreamTaskStatus Unstarted(StreamTaskState state, string? error) => new(TaskId, state, long.MinValue, 0, 0, 0, -1, 0, 0, 0, -1, -1, -1, error);
}
