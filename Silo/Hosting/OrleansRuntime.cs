using Orleans.Configuration;
using Orleans.Hosting;
using Orleans.Storage;

namespace OrleansStreams.Silo.Hosting;

/// <summary>
/// The official Orleans runtime. With a PostgreSQL connection string: AdoNet clustering and grain storage, several silos. Without: localhost
/// clustering, one silo, grain state in files.
/// </summary>
internal static class ActorRuntimeHosting
{
    /// <summary>The runtime's name, for people.</summary>
    public const string Name = "orleans";

    public static void AddActorRuntime(this IHostApplicationBuilder builder, SiloSettings settings)
    {
        var resolved = OrleansPorts.Resolve(settings);
        builder.UseOrleans(silo => Configure(silo, resolved));
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
