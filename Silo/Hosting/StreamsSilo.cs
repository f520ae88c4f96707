using OrleansStreams.Clients;
using OrleansStreams.Errors;
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
    /// <exception cref="StreamsException">DataFolderInUse, StorageError, DiskFull.</exception>
    public static void OpenStorage(this IHost host)
    {
        _ = host.Services.GetRequiredService<ILogStorage>();
        var settings = host.Services.GetRequiredService<SiloSettings>();
        if (settings.PostgreSql is not null)
        {
            return;
        }

        try
        {
            // The logs' folder is checked by its storage; grain state would fail only at the first request.
            Directory.CreateDirectory(settings.GrainsPath);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new StreamsException(
                StreamsErrorCode.StorageError,
                $"The data folder '{settings.GrainsPath}' cannot be used: {error.Message} Correct its permissions, or choose another data folder.",
                WriteOutcome.NotWritten,
                error);
        }
    }

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
        builder.Services.AddFileLogStorage(new FileLogStorageOptions { RootPath = settings.LogsPath, TailCacheBytes = settings.TailCacheBytes });
        builder.Services.AddStreamsGrains(new StreamsOptions { Flush = settings.Flush });
        builder.Services.AddSingleton(services => new StreamsClient(services.GetRequiredService<IGrainFactory>(), services.GetRequiredService<TimeProvider>(), Random.Shared));
        builder.Services.AddStreamApplication(FlightDelays.Name, FlightDelays.Build);
        builder.AddActorRuntime(settings);
        builder.Services.AddStreamApplicationStarter();
        return builder;
    }
}
