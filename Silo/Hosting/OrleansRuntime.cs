using Orleans.Configuration;
using Orleans.Hosting;
using Orleans.Storage;
using OrleansStreams.Storage.Postgres;

namespace OrleansStreams.Silo.Hosting;

/// <summary>
/// The official Orleans runtime. With a PostgreSQL connection string: AdoNet clustering and grain storage, several silos. Without: localhost
/// clustering, one silo, grain state in files.
/// </summary>
internal static class ActorRuntimeHosting
{
    /// <summary>The runtime's name, for people.</summary>
    public const string Name = "orleans";

    /// <summary>Whether one process at a time may use the storage.</summary>
    public const bool IsSingleProcess = false;

    public static void AddActorRuntime(this IHostApplicationBuilder builder, SiloSettings settings)
    {
        var resolved = OrleansPorts.Resolve(settings);
        builder.UseOrleans(silo => Configure(silo, resolved));
    }

    /// <summary>Once the database is connected: AdoNet has connections of its own.</summary>
    public static void UseDatabase(IServiceProvider services, PostgresDatabase database)
    {
    }

    private static void Configure(ISiloBuilder silo, SiloSettings settings)
    {
        if (settings.PostgreSql is { } connection)
        {
            silo.Configure<ClusterOptions>(options =>
            {
                options.ClusterId = settings.ClusterId;
                options.ServiceId = settings.ServiceId;
            });
            silo.ConfigureEndpoints(settings.SiloPort, settings.GatewayPort);
            silo.UseAdoNetClustering(options =>
            {
                options.Invariant = "Npgsql";
                options.ConnectionString = connection;
            });
            silo.AddAdoNetGrainStorage("streams", options =>
            {
                options.Invariant = "Npgsql";
                options.ConnectionString = connection;
            });
        }
        else
        {
            silo.UseLocalhostClustering(settings.SiloPort, settings.GatewayPort, primarySiloEndpoint: null, settings.ServiceId, settings.ClusterId);
            silo.Services.AddKeyedSingleton<IGrainStorage>("streams", (_, _) => new OrleansFileGrainStorage(settings.GrainsPath));
        }
    }
}
