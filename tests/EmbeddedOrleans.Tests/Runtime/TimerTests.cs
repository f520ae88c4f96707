using EmbeddedOrleans.Tests.Fixture;

namespace EmbeddedOrleans.Tests.Runtime;

public sealed class TimerTests
{
    private static readonly TimeSpan s_second = TimeSpan.FromSeconds(1);

    [Fact]
    public void A_timer_ticks_at_its_due_time_and_then_every_period()
    {
        using var cluster = new TestCluster();
        Start(cluster, new TimerPlan(2 * s_second, 3 * s_second));
        cluster.Advance(8 * s_second);
        cluster.Journal.Entries.ShouldBe(["tick 1 at 2", "tick 2 at 5", "tick 3 at 8"]);
    }

    [Fact]
    public void An_infinite_period_ticks_once()
    {
        using var cluster = new TestCluster();
        Start(cluster, new TimerPlan(s_second, Timeout.InfiniteTimeSpan));
        cluster.Advance(60 * s_second);
        cluster.Journal.Entries.ShouldBe(["tick 1 at 1"]);
    }

    [Fact]
    public void The_period_counts_from_the_end_of_a_tick()
    {
        using var cluster = new TestCluster();
        Start(cluster, new TimerPlan(s_second, s_second, Gate: "t"));
        cluster.Advance(5 * s_second);
        cluster.Journal.Entries.ShouldBe(["tick 1 at 1"], "ticks don't pile up");
        cluster.Open("t1");
        cluster.Advance(s_second);
        cluster.Journal.Entries.ShouldBe(["tick 1 at 1", "tick 1 ends", "tick 2 at 6"]);
    }

    [Fact]
    public void A_tick_waits_for_the_running_request_and_requests_wait_for_the_tick()
    {
        using var cluster = new TestCluster();
        Start(cluster, new TimerPlan(s_second, 10 * s_second, Gate: "t"));
        _ = Timers(cluster).Wait("g");
        cluster.Run();
        cluster.Advance(2 * s_second);
        cluster.Journal.Entries.ShouldBe(["begin g"]);
        cluster.Open("g");
        cluster.Journal.Entries.ShouldBe(["begin g", "end g", "tick 1 at 2"]);
        _ = Timers(cluster).Wait("h");
        cluster.Run();
        cluster.Journal.Entries.Last().ShouldBe("tick 1 at 2");
        cluster.Open("t1");
        cluster.Journal.Entries.Skip(3).ShouldBe(["tick 1 ends", "begin h"]);
    }

    [Fact]
    public void An_interleaving_tick_does_not_wait()
    {
        using var cluster = new TestCluster();
        Start(cluster, new TimerPlan(s_second, 10 * s_second, Interleave: true));
        _ = Timers(cluster).Wait("g");
        cluster.Run();
        cluster.Advance(s_second);
        cluster.Journal.Entries.ShouldBe(["begin g", "tick 1 at 1"]);
    }

    [Fact]
    public void A_disposed_timer_ticks_no_more_and_cancels_its_token()
    {
        using var cluster = new TestCluster();
        Start(cluster, new TimerPlan(s_second, s_second, Interleave: true, Gate: "t"));
        cluster.Advance(s_second);
        cluster.Done(Timers(cluster).Stop());
        cluster.Advance(10 * s_second);
        cluster.Open("t1");
        cluster.Advance(10 * s_second);
        cluster.Journal.Entries.ShouldBe(["tick 1 at 1", "tick token cancelled", "tick 1 ends"]);
    }

    [Fact]
    public void Change_sets_a_new_due_time_and_period()
    {
        using var cluster = new TestCluster();
        Start(cluster, new TimerPlan(s_second, s_second));
        cluster.Done(Timers(cluster).Change(5 * s_second, 2 * s_second));
        cluster.Advance(8 * s_second);
        cluster.Journal.Entries.ShouldBe(["tick 1 at 5", "tick 2 at 7"]);
    }

    [Fact]
    public void Change_within_a_tick_is_not_lost_when_it_comes_due_before_the_tick_ends()
    {
        using var cluster = new TestCluster();
        Start(cluster, new TimerPlan(s_second, 100 * s_second, Interleave: true, Gate: "t"));
        cluster.Advance(s_second);
        cluster.Done(Timers(cluster).Change(s_second, 100 * s_second));
        cluster.Advance(3 * s_second);
        cluster.Journal.Entries.ShouldBe(["tick 1 at 1"]);
        cluster.Open("t1");
        cluster.Journal.Entries.ShouldBe(["tick 1 at 1", "tick 1 ends", "tick 2 at 4"]);
    }

    [Fact]
    public void Change_within_a_tick_holds_beyond_the_tick()
    {
        using var cluster = new TestCluster();
        Start(cluster, new TimerPlan(s_second, s_second, Interleave: true, Gate: "t"));
        cluster.Advance(s_second);
        cluster.Done(Timers(cluster).Change(5 * s_second, 100 * s_second));
        cluster.Advance(s_second);
        cluster.Open("t1");
        cluster.Advance(3 * s_second);
        cluster.Journal.Entries.ShouldBe(["tick 1 at 1", "tick 1 ends"], "the old period is gone");
        cluster.Advance(s_second);
        cluster.Journal.Entries.Last().ShouldBe("tick 2 at 6");
    }

    [Fact]
    public void A_failing_tick_does_not_stop_the_timer()
    {
        using var cluster = new TestCluster();
        Start(cluster, new TimerPlan(s_second, s_second, Throws: true));
        cluster.Advance(3 * s_second);
        cluster.Journal.Entries.Length.ShouldBe(3);
    }

    [Fact]
    public void Ticks_keep_a_grain_only_when_asked_to()
    {
        using var cluster = new TestCluster();
        Start(cluster, new TimerPlan(TimeSpan.FromMinutes(5), TimeSpan.FromMinutes(5)));
        cluster.Advance(TimeSpan.FromMinutes(30));
        cluster.Journal.Entries.Last().ShouldBe("deactivate", "and the timer ended with its activation");

        using var keeping = new TestCluster();
        Start(keeping, new TimerPlan(TimeSpan.FromMinutes(5), TimeSpan.FromMinutes(5), KeepAlive: true));
        keeping.Advance(TimeSpan.FromMinutes(60));
        keeping.Journal.Entries.ShouldNotContain("deactivate");
        keeping.Journal.Entries.Length.ShouldBe(12);
    }

    [Fact]
    public void A_negative_time_is_refused()
    {
        using var cluster = new TestCluster();
        cluster.Fails<ArgumentOutOfRangeException>(Timers(cluster).Start(new TimerPlan(-s_second, s_second)));
        cluster.Fails<ArgumentOutOfRangeException>(Timers(cluster).Start(new TimerPlan(s_second, -2 * s_second)));
    }

    private static ITimerGrain Timers(TestCluster cluster) => cluster.Cluster.GrainFactory.GetGrain<ITimerGrain>("t");

    private static void Start(TestCluster cluster, TimerPlan plan) => cluster.Done(Timers(cluster).Start(plan));
}
