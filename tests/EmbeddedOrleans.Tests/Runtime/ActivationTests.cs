using EmbeddedOrleans.Tests.Fixture;
using Microsoft.Extensions.DependencyInjection;
using Orleans.Runtime;

namespace EmbeddedOrleans.Tests.Runtime;

/// <summary>Activation, deactivation and what is between.</summary>
public sealed class ActivationTests
{
    private readonly Script _script = new();

    [Fact]
    public void A_failed_activation_reaches_every_waiting_caller_and_the_next_call_tries_anew()
    {
        using TestCluster cluster = Cluster();
        _script.ActivationFailures = 1;
        IScriptedGrain grain = Grain(cluster);
        Task<int> first = grain.Number();
        Task<int> second = grain.Number();
        cluster.Fails<ProbeException>(first).Message.ShouldBe("cannot activate");
        cluster.Fails<ProbeException>(second);
        cluster.Cluster.Silos[0].ActivationCount.ShouldBe(0);
        cluster.Result(grain.Number()).ShouldBeGreaterThan(0);
        cluster.Journal.Entries.ShouldBe(["activation fails", "disposed", "activated"]);
    }

    [Fact]
    public void A_constructor_that_cannot_be_called_fails_the_call_with_the_reason()
    {
        using var cluster = new TestCluster();
        cluster.Fails<InvalidOperationException>(Grain(cluster).Number()).Message.ShouldContain(nameof(Script));
    }

    [Fact]
    public void Deactivate_on_idle_ends_the_activation_after_the_request()
    {
        using TestCluster cluster = Cluster();
        IScriptedGrain grain = Grain(cluster);
        int number = cluster.Result(grain.Number());
        cluster.Done(grain.End());
        cluster.Journal.Entries.ShouldBe(["activated", "deactivating ApplicationRequested", "disposed"]);
        cluster.Cluster.Silos[0].ActivationCount.ShouldBe(0);
        cluster.Result(grain.Number()).ShouldNotBe(number);
    }

    [Fact]
    public void Deactivation_waits_for_the_requests_that_run()
    {
        using TestCluster cluster = Cluster();
        IScriptedGrain grain = Grain(cluster);
        Task running = grain.Wait("g");
        cluster.Run();
        cluster.Done(grain.End());
        cluster.Journal.Entries.ShouldBe(["activated", "begin g"]);
        cluster.Open("g");
        running.IsCompletedSuccessfully.ShouldBeTrue();
        cluster.Journal.Entries.ShouldBe(["activated", "begin g", "end g", "deactivating ApplicationRequested", "disposed"]);
    }

    [Fact]
    public void Requests_that_come_while_a_grain_ends_go_to_a_new_activation_and_none_is_lost()
    {
        using TestCluster cluster = Cluster();
        _script.DeactivationGate = "down";
        IScriptedGrain grain = Grain(cluster);
        int number = cluster.Result(grain.Number());
        Task running = grain.Wait("g");
        cluster.Run();
        cluster.Done(grain.End());
        Task<int> whileDraining = grain.Number();
        cluster.Open("g");
        running.IsCompletedSuccessfully.ShouldBeTrue();
        Task<int> whileDeactivating = grain.Number();
        Task<int> endAgain = Grain(cluster).Number();
        cluster.Run();
        whileDraining.IsCompleted.ShouldBeFalse();
        cluster.Open("down");
        int[] numbers = [cluster.Result(whileDraining), cluster.Result(whileDeactivating), cluster.Result(endAgain)];
        numbers.Distinct().Count().ShouldBe(1);
        numbers[0].ShouldNotBe(number);
        cluster.Journal.Entries.Count(e => e == "activated").ShouldBe(2);
    }

    [Fact]
    public void A_failing_deactivation_still_ends_the_activation()
    {
        using TestCluster cluster = Cluster();
        _script.DeactivationThrows = true;
        int number = cluster.Result(Grain(cluster).Number());
        cluster.Done(Grain(cluster).End());
        cluster.Result(Grain(cluster).Number()).ShouldNotBe(number);
    }

    [Fact]
    public void The_token_of_a_deactivation_is_cancelled_when_its_time_has_run_out()
    {
        using TestCluster cluster = Cluster(o => o.DeactivationTimeout = TimeSpan.FromSeconds(10));
        _script.DeactivationGate = "never";
        int number = cluster.Result(Grain(cluster).Number());
        cluster.Done(Grain(cluster).End());
        Task<int> next = Grain(cluster).Number();
        cluster.Advance(TimeSpan.FromSeconds(9));
        next.IsCompleted.ShouldBeFalse();
        cluster.Advance(TimeSpan.FromSeconds(1));
        cluster.Result(next).ShouldNotBe(number);
    }

    [Fact]
    public void A_grain_that_ends_itself_in_its_activation_passes_the_request_on_but_not_for_ever()
    {
        using TestCluster cluster = Cluster();
        _script.EndInActivation = 2;
        cluster.Result(Grain(cluster).Number()).ShouldBeGreaterThan(0);
        cluster.Done(Grain(cluster).End());
        _script.EndInActivation = int.MaxValue;
        cluster.Fails<OrleansMessageRejectionException>(Grain(cluster).Number()).Message.ShouldContain("OnActivateAsync");
    }

    [Fact]
    public void An_unused_grain_is_deactivated_after_15_minutes()
    {
        using var cluster = new TestCluster();
        cluster.Result(cluster.Probe().Echo("x"));
        cluster.Advance(TimeSpan.FromMinutes(14));
        cluster.Cluster.Silos[0].ActivationCount.ShouldBe(1);
        cluster.Advance(TimeSpan.FromMinutes(2));
        cluster.Journal.Entries.ShouldBe(["activate p", "deactivate p ActivationIdle"]);
        cluster.Result(cluster.Probe().Echo("back")).ShouldBe("back");
    }

    [Fact]
    public void Use_puts_idle_collection_off()
    {
        using var cluster = new TestCluster();
        for (int i = 0; i < 5; i++)
        {
            cluster.Result(cluster.Probe().Echo("x"));
            cluster.Advance(TimeSpan.FromMinutes(10));
        }

        cluster.Journal.Entries.ShouldBe(["activate p"]);
    }

    [Fact]
    public void A_request_that_runs_long_keeps_its_grain()
    {
        using var cluster = new TestCluster(configure: o => o.ResponseTimeout = Timeout.InfiniteTimeSpan);
        Task call = cluster.Probe().Wait("g");
        cluster.Run();
        cluster.Advance(TimeSpan.FromHours(1));
        cluster.Open("g");
        call.IsCompletedSuccessfully.ShouldBeTrue();
    }

    [Fact]
    public void Delay_deactivation_keeps_an_unused_grain_for_that_long()
    {
        using var cluster = new TestCluster();
        cluster.Done(cluster.Probe().Keep(TimeSpan.FromMinutes(60)));
        cluster.Advance(TimeSpan.FromMinutes(59));
        cluster.Journal.Entries.ShouldBe(["activate p"]);
        cluster.Advance(TimeSpan.FromMinutes(3));
        cluster.Journal.Entries.Last().ShouldBe("deactivate p ActivationIdle");
    }

    [Fact]
    public void Delay_deactivation_can_be_taken_back_and_can_last_for_ever()
    {
        using var cluster = new TestCluster();
        cluster.Done(cluster.Probe("for ever").Keep(TimeSpan.MaxValue));
        cluster.Done(cluster.Probe("back").Keep(TimeSpan.FromDays(1)));
        cluster.Done(cluster.Probe("back").Keep(TimeSpan.Zero));
        cluster.Advance(TimeSpan.FromMinutes(20));
        cluster.Journal.Entries.ShouldContain("deactivate back ActivationIdle");
        cluster.Advance(TimeSpan.FromDays(2));
        cluster.Journal.Entries.ShouldNotContain("deactivate for ever ActivationIdle");
    }

    [Fact]
    public void A_scoped_service_lives_as_long_as_its_activation()
    {
        using var cluster = new TestCluster(configure: o => o.ConfigureServices(s => s.AddScoped<ScopedThing>()));
        IScopedGrain grain = cluster.Cluster.GrainFactory.GetGrain<IScopedGrain>("s");
        cluster.Result(grain.IsDisposed()).ShouldBeFalse();
        ScopedThing thing = ScopedGrain.Last!;
        cluster.Done(grain.End());
        thing.Disposed.ShouldBeTrue();
    }

    [Fact]
    public void A_grain_is_not_made_with_new()
    {
        Should.Throw<InvalidOperationException>(() => new ProbeGrain(new Journal(), new Gates())).Message.ShouldContain("IGrainFactory");
    }

    private static IScriptedGrain Grain(TestCluster cluster) => cluster.Cluster.GrainFactory.GetGrain<IScriptedGrain>("s");

    private TestCluster Cluster(Action<EmbeddedClusterOptions>? configure = null) => new(configure: o =>
    {
        o.ConfigureServices(s => s.AddSingleton(_script));
        configure?.Invoke(o);
    });
}

internal sealed class ScopedThing : IDisposable
{
    public bool Disposed { get; private set; }

    public void Dispose() => Disposed = true;
}

internal interface IScopedGrain : Orleans.IGrainWithStringKey
{
    Task<bool> IsDisposed();

    Task End();
}

internal sealed class ScopedGrain : Orleans.Grain, IScopedGrain
{
    private readonly ScopedThing _thing;

    public ScopedGrain(ScopedThing thing)
    {
        _thing = thing;
        Last = thing;
    }

    public static ScopedThing? Last { get; private set; }

    public Task<bool> IsDisposed() => Task.FromResult(_thing.Disposed);

    public Task End()
    {
        DeactivateOnIdle();
        return Task.CompletedTask;
    }
}
