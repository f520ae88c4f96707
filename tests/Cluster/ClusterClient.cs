using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Orleans.Runtime;
using OrleansStreams.Clients;
using OrleansStreams.Cluster;

namespace OrleansStreams.Tests.Cluster;

/// <summary>A client of a cluster as a microservice has it, with the product's own configuration.</summary>
internal sealed class ClusterClient : IAsyncDisposable
{
    private readonly IHost _host;

    private ClusterClient(IHost host) => _host = host;

    public StreamsClient Streams => _host.Services.GetRequiredService<StreamsClient>();

    public IGrainFactory Grains => _host.Services.GetRequiredService<IGrainFactory>();

    public static async Task<ClusterClient> ConnectAsync(string database, string schema)
    {
        var builder = Host.CreateApplicationBuilder(new HostApplicationBuilderSettings { DisableDefaults = true });
        builder.UseStreamsClusterClient(options =>
        {
            options.ConnectionString = database;
            options.Schema = schema;
        });
        var host = builder.Build();
        await host.StartAsync();
        return new ClusterClient(host);
    }

    /// <summary>The partitions of a topic that each silo holds, by the silo's port.</summary>
    public async Task<ILookup<int, string>> PartitionsAsync(string topic)
    {
        var grains = await Grains.GetGrain<IManagementGrain>(0).GetDetailedGrainStatistics();
        return grains.Select(grain => (grain.SiloAddress.Endpoint.Port, Key: grain.GrainId.Key.ToString()!, Type: grain.GrainId.Type.ToString()!))
            .Where(grain => grain.Type == "partition" && grain.Key.StartsWith(topic + "/", StringComparison.Ordinal))
            .ToLookup(grain => grain.Port, grain => grain.Key);
    }

    public async ValueTask DisposeAsync()
    {
        // The cluster may be gone before its client.
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(5));
        try
        {
            await _host.StopAsync(patience.Token);
        }
        catch (Exception error) when (error is OperationCanceledException or OrleansException)
        {
            // Then there is nobody to take leave of.
        }

        _host.Dispose();
    }
}
