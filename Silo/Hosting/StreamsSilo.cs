using OrleansStreams.Clients;
using OrleansStreams.Log;
using OrleansStreams.Processing;
using OrleansStreams.Silo.Samples;
using OrleansStreams.Storage;
using OrleansStreams.Storage.Files;

namespace OrleansStreams.Silo.Hosting;

/// <summary>Puts a silo into a host: storage, grains, applications and the client that the host's own code uses.</summary>
public static class StreamsSilo
{
    /// <summary>Opens the storage: a data folder that is in use or cannot be written is told before anything starts.</summary>
    /// <exception cref="OrleansStreams.Errors.StreamsException">DataFolderInUse, StorageError, DiskFull.</exception>
    public static void OpenStorage(this IHost host) => host.Services.GetRequiredService<ILogStorage>();

    /// <summary>Adds the silo. The actor runtime is the one that this assembly was built for.</summary>
    public static IHostApplicationBuilder AddStreamsSilo(this IHostApplicationBuilder builder, SiloSettings settings)
    {
        ArgumentNullException.ThrowIfNull(builder);
        ArgumentNullException.ThrowIfNull(settings);
        builder.Services.AddSingleton(settings);

        // What stops a start is thrown, and told by the program in one line; these would tell it before, with a stack trace.
        builder.Logging.AddFilter("Microsoft.Extensions.Hosting.Internal.Host", LogLevel.None);
        builder.Logging.AddFilter("Microsoft.AspNetCore.Server.Kestrel", LogLevel.None);
        builder.Logging.AddFilter("Microsoft.AspNetCore.Server.Kestrel.", LogLevel.Warning);
        builder.Services.AddSingleton(TimeProvider.System);
        builder.Services.AddSingleton(Random.Shared);
        builder.Services.AddFileLogStorage(new FileLogStorageOptions { RootPath = settings.LogsPath });
        builder.Services.AddStreamsGrains(new StreamsOptions { Flush = settings.Flush });
        builder.Services.AddSingleton(services => new StreamsClient(services.GetRequiredService<IGrainFactory>(), services.GetRequiredService<TimeProvider>(), Random.Shared));
        builder.Services.AddStreamApplication(FlightDelays.Name, FlightDelays.Build);
        builder.AddActorRuntime(settings);
        builder.Services.AddStreamApplicationStarter();
        return builder;
    }
}
