using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Orleans;
using Orleans.Configuration;
using Orleans.Hosting;
using Orleans.Metadata;
using Orleans.Runtime;
using Orleans.Storage;
using OrleansStreams.Silo.Hosting;
using OrleansStreams.Storage;

namespace OrleansStreams.Hosts;

/// <summary>
/// Silos of the official runtime in this process, in a cluster that lives in memory. The test's calls come from one more silo, which has no grains of ours and
/// never crashes: it hears of a crash at once, where a client outside would wait for its response timeout. A crash here is a stop without any hand-over; that of
/// a process is what tests/Cluster.Tests are for.
/// </summary>
internal sealed class GrainCluster : IAsyncDisposable
{
    // Below the ports that systems give out by themselves, so that none is taken between its choice and its use but by another chooser.
    private const int PortMin = 11_000;
    private const int PortMax = 32_000;

    private static int s_nextPort = Random.Shared.Next(PortMin, PortMax);

    private readonly GrainClusterSetup _setup;
    private readonly OrleansMembership _membership = new();
    private readonly OrleansCalls? _calls;
    private readonly string _id = Guid.NewGuid().ToString("N");
    private readonly List<IHost> _silos = [];
    private IHost? _caller;

    private GrainCluster(GrainClusterSetup setup)
    {
        _setup = setup;
        _calls = setup.CountsTurns ? new OrleansCalls() : null;
    }

    /// <summary>Calls from outside the silos, which outlives crashes of any of them.</summary>
    public IGrainFactory Grains => _caller!.Services.GetRequiredService<IGrainFactory>();

    /// <summary>Calls from within the first silo.</summary>
    public IGrainFactory InnerGrains => Services.GetRequiredService<IGrainFactory>();

    /// <summary>The services of the first silo.</summary>
    public IServiceProvider Services => _silos[0].Services;

    public static async Task<GrainCluster> StartAsync(GrainClusterSetup setup, int silos = 1)
    {
        var cluster = new GrainCluster(setup);
        cluster._caller = await cluster.StartSiloAsync(hasGrains: false);
        for (var silo = 0; silo < silos; silo++)
        {
            cluster._silos.Add(await cluster.StartSiloAsync(hasGrains: true));
        }

        await cluster.KnownAsync();
        return cluster;
    }

    /// <summary>Crashes a silo and starts another in its place: before, since a cluster without any silo for a kind of grain takes that for the caller's mistake.</summary>
    public async Task CrashOneAsync(Random random)
    {
        var crashed = _silos[random.Next(_silos.Count)];
        _silos.Add(await StartSiloAsync(hasGrains: true));
        await KnownAsync();
        _silos.Remove(crashed);
        await CrashAsync(crashed);
    }

    /// <summary>Crashes all silos for good.</summary>
    public async Task CrashAsync()
    {
        foreach (var silo in _silos)
        {
            await CrashAsync(silo);
        }

        _silos.Clear();
        if (_caller is { } caller)
        {
            _caller = null;
            await CrashAsync(caller);
        }
    }

    /// <summary>Completes when no grain has anything to do until a call or the clock brings something.</summary>
    public Task IdleAsync() => _calls!.IdleAsync();

    public async ValueTask DisposeAsync() => await CrashAsync();

    private static async Task CrashAsync(IHost silo)
    {
        await silo.StopAsync(new CancellationToken(canceled: true)).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        silo.Dispose();
    }

    /// <summary>Completes when every silo knows which grains the others have.</summary>
    private async Task KnownAsync()
    {
        var silos = _silos.Select(silo => silo.Services.GetRequiredService<ILocalSiloDetails>().SiloAddress).ToList();
        foreach (var silo in _silos.Append(_caller!))
        {
            await foreach (var manifest in silo.Services.GetRequiredService<IClusterManifestProvider>().Updates)
            {
                if (silos.TrueForAll(manifest.Silos.ContainsKey))
                {
                    break;
                }
            }
        }
    }

    private async Task<IHost> StartSiloAsync(bool hasGrains)
    {
        var builder = Host.CreateApplicationBuilder(new HostApplicationBuilderSettings { DisableDefaults = true });
        builder.Logging.ClearProviders();
        builder.UseOrleans(silo => Configure(silo, hasGrains));
        var host = builder.Build();
        await host.StartAsync();
        return host;
    }

    private void Configure(ISiloBuilder silo, bool hasGrains)
    {
        silo.Configure<ClusterOptions>(options => options.ClusterId = options.ServiceId = _id);
        silo.ConfigureEndpoints(IPAddress.Loopback, FreePort(), gatewayPort: 0);
        silo.Services.AddSingleton<IMembershipTable>(_membership);
        silo.Services.AddKeyedSingleton<IGrainStorage>("streams", (_, _) => new OrleansGrainStorage(_setup.States));
        silo.Services.AddSingleton(Random.Shared);
        _setup.Services(silo.Services);
        if (!hasGrains)
        {
            silo.Services.PostConfigure<GrainTypeOptions>(options => options.Classes.RemoveWhere(type => type.Assembly == typeof(ILogStorage).Assembly));
        }

        UseClock(silo.Services);
        if (_calls is not null)
        {
            silo.AddOutgoingGrainCallFilter(_calls);
            silo.AddIncomingGrainCallFilter(_calls);
        }
    }

    /// <summary>The grains live by the test's clock; what Orleans does beneath them, response timeouts too, by the system's.</summary>
    private void UseClock(IServiceCollection services)
    {
        services.AddSingleton(_setup.Time);
        foreach (var area in (string[])["Orleans.Messaging", "Orleans.SystemTimers", "Orleans.Membership", "Orleans.GrainDirectory"])
        {
            services.AddKeyedSingleton(area, TimeProvider.System);
        }
    }

    private static int FreePort()
    {
        while (true)
        {
            var port = PortMin + (Interlocked.Increment(ref s_nextPort) % (PortMax - PortMin));
            try
            {
                using var listener = new TcpListener(IPAddress.Loopback, port);
                listener.Start();
                return port;
            }
            catch (SocketException)
            {
                // Somebody else's.
            }
        }
    }
}
