using EmbeddedOrleans.Tests.Fixture;
using Microsoft.Extensions.DependencyInjection;
using Orleans.Runtime;

namespace EmbeddedOrleans.Tests.Runtime;

/// <summary>Several silos: placement, stop, crash.</summary>
public sealed class SiloTests
{
    [Fact]
    public void Grains_spread_over_the_silos_as_the_seed_says()
    {
        string Place()
        {
            using var cluster = new TestCluster(silos: 3);
            return string.Join(' ', Enumerable.Range(0, 30).Select(i => cluster.Result(cluster.Probe($"p{i}").Silo())));
        }

        string first = Place();
        Place().ShouldBe(first);
        foreach (string silo in new[] { "silo-1", "silo-2", "silo-3" })
        {
            first.ShouldContain(silo);
        }
    }

    [Fact]
    public void Each_silo_has_services_of_its_own()
    {
        using var cluster = new TestCluster(silos: 0);
        EmbeddedSilo one = cluster.Cluster.AddSilo("one", s => s.AddSingleton(new Script { EndInActivation = 1 }));
        EmbeddedSilo two = cluster.Cluster.AddSilo("two", s => s.AddSingleton(new Script()));
        one.Services.GetRequiredService<Script>().ShouldNotBeSameAs(two.Services.GetRequiredService<Script>());
        one.Services.GetRequiredService<TimeProvider>().ShouldBeSameAs(cluster.Time);
        Should.Throw<ArgumentException>(() => cluster.Cluster.AddSilo("one"));
    }

    [Fact]
    public async Task Stopping_a_silo_deactivates_its_grains_and_they_live_on_elsewhere()
    {
        using var cluster = new TestCluster(silos: 2);
        for (int i = 0; i < 10; i++)
        {
            cluster.Result(cluster.Probe($"p{i}").Echo("x"));
        }

        EmbeddedSilo leaving = cluster.Cluster.Silos[0];
        int count = leaving.ActivationCount;
        count.ShouldBeInRange(1, 9);
        Task stop = cluster.Cluster.StopSiloAsync(leaving);
        cluster.Run();
        await stop.WaitAsync(TimeSpan.FromSeconds(30));
        cluster.Journal.Entries.Count(e => e.EndsWith("ShuttingDown", StringComparison.Ordinal)).ShouldBe(count);
        for (int i = 0; i < 10; i++)
        {
            cluster.Result(cluster.Probe($"p{i}").Silo()).ShouldBe("silo-2");
        }
    }

    [Fact]
    public async Task Stopping_waits_for_requests_under_way_and_passes_waiting_ones_on()
    {
        using var cluster = new TestCluster(silos: 1);
        Task running = cluster.Probe().Wait("g");
        Task<string> waiting = cluster.Probe().Silo();
        cluster.Run();
        EmbeddedSilo old = cluster.Cluster.Silos[0];
        cluster.Cluster.AddSilo("new");
        Task stop = cluster.Cluster.StopSiloAsync(old);
        cluster.Run();
        stop.IsCompleted.ShouldBeFalse();
        cluster.Gates.Open("g");
        cluster.Done(running);
        await stop.WaitAsync(TimeSpan.FromSeconds(30));
        cluster.Result(waiting).ShouldBe("new");
    }

    [Fact]
    public async Task A_stop_that_runs_out_of_time_drops_what_is_still_busy()
    {
        using var cluster = new TestCluster();
        Task running = cluster.Probe().Wait("never");
        cluster.Run();
        using var source = new CancellationTokenSource();
        Task stop = cluster.Cluster.StopSiloAsync(cluster.Cluster.Silos[0], source.Token);
        cluster.Run();
        await source.CancelAsync();
        await stop.WaitAsync(TimeSpan.FromSeconds(30));
        cluster.Fails<SiloUnavailableException>(running);
        cluster.Journal.Entries.ShouldNotContain("deactivate p ShuttingDown");
    }

    [Fact]
    public void Without_a_silo_a_call_fails_at_once()
    {
        using var cluster = new TestCluster(silos: 0);
        cluster.Fails<SiloUnavailableException>(cluster.Probe().Echo("x")).Message.ShouldContain("probe/p");
    }

    [Fact]
    public void A_crash_fails_all_who_wait_and_runs_no_more_turns()
    {
        using var cluster = new TestCluster();
        Task running = cluster.Probe().Wait("g");
        Task waiting = cluster.Probe().Echo("x");
        cluster.Run();
        Task queued = cluster.Probe("new").Echo("x");
        cluster.Cluster.CrashSilo(cluster.Cluster.Silos[0]);
        cluster.Fails<SiloUnavailableException>(running);
        cluster.Fails<SiloUnavailableException>(waiting);
        cluster.Fails<SiloUnavailableException>(queued);
        cluster.Open("g");
        cluster.Journal.Entries.ShouldBe(["activate p", "begin g"], "neither the continuation nor OnDeactivateAsync runs");
    }

    [Fact]
    public void After_a_crash_a_grain_is_activated_on_another_silo()
    {
        using var cluster = new TestCluster(silos: 2);
        Guid first = cluster.Result(cluster.Probe().ActivationId());
        string silo = cluster.Result(cluster.Probe().Silo());
        cluster.Cluster.CrashSilo(cluster.Cluster.Silos.Single(s => s.Name == silo));
        cluster.Result(cluster.Probe().ActivationId()).ShouldNotBe(first);
        cluster.Result(cluster.Probe().Silo()).ShouldNotBe(silo);
    }

    [Fact]
    public void A_crashed_silos_timers_tick_no_more()
    {
        using var cluster = new TestCluster(silos: 1);
        ITimerGrain timers = cluster.Cluster.GrainFactory.GetGrain<ITimerGrain>("t");
        cluster.Done(timers.Start(new TimerPlan(TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(1))));
        cluster.Cluster.CrashSilo(cluster.Cluster.Silos[0]);
        cluster.Advance(TimeSpan.FromSeconds(10));
        cluster.Journal.Entries.ShouldBeEmpty();
        cluster.Advance(TimeSpan.FromMinutes(1));
        cluster.Time.ArmedTimers.ShouldBe(0, "the crashed silo's timers are let go");
    }

    [Fact]
    public void A_call_from_a_crashed_grain_still_runs_at_the_callee_but_its_answer_goes_nowhere()
    {
        using var cluster = new TestCluster(silos: 2);
        (string caller, string callee) = TwoGrainsOnDifferentSilos(cluster);
        Task call = cluster.Cluster.GrainFactory.GetGrain<ICallerGrain>(caller).CallAndNote(callee, "g");
        cluster.Run();
        cluster.Cluster.CrashSilo(cluster.Cluster.Silos.Single(s => s.Name == cluster.Result(cluster.Cluster.GrainFactory.GetGrain<ICallerGrain>(caller).Silo())));
        cluster.Fails<SiloUnavailableException>(call);
        cluster.Open("g");
        cluster.Journal.Entries.ShouldContain("end g");
        cluster.Journal.Entries.ShouldNotContain("answered");
    }

    private static (string Caller, string Callee) TwoGrainsOnDifferentSilos(TestCluster cluster)
    {
        string caller = cluster.Result(cluster.Cluster.GrainFactory.GetGrain<ICallerGrain>("c").Silo());
        string callee = Enumerable.Range(0, 50).Select(i => $"p{i}").First(p => cluster.Result(cluster.Probe(p).Silo()) != caller);
        return ("c", callee);
    }
}

internal interface ICallerGrain : Orleans.IGrainWithStringKey
{
    Task CallAndNote(string probe, string gate);

    [Orleans.Concurrency.AlwaysInterleave]
    Task<string> Silo();
}

internal sealed class CallerGrain(Journal journal) : Orleans.Grain, ICallerGrain
{
    public async Task CallAndNote(string probe, string gate)
    {
        await GrainFactory.GetGrain<IProbeGrain>(probe).Wait(gate);
        journal.Write("answered");
    }

    public Task<string> Silo() => Task.FromResult(((EmbeddedOrleans.Runtime.Activation)GrainContext).Silo.Name);
}
