using EmbeddedOrleans;
using Orleans;
using OrleansStreams.Storage;

namespace OrleansStreams.Hosts;

/// <summary>Silos of the embedded host in this process.</summary>
internal sealed class GrainCluster : IAsyncDisposable
{
    private readonly EmbeddedCluster _cluster;
    private readonly EmbeddedTurns? _turns;

    private GrainCluster(EmbeddedCluster cluster, EmbeddedTurns? turns) => (_cluster, _turns) = (cluster, turns);

    /// <summary>Calls from outside the silos, which outlives crashes of any of them.</summary>
    public IGrainFactory Grains => _cluster.GrainFactory;

    /// <summary>Calls from within the first silo, to which those from outside are the same here.</summary>
    public IGrainFactory InnerGrains => _cluster.GrainFactory;

    /// <summary>The services of the first silo.</summary>
    public IServiceProvider Services => _cluster.Silos[0].Services;

    public static Task<GrainCluster> StartAsync(GrainClusterSetup setup, int silos = 1)
    {
        var turns = setup.CountsTurns ? new EmbeddedTurns() : null;
        var cluster = EmbeddedCluster.Create(new EmbeddedClusterOptions { TimeProvider = setup.Time, Random = new Random(7), TurnScheduler = turns }
            .AddGrainAssembly(typeof(ILogStorage).Assembly)
            .AddGrainStorage("streams", setup.States)
            .ConfigureServices(setup.Services));
        for (var silo = 0; silo < silos; silo++)
        {
            cluster.AddSilo();
        }

        return Task.FromResult(new GrainCluster(cluster, turns));
    }

    /// <summary>Crashes a silo and starts another in its place.</summary>
    public Task CrashOneAsync(Random random)
    {
        _cluster.CrashSilo(_cluster.Silos[random.Next(_cluster.Silos.Count)]);
        _cluster.AddSilo();
        return Task.CompletedTask;
    }

    /// <summary>Crashes all silos for good.</summary>
    public Task CrashAsync()
    {
        _cluster.Dispose();
        return Task.CompletedTask;
    }

    /// <summary>Completes when no grain has anything to do until a call or the clock brings something.</summary>
    public Task IdleAsync() => _turns!.IdleAsync();

    public ValueTask DisposeAsync() => _cluster.DisposeAsync();
}
