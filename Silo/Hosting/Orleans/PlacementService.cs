using System.Collections.Immutable;
using Orleans.Runtime.Services;
using Orleans.Services;

namespace OrleansStreams.Silo.Hosting.Orleans;

/// <summary>What silos ask each other about the grains that they hold.</summary>
[Alias("OrleansStreams.IPlacementService")]
internal interface IPlacementService : IGrainService
{
    /// <summary>The partitions, tasks and groups that are active in this silo.</summary>
    [Alias("List")]
    Task<ImmutableArray<GrainId>> ListAsync();

    /// <summary>Moves grains of this silo to another; returns how many have gone.</summary>
    [Alias("Move")]
    Task<int> MoveAsync(ImmutableArray<GrainId> grains, SiloAddress to);

    /// <summary>A silo is about to leave: nothing new is to be placed there. Answers as <see cref="ListAsync"/> does.</summary>
    [Alias("Leaving")]
    Task<ImmutableArray<GrainId>> LeavingAsync(SiloAddress silo);

    /// <summary>Answers every request of this silo that only waits, so that who asked by way of a silo that leaves gets its answer before the way is closed.</summary>
    [Alias("EndLongPolls")]
    Task EndLongPollsAsync();
}

/// <inheritdoc cref="IPlacementService"/>
internal sealed class PlacementService(
    GrainId grainId, global::Orleans.Runtime.Silo silo, ILoggerFactory loggers, LocalActivations activations, LeavingSilos leaving, IGrainFactory grainFactory)
    : GrainService(grainId, silo, loggers), IPlacementService
{
    public Task<ImmutableArray<GrainId>> ListAsync() => Task.FromResult(activations.Spread.ToImmutableArray());

    public Task<int> MoveAsync(ImmutableArray<GrainId> grains, SiloAddress to) => activations.MoveAsync(grains.ToDictionary(grain => grain, _ => to), grainFactory);

    public Task<ImmutableArray<GrainId>> LeavingAsync(SiloAddress silo)
    {
        leaving.Add(silo);
        return ListAsync();
    }

    public Task EndLongPollsAsync()
    {
        activations.EndLongPolls();
        return Task.CompletedTask;
    }
}

/// <summary>The way to that service of any silo.</summary>
internal sealed class PlacementServices(IServiceProvider services) : GrainServiceClient<IPlacementService>(services)
{
    public IPlacementService this[SiloAddress silo] => GetGrainService(silo);
}
