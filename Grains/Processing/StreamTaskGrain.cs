using System.Collections.Immutable;
using System.Globalization;
using Microsoft.Extensions.Logging;
using Orleans.Placement;
using OrleansStreams.Clients;
using OrleansStreams.Log;
using OrleansStreams.Processing.Journal;
using OrleansStreams.Processing.Sources;
using OrleansStreams.Storage;
using OrleansStreams.Topologies;

namespace OrleansStreams.Processing;

/// <summary>
/// Owns one task: builds it, keeps it going in the background on the grain's own turns, and answers for it.
/// <code>
///  Created --start--> Restoring --> Running --> Completed     every input came to its end
///                        ^ |           |  \---> Stopped       on request, or fenced by a newer activation
///                        | v           v
///                        Failed &lt;------+                      a passing failure goes back to Restoring after a while;
///                                                             another stays, until it is started again
/// </code>
/// </summary>
[RandomPlacement]
internal sealed class StreamTaskGrain(
    StreamApplicationRegistry registry, ILogStorage storage, StreamsOptions options, TaskOptions taskOptions, ISourceFiles files, TimeProvider time, Random random, ILogger<StreamTaskGrain> logger)
    : Grain, IStreamTaskGrain, IDisposable
{
    private static readonly TimeSpan BackoffMax = TimeSpan.FromSeconds(10);

    private CancellationTokenSource _ending = new();
    private bool _stopRequested;
    private StreamTaskState _state = StreamTaskState.Created;
    private StreamTask? _task;
    private Task _loop = Task.CompletedTask;
    private string? _error;

    private string Key => this.GetPrimaryKeyString();

    private string Application => Key[..Key.LastIndexOf('/')];

    private string TaskId => Key[(Key.LastIndexOf('/') + 1)..];

    public async Task StartAsync(ImmutableDictionary<string, string> parameters)
    {
        if (!_loop.IsCompleted || _state == StreamTaskState.Completed)
        {
            return;
        }

        await DropTaskAsync();
        _error = null;
        _stopRequested = false;
        _ending.Dispose();
        _ending = new CancellationTokenSource();
        _loop = RunAsync(parameters);
    }

    public async Task StopAsync()
    {
        _stopRequested = true;
        _task?.Stop();
        if (_state != StreamTaskState.Running)
        {
            await _ending.CancelAsync();
        }

        await _loop;
        await DropTaskAsync();
        if (_state is not (StreamTaskState.Failed or StreamTaskState.Created))
        {
            MoveTo(StreamTaskState.Stopped);
        }
    }

    public Task<StreamTaskStatus> GetStatusAsync()
    {
        var engine = _task?.Engine;
        var isFile = engine?.FileInput is not null;
        return Task.FromResult(new StreamTaskStatus(
            TaskId,
            _state,
            engine?.Watermark ?? long.MinValue,
            engine?.Counters.RecordsIn ?? 0,
            engine?.Counters.RecordsOut ?? 0,
            engine?.Counters.Late ?? 0,
            _task?.Lag ?? -1,
            engine?.Counters.Commits ?? 0,
            _task?.RecordsPerSecond ?? 0,
            engine?.StateEntries ?? 0,
            isFile ? engine!.FilePosition.Row : -1,
            isFile ? engine!.FilePosition.Bytes : -1,
            _task?.SourceBytesTotal ?? -1,
            _error));
    }

    public Task<StateQueryResult> QueryAsync(StateQuery query) => _task is not null && _state is StreamTaskState.Running or StreamTaskState.Completed
        ? _task!.QueryAsync(query)
        : throw new StreamsException(StreamsErrorCode.ApplicationNotRunning, $"task {Key} is {_state}{(_error is null ? string.Empty : $" ({_error})")}; ask again when it runs");

    public override async Task OnDeactivateAsync(DeactivationReason reason, CancellationToken cancellationToken)
    {
        _stopRequested = true;
        _task?.Stop();
        await Task.WhenAny(_loop, Task.Delay(Timeout.InfiniteTimeSpan, time, cancellationToken));
        await _ending.CancelAsync();
        await DropTaskAsync();
    }

    public void Dispose() => _ending.Dispose();

    /// <summary>Runs the task, again after passing failures. Never throws: what goes wrong is the grain's state.</summary>
    private async Task RunAsync(ImmutableDictionary<string, string> parameters)
    {
        for (var attempt = 0; ; attempt++)
        {
            try
            {
                MoveTo(StreamTaskState.Restoring);
                _task = await BuildAsync(parameters);
                await _task.RestoreAsync(_ending.Token);
                MoveTo(StreamTaskState.Running);
                _error = null;
                await _task.RunAsync(_ending.Token);
                MoveTo(_task.Engine.HasEnded ? StreamTaskState.Completed : StreamTaskState.Stopped);
                return;
            }
            catch (OperationCanceledException) when (_ending.IsCancellationRequested)
            {
                MoveTo(StreamTaskState.Stopped);
                return;
            }
            catch (StreamsException error) when (error.Code == StreamsErrorCode.FencedLeaderEpoch)
            {
                // Somewhere else lives the activation that counts; opening the journal again would only fence that one.
                ProcessingLog.Fenced(logger, Key);
                MoveTo(StreamTaskState.Stopped);
                DeactivateOnIdle();
                return;
            }
            catch (Exception error)
            {
                _error = error.Message;
                MoveTo(StreamTaskState.Failed);
                if (!ClientRetry.IsTransient(error))
                {
                    ProcessingLog.Failed(logger, Key, error.Message, error);
                    return;
                }

                ProcessingLog.Restarting(logger, Key, error.Message);
            }

            await DropTaskAsync();
            if (_stopRequested || !await BackoffAsync(attempt))
            {
                return;
            }
        }
    }

    private async Task<bool> BackoffAsync(int attempt)
    {
        var bound = Math.Min(BackoffMax.TotalMilliseconds, 100 * Math.Pow(2, Math.Min(attempt, 10)));
        try
        {
            await Task.Delay(TimeSpan.FromMilliseconds(bound * (0.5 + (random.NextDouble() / 2))), time, _ending.Token);
            return true;
        }
        catch (OperationCanceledException)
        {
            return false;
        }
    }

    private async Task<StreamTask> BuildAsync(ImmutableDictionary<string, string> parameters)
    {
        var separator = TaskId.IndexOf('_', StringComparison.Ordinal);
        var number = int.Parse(TaskId.AsSpan(0, separator), CultureInfo.InvariantCulture);
        var partition = int.Parse(TaskId.AsSpan(separator + 1), CultureInfo.InvariantCulture);
        var topology = registry.Build(Application, parameters).SubTopologies[number];
        var outputs = new List<TopicDescription>();
        foreach (var topic in topology.OutputTopics)
        {
            outputs.Add(await GrainFactory.GetGrain<ITopicGrain>(topic).DescribeAsync());
        }

        var engine = new TaskEngine(topology, partition, outputs);
        var logOptions = new LogOptions { Flush = options.Flush, FlushInterval = options.FlushInterval, IndexIntervalBytes = options.IndexIntervalBytes };
        var journal = await TaskJournal.OpenAsync(storage, JournalOf(Application, TaskId), logOptions, time, _ending.Token);
        return new StreamTask(engine, journal, new GrainTransport(GrainFactory, new ClientRetry(time, random)), files, taskOptions, time);
    }

    internal static LogId JournalOf(string application, string taskId) => new($"journals/{application}/{taskId}");

    private async Task DropTaskAsync()
    {
        if (_task is { } task)
        {
            _task = null;
            await task.DisposeAsync();
        }
    }

    private void MoveTo(StreamTaskState next)
    {
        var allowed = (_state, next) switch
        {
            (StreamTaskState.Created or StreamTaskState.Stopped or StreamTaskState.Failed, StreamTaskState.Restoring) => true,
            (StreamTaskState.Restoring, StreamTaskState.Running or StreamTaskState.Failed or StreamTaskState.Stopped) => true,
            (StreamTaskState.Running, StreamTaskState.Completed or StreamTaskState.Failed or StreamTaskState.Stopped) => true,
            (StreamTaskState.Completed, StreamTaskState.Stopped) => true,
            (StreamTaskState.Stopped, StreamTaskState.Stopped) => true,
            _ => false,
        };
        if (!allowed)
        {
            throw new InvalidOperationException($"task {Key} cannot go from {_state} to {next}");
        }

        ProcessingLog.Transition(logger, Key, _state, next);
        _state = next;
    }
}
