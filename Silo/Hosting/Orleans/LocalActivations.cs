using System.Collections.Concurrent;
using System.Diagnostics.CodeAnalysis;
using System.Diagnostics.Metrics;
using Orleans.Metadata;
using Orleans.Runtime.Placement;
using OrleansStreams.Log;

namespace OrleansStreams.Silo.Hosting.Orleans;

/// <summary>This product's grains that are active in this silo, as the runtime makes and ends them.</summary>
internal sealed class LocalActivations : IConfigureGrainContextProvider, IConfigureGrainContext, IDisposable
{
    // A move waits for the requests under way, which storage bounds, and for the log to close.
    private static readonly TimeSpan MoveMax = TimeSpan.FromSeconds(8);

    private readonly ConcurrentDictionary<ActivationId, IGrainContext> contexts = new();
    private readonly Meter meter = new("OrleansStreams");
    private readonly Counter<long> moves;

    public LocalActivations()
    {
        meter.CreateObservableGauge("streams.activations", Count, description: "Partitions, tasks and groups that are active in this silo.");
        moves = meter.CreateCounter<long>("streams.activations.moved", description: "Partitions, tasks and groups that this silo handed to another.");
    }

    /// <summary>The grains of the kinds that are spread.</summary>
    public IEnumerable<GrainId> Spread => contexts.Values.Select(context => context.GrainId).Where(id => StreamsGrains.Spread.Contains(id.Type.ToString()!));

    /// <summary>All of them.</summary>
    public IEnumerable<GrainId> All => contexts.Values.Select(context => context.GrainId);

    bool IConfigureGrainContextProvider.TryGetConfigurator(GrainType grainType, GrainProperties properties, [NotNullWhen(true)] out IConfigureGrainContext? configurator)
    {
        configurator = StreamsGrains.AreOfType(properties) ? this : null;
        return configurator is not null;
    }

    void IConfigureGrainContext.Configure(IGrainContext context)
    {
        contexts[context.ActivationId] = context;
        context.Deactivated.ContinueWith(
            (_, id) => contexts.TryRemove((ActivationId)id!, out var _), context.ActivationId, CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
    }

    /// <summary>Moves grains; those that aren't here any more have moved already.</summary>
    /// <param name="targets">Where each is to go.</param>
    /// <param name="grains">The way to them.</param>
    /// <returns>How many have gone, once all have or a bound of some seconds is over.</returns>
    public async Task<int> MoveAsync(IReadOnlyDictionary<GrainId, SiloAddress> targets, IGrainFactory grains)
    {
        var going = contexts.Values.Where(context => targets.ContainsKey(context.GrainId)).ToArray();
        using var bound = new CancellationTokenSource(MoveMax);
        try
        {
            // Partitions first, until they are open again: somebody waits for each, and to open it asks its topic, which is not to be on its way then. Others take
            // longer: tasks commit once more, the rest reads its state.
            foreach (var some in going.GroupBy(context => context.GrainInstance is IPartitionGrain).OrderByDescending(some => some.Key))
            {
                foreach (var context in some)
                {
                    // Requests that come from now on wait, and go on to the new silo; so the long polls that end are the last ones here.
                    context.Migrate(new Dictionary<string, object> { [IPlacementDirector.PlacementHintKey] = targets[context.GrainId] });
                    EndLongPolls(context);
                }

                await Task.WhenAll(some.Select(context => GoneAsync(context, grains))).WaitAsync(bound.Token);
            }
        }
        catch (OperationCanceledException)
        {
            // Those under way go when their requests are done, the others stay for now.
        }

        var gone = going.Where(context => context.Deactivated.IsCompleted).ToArray();
        foreach (var kind in gone.GroupBy(context => context.GrainId.Type.ToString()!, StringComparer.Ordinal).Where(kind => StreamsGrains.Spread.Contains(kind.Key)))
        {
            moves.Add(kind.Count(), new KeyValuePair<string, object?>("kind", kind.Key));
        }

        return gone.Length;
    }

    /// <summary>Answers every request of this silo that only waits.</summary>
    public void EndLongPolls()
    {
        foreach (var context in contexts.Values)
        {
            EndLongPolls(context);
        }
    }

    public void Dispose() => meter.Dispose();

    private static void EndLongPolls(IGrainContext context)
    {
        if (context.GrainInstance is ILongPolls polls)
        {
            context.Scheduler.QueueAction(static polls => ((ILongPolls)polls).EndLongPolls(), polls);
        }
    }

    /// <summary>Waits until a grain has gone; has a partition opened where it is now, before anybody asks for it.</summary>
    private static async Task GoneAsync(IGrainContext context, IGrainFactory grains)
    {
        await context.Deactivated;
        if (context.GrainInstance is IPartitionGrain)
        {
            try
            {
                await grains.GetGrain<IPartitionGrain>(context.GrainId).GetOffsetsAsync();
            }
            catch (Exception error) when (error is StreamsException or OrleansException or TimeoutException)
            {
                // The next request tries it again, and tells.
            }
        }
    }

    private IEnumerable<Measurement<long>> Count() => Spread.GroupBy(id => id.Type.ToString()!, StringComparer.Ordinal)
        .Select(kind => new Measurement<long>(kind.Count(), new KeyValuePair<string, object?>("kind", kind.Key)));
}
