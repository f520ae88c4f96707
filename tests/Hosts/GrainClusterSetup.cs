using EmbeddedOrleans.Storage;
using Microsoft.Extensions.DependencyInjection;

namespace OrleansStreams.Hosts;

/// <summary>What a test's silos are made of, whichever runtime the build has chosen. The storage is the test's own and outlives its silos.</summary>
/// <param name="States">Where grain state is kept.</param>
/// <param name="Services">Adds what grains get injected, on every silo.</param>
internal sealed record GrainClusterSetup(IGrainStateStore States, Action<IServiceCollection> Services)
{
    /// <summary>The clock of grains, their timers and the collection of idle ones.</summary>
    public TimeProvider Time { get; init; } = TimeProvider.System;

    /// <summary>Whether the test asks for <see cref="GrainCluster.IdleAsync"/>.</summary>
    public bool CountsTurns { get; init; }
}
