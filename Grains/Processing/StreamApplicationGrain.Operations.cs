using System.Collections.Immutable;
using System.Globalization;
using OrleansStreams.Log;
using OrleansStreams.Topologies;

namespace OrleansStreams.Processing;

/// <summary>Pausing, resetting, and where inputs begin and end.</summary>
internal sealed partial class StreamApplicationGrain
{
    public Task<StreamApplicationStatus> PauseAsync() => SetPausedAsync(true);

    public Task<StreamApplicationStatus> ResumeAsync() => SetPausedAsync(false);

    public async Task ResetAsync(StreamPosition position)
    {
        await CheckStartedAsync("reset");
        if (stored.State.IsRunning)
        {
            throw Refused($"Application '{Name}' runs: stop it before it is reset.");
        }

        // Also tasks whose last stop was not answered.
        await StopAsync();

        // The topics that it has made may be of other partitions than they would have now: they go, and are made anew by the next start.
        var topology = registry.Build(Name, new ApplicationParameters(stored.State.Parameters));
        var plan = await ApplicationPlan.ResolveAsync(Name, topology, new GrainTopics(GrainFactory), isAnew: true);
        CheckFiles(position, plan);
        var state = stored.State.Copy();
        state.IsResetting = true;
        state.Places = string.Empty;
        state.EndOffsets = [];
        state.StartOffsets = await ResolveAsync(plan.OuterInputs, position);
        var looped = plan.LoopedTopics.Where(topic => !state.InternalTopics.Contains(topic.Topic, StringComparer.Ordinal));
        foreach (var (topic, offsets) in await ResolveAsync(looped, StreamPosition.Latest))
        {
            state.StartOffsets[topic] = offsets;
        }

        state.InternalTopics = [.. state.InternalTopics.Union(plan.InternalTopics, StringComparer.Ordinal)];

        // Durable before anything is gone: half a state must not be started with.
        await WriteAsync(state);
        await FinishResetAsync();
    }

    private async Task FinishResetAsync()
    {
        await DeleteStateAsync();
        var state = stored.State.Copy();
        state.IsResetting = false;
        state.IsReset = true;
        state.InternalTopics = [];
        state.Tasks = [];
        state.Journals = [];
        state.InputPartitions = [];
        await WriteAsync(state);
        _planningRound++;
        _tasks.Clear();
        _plan = null;
        _refused = null;
        logger.ApplicationReset(Name);
    }

    /// <summary>Deletes the topics that the application has made, and its tasks' journals.</summary>
    private async Task DeleteStateAsync()
    {
        foreach (var topic in stored.State.InternalTopics)
        {
            await DeleteTopicAsync(topic);
        }

        foreach (var task in stored.State.Journals.Union(stored.State.Tasks, StringComparer.Ordinal))
        {
            await GrainFactory.GetGrain<IStreamTaskGrain>($"{Name}/{task}").DropAsync();
        }
    }

    private async Task<StreamApplicationStatus> SetPausedAsync(bool isPaused)
    {
        await CheckStartedAsync(isPaused ? "paused" : "resumed");
        if (stored.State.IsPaused != isPaused)
        {
            var state = stored.State.Copy();
            state.IsPaused = isPaused;
            await WriteAsync(state);
        }

        if (stored.State.IsRunning)
        {
            await Task.WhenAll(_tasks.Values.ToArray().Select(task => TellPausedAsync(task, isPaused)));
        }

        return await GetStatusAsync();
    }

    private async Task TellPausedAsync(SupervisedTask task, bool isPaused)
    {
        try
        {
            await TaskGrain(task).SetPausedAsync(isPaused);
        }
        catch (Exception error)
        {
            // Its next start says it, or the supervision when it answers again.
            logger.TaskNotTold(Name, task.Id, error.Message);
        }
    }

    private async Task CheckStartedAsync(string what)
    {
        await CheckIsApplicationAsync();
        if (!stored.State.WasStarted || stored.State.IsDropping)
        {
            throw new StreamsException(StreamsErrorCode.ApplicationNotRunning, $"Application '{Name}' was never started and cannot be {what}: start it first.", WriteOutcome.NotWritten);
        }
    }

    private void CheckPlaces(StreamApplicationStart start, bool isNew)
    {
        if ((start.From ?? start.To) is not null && !isNew && PlacesOf(start) != stored.State.Places)
        {
            throw Refused($"Application '{Name}' has state already, which was begun {(stored.State.Places.Length == 0 ? "without any place" : stored.State.Places)}: where it begins and ends cannot change. Stop and reset it, or drop it, before.");
        }
    }

    private static string PlacesOf(StreamApplicationStart start) => $"from {start.From?.ToString() ?? "earliest"} to {start.To?.ToString() ?? "no end"}";

    private void CheckFiles(StreamPosition position, ApplicationPlan plan)
    {
        if (position.Kind != StreamPositionKind.Earliest && plan.HasFiles)
        {
            throw Refused($"Application '{Name}' reads a file, which has no {position.Kind.ToString().ToLowerInvariant()}: begin with the earliest.");
        }
    }

    /// <summary>Takes where a new application's inputs begin and end, so that it stays so whatever comes later.</summary>
    private async Task TakePlacesAsync(StreamApplicationGrainState state, StreamApplicationStart start)
    {
        state.IsReset = false;
        state.Places = (start.From ?? start.To) is null ? string.Empty : PlacesOf(start);
        if (start.From is { } from)
        {
            CheckFiles(from, _plan!);
            // Beside what a reset has noted of the topics that it writes itself: what stands there now comes again, from its tasks.
            state.StartOffsets = new(state.StartOffsets, StringComparer.Ordinal);
            foreach (var (topic, offsets) in await ResolveAsync(_plan!.OuterInputs, from))
            {
                state.StartOffsets[topic] = offsets;
            }
        }

        if (start.To is { } to)
        {
            state.EndOffsets = await ResolveAsync(_plan!.OuterInputs, to);
        }
    }

    private async Task<Dictionary<string, List<long>>> ResolveAsync(IEnumerable<(string Topic, int Partitions)> topics, StreamPosition position)
    {
        var found = new Dictionary<string, List<long>>(StringComparer.Ordinal);
        foreach (var (topic, partitions) in topics)
        {
            found[topic] = [.. await Task.WhenAll(Enumerable.Range(0, partitions).Select(partition => ResolveAsync(new TopicPartition(topic, partition), position)))];
        }

        return found;
    }

    private async Task<long> ResolveAsync(TopicPartition place, StreamPosition position)
    {
        var partition = GrainFactory.GetGrain<IPartitionGrain>(place.GrainKey);
        if (position.Kind == StreamPositionKind.Timestamp)
        {
            return (await partition.OffsetForTimestampAsync(position.Value)).Offset;
        }

        var offsets = await partition.GetOffsetsAsync();
        return position.Kind switch
        {
            StreamPositionKind.Earliest => offsets.LogStartOffset,
            StreamPositionKind.Latest => offsets.HighWatermark,
            _ => Math.Clamp(position.Value, offsets.LogStartOffset, offsets.HighWatermark),
        };
    }

    private StreamTaskStart StartOf(string task)
    {
        var partition = int.Parse(task.AsSpan(task.IndexOf('_', StringComparison.Ordinal) + 1), NumberStyles.None, CultureInfo.InvariantCulture);
        return new StreamTaskStart(stored.State.Parameters.ToImmutableDictionary())
        {
            IsPaused = stored.State.IsPaused,
            StartOffsets = Of(stored.State.StartOffsets, partition),
            EndOffsets = Of(stored.State.EndOffsets, partition),
        };
    }

    private static ImmutableDictionary<string, long> Of(Dictionary<string, List<long>> offsets, int partition) =>
        offsets.Where(topic => partition < topic.Value.Count).ToImmutableDictionary(topic => topic.Key, topic => topic.Value[partition], StringComparer.Ordinal);

    private static StreamsException Refused(string message) => new(StreamsErrorCode.InvalidRequest, message, WriteOutcome.NotWritten);
}
