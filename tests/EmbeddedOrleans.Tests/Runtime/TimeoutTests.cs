using EmbeddedOrleans.Tests.Fixture;

namespace EmbeddedOrleans.Tests.Runtime;

public sealed class TimeoutTests
{
    [Fact]
    public void A_call_that_is_not_answered_times_out_at_30_seconds_and_not_before()
    {
        using var cluster = new TestCluster();
        Task call = cluster.Probe().Wait("never");
        cluster.Run();
        cluster.Advance(TimeSpan.FromSeconds(29.999));
        call.IsCompleted.ShouldBeFalse();
        cluster.Advance(TimeSpan.FromMilliseconds(1));
        cluster.Fails<TimeoutException>(call).Message.ShouldContain("probe/p.Wait");
    }

    [Fact]
    public void A_method_with_a_response_timeout_of_its_own_uses_it()
    {
        using var cluster = new TestCluster();
        Task slow = cluster.Probe("a").Wait("never");
        Task call = cluster.Probe("b").WaitShort("never");
        cluster.Run();
        cluster.Advance(TimeSpan.FromSeconds(4.9));
        call.IsCompleted.ShouldBeFalse();
        cluster.Advance(TimeSpan.FromSeconds(0.1));
        cluster.Fails<TimeoutException>(call);
        slow.IsCompleted.ShouldBeFalse();
    }

    [Fact]
    public void The_host_wide_response_timeout_can_be_set()
    {
        using var cluster = new TestCluster(configure: o => o.ResponseTimeout = TimeSpan.FromSeconds(2));
        Task call = cluster.Probe().Wait("never");
        cluster.Run();
        cluster.Advance(TimeSpan.FromSeconds(2));
        cluster.Fails<TimeoutException>(call);
    }

    [Fact]
    public void A_call_chain_that_comes_back_to_a_non_reentrant_grain_is_a_deadlock_that_the_timeout_surfaces()
    {
        using var cluster = new TestCluster();
        Task call = cluster.Probe("a").CallAndComeBack("b");
        cluster.Run();
        call.IsCompleted.ShouldBeFalse();
        cluster.Journal.Entries.ShouldBe(["activate a", "a calls b", "activate b", "b calls a"]);
        cluster.Advance(TimeSpan.FromSeconds(30));
        cluster.Fails<TimeoutException>(call);
        cluster.Result(cluster.Probe("a").Echo("free again")).ShouldBe("free again");
    }

    [Fact]
    public void A_call_chain_that_comes_back_to_a_reentrant_grain_is_none()
    {
        using var cluster = new TestCluster();
        cluster.Done(cluster.Reentrant("a").CallAndComeBack("b"));
    }

    [Fact]
    public void A_timed_out_request_goes_on_in_the_grain_and_still_blocks_it()
    {
        using var cluster = new TestCluster();
        Task call = cluster.Probe().Wait("g");
        cluster.Run();
        cluster.Advance(TimeSpan.FromSeconds(30));
        cluster.Fails<TimeoutException>(call);
        Task<string> next = cluster.Probe().Echo("next");
        cluster.Run();
        next.IsCompleted.ShouldBeFalse();
        cluster.Open("g");
        cluster.Result(next).ShouldBe("next");
        cluster.Journal.Entries.ShouldContain("end g");
    }

    [Fact]
    public void A_request_that_timed_out_while_it_waited_is_never_started()
    {
        using var cluster = new TestCluster();
        Task running = cluster.Probe().Wait("g");
        Task waiting = cluster.Probe().WaitShort("never begun");
        cluster.Run();
        cluster.Advance(TimeSpan.FromSeconds(5));
        cluster.Fails<TimeoutException>(waiting);
        cluster.Open("g");
        running.IsCompletedSuccessfully.ShouldBeTrue();
        cluster.Journal.Entries.ShouldNotContain("begin never begun");
    }

    [Fact]
    public void The_callees_token_is_cancelled_when_the_response_timeout_has_run_out()
    {
        using var cluster = new TestCluster();
        Task call = cluster.Probe().WaitForCancel("x", CancellationToken.None);
        cluster.Run();
        cluster.Advance(TimeSpan.FromSeconds(30));
        cluster.Fails<TimeoutException>(call);
        cluster.Journal.Entries.ShouldContain("x token cancelled, in a turn: True");
    }

    [Fact]
    public void Many_deadlines_each_surface_at_their_own_time()
    {
        using var cluster = new TestCluster();
        List<Task> calls = [];
        for (int i = 0; i < 10; i++)
        {
            calls.Add(cluster.Probe($"p{i}").Wait("never"));
            cluster.Run();
            cluster.Advance(TimeSpan.FromSeconds(1));
        }

        cluster.Advance(TimeSpan.FromSeconds(19.5));
        calls.ShouldAllBe(c => !c.IsCompleted);
        for (int i = 0; i < 10; i++)
        {
            cluster.Advance(TimeSpan.FromSeconds(1));
            calls.Count(c => c.IsFaulted).ShouldBe(i + 1);
        }
    }
}
