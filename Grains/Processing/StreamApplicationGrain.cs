using System.Collections.Immutable;
using Microsoft.Extensions.Logging;
using OrleansStreams.Log;
using OrleansStreams.Topologies;

namespace OrleansStreams.Processing;

/// <summary>What an application grain stores.</summary>
internal sealed class StreamApplicationGrainState
{
    /// <summary>Whether the application was ever started: its parameters are fixed since.</summary>
    public bool WasStarted { get; set; }

    /// <summary>Whether it is meant to run.</summary>
    public bool IsRunning { get; set; }

    public Dictionary<string, string> Parameters { get; set; } = [];

    /// <summary>The partitions of each input topic when the application was first started: which task has a key's state depends on them.</summary>
    public Dictionary<string, int> InputPartitions { get; set; } = [];

    /// <summary>The tasks, to be stopped even when the topology's topics are gone.</summary>
    public List<string> Tasks { get; set; } = [];

    /// <summary>All tasks that have had a journal since the last reset or drop: also those that the topology has no more, whose journals must not come back with it.</summary>
    public List<string> Journals { get; set; } = [];

    /// <summary>The topics that were made for the application, to be deleted with it even when its topology has changed.</summary>
    public List<string> InternalTopics { get; set; } = [];

    /// <summary>Whether it is being dropped: what is left of it goes before it can start again.</summary>
    public bool IsDropping { get; set; }

    /// <summary>Whether it is being reset: what is left of its state goes before it can start again.</summary>
    public bool IsResetting { get; set; }

    /// <summary>Whether it has no state, having been reset and not started since.</summary>
    public bool IsReset { get; set; }

    /// <summary>Whether its tasks read nothing.</summary>
    public bool IsPaused { get; set; }

    /// <summary>By topic, where tasks without state begin to read each partition.</summary>
    public Dictionary<string, List<long>> StartOffsets { get; set; } = [];

    /// <summary>By topic, where each partition ends.</summary>
    public Dictionary<string, List<long>> EndOffsets { get; set; } = [];

    /// <summary>The places of the first start, as they were asked for: asked again the same way, it is no contradiction.</summary>
    public string Places { get; set; } = string.Empty;

    public StreamApplicationGrainState Copy() => (StreamApplicationGrainState)MemberwiseClone();
}

/// <summary>One application: remembers that it runs, and brings up its tasks again whenever they are not.</summary>
internal sealed partial class StreamApplicationGrain(
    [PersistentState("application", "streams")] IPersistentState<StreamApplicationGrainState> stored,
    StreamApplicationRegistry registry,
    ProcessingOptions options,
    TimeProvider time,
    ILogger<StreamApplicationGrain> logger) : Grain, IStreamApplicationGrain
{
    private const int SupervisionsPerLook = 30;

    private static readonly TimeSpan s_alignmentWait = TimeSpan.FromSeconds(5);

    private readonly Dictionary<string, SupervisedTask> _tasks = new(StringComparer.Ordinal);
    private ApplicationPlan? _plan;
    private IGrainTimer? _timer;
    private StreamsException? _refused;
    private int _supervisions;

    // Plans are made while other calls are served: one that was begun before a start, a reset or a drop says nothing of what is after it.
    private int _planningRound;
    private bool _isDropping;

    private string Name => this.GetPrimaryKeyString();

    public Task<StreamApplicationStatus> StartAsync(ImmutableDictionary<string, string> parameters) => StartWithAsync(new StreamApplicationStart(parameters));

    public async Task<StreamApplicationStatus> StartWithAsync(StreamApplicationStart start)
    {
        await CheckIsApplicationAsync();
        if (stored.State.IsDropping)
        {
            await DropAsync();
        }

        if (stored.State.IsResetting)
        {
            await FinishResetAsync();
        }

        var state = stored.State;

        var parameters = await ParametersOfAsync(start);
        var isNew = !state.WasStarted || state.IsReset;
        var changes = isNew ? [] : Changes(state.Parameters, parameters);
        if (changes.Except(registry.Build(Name, new ApplicationParameters(parameters)).ChangeableParameters, StringComparer.Ordinal).Any())
        {
            throw new StreamsException(
                StreamsErrorCode.InvalidRequest,
                $"Application '{Name}' has state that was made with other parameters ({Text(state.Parameters)}), not {Text(parameters)}: start it with those, or register the application under another name.",
                WriteOutcome.NotWritten);
        }

        CheckPlaces(start, isNew);
        _refused = null;
        if (isNew || !state.IsRunning || changes.Length > 0)
        {
            await BesideOthersAsync(parameters, made => BeginAsync(parameters, start, isNew, made));
        }
        else
        {
            await PlanAsync(parameters, create: true);
        }

        if (changes.Length > 0)
        {
            // Tasks take their parameters when they start.
            await Task.WhenAll(_tasks.Values.Select(StopTaskAsync));
        }

        // Also tasks that have failed for good: whoever starts again has mended the cause.
        await Task.WhenAll(_tasks.Values.Select(task => StartTaskAsync(task)));
        Supervise();
        return await GetStatusAsync();
    }

    public async Task StopAsync()
    {
        await CheckIsApplicationAsync();
        if (stored.State is { IsRunning: true } state)
        {
            await WriteAsync(StateWith(false, state.Parameters));
        }

        _timer?.Dispose();
        _timer = null;

        // By the tasks that were stored, not by a plan: the topics that a plan needs may be gone by now.
        stored.State.Tasks.ForEach(id => _tasks.TryAdd(id, new SupervisedTask(id)));
        await Task.WhenAll(_tasks.Values.Select(task => TaskGrain(task).StopAsync()));
    }

    public async Task DropAsync()
    {
        await CheckIsApplicationAsync();

        // An alias that is switched now finds it stopped; one that was switched before is found by the check.
        _isDropping = true;
        try
        {
            await CheckNotServingAsync();
            await StopAndDeleteAsync();
        }
        finally
        {
            _isDropping = false;
        }
    }

    private async Task StopAndDeleteAsync()
    {
        await StopAsync();
        if (stored.State.WasStarted)
        {
            // Durable before anything is gone: half an application must not start again.
            var state = stored.State.Copy();
            state.IsDropping = true;
            await WriteAsync(state);
            await DeleteStateAsync();
        }

        if (ApplicationNames.IsVersion(Name))
        {
            await Directory.RemoveVersionAsync(Name);
        }

        await WriteAsync(new StreamApplicationGrainState());
        _planningRound++;
        _tasks.Clear();
        _plan = null;
        _refused = null;
        logger.ApplicationDropped(Name);
    }

    public async Task<StreamApplicationStatus> GetStatusAsync()
    {
        if (await ServedByAsync() is { } other)
        {
            return await other.GetStatusAsync();
        }

        var state = stored.State;
        var parameters = state.Parameters.ToImmutableDictionary();
        if (!state.WasStarted || state.IsDropping || _isDropping || state.IsResetting || state.IsReset)
        {
            return new StreamApplicationStatus(Name, StreamApplicationState.Stopped, parameters, []);
        }

        if (_plan is null && _refused is null)
        {
            try
            {
                await PlanAsync(parameters);
            }
            catch (StreamsException error) when (error.Code == StreamsErrorCode.InvalidPartitions)
            {
                await RefuseAsync(error);
            }
        }

        if (_refused is { } refused)
        {
            return new StreamApplicationStatus(
                Name, state.IsRunning ? StreamApplicationState.Failed : StreamApplicationState.Stopped, parameters, [.. state.Tasks.Select(id => Refused(id, refused.Message))]);
        }

        var tasks = ImmutableArray.Create(await Task.WhenAll(_tasks.Values.ToArray().Select(StatusOfAsync)));
        return new StreamApplicationStatus(Name, StateOf(state, tasks), parameters, tasks);
    }

    public Task EnsureRunningAsync()
    {
        registry.Check(Name);
        if (stored.State.IsRunning && _timer is null)
        {
            Supervise();
        }

        return Task.CompletedTask;
    }

    public override Task OnActivateAsync(CancellationToken cancellationToken)
    {
        if (stored.State.IsRunning)
        {
            Supervise();
        }

        return Task.CompletedTask;
    }

    /// <summary>The names of parameters that differ, or that only one of the two has.</summary>
    private static string[] Changes(Dictionary<string, string> x, ImmutableDictionary<string, string> y) =>
        [.. x.Keys.Union(y.Keys, StringComparer.Ordinal).Where(name => x.GetValueOrDefault(name) != y.GetValueOrDefault(name)).Order(StringComparer.Ordinal)];

    private static string Text(IEnumerable<KeyValuePair<string, string>> parameters)
    {
        var text = string.Join(", ", parameters.OrderBy(pair => pair.Key, StringComparer.Ordinal).Select(pair => $"{pair.Key}={pair.Value}"));
        return text.Length == 0 ? "none" : text;
    }

    private static StreamApplicationState StateOf(StreamApplicationGrainState state, ImmutableArray<StreamTaskStatus> tasks) =>
        !state.IsRunning ? StreamApplicationState.Stopped
        : tasks.Any(task => task.State == StreamTaskState.Failed && !task.WillRestart) ? StreamApplicationState.Failed
        : tasks.All(task => task.State == StreamTaskState.Completed) ? StreamApplicationState.Completed
        : state.IsPaused ? StreamApplicationState.Paused
        : StreamApplicationState.Running;

    private async Task DeleteTopicAsync(string topic)
    {
        try
        {
            await GrainFactory.GetGrain<ITopicGrain>(topic).DeleteAsync();
        }
        catch (StreamsException error) when (error.Code == StreamsErrorCode.UnknownTopicOrPartition)
        {
            // It went before, when dropping was begun.
        }
    }

    /// <param name="parameters">The application's parameters.</param>
    /// <param name="create">Whether internal topics are made that don't exist: by starts and supervision alone, which no reset and no drop runs beside.</param>
    private async Task<ApplicationPlan> PlanAsync(ImmutableDictionary<string, string> parameters, bool create = false)
    {
        var round = _planningRound;
        var topology = registry.Build(Name, new ApplicationParameters(parameters));
        var plan = await ApplicationPlan.ResolveAsync(Name, topology, new GrainTopics(GrainFactory), create);
        foreach (var (topic, partitions) in plan.Inputs)
        {
            if (stored.State.InputPartitions.TryGetValue(topic, out var before) && before != partitions)
            {
                throw new StreamsException(
                    StreamsErrorCode.InvalidPartitions,
                    $"Application '{Name}' was started when topic '{topic}' had {before} partitions, now it has {partitions}: keys have moved between its tasks, whose state has not. {ApplicationNames.ProcessAnew(Name)}");
            }
        }

        if (round != _planningRound)
        {
            return plan;
        }

        _plan = plan;
        foreach (var id in _tasks.Keys.Except(plan.Tasks, StringComparer.Ordinal).ToArray())
        {
            _tasks.Remove(id);
        }

        foreach (var id in plan.Tasks)
        {
            _tasks.TryAdd(id, new SupervisedTask(id));
        }

        return plan;
    }

    private async Task WriteAsync(StreamApplicationGrainState state)
    {
        var before = stored.State;
        stored.State = state;
        try
        {
            await stored.WriteStateAsync();
        }
        catch (Exception error)
        {
            // What is stored is not known: the next activation reads it.
            stored.State = before;
            DeactivateOnIdle();
            throw new StreamsException(StreamsErrorCode.StorageError, $"The state of application '{Name}' could not be stored ({error.Message}): try again.", WriteOutcome.Unknown, error);
        }
    }

    private StreamApplicationGrainState StateWith(bool isRunning, Dictionary<string, string> parameters)
    {
        var state = stored.State.Copy();
        state.WasStarted = true;
        state.IsRunning = isRunning;
        state.Parameters = parameters;
        if (_plan is { } plan)
        {
            state.InputPartitions = plan.Inputs.ToDictionary(input => input.Topic, input => input.Partitions, StringComparer.Ordinal);
            state.Tasks = [.. plan.Tasks];
            state.Journals = [.. stored.State.Journals.Union(plan.Tasks, StringComparer.Ordinal)];
        }

        state.InternalTopics = [.. stored.State.InternalTopics.Union(_plan?.InternalTopics ?? [], StringComparer.Ordinal)];
        return state;
    }

    private static StreamTaskStatus Refused(string id, string why) =>
        new(id, StreamTaskState.Failed, long.MinValue, 0, 0, 0, -1, 0, 0, 0, -1, -1, -1, why);

    /// <summary>The topics are not what the state was made from: nothing more is processed.</summary>
    private async Task RefuseAsync(StreamsException error)
    {
        _refused = error;
        _plan = null;
        logger.ApplicationNotUp(Name, error.Message);
        foreach (var id in stored.State.Tasks)
        {
            await GrainFactory.GetGrain<IStreamTaskGrain>($"{Name}/{id}").StopAsync();
        }
    }

    private void Supervise() => _timer ??= this.RegisterGrainTimer(
        static (grain, _) => grain.SuperviseAsync(),
        this,
        new GrainTimerCreationOptions(TimeSpan.Zero, options.SupervisionInterval) { KeepAlive = true });

    private async Task SuperviseAsync()
    {
        if (!stored.State.IsRunning)
        {
            return;
        }

        try
        {
            if (_refused is not null)
            {
                return;
            }

            if (_plan is null || ++_supervisions % SupervisionsPerLook == 0)
            {
                await PlanAsync(stored.State.Parameters.ToImmutableDictionary(), create: true);
            }

            await Task.WhenAll(_tasks.Values.ToArray().Select(SuperviseAsync));
            await AlignAsync();
        }
        catch (StreamsException error) when (error.Code == StreamsErrorCode.InvalidPartitions)
        {
            await RefuseAsync(error);
        }
        catch (Exception error)
        {
            logger.ApplicationNotUp(Name, error.Message);
        }
    }

    /// <summary>Tells each task with aligned sources how far those of the others have come.</summary>
    private async Task AlignAsync()
    {
        SupervisedTask[] aligned = [.. (_plan?.AlignedTasks ?? []).Select(id => _tasks[id])];
        if (aligned.Length > 1)
        {
            await Task.WhenAll(aligned.Select(task => AlignAsync(task, aligned.Where(other => other != task).Min(other => other.SlowestAligned))).ToArray());
        }
    }

    private async Task AlignAsync(SupervisedTask task, long slowestOther)
    {
        try
        {
            task.SlowestAligned = await TaskGrain(task).AlignAsync(slowestOther).WaitAsync(s_alignmentWait, time);
        }
        catch (Exception)
        {
            // Who does not answer holds nobody up; its status says what is the matter with it.
            task.SlowestAligned = long.MaxValue;
        }
    }

    private async Task SuperviseAsync(SupervisedTask task)
    {
        var status = await StatusOfAsync(task);
        var isDown = status.State is StreamTaskState.Created or StreamTaskState.Stopped || (status.State == StreamTaskState.Failed && status.WillRestart);
        if (!isDown)
        {
            if (status.IsPaused != stored.State.IsPaused)
            {
                // It did not answer when it was told.
                await TaskGrain(task).SetPausedAsync(stored.State.IsPaused);
            }

            // A task that runs has another commit to show before its failures are forgotten.
            task.Failures = status.Commits > task.CommitsAtStart ? 0 : task.Failures;
            return;
        }

        if (task.NotBefore is { } notBefore && time.GetUtcNow() < notBefore)
        {
            return;
        }

        task.CommitsAtStart = status.Commits;
        var pause = TimeSpan.FromTicks(Math.Min(options.RetryPauseMax.Ticks, options.RetryPause.Ticks << Math.Min(task.Failures++, 20)));
        task.NotBefore = time.GetUtcNow() + pause;
        await StartTaskAsync(task);
    }

    private async Task StartTaskAsync(SupervisedTask task)
    {
        try
        {
            await TaskGrain(task).StartAsync(StartOf(task.Id));
        }
        catch (Exception error)
        {
            logger.TaskNotStarted(Name, task.Id, error.Message);
        }
    }

    private async Task StopTaskAsync(SupervisedTask task)
    {
        try
        {
            await TaskGrain(task).StopAsync();
        }
        catch (Exception error)
        {
            // Its silo has died: the task is down, and its next start takes the new parameters.
            logger.TaskNotStopped(Name, task.Id, error.Message);
        }
    }

    private async Task<StreamTaskStatus> StatusOfAsync(SupervisedTask task)
    {
        try
        {
            task.LastStatus = await TaskGrain(task).GetStatusAsync();
            return task.LastStatus;
        }
        catch (Exception error)
        {
            // Its silo has died or does not answer: the next ping makes a new activation.
            var last = task.LastStatus ?? new StreamTaskStatus(task.Id, StreamTaskState.Created, long.MinValue, 0, 0, 0, -1, 0, 0, 0, -1, -1, -1, null);
            return last with { State = StreamTaskState.Created, Error = error.Message, WillRestart = true };
        }
    }

    private IStreamTaskGrain TaskGrain(SupervisedTask task) => GrainFactory.GetGrain<IStreamTaskGrain>($"{Name}/{task.Id}");

    private sealed class SupervisedTask(string id)
    {
        public string Id { get; } = id;

        public int Failures { get; set; }

        /// <summary>What it told last of its aligned sources.</summary>
        public long SlowestAligned { get; set; } = long.MaxValue;

        public long CommitsAtStart { get; set; }

        public DateTimeOffset? NotBefore { get; set; }

        public StreamTaskStatus? LastStatus { get; set; }
    }
}
