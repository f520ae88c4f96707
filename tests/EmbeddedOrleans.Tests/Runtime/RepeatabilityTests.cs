using EmbeddedOrleans.Runtime;
using EmbeddedOrleans.Tests.Fixture;
using Microsoft.Extensions.DependencyInjection;
using Orleans;
using Orleans.Concurrency;
using Orleans.Runtime;

namespace EmbeddedOrleans.Tests.Runtime;

/// <summary>The ports let one seed decide everything: a run can be repeated.</summary>
public sealed class RepeatabilityTests
{
    [Fact]
    public void The_same_seed_gives_the_same_trace_and_another_seed_another()
    {
        string[] first = Workload(42);
        first.Length.ShouldBeGreaterThan(500);
        first.ShouldContain(e => e.Contains("tick", StringComparison.Ordinal));
        first.ShouldContain(e => e.StartsWith("crash", StringComparison.Ordinal));
        first.ShouldContain(e => e.StartsWith("lost", StringComparison.Ordinal));
        for (int i = 0; i < 3; i++)
        {
            Workload(42).ShouldBe(first);
        }

        Workload(43).ShouldNotBe(first);
    }

    [Fact]
    public void A_message_that_never_arrives_ends_in_the_response_timeout()
    {
        var delivery = new LosingDelivery { LoseRequests = true };
        using var cluster = new TestCluster(delivery: delivery);
        Task<string> lost = cluster.Probe().Echo("x");
        cluster.Run();
        cluster.Advance(TimeSpan.FromSeconds(30));
        cluster.Fails<TimeoutException>(lost);

        delivery.LoseRequests = false;
        delivery.LoseResponses = true;
        Task unanswered = cluster.Probe().Note("it ran");
        cluster.Run();
        cluster.Advance(TimeSpan.FromSeconds(30));
        cluster.Fails<TimeoutException>(unanswered);
        cluster.Journal.Entries.ShouldContain("it ran");
    }

    [Fact]
    public void Delivery_sees_who_calls_whom()
    {
        var delivery = new LosingDelivery();
        using var cluster = new TestCluster(delivery: delivery);
        cluster.Done(cluster.Reentrant("a").CallAndComeBack("b"));
        cluster.Done(cluster.Probe("p").Fire("x"));
        delivery.Seen.ShouldBe(
        [
            "Request client>silo-1 reentrantprobe/a.CallAndComeBack",
            "Request silo-1>silo-1 reentrantprobe/b.CallAndComeBack",
            "Request silo-1>silo-1 reentrantprobe/a.CallAndComeBack",
            "Response silo-1>silo-1 reentrantprobe/a.CallAndComeBack",
            "Response silo-1>silo-1 reentrantprobe/b.CallAndComeBack",
            "Response client>silo-1 reentrantprobe/a.CallAndComeBack",
            "Request client>silo-1 probe/p.Fire one-way",
        ]);
    }

    /// <summary>Calls with fan-out, timers, storage, a crash and lost messages, all of it on one thread and from one seed.</summary>
    private static string[] Workload(int seed)
    {
        var world = new SeededWorld(seed);
        var options = new EmbeddedClusterOptions
        {
            TimeProvider = world.Time,
            Random = world.Random,
            TurnScheduler = world,
            MessageDelivery = world,
            ResponseTimeout = TimeSpan.FromSeconds(5),
        };
        options.AddGrainAssembly(typeof(RepeatabilityTests).Assembly).AddMemoryGrainStorage("memory");
        options.ConfigureServices(s => s.AddSingleton(world.Trace));
        using EmbeddedCluster cluster = EmbeddedCluster.Create(options);
        for (int i = 0; i < 3; i++)
        {
            cluster.AddSilo();
        }

        List<Task> runs = [];
        for (int i = 0; i < 6; i++)
        {
            runs.Add(cluster.GrainFactory.GetGrain<IWorkerGrain>($"w{i}").Work(10));
        }

        world.Run(400);
        EmbeddedSilo victim = cluster.Silos[world.Random.Next(3)];
        world.Trace.Write($"crash {victim.Name}");
        cluster.CrashSilo(victim);
        world.Run(int.MaxValue);
        runs.ShouldAllBe(r => r.IsCompleted);
        world.Trace.Write(string.Join(' ', runs.Select(r => r.Exception?.InnerException?.GetType().Name ?? "ok")));
        return world.Trace.Entries;
    }

    /// <summary>One random source picks the next activation, and when and whether a message arrives.</summary>
    private sealed class SeededWorld(int seed) : ITurnScheduler, IMessageDelivery
    {
        private readonly List<ITurnQueue> _ready = [];
        private readonly List<IGrainMessage> _underWay = [];
        private int _moves;

        public Random Random { get; } = new(seed);

        public ManualTimeProvider Time { get; } = new();

        public Journal Trace { get; } = new();

        public void Schedule(ITurnQueue queue) => _ready.Add(queue);

        public void Deliver(IGrainMessage message) => _underWay.Add(message);

        public void Run(int moves)
        {
            for (int i = 0; i < moves; i++)
            {
                if (_ready.Count + _underWay.Count == 0)
                {
                    // Idle collection ticks for ever; the workload is over when only it is left.
                    if (_moves++ > 40)
                    {
                        return;
                    }

                    Time.Advance(TimeSpan.FromMilliseconds(500), () => { });
                    continue;
                }

                Move();
            }
        }

        private void Move()
        {
            int pick = Random.Next(_ready.Count + _underWay.Count);
            if (pick < _ready.Count)
            {
                ITurnQueue queue = _ready[pick];
                _ready.RemoveAt(pick);
                Trace.Write($"turn {queue.Name}");
                if (queue.RunTurns(1))
                {
                    _ready.Add(queue);
                }

                return;
            }

            IGrainMessage message = _underWay[pick - _ready.Count];
            _underWay.RemoveAt(pick - _ready.Count);
            if (Random.Next(50) == 0)
            {
                Trace.Write($"lost {message.Kind} {message.Grain}.{message.Method}");
                return;
            }

            Trace.Write($"{message.Kind} {message.Caller}>{message.Callee} {message.Grain}.{message.Method}");
            message.Arrive();
        }
    }

    private sealed class LosingDelivery : IMessageDelivery
    {
        public bool LoseRequests { get; set; }

        public bool LoseResponses { get; set; }

        public List<string> Seen { get; } = [];

        public void Deliver(IGrainMessage message)
        {
            Seen.Add($"{message.Kind} {message.Caller}>{message.Callee} {message.Grain}.{message.Method}{(message.IsOneWay ? " one-way" : "")}");
            if (!(message.Kind == GrainMessageKind.Request ? LoseRequests : LoseResponses))
            {
                message.Arrive();
            }
        }
    }
}

internal interface IWorkerGrain : IGrainWithStringKey
{
    Task Work(int rounds);

    Task<int> Add(int n);
}

/// <summary>Calls others in parallel, keeps a count in storage, ticks.</summary>
[Reentrant]
internal sealed class WorkerGrain(Journal trace, [PersistentState("count", "memory")] IPersistentState<WorkerGrain.Count> count) : Grain, IWorkerGrain
{
    public override Task OnActivateAsync(CancellationToken cancellationToken)
    {
        this.RegisterGrainTimer(
            _ =>
            {
                trace.Write($"tick {this.GetPrimaryKeyString()} {count.State.Value}");
                return Task.CompletedTask;
            },
            new GrainTimerCreationOptions(TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(1)));
        return Task.CompletedTask;
    }

    public async Task Work(int rounds)
    {
        for (int i = 0; i < rounds; i++)
        {
            int[] answers = await Task.WhenAll(Enumerable.Range(0, 3).Select(k => GrainFactory.GetGrain<IWorkerGrain>($"w{k + 6}").Add(k)));
            trace.Write($"{this.GetPrimaryKeyString()} got {string.Join(',', answers)}");
        }
    }

    public async Task<int> Add(int n)
    {
        count.State.Value += n;
        await Task.Yield();
        await count.WriteStateAsync();
        return count.State.Value;
    }

    internal sealed class Count
    {
        public int Value { get; set; }
    }
}
