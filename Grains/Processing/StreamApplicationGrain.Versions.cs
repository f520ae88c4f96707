using System.Collections.Immutable;
using OrleansStreams.Log;
using OrleansStreams.Topologies;

namespace OrleansStreams.Processing;

/// <summary>
/// Versions of an application beside each other. State and internal topics are each one's own; what a version makes of the user's topics is what its description makes of
/// <see cref="ApplicationParameters.Version"/>, and two that would write into the same topic, or feed each other, are not run together.
/// </summary>
internal sealed partial class StreamApplicationGrain
{
    // What is being started: another version that is started at the same time finds it before it is stored.
    private ImmutableDictionary<string, string>? _starting;

    public Task<ApplicationUse> GetUseAsync()
    {
        registry.Check(Name);
        var state = stored.State;
        var hasState = state is { WasStarted: true, IsReset: false, IsResetting: false, IsDropping: false };
        var isRunning = state.IsRunning || _starting is not null;
        var parameters = _starting ?? state.Parameters.ToImmutableDictionary();
        try
        {
            var topology = hasState || isRunning ? registry.Build(Name, new ApplicationParameters(parameters)) : null;
            return Task.FromResult(new ApplicationUse(isRunning, hasState, parameters, [.. topology?.UserOutputs ?? []], [.. topology?.UserInputs ?? []]));
        }
        catch (StreamsException)
        {
            // Registered otherwise since: what cannot be described does not run.
            return Task.FromResult(new ApplicationUse(false, false, parameters, [], []));
        }
    }

    /// <summary>Starting again, or another version: whoever starts it need not know what it was first started with.</summary>
    private async Task<ImmutableDictionary<string, string>> ParametersOfAsync(StreamApplicationStart start)
    {
        if (!start.Parameters.IsEmpty)
        {
            return start.Parameters;
        }

        return stored.State.WasStarted || !ApplicationNames.IsVersion(Name)
            ? stored.State.Parameters.ToImmutableDictionary()
            : (await GrainFactory.GetGrain<IStreamApplicationGrain>(ApplicationNames.BaseOf(Name)).GetUseAsync()).Parameters;
    }

    /// <summary>Begins to run if no other version stands against it.</summary>
    private async Task BesideOthersAsync(ImmutableDictionary<string, string> parameters, Func<IReadOnlyList<string>, Task> begin)
    {
        _starting = parameters;
        var wasStarted = stored.State.WasStarted;
        try
        {
            if (ApplicationNames.IsVersion(Name))
            {
                await Directory.AddVersionAsync(Name);
            }

            var topology = registry.Build(Name, new ApplicationParameters(parameters));
            await CheckOthersAsync(topology);
            await begin(ApplicationNames.IsVersion(Name) ? await MakeTopicsAsync(topology, parameters) : []);
        }
        catch (StreamsException) when (!wasStarted && !stored.State.WasStarted && ApplicationNames.IsVersion(Name))
        {
            await Directory.RemoveVersionAsync(Name);
            throw;
        }
        finally
        {
            _starting = null;
        }
    }

    private async Task BeginAsync(ImmutableDictionary<string, string> parameters, StreamApplicationStart start, bool isNew, IReadOnlyList<string> made)
    {
        _planningRound++;
        await PlanAsync(parameters, create: true);
        var next = StateWith(true, new(parameters));
        next.InternalTopics = [.. next.InternalTopics.Union(made, StringComparer.Ordinal)];
        if (isNew)
        {
            await TakePlacesAsync(next, start);
        }

        await WriteAsync(next);
    }

    /// <exception cref="StreamsException">InvalidConfig, naming the topics.</exception>
    private async Task CheckOthersAsync(Topology topology)
    {
        var isNew = !stored.State.WasStarted || stored.State.IsReset;
        var written = topology.UserOutputs.ToHashSet(StringComparer.Ordinal);
        foreach (var other in (await Directory.ListAsync()).Where(name => name != Name))
        {
            if (ApplicationNames.Stored(other) == ApplicationNames.Stored(Name))
            {
                throw new StreamsException(
                    StreamsErrorCode.InvalidConfig, $"Application '{Name}' would share its logs and topics with '{other}': drop that one before, or register this one under another name.", WriteOutcome.NotWritten);
            }

            if (ApplicationNames.BaseOf(other) != ApplicationNames.BaseOf(Name))
            {
                continue;
            }

            var use = await GrainFactory.GetGrain<IStreamApplicationGrain>(other).GetUseAsync();

            // One that goes on has fed the readers of its topics before they were started: those read them on purpose.
            CheckOther(other, "are written by", use.IsRunning ? use.Written.Where(written.Contains) : []);
            CheckOther(other, "are read by", isNew && (use.IsRunning || use.HasState) ? use.Read.Where(written.Contains) : []);
        }
    }

    private void CheckOther(string other, string how, IEnumerable<string> shared)
    {
        var topics = string.Join(", ", shared.Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal).Select(topic => $"'{topic}'"));
        if (topics.Length > 0)
        {
            throw new StreamsException(
                StreamsErrorCode.InvalidConfig,
                $"Application '{Name}' cannot write {topics} beside '{other}': these topics {how} that version too, and would have the records of both. Name the topics that a version writes by parameters.Version in the application's description, or stop or drop '{other}' before.",
                WriteOutcome.NotWritten);
        }
    }

    /// <summary>
    /// Makes the topics of a version that don't exist like those of the application itself: which of its own topics stands for which is told by the place in the description. Answers those
    /// that it both writes and reads: they hold nothing that its next beginning does not write again, and go with its state.
    /// </summary>
    private async Task<IReadOnlyList<string>> MakeTopicsAsync(Topology topology, ImmutableDictionary<string, string> parameters)
    {
        var first = registry.Build(ApplicationNames.BaseOf(Name), new ApplicationParameters(parameters));
        var (own, others) = (PlacesOf(topology), PlacesOf(first));
        var made = new List<string>();
        if (own.Length != others.Length)
        {
            return made;
        }

        var topics = new GrainTopics(GrainFactory);
        foreach (var (topic, twin) in own.Zip(others).Where(pair => pair.First != pair.Second).DistinctBy(pair => pair.First))
        {
            if (await FindAsync(topics, topic) is null && await FindAsync(topics, twin) is { } like)
            {
                await RepartitionTopics.CreateAsync(topic, like.PartitionCount, topics, like.Config);
                made.Add(topic);
            }
        }

        return [.. made.Intersect(topology.UserOutputs, StringComparer.Ordinal).Intersect(topology.UserInputs, StringComparer.Ordinal)];
    }

    private static string[] PlacesOf(Topology topology) =>
    [
        .. topology.SubTopologies.SelectMany(sub => sub.Nodes.SelectMany(node => node is TopicSourceNode source ? [source.Topic] : node.Writes).Concat(sub.Errors.Select(policy => policy.Topic ?? string.Empty))),
    ];

    private static async Task<TopicDescription?> FindAsync(GrainTopics topics, string topic)
    {
        try
        {
            return await topics.DescribeAsync(topic);
        }
        catch (StreamsException error) when (error.Code == StreamsErrorCode.UnknownTopicOrPartition)
        {
            return null;
        }
    }
}
