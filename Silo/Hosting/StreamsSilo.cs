using OrleansStreams.Clients;
using OrleansStreams.Log;
using OrleansStreams.Silo.Samples;
using OrleansStreams.Storage.Files;

namespace OrleansStreams.Silo.Hosting;

/// <summary>Puts a silo into a host: storage, grains, applications and the client that the host's own code uses.</summary>
public static class StreamsSilo
{
    /// <summary>Adds the silo. The actor runtime is the one that this assembly was built for.</summary>
    public static IHostApplicationBuilder AddStreamsSilo(this IHostApplicationBuilder builder, SiloSettings settings)
    {
        ArgumentNullException.ThrowIfNull(builder);
        ArgumentNullException.ThrowIfNull(settings);
        builder.Services.AddSingleton(settings);
        builder.Services.AddSingleton(TimeProvider.System);
        builder.Services.AddSingleton(Random.Shared);
        builder.Services.AddFileLogStorage(new FileLogStorageOptions { RootPath = settings.LogsPath });
        builder.Services.AddStreamsGrains(new StreamsOptions { Flush = settings.Flush });
        builder.Services.AddSingleton(services => new StreamsClient(services.GetRequiredService<IGrainFactory>(), services.GetRequiredService<TimeProvider>(), Random.Shared));
        builder.Services.AddStreamApplication(FlightDelays.Name, FlightDelays.Build);

        // The first hosted service: a data folder in use must be told before anything else starts.
        builder.Services.AddHostedService<StorageStarter>();
        builder.AddActorRuntime(settings);
        builder.Services.AddStreamApplicationStarter();
        return builder;
    }
}
