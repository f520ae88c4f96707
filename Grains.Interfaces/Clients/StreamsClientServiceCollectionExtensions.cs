using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using OrleansStreams.Clients;

namespace OrleansStreams;

/// <summary>Registers the clients in a container.</summary>
public static class StreamsClientServiceCollectionExtensions
{
    /// <summary>
    /// Registers one <see cref="StreamsClient"/> for the process. It calls grains through the container's <see cref="IGrainFactory"/>: a silo puts one there, and
    /// so does <c>UseOrleansClient</c> (and <c>UseStreamsClusterClient</c>, which calls this too). Uses the <see cref="TimeProvider"/> and the thread-safe
    /// <see cref="Random"/> of the container, or the system's. Calling it again changes nothing.
    /// </summary>
    public static IServiceCollection AddStreamsClient(this IServiceCollection services)
    {
        ArgumentNullException.ThrowIfNull(services);
        services.TryAddSingleton(Create);
        return services;
    }

    private static StreamsClient Create(IServiceProvider services)
    {
        var grains = services.GetService<IGrainFactory>() ?? throw new StreamsException(
            StreamsErrorCode.InvalidConfig, "AddStreamsClient finds no IGrainFactory in the container: add a silo, UseOrleansClient or UseStreamsClusterClient to the host");

#pragma warning disable RS0030 // The composition root of processes that are no silo: here the injected clock and random source come from.
        return new StreamsClient(grains, services.GetService<TimeProvider>() ?? TimeProvider.System, services.GetService<Random>() ?? Random.Shared);
#pragma warning restore RS0030
    }
}
