using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Orleans.Configuration;
using Orleans.Hosting;
using Orleans.Messaging;
using OrleansStreams.Cluster.Failover;
using OrleansStreams.Errors;

namespace OrleansStreams.Cluster;

/// <summary>Makes a host a client of a cluster.</summary>
public static class StreamsClusterClientExtensions
{
    /// <summary>
    /// Orleans' limit for a connection, preamble included, is 5 s: too long for a gateway that accepts connections and answers nothing, such as one that was
    /// paused.
    /// </summary>
    private static readonly TimeSpan OpenConnectionTimeout = TimeSpan.FromSeconds(2);

    /// <summary>
    /// Adds the Orleans client of a cluster that is found through PostgreSQL, tuned for failover, and a <see cref="Clients.StreamsClient"/> over it. Settings come from
    /// the configuration (<c>ConnectionStrings:Streams</c>; <c>Streams:ClusterId</c> and the other properties of the options), then from
    /// <paramref name="configure"/>.
    /// </summary>
    /// <exception cref="StreamsException">InvalidConfig: one sentence that names the setting. The host's start throws CoordinatorNotAvailable when no silo could be reached.</exception>
    public static IHostApplicationBuilder UseStreamsClusterClient(this IHostApplicationBuilder builder, Action<StreamsClusterClientOptions>? configure = null)
    {
        ArgumentNullException.ThrowIfNull(builder);
        var options = Read(builder.Configuration);
        configure?.Invoke(options);
        var connection = options.Validate();

        // The list of silos is read every second: a query that hangs must not keep the next from being tried.
        connection.CommandTimeout = Math.Min(connection.CommandTimeout, 5);
        connection.Timeout = Math.Min(connection.Timeout, 5);
        builder.UseOrleansClient(client => client
            .Configure<ClusterOptions>(cluster =>
            {
                cluster.ClusterId = options.ClusterId;
                cluster.ServiceId = options.ServiceId;
            })
            .Configure<ClientMessagingOptions>(messaging => messaging.ResponseTimeout = options.ResponseTimeout)
            .Configure<GatewayOptions>(gateway => gateway.GatewayListRefreshPeriod = options.GatewayListRefreshPeriod)
            .UseAdoNetClustering(clustering =>
            {
                clustering.Invariant = "Npgsql";
                clustering.ConnectionString = connection.ConnectionString;
            })
            .UseConnectionRetryFilter(new ClusterStart(options, connection, TimeProvider.System))
            .AddStreamsFailover());
        builder.Services.AddStreamsClient();
        return builder;
    }

    /// <summary>
    /// Gives up calls of streams that a lost silo or gateway will never answer, so that the clients try them again at once instead of after the whole response
    /// timeout. For an Orleans client with other clustering than <see cref="UseStreamsClusterClient"/> has; call it after the clustering was chosen.
    /// </summary>
    /// <exception cref="StreamsException">InvalidConfig when no clustering was chosen before.</exception>
    public static IClientBuilder AddStreamsFailover(this IClientBuilder client)
    {
        ArgumentNullException.ThrowIfNull(client);
        var gateways = client.Services.LastOrDefault(service => service.ServiceType == typeof(IGatewayListProvider) && !service.IsKeyedService) ?? throw new StreamsException(
            StreamsErrorCode.InvalidConfig, "AddStreamsFailover finds no clustering; call it after UseAdoNetClustering, UseStaticClustering or the like");
        client.Services.Remove(gateways);
        client.Services.AddSingleton<IGatewayListProvider>(services => new WatchedGateways(Create(services, gateways), services.GetRequiredService<CallsUnderWay>()));
        client.Services.AddSingleton(services => new CallsUnderWay(services.GetService<TimeProvider>() ?? TimeProvider.System, services.GetRequiredService<ILogger<CallsUnderWay>>()));
        client.Services.AddSingleton<IClusterConnectionStatusObserver, LostConnections>();
        client.AddOutgoingGrainCallFilter<GivingUpFilter>();

        // A gateway that is unreachable is left for another after this; see the constant.
        return client.Configure<ConnectionOptions>(connection => connection.OpenConnectionTimeout = OpenConnectionTimeout);
    }

    private static StreamsClusterClientOptions Read(IConfiguration configuration)
    {
        var options = new StreamsClusterClientOptions { ConnectionString = configuration.GetConnectionString("Streams") };
        try
        {
            configuration.GetSection("Streams").Bind(options);
            return options;
        }
        catch (InvalidOperationException error)
        {
            throw new StreamsException(StreamsErrorCode.InvalidConfig, $"a setting under Streams: cannot be used: {error.Message}", inner: error);
        }
    }

    private static IGatewayListProvider Create(IServiceProvider services, ServiceDescriptor registered) => (IGatewayListProvider)(registered switch
    {
        { ImplementationInstance: { } instance } => instance,
        { ImplementationFactory: { } factory } => factory(services),
        _ => ActivatorUtilities.CreateInstance(services, registered.ImplementationType!),
    });
}
