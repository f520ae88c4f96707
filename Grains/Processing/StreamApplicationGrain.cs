using System.Collections.Immutable;
using System.Globalization;
using Microsoft.Extensions.Logging;
using OrleansStreams.Clients;
using OrleansStreams.Log;
using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.Processing;

/// <summary>What is kept of an application.</summary>
[GenerateSerializer]
[Alias("streams.application-record")]
internal sealed class StreamApplicationRecord
{
    /// <summary>Whether it is meant to run.</summary>
    [Id(0)]
    public bool IsRunning { get; set; }

    /// <summary>Whether it was ever started: from then on its parameters are fixed.</summary>
    [Id(1)]
    public bool WasStarted { get; set; }

    /// <summary>Its parameters.</summary>
    [Id(2)]
    public Dictionary<string, string> Parameters { get; set; } = [];
}

/// <summary>Supervises an application's tasks: starts them, looks after them once a second, and starts again those whose silo is gone.</summary>
internal sealed class StreamApplicationGrain(
    [PersistentState("application", "streams")] IPersistentState<StreamApplicationRecord> record, StreamApplicationRegistry registry, ILogger<StreamApplicationGrain> logger)
    : Grain, IStreamApplicationGrain
{
    private static readonly TimeSpan SupervisionInterval = TimeSpan.FromSeconds(1);

    private ImmutableArray<TaskPlan> _plan = [];
    private IGrainTimer? _supervision;

    private string Name => this.GetPrimaryKeyString();

    public async Task<StreamApplicationStatus> StartAsync(ImmutableDictionary<string, string> parameters)
    {
        registry.ThrowIfUnknown(Name);
        if (record.State.WasStarted && !Same(record.State.Parameters, parameters))
        {
            throw new StreamsException(
                StreamsErrorCode.InvalidRequest,
                $"application '{Name}' has state that was made with other parameters ({string.Join(", ", record.State.Parameters.Select(parameter => $"{parameter.Key}={parameter.Value}"))}); start it with these, or under another name");
        }

        // Everything that can be refused is refused before anything is kept.
        _plan = await PlanAsync(parameters);
        if (!record.State.IsRunning)
        {
            record.State = new StreamApplicationRecord { IsRunning = true, WasStarted = true, Parameters = parameters.ToDictionary() };
            await WriteAsync();
        }

        await Task.WhenAll(_plan.Select(task => task.Grain.StartAsync(parameters)));
        Supervise();
        return await GetStatusAsync();
    }

    public async Task StopAsync()
    {
        registry.ThrowIfUnknown(Name);
        if (record.State.IsRunning)
        {
            record.State = new StreamApplicationRecord { IsRunning = false, WasStarted = true, Parameters = record.State.Parameters };
            await WriteAsync();
        }

        _supervision?.Dispose();
        _supervision = null;
        await EnsurePlanAsync();
        await Task.WhenAll(_plan.Select(task => task.Grain.StopAsync()));
    }

    public async Task<StreamApplicationStatus> GetStatusAsync()
    {
        registry.ThrowIfUnknown(Name);
        var parameters = record.State.Parameters.ToImmutableDictionary();
        if (!record.State.WasStarted)
        {
            return new StreamApplicationStatus(Name, StreamApplicationState.Stopped, parameters, []);
        }

        await EnsurePlanAsync();
        var tasks = await Task.WhenAll(_plan.Select(StatusOfAsync));
        var state = !record.State.IsRunning ? StreamApplicationState.Stopped
            : tasks.Any(task => task.State == StreamTaskState.Failed) ? StreamApplicationState.Failed
            : tasks.All(task => task.State == StreamTaskState.Completed) ? StreamApplicationState.Completed
            : StreamApplicationState.Running;
        return new StreamApplicationStatus(Name, state, parameters, [.. tasks]);
    }

    public async Task EnsureRunningAsync()
    {
        registry.ThrowIfUnknown(Name);
        if (record.State.IsRunning)
        {
            Supervise();
            await SuperviseTasksAsync();
        }
    }

    public async Task<StateQueryResult> QueryAsync(StateQuery query)
    {
        registry.ThrowIfUnknown(Name);
        if (query.Limit is < 1 or > 10_000 || query.FromMs > query.ToMs)
        {
            throw new StreamsException(StreamsErrorCode.InvalidRequest, $"the limit is {query.Limit} and the range {query.FromMs} to {query.ToMs}; the limit must be 1 to 10000, and the range must not end before it begins");
        }

        if (!record.State.IsRunning)
        {
            throw new StreamsException(StreamsErrorCode.ApplicationNotRunning, $"application '{Name}' is stopped; start it to query it");
        }

        await EnsurePlanAsync();
        ImmutableArray<TaskPlan> holders = [.. _plan.Where(task => task.Stores.Contains(query.Store))];
        if (holders.IsEmpty)
        {
            throw new StreamsException(
                StreamsErrorCode.StoreNotFound, $"application '{Name}' has no store '{query.Store}'; it has: {string.Join(", ", _plan.SelectMany(task => task.Stores).Distinct())}");
        }

        // The key lies in the partition that the default partitioner gave it.
        return await holders[KeyHash.PartitionFor(query.Key.Span, holders.Length)].Grain.QueryAsync(query);
    }

    private static bool Same(Dictionary<string, string> known, ImmutableDictionary<string, string> given) =>
        known.Count == given.Count && given.All(parameter => known.TryGetValue(parameter.Key, out var value) && value == parameter.Value);

    private async Task EnsurePlanAsync()
    {
        if (_plan.IsEmpty)
        {
            _plan = await PlanAsync(record.State.Parameters);
        }
    }

    /// <summary>The tasks, after checking that every topic exists.</summary>
    private async Task<ImmutableArray<TaskPlan>> PlanAsync(IReadOnlyDictionary<string, string> parameters)
    {
        var plan = ImmutableArray.CreateBuilder<TaskPlan>();
        foreach (var part in registry.Build(Name, parameters).SubTopologies)
        {
            foreach (var topic in part.OutputTopics)
            {
                await DescribeAsync(topic);
            }

            var partitions = part.InputTopic is { } input ? (await DescribeAsync(input)).PartitionCount : 1;
            for (var partition = 0; partition < partitions; partition++)
            {
                var taskId = string.Create(CultureInfo.InvariantCulture, $"{part.Number}_{partition}");
                plan.Add(new TaskPlan(taskId, GrainFactory.GetGrain<IStreamTaskGrain>($"{Name}/{taskId}"), part.Stores));
            }
        }

        return plan.ToImmutable();
    }

    private async Task<TopicDescription> DescribeAsync(string topic)
    {
        try
        {
            return await GrainFactory.GetGrain<ITopicGrain>(topic).DescribeAsync();
        }
        catch (StreamsException error) when (error.Code == StreamsErrorCode.UnknownTopicOrPartition)
        {
            throw new StreamsException(error.Code, $"application '{Name}' needs topic '{topic}', which does not exist; create it first: topics create {topic} --partitions N", inner: error);
        }
    }

    private async Task<StreamTaskStatus> StatusOfAsync(TaskPlan task)
    {
        try
        {
            return await task.Grain.GetStatusAsync();
        }
        catch (Exception error) when (ClientRetry.IsTransient(error))
        {
            // Its silo is gone; supervision brings it up elsewhere.
            return new StreamTaskStatus(task.Id, StreamTaskState.Restoring, long.MinValue, 0, 0, 0, -1, 0, 0, 0, -1, -1, -1, error.Message);
        }
    }

    private void Supervise() => _supervision ??= this.RegisterGrainTimer(
        (_, _) => SuperviseTasksAsync(), 0, new GrainTimerCreationOptions { DueTime = SupervisionInterval, Period = SupervisionInterval, KeepAlive = true });

    private async Task SuperviseTasksAsync()
    {
        if (!record.State.IsRunning)
        {
            return;
        }

        try
        {
            await EnsurePlanAsync();
            var parameters = record.State.Parameters.ToImmutableDictionary();
            foreach (var task in _plan)
            {
                if ((await task.Grain.GetStatusAsync()).State is StreamTaskState.Created or StreamTaskState.Stopped)
                {
                    await task.Grain.StartAsync(parameters);
                }
            }
        }
        catch (Exception error) when (ClientRetry.IsTransient(error))
        {
            ProcessingLog.SupervisionFailed(logger, Name, error.Message);
        }
    }

    private async Task WriteAsync()
    {
        try
        {
            await record.WriteStateAsync();
        }
        catch
        {
            // Whether it was written is not known: the next activation reads it.
            DeactivateOnIdle();
            throw;
        }
    }

    /// <summary>One task as it is planned.</summary>
    private sealed record TaskPlan(string Id, IStreamTaskGrain Grain, ImmutableArray<string> Stores);
}
