using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using OrleansStreams.Groups;
using OrleansStreams.Log;
using OrleansStreams.Log.Compaction;
using OrleansStreams.Processing;
using OrleansStreams.Storage;
using OrleansStreams.Storage.Files;
using OrleansStreams.Storage.Postgres;

namespace OrleansStreams;

/// <summary>Registers what the grains need. The host adds an actor runtime, a <see cref="TimeProvider"/> and a thread-safe <see cref="Random"/>.</summary>
public static class StreamsServiceCollectionExtensions
{
    /// <summary>Registers the grains' own services, with limits and rhythms.</summary>
    public static IServiceCollection AddStreamsGrains(this IServiceCollection services, StreamsOptions? options = null)
    {
        services.TryAddSingleton(options ?? new StreamsOptions());
        services.TryAddSingleton<CompactionSlots>();
        services.TryAddSingleton<PartitionMaintenance>();
        services.AddOptions<GroupOptions>();
        services.AddStreamProcessing();
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

    /// <summary>Keeps logs in a schema of a PostgreSQL database, which is connected when the storage is first used or <see cref="PostgresDatabase.StartAsync"/> is called.</summary>
    public static IServiceCollection AddPostgresLogStorage(this IServiceCollection services, PostgresOptions options)
    {
        services.AddSingleton(options);
        services.AddSingleton<PostgresDatabase>();
        services.AddSingleton<ILogStorage, PostgresLogStorage>();
        return services;
    }

    /// <summary>
    /// Finds, once after the start of this silo, the partitions that retention or compaction may be due for although nobody uses them. Add it after the
    /// actor runtime.
    /// </summary>
    public static IServiceCollection AddPartitionUpkeep(this IServiceCollection services) => services.AddHostedService<UpkeepSweep>();

    /// <summary>Brings up, with this silo, the applications that are meant to run. Add it after the actor runtime.</summary>
    public static IServiceCollection AddStreamApplicationStarter(this IServiceCollection services) => services.AddHostedService<ApplicationStarter>();
}
