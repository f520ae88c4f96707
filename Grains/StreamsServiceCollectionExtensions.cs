using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using OrleansStreams.Groups;
using OrleansStreams.Log;
using OrleansStreams.Processing;
using OrleansStreams.Processing.Sources;
using OrleansStreams.Storage;
using OrleansStreams.Storage.Files;
using OrleansStreams.Topologies;

namespace OrleansStreams;

/// <summary>Registers what the grains need. The host adds an actor runtime, a <see cref="TimeProvider"/> and a thread-safe <see cref="Random"/>.</summary>
public static class StreamsServiceCollectionExtensions
{
    /// <summary>Registers the grains' own services, with limits and rhythms.</summary>
    public static IServiceCollection AddStreamsGrains(this IServiceCollection services, StreamsOptions? options = null)
    {
        services.TryAddSingleton(options ?? new StreamsOptions());
        services.AddOptions<GroupOptions>();
        services.TryAddSingleton(new TaskOptions());
        services.TryAddSingleton<ISourceFiles, PhysicalSourceFiles>();
        services.TryAddSingleton<StreamApplicationRegistry>();
        services.TryAddSingleton<IApplicationCatalog>(provider => provider.GetRequiredService<StreamApplicationRegistry>());
        return services;
    }

    /// <summary>Keeps logs in files under a folder of their own. The folder is locked for this process when the storage is first asked for.</summary>
    public static IServiceCollection AddFileLogStorage(this IServiceCollection services, FileLogStorageOptions options)
    {
        services.AddSingleton(options);
        services.AddSingleton<ILogStorage, FileLogStorage>();
        return services;
    }

    /// <summary>Registers a stream application: its name, and the code that describes its topology from the parameters that it is started with. Register the same in every silo.</summary>
    public static IServiceCollection AddStreamApplication(this IServiceCollection services, string name, Action<StreamsBuilder, ApplicationParameters> build) =>
        services.AddSingleton(new StreamApplicationRegistration(name, build));

    /// <summary>Brings up, with this silo, the applications that are meant to run. Add it after the actor runtime.</summary>
    public static IServiceCollection AddStreamApplicationStarter(this IServiceCollection services) => services.AddHostedService<ApplicationStarter>();
}
