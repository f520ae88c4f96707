using System.Net;
using EmbeddedOrleans.Storage;
using Npgsql;
using Orleans.Configuration;
using Orleans.Hosting;
using Orleans.Runtime.Placement;
using Orleans.Storage;
using OrleansStreams.Silo.Hosting.Orleans;
using OrleansStreams.Storage.Postgres;

namespace OrleansStreams.Silo.Hosting;

/// <summary>
/// The official Orleans runtime. With a PostgreSQL connection string: a silo of a cluster, its members kept by Orleans' AdoNet clustering, all state in that
/// database. Without: localhost clustering, one silo, state in files.
/// </summary>
internal static class ActorRuntimeHosting
{
    /// <summary>The runtime's name, for people.</summary>
    public const string Name = "orleans";

    /// <summary>Whether one process at a time may use the storage.</summary>
    public static bool IsSingleProcess => false;

    // The provider's name of its driver, and the storage that Orleans' streams keep their subscriptions in.
    private const string Invariant = "Npgsql";
    private const string PubSubStore = "PubSubStore";

    public static void AddActorRuntime(this IHostApplicationBuilder builder, SiloSettings settings)
    {
        var cluster = OrleansPorts.Resolve(settings.Cluster);
        builder.UseOrleans(silo =>
        {
            if (settings.PostgreSql is { } connection)
            {
                ConfigureCluster(silo, cluster, AdoNetConnection(connection, settings.PostgreSqlSchema));
                AddDatabaseStates(silo);
            }
            else
            {
                silo.UseLocalhostClustering(cluster.SiloPort, cluster.GatewayPort, primarySiloEndpoint: null, cluster.ServiceId, cluster.ClusterId);
                silo.Services.AddKeyedSingleton<IGrainStorage>("streams", (_, _) => new OrleansGrainStorage(new FileGrainStateStore(settings.GrainsPath)));
            }

            silo.Configure<SiloMessagingOptions>(options => options.ResponseTimeout = cluster.ResponseTimeout);
            AddPlacement(silo);
        });
    }

    /// <summary>Once the database is connected. Clustering has connections of its own.</summary>
    public static void UseDatabase(IServiceProvider services, PostgresDatabase database) =>
        services.GetRequiredService<PostgresStateStore>().Connect(database, services.GetRequiredService<Random>());

    /// <summary>The connection string for Orleans' providers: their tables are in the product's schema, and they name none.</summary>
    /// <exception cref="StreamsException">InvalidConfig.</exception>
    private static string AdoNetConnection(string connection, string schema)
    {
        try
        {
            // A membership call that hangs holds up the detection of failures, so it gives up sooner than others would.
            return new NpgsqlConnectionStringBuilder(connection)
            {
                SearchPath = schema,
                MaxAutoPrepare = 20,
                Timeout = 5,
                CommandTimeout = 5,
                MaxPoolSize = 10,
                ApplicationName = $"orleans-streams, Orleans of process {Environment.ProcessId} on {Environment.MachineName}",
            }.ConnectionString;
        }
        catch (Exception exception) when (exception is ArgumentException or FormatException or InvalidCastException or OverflowException)
        {
            throw new StreamsException(
                StreamsErrorCode.InvalidConfig,
                $"the PostgreSQL connection string cannot be used: {exception.Message.TrimEnd('.')}; write it like Host=127.0.0.1;Database=streams;Username=streams;Password=...",
                inner: exception);
        }
    }

    private static void ConfigureCluster(ISiloBuilder silo, ClusterSettings cluster, string connection)
    {
        silo.Configure<ClusterOptions>(options =>
        {
            options.ClusterId = cluster.ClusterId;
            options.ServiceId = cluster.ServiceId;
        });
        if (cluster.AdvertisedAddress is { } address)
        {
            // Loopback is for clusters on one machine: nothing else need reach it then.
            silo.ConfigureEndpoints(address, cluster.SiloPort, cluster.GatewayPort, listenOnAnyHostAddress: !IPAddress.IsLoopback(address));
        }
        else
        {
            silo.ConfigureEndpoints(cluster.SiloPort, cluster.GatewayPort);
        }

        silo.UseAdoNetClustering(options =>
        {
            options.Invariant = Invariant;
            options.ConnectionString = connection;
        });
        silo.Configure<ClusterMembershipOptions>(options =>
        {
            options.ProbeTimeout = cluster.ProbeTimeout;
            options.NumMissedProbesLimit = cluster.ProbesMissedMax;
            options.NumVotesForDeathDeclaration = cluster.DeathVotes;

            // Members tell each other of changes; reading the table is for those whom the news didn't reach.
            options.TableRefreshTimeout = TimeSpan.FromSeconds(2);

            // A silo that starts waits for those that the table calls active, unless their last sign of life is old: after all were killed at once this is
            // what the first one waits, three times.
            options.IAmAliveTablePublishTimeout = TimeSpan.FromSeconds(2);
        });
        silo.Services.AddSingleton<ILifecycleParticipant<ISiloLifecycle>, OrleansLostMembers>();
        silo.AddAdoNetGrainStorage(PubSubStore, options =>
        {
            options.Invariant = Invariant;
            options.ConnectionString = connection;
        });
    }

    private static void AddPlacement(ISiloBuilder silo)
    {
        silo.Services.AddSingleton<LeavingSilos>();
        silo.Services.AddSingleton<LocalActivations>();
        silo.Services.AddSingleton<IConfigureGrainContextProvider>(services => services.GetRequiredService<LocalActivations>());
        silo.Services.AddSingleton<IPersistentStateFactory, StoredStates>();
        silo.Services.AddSingleton<IPlacementStrategyResolver, StreamsPlacementResolver>();
        silo.Services.AddPlacementDirector<StreamsPlacement, StreamsPlacementDirector>();
        silo.Services.AddSingleton<PlacementServices>();
        silo.AddGrainService<PlacementService>();
        silo.Services.AddSingleton<SiloDrain>();
        silo.Services.AddSingleton<ILifecycleParticipant<ISiloLifecycle>>(services => services.GetRequiredService<SiloDrain>());
        silo.Services.AddHostedService(services => services.GetRequiredService<SiloDrain>());
        silo.Services.AddHostedService<Rebalancer>();
    }

    private static void AddDatabaseStates(ISiloBuilder silo)
    {
        silo.Services.AddSingleton<PostgresStateStore>();
        silo.Services.AddKeyedSingleton<IGrainStorage>("streams", (services, _) => new OrleansGrainStorage(services.GetRequiredService<PostgresStateStore>()));
    }
}
