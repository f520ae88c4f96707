using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Orleans;
using Orleans.Hosting;
using Orleans.Runtime;
using OrleansStreams.Clients;
using OrleansStreams.Storage;

namespace OrleansStreams.TwoSilos;

/// <summary>Two silos of the official runtime in this process: what one asks the other goes through its serializer and a socket.</summary>
public sealed class TwoSiloCluster : IAsyncLifetime
{
    private readonly MemoryLogStorage _logs = new();
    private readonly List<IHost> _hosts = [];

    public StreamsClient Client => new(Grains, TimeProvider.System, new Random(1));

    public IGrainFactory Grains => _hosts[0].Services.GetRequiredService<IGrainFactory>();

    public async Task InitializeAsync()
    {
        var ports = FreePorts(4);
        var primary = new IPEndPoint(IPAddress.Loopback, ports[0]);
        for (var silo = 0; silo < 2; silo++)
        {
            var (siloPort, gatewayPort) = (ports[2 * silo], ports[(2 * silo) + 1]);
            var builder = Host.CreateApplicationBuilder(new HostApplicationBuilderSettings { DisableDefaults = true });
            builder.Logging.ClearProviders();
            builder.Services.AddSingleton(TimeProvider.System).AddSingleton(new Random(silo)).AddSingleton<ILogStorage>(_logs).AddStreamsGrains();
            builder.UseOrleans(orleans => orleans
                .UseLocalhostClustering(siloPort, gatewayPort, primary, "streams", "streams")
                .AddMemoryGrainStorage("streams"));
            var host = builder.Build();
            await host.StartAsync();
            _hosts.Add(host);
        }

        // Random placement fills both silos only from when each knows the other.
        var management = Grains.GetGrain<IManagementGrain>(0);
        (await management.GetHosts(onlyActive: true)).Count.ShouldBe(2);
    }

    public async Task DisposeAsync()
    {
        foreach (var host in Enumerable.Reverse(_hosts))
        {
            await host.StopAsync();
            host.Dispose();
        }
    }

    private static int[] FreePorts(int count)
    {
        var listeners = Enumerable.Range(0, count).Select(_ => new TcpListener(IPAddress.Loopback, 0)).ToList();
        listeners.ForEach(listener => listener.Start());
        int[] ports = [.. listeners.Select(listener => ((IPEndPoint)listener.LocalEndpoint).Port)];
        listeners.ForEach(listener => listener.Dispose());
        return ports;
    }
}
