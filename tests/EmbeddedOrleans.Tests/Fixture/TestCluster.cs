using EmbeddedOrleans.Runtime;
using Microsoft.Extensions.DependencyInjection;
using Orleans;

namespace EmbeddedOrleans.Tests.Fixture;

/// <summary>Runs turns only when told, on the calling thread, oldest queue first.</summary>
internal sealed class SteppedScheduler : ITurnScheduler
{
    private readonly Queue<ITurnQueue> _ready = [];

    public void Schedule(ITurnQueue queue)
    {
        lock (_ready)
        {
            _ready.Enqueue(queue);
        }
    }

    /// <summary>Runs until nothing is left to run.</summary>
    public void Run()
    {
        for (int turns = 0; ; turns++)
        {
            ITurnQueue? queue;
            lock (_ready)
            {
                if (!_ready.TryDequeue(out queue))
                {
                    return;
                }
            }

            if (queue.RunTurns(1))
            {
                Schedule(queue);
            }

            if (turns > 100_000)
            {
                throw new InvalidOperationException("The turns never end.");
            }
        }
    }
}

/// <summary>What grains did, in order.</summary>
internal sealed class Journal
{
    private readonly List<string> _entries = [];

    public string[] Entries
    {
        get
        {
            lock (_entries)
            {
                return [.. _entries];
            }
        }
    }

    public void Write(string entry)
    {
        lock (_entries)
        {
            _entries.Add(entry);
        }
    }
}

/// <summary>Named gates that grain code waits at.</summary>
internal sealed class Gates
{
    private readonly Dictionary<string, TaskCompletionSource> _gates = [];

    public Task At(string name) => Gate(name).Task;

    public void Open(string name) => Gate(name).SetResult();

    private TaskCompletionSource Gate(string name)
    {
        lock (_gates)
        {
            if (!_gates.TryGetValue(name, out TaskCompletionSource? gate))
            {
                _gates.Add(name, gate = new TaskCompletionSource());
            }

            return gate;
        }
    }
}

/// <summary>A cluster that one test steps through by hand: no threads, no waiting.</summary>
internal sealed class TestCluster : IDisposable
{
    private readonly SteppedScheduler _scheduler = new();

    public TestCluster(int silos = 1, Action<EmbeddedClusterOptions>? configure = null, IMessageDelivery? delivery = null)
    {
        var options = new EmbeddedClusterOptions
        {
            TimeProvider = Time,
            Random = new Random(1),
            TurnScheduler = _scheduler,
            MessageDelivery = delivery,
        };
        options.AddGrainAssembly(typeof(TestCluster).Assembly).AddMemoryGrainStorage("memory").AddMemoryGrainStorage(EmbeddedClusterOptions.DefaultStorage);
        options.ConfigureServices(services => services.AddSingleton(Journal).AddSingleton(Gates));
        configure?.Invoke(options);
        Cluster = EmbeddedCluster.Create(options);
        for (int i = 0; i < silos; i++)
        {
            Cluster.AddSilo();
        }
    }

    public ManualTimeProvider Time { get; } = new();

    public Journal Journal { get; } = new();

    public Gates Gates { get; } = new();

    public EmbeddedCluster Cluster { get; }

    public IProbeGrain Probe(string key = "p") => Cluster.GrainFactory.GetGrain<IProbeGrain>(key);

    public IReentrantProbeGrain Reentrant(string key = "p") => Cluster.GrainFactory.GetGrain<IReentrantProbeGrain>(key);

    /// <summary>Runs all turns that are there.</summary>
    public void Run() => _scheduler.Run();

    public void Advance(TimeSpan by) => Time.Advance(by, Run);

    public void Open(string gate)
    {
        Gates.Open(gate);
        Run();
    }

    /// <summary>Runs all turns; the call must have ended by then.</summary>
    public T Result<T>(Task<T> call)
    {
        Run();
        call.IsCompleted.ShouldBeTrue("the call has not ended although no turn is left");
        return call.GetAwaiter().GetResult();
    }

    public void Done(params Task[] calls)
    {
        Run();
        foreach (Task call in calls)
        {
            call.IsCompleted.ShouldBeTrue("the call has not ended although no turn is left");
            call.GetAwaiter().GetResult();
        }
    }

    public TException Fails<TException>(Task call)
        where TException : Exception
    {
        Run();
        call.IsCompleted.ShouldBeTrue("the call has not ended although no turn is left");
        return Should.Throw<TException>(() => call.GetAwaiter().GetResult());
    }

    public void Dispose() => Cluster.Dispose();
}
