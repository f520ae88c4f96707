using OrleansStreams.Processing.Watermarks;
using OrleansStreams.Topologies;

namespace OrleansStreams.Processing;

public sealed class WatermarkTrackerTests
{
    private static WatermarkTracker Of(params WatermarkStrategy[] strategies) => new(strategies);

    private static WatermarkStrategy Bound(long ms) => WatermarkStrategy.BoundedOutOfOrderness(TimeSpan.FromMilliseconds(ms));

    [Fact]
    public void A_watermark_trails_the_largest_event_time_by_the_bound_and_one_and_never_goes_back()
    {
        var tracker = Of(Bound(10));
        tracker.Watermark.ShouldBe(long.MinValue);
        tracker.Observe(0, 100).ShouldBeTrue();
        tracker.Watermark.ShouldBe(89);
        tracker.Observe(0, 50).ShouldBeFalse();
        tracker.Watermark.ShouldBe(89);
    }

    [Fact]
    public void The_tasks_watermark_is_the_minimum_and_waits_for_an_input_without_events()
    {
        var tracker = Of(Bound(0), Bound(0));
        tracker.Observe(0, 100).ShouldBeFalse();
        tracker.Watermark.ShouldBe(long.MinValue);
        tracker.Observe(1, 20).ShouldBeTrue();
        tracker.Watermark.ShouldBe(19);
        tracker.EndInput(1).ShouldBeTrue();
        tracker.Watermark.ShouldBe(99);
        tracker.EndInput(0).ShouldBeTrue();
        tracker.IsAtEnd.ShouldBeTrue();
    }

    [Fact]
    public void When_all_inputs_are_idle_the_watermark_holds()
    {
        var tracker = Of(Bound(0).WithIdleness(TimeSpan.FromMilliseconds(5)), Bound(0).WithIdleness(TimeSpan.FromMilliseconds(5)));
        tracker.Observe(0, 100);
        tracker.MarkSilent(0, 0);
        tracker.MarkSilent(1, 0);
        tracker.Advance(5).ShouldBeFalse();
        tracker.IsIdle(0).ShouldBeTrue();
        tracker.Watermark.ShouldBe(long.MinValue);
        tracker.MarkActive(0);
        tracker.Advance(7).ShouldBeTrue();
        tracker.Watermark.ShouldBe(99);
    }

    [Fact]
    public void An_ended_input_and_an_idle_one_are_not_the_end()
    {
        var tracker = Of(Bound(0), Bound(0).WithIdleness(TimeSpan.FromMilliseconds(5)));
        tracker.EndInput(0);
        tracker.MarkSilent(1, 0);
        tracker.Advance(10).ShouldBeFalse();
        tracker.IsAtEnd.ShouldBeFalse();
    }

    [Fact]
    public void An_input_is_not_idle_while_it_has_records_to_read_however_long_that_takes()
    {
        var tracker = Of(Bound(0), Bound(0).WithIdleness(TimeSpan.FromMilliseconds(5)));
        tracker.Observe(0, 100);
        tracker.Advance(1_000_000).ShouldBeFalse("it was never read to its end");
        tracker.MarkSilent(1, 1_000_000);
        tracker.MarkActive(1);
        tracker.Advance(2_000_000).ShouldBeFalse("records came and wait");
        tracker.MarkSilent(1, 2_000_000);
        tracker.Advance(2_000_005).ShouldBeTrue();
    }

    [Fact]
    public void A_larger_bound_after_a_restart_takes_no_watermark_back()
    {
        var tracker = Of(Bound(100));
        tracker.RestoreInput(0, 1000, 989, isIdle: false);
        tracker.RestoreTask(989);
        tracker.Observe(0, 1010).ShouldBeFalse();
        tracker.Watermark.ShouldBe(989);
        tracker.Observe(0, 1200).ShouldBeTrue();
        tracker.Watermark.ShouldBe(1099);
    }
}
