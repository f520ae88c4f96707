using EmbeddedOrleans.Tests.Fixture;
using Microsoft.Extensions.DependencyInjection;
using Orleans;

namespace EmbeddedOrleans.Tests.Runtime;

public sealed class CallTests
{
    [Fact]
    public void Results_of_all_four_return_types_reach_the_caller()
    {
        using var cluster = new TestCluster();
        cluster.Result(cluster.Probe().Echo("hello")).ShouldBe("hello");
        cluster.Result(cluster.Probe().Add(2, 3).AsTask()).ShouldBe(5);
        cluster.Done(cluster.Probe().Note("note"));
        ValueTask later = cluster.Probe().NoteLater("later", "g");
        cluster.Run();
        later.IsCompleted.ShouldBeFalse();
        cluster.Open("g");
        later.IsCompletedSuccessfully.ShouldBeTrue();
        cluster.Journal.Entries.ShouldBe(["activate p", "note", "later"]);
    }

    [Fact]
    public void Making_a_reference_activates_nothing()
    {
        using var cluster = new TestCluster();
        IProbeGrain probe = cluster.Probe("quiet");
        cluster.Run();
        probe.GetPrimaryKeyString().ShouldBe("quiet");
        cluster.Journal.Entries.ShouldBeEmpty();
        cluster.Cluster.Silos[0].ActivationCount.ShouldBe(0);
    }

    [Fact]
    public void References_to_the_same_grain_are_equal_and_have_one_activation()
    {
        using var cluster = new TestCluster();
        cluster.Probe("a").ShouldBe(cluster.Probe("a"));
        cluster.Probe("a").ShouldNotBe(cluster.Probe("b"));
        cluster.Result(cluster.Probe("a").ActivationId()).ShouldBe(cluster.Result(cluster.Probe("a").ActivationId()));
        cluster.Result(cluster.Probe("a").Key()).ShouldBe("a");
    }

    [Fact]
    public void The_class_name_prefix_picks_one_of_several_implementations()
    {
        using var cluster = new TestCluster();
        string prefix = typeof(ReentrantProbeGrain).FullName!;
        cluster.Result(cluster.Cluster.GrainFactory.GetGrain<IProbeGrain>("x", prefix).Echo("hi")).ShouldBe("hi");
        Should.Throw<ArgumentException>(() => cluster.Cluster.GrainFactory.GetGrain<IProbeGrain>("x", "No.Such"));
    }

    [Fact]
    public void An_exception_keeps_its_type_its_data_and_the_callees_stack_trace()
    {
        using var cluster = new TestCluster();
        foreach (Func<Task> call in new Func<Task>[]
        {
            () => cluster.Probe().ThrowLater("boom"), () => cluster.Probe().ThrowAtOnce("boom"), () => cluster.Probe().ThrowValue("boom").AsTask(),
        })
        {
            ProbeException exception = cluster.Fails<ProbeException>(call());
            exception.Message.ShouldBe("boom");
            exception.Code.ShouldBe(7);
            exception.StackTrace!.ShouldContain(nameof(ProbeBase));
        }
    }

    [Fact]
    public void A_cancellation_in_the_callee_is_a_cancellation_for_the_caller()
    {
        using var cluster = new TestCluster();
        Task call = cluster.Probe().Cancelled();
        cluster.Fails<OperationCanceledException>(call).Message.ShouldBe("changed my mind");
        call.IsCanceled.ShouldBeTrue();
    }

    [Fact]
    public void A_one_way_call_returns_before_it_ran_and_its_exception_reaches_nobody()
    {
        using var cluster = new TestCluster();
        Task fired = cluster.Probe().Fire("fired");
        fired.IsCompletedSuccessfully.ShouldBeTrue();
        cluster.Journal.Entries.ShouldBeEmpty();
        cluster.Probe().FireAndThrow().IsCompletedSuccessfully.ShouldBeTrue();
        cluster.Run();
        cluster.Journal.Entries.ShouldContain("fired");
        cluster.Result(cluster.Probe().Echo("still there")).ShouldBe("still there");
    }

    [Fact]
    public void An_interface_without_a_grain_class_is_refused_by_name()
    {
        using var cluster = new TestCluster();
        Should.Throw<ArgumentException>(() => cluster.Cluster.GrainFactory.GetGrain<IOrphan>("x")).Message.ShouldContain(nameof(IOrphan));
    }

    [Fact]
    public void Arguments_and_results_are_passed_not_copied()
    {
        // The 1 microsecond call on [Immutable] payloads; that messages are immutable is the architecture test's business.
        using var cluster = new TestCluster();
        string text = new('x', 1000);
        cluster.Result(cluster.Probe().Echo(text)).ShouldBeSameAs(text);
    }

    [Fact]
    public async Task Ten_thousand_calls_from_many_threads_all_come_back_and_never_overlap()
    {
        var journal = new Journal();
        await using EmbeddedCluster cluster = EmbeddedCluster.Create(new EmbeddedClusterOptions()
            .AddGrainAssembly(typeof(CallTests).Assembly)
            .ConfigureServices(s => s.AddSingleton(journal)));
        cluster.AddSilo();
        cluster.AddSilo();
        await Task.WhenAll(Enumerable.Range(0, 8).Select(caller => Task.Run(async () =>
        {
            for (int i = 0; i < 1250; i++)
            {
                await cluster.GrainFactory.GetGrain<ICounter>($"c{i % 5}").Increment();
            }
        }))).WaitAsync(TimeSpan.FromSeconds(60));
        int total = 0;
        for (int i = 0; i < 5; i++)
        {
            total += await cluster.GrainFactory.GetGrain<ICounter>($"c{i}").Increment() - 1;
        }

        total.ShouldBe(10_000);
    }

    [Fact]
    public async Task A_finished_request_is_not_kept_alive()
    {
        // On pool threads, where a visit runs many turns in a row. What a queue's slots still held was once megabytes per busy grain.
        await using EmbeddedCluster cluster = EmbeddedCluster.Create(new EmbeddedClusterOptions()
            .AddGrainAssembly(typeof(CallTests).Assembly)
            .ConfigureServices(s => s.AddSingleton(new Journal())));
        cluster.AddSilo();
        var arguments = new List<WeakReference<string>>();
        await Task.WhenAll(Enumerable.Range(0, 25).Select(number => Send(cluster.GrainFactory.GetGrain<ISink>("s"), number, arguments))).WaitAsync(TimeSpan.FromSeconds(60));
        GC.Collect();

        // The pool thread's stack may still hold the last ones; a queue that keeps them holds nearly all.
        arguments.Count(argument => argument.TryGetTarget(out _)).ShouldBeLessThanOrEqualTo(2);
    }

    private static Task Send(ISink sink, int number, List<WeakReference<string>> arguments)
    {
        var text = new string('x', 10 + number);
        arguments.Add(new WeakReference<string>(text));
        return sink.Take(text);
    }
}

internal interface ISink : IGrainWithStringKey
{
    Task Take(string text);
}

internal sealed class SinkGrain : Grain, ISink
{
    public Task Take(string text) => Task.CompletedTask;
}

internal interface IOrphan : IGrainWithStringKey
{
    Task Nothing();
}

internal interface ICounter : IGrainWithStringKey
{
    Task<int> Increment();
}

internal sealed class CounterGrain : Grain, ICounter
{
    private int _count;

    // A lost update shows when another turn slips in between the read and the write.
    public async Task<int> Increment()
    {
        int count = _count;
        await Task.Yield();
        _count = count + 1;
        return _count;
    }
}
