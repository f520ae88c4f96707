using EmbeddedOrleans.Runtime;
using EmbeddedOrleans.Tests.Fixture;

namespace EmbeddedOrleans.Tests.Runtime;

/// <summary>Which requests may run beside which.</summary>
public sealed class InterleavingTests
{
    [Fact]
    public void Requests_of_one_caller_run_in_the_order_in_which_they_were_sent()
    {
        using var cluster = new TestCluster();
        Task[] calls = Enumerable.Range(0, 20).Select(i => cluster.Probe().Note($"{i}")).ToArray();
        cluster.Done(calls);
        cluster.Journal.Entries.Skip(1).ShouldBe(Enumerable.Range(0, 20).Select(i => $"{i}"));
    }

    [Fact]
    public void A_request_waits_until_the_running_one_has_completed_not_just_its_turn()
    {
        using var cluster = new TestCluster();
        Task first = cluster.Probe().Wait("1");
        Task second = cluster.Probe().Wait("2");
        Task third = cluster.Probe().Wait("3");
        cluster.Run();
        Log(cluster).ShouldBe(["begin 1"]);
        cluster.Open("2");
        Log(cluster).ShouldBe(["begin 1"]);
        cluster.Open("1");
        Log(cluster).ShouldBe(["begin 1", "end 1", "begin 2", "end 2", "begin 3"]);
        cluster.Open("3");
        Task.WhenAll(first, second, third).IsCompletedSuccessfully.ShouldBeTrue();
    }

    [Fact]
    public void Requests_to_a_reentrant_grain_interleave_at_awaits()
    {
        using var cluster = new TestCluster();
        Task first = cluster.Reentrant().Wait("1");
        Task second = cluster.Reentrant().Wait("2");
        cluster.Run();
        Log(cluster).ShouldBe(["begin 1", "begin 2"]);
        cluster.Open("2");
        second.IsCompleted.ShouldBeTrue();
        first.IsCompleted.ShouldBeFalse();
        cluster.Open("1");
        Log(cluster).ShouldBe(["begin 1", "begin 2", "end 2", "end 1"]);
    }

    [Fact]
    public void An_always_interleave_method_runs_beside_a_waiting_request_and_others_run_beside_it()
    {
        using var cluster = new TestCluster();
        _ = cluster.Probe().Wait("1");
        _ = cluster.Probe().Interleave("i");
        cluster.Run();
        Log(cluster).ShouldBe(["begin 1", "begin i"]);
        cluster.Open("1");
        _ = cluster.Probe().Wait("2");
        cluster.Run();
        Log(cluster).ShouldBe(["begin 1", "begin i", "end 1", "begin 2"]);
    }

    [Fact]
    public void Read_only_methods_run_beside_each_other_but_not_beside_a_writer()
    {
        using var cluster = new TestCluster();
        _ = cluster.Probe().Read("r1");
        _ = cluster.Probe().Read("r2");
        _ = cluster.Probe().Wait("w");
        cluster.Run();
        Log(cluster).ShouldBe(["begin r1", "begin r2"]);
        cluster.Open("r1");
        Log(cluster).ShouldBe(["begin r1", "begin r2", "end r1"], "the writer waits for all readers");
        _ = cluster.Probe().Read("r3");
        cluster.Run();
        Log(cluster).ShouldBe(["begin r1", "begin r2", "end r1", "begin r3"], "as in Orleans a reader passes a waiting writer");
        cluster.Open("r2");
        cluster.Open("r3");
        Log(cluster).Last().ShouldBe("begin w");
        _ = cluster.Probe().Read("r4");
        cluster.Run();
        Log(cluster).Last().ShouldBe("begin w");
        cluster.Open("w");
        Log(cluster).Last().ShouldBe("begin r4");
    }

    [Fact]
    public void Requests_that_came_while_the_grain_activated_keep_their_order()
    {
        using var cluster = new TestCluster();
        ISlowGrain slow = cluster.Cluster.GrainFactory.GetGrain<ISlowGrain>("s");
        Task[] calls = Enumerable.Range(0, 5).Select(i => slow.Note($"{i}")).ToArray();
        cluster.Run();
        cluster.Journal.Entries.ShouldBe(["activating"]);
        Task last = slow.Note("last");
        cluster.Open("activate");
        Task.WhenAll([.. calls, last]).IsCompletedSuccessfully.ShouldBeTrue();
        cluster.Journal.Entries.ShouldBe(["activating", "0", "1", "2", "3", "4", "last"]);
    }

    [Fact]
    public void A_loop_that_nobody_awaits_runs_in_turns_of_its_grain()
    {
        using var cluster = new TestCluster();
        cluster.Done(cluster.Probe().Background("b"));
        cluster.Open("b");
        Log(cluster).ShouldBe(["background on the grain's scheduler: True"]);
    }

    [Fact]
    public void A_request_is_not_started_inside_the_code_of_another()
    {
        // Completing the first request's gate from the second's code would run the third on its stack, if the mailbox were pumped there.
        using var cluster = new TestCluster();
        IHandoffGrain grain = cluster.Cluster.GrainFactory.GetGrain<IHandoffGrain>("h");
        Task waiter = grain.WaitForHandoff();
        Task handoff = grain.HandOff();
        Task next = grain.Next();
        cluster.Done(waiter, handoff, next);
        cluster.Journal.Entries.ShouldBe(["waiting", "hand off begins", "hand off ends", "next"]);
    }

    [Fact]
    public void What_hangs_on_a_call_runs_in_turns_of_the_caller_never_in_those_of_the_callee()
    {
        using var cluster = new TestCluster();
        IObservingGrain grain = cluster.Cluster.GrainFactory.GetGrain<IObservingGrain>("o");
        cluster.Done(grain.Observe("p"));
        cluster.Journal.Entries.ShouldBe(["activate p", "answered in a turn of observing/o@silo-1"]);
    }

    private static string[] Log(TestCluster cluster) => cluster.Journal.Entries.Where(e => !e.StartsWith("activate", StringComparison.Ordinal)).ToArray();
}

internal interface IObservingGrain : Orleans.IGrainWithStringKey
{
    Task Observe(string probe);
}

internal sealed class ObservingGrain(Journal journal) : Orleans.Grain, IObservingGrain
{
    // A continuation that asks for no scheduler runs where the call's task is completed.
    public Task Observe(string probe) => GrainFactory.GetGrain<IProbeGrain>(probe).Echo("x").ContinueWith(
        _ => journal.Write($"answered in a turn of {Activation.Running?.Name}"),
        CancellationToken.None,
        TaskContinuationOptions.ExecuteSynchronously,
        TaskScheduler.Default);
}
