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
    public void When_all_inputs_are_idle_the_watermark_is_that_of_the_furthest()
    {
        var tracker = Of(Bound(0).WithIdleness(TimeSpan.FromMilliseconds(5)), Bound(0).WithIdleness(TimeSpan.FromMilliseconds(5)));
        tracker.Observe(0, 100);
        tracker.MarkSilent(0, 0);
        tracker.MarkSilent(1, 0);
        tracker.Watermark.ShouldBe(long.MinValue);
        tracker.Advance(5).ShouldBeTrue();
        (tracker.IsIdle(0), tracker.IsIdle(1), tracker.Watermark).ShouldBe((true, true, 99));
        tracker.MarkActive(1);
        tracker.Observe(1, 60).ShouldBeFalse("it comes back behind");
        tracker.MarkActive(0);
        tracker.Observe(0, 120).ShouldBeTrue();
        tracker.Watermark.ShouldBe(119);
    }

    [Theory]
    [InlineData(0, 1)]
    [InlineData(1, 0)]
    public void Which_input_is_idle_first_makes_no_difference_when_all_are(int first, int second)
    {
        var tracker = Of(Bound(0).WithIdleness(TimeSpan.FromMilliseconds(5)), Bound(0).WithIdleness(TimeSpan.FromMilliseconds(5)));
        tracker.Observe(0, 100);
        tracker.Observe(1, 200);
        tracker.MarkSilent(first, 0);
        tracker.Advance(5);
        tracker.MarkSilent(second, 5);
        tracker.Advance(10);
        tracker.Watermark.ShouldBe(199);
    }

    [Fact]
    public void An_input_that_is_only_looked_up_holds_nobody_up_but_the_end_waits_for_it()
    {
        var tracker = new WatermarkTracker([new TrackedInput(Bound(0).WithAlignment(TimeSpan.Zero), WatermarkOrigin.EventTimes), new TrackedInput(Bound(0), WatermarkOrigin.EventTimes, IsLookUp: true)]);
        tracker.Observe(0, 100).ShouldBeTrue();
        tracker.Watermark.ShouldBe(99);
        tracker.IsAhead(0).ShouldBeFalse();
        tracker.Observe(1, 50).ShouldBeFalse();
        tracker.Observe(1, 500).ShouldBeFalse();
        tracker.Watermark.ShouldBe(99);
        tracker.EndInput(0).ShouldBeFalse();
        tracker.IsAtEnd.ShouldBeFalse();
        tracker.EndInput(1).ShouldBeTrue();
        tracker.IsAtEnd.ShouldBeTrue();
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

    // Each step is what one of three inputs says (0..2, then = watermark, i idle, a active, e end) and what the task's watermark is then.
    [Theory]
    [InlineData("0=10 1=20 2=5:5 2=30:10 0=40:20")]
    [InlineData("0=10 1=20 2i:10 0=25:20")]
    [InlineData("0=10 1i 2i:10 0=11:11")]
    [InlineData("0=10 1=10 2=10:10 2i 0=20 1=30:20 2a 2=15:20 0=40:30 2=35:30 1=50:35")]
    [InlineData("0=10 1=10 2=10:10 2i 0=20 1=20:20 2a 2=15 2i:20 0=25 1=30:25")]
    [InlineData("0=10 1=10 2=10:10 0i 1i 2i:10 0a:10 0=12:12 1a 1=11:12 0=14:14 1=20:14")]
    [InlineData("0=10 1=10 2=10:10 0=5 1=5 2=5:10")]
    [InlineData("0=10 1=20 2i:10 0e:20 1e:20 2a:20 2=21:21 2e:end")]
    [InlineData("0=10 1=10 2=10:10 0e 1e:10 2i:10 2a 2=12:12")]
    [InlineData("0e 1e 2e:end")]
    [InlineData("0i 1i 2i:none 0a 0=5:5 1a 1=3:5 1=9:5 0=7:7")]
    public void An_input_that_comes_back_behind_the_task_holds_nobody_up_before_it_has_caught_up(string steps)
    {
        var tracker = new WatermarkTracker([.. Enumerable.Repeat(new TrackedInput(null, WatermarkOrigin.Markers), 3)]);
        var watermarks = new long[] { WatermarkTracker.None, WatermarkTracker.None, WatermarkTracker.None };
        foreach (var step in steps.Split(' '))
        {
            var said = step.Split(':')[0];
            var input = said[0] - '0';
            watermarks[input] = said[1] == '=' ? long.Parse(said[2..], System.Globalization.CultureInfo.InvariantCulture) : watermarks[input];
            if (said[1] == 'e')
            {
                tracker.EndInput(input);
            }
            else
            {
                tracker.SetUpstream(input, watermarks[input], said[1] == 'i');
            }

            if (step.Contains(':', StringComparison.Ordinal))
            {
                var expected = step[(step.IndexOf(':', StringComparison.Ordinal) + 1)..];
                tracker.Watermark.ShouldBe(
                    expected == "end" ? WatermarkTracker.End : expected == "none" ? WatermarkTracker.None : long.Parse(expected, System.Globalization.CultureInfo.InvariantCulture), step);
            }
        }
    }

    [Fact]
    public void Upstream_tasks_are_waited_for_by_name_and_a_marker_that_comes_twice_says_nothing_new()
    {
        var upstream = new UpstreamWatermarks(["app/0_0", "app/0_1"]);
        upstream.Take("app/0_0", 100, isIdle: false).ShouldBeTrue();
        upstream.Watermark.ShouldBe(WatermarkTracker.None);
        upstream.Take("other/0_1", 100, isIdle: false).ShouldBeFalse();
        upstream.Take("app/0_1", 40, isIdle: false).ShouldBeTrue();
        upstream.Watermark.ShouldBe(40);
        upstream.Take("app/0_1", 40, isIdle: false).ShouldBeFalse();
        upstream.Take("app/0_1", 30, isIdle: false).ShouldBeFalse("a task that was restarted may tell again what it told before");
        upstream.Take("app/0_1", 40, isIdle: true).ShouldBeTrue();
        (upstream.Watermark, upstream.IsIdle).ShouldBe((100, false));
        upstream.Take("app/0_0", 100, isIdle: true);
        upstream.IsIdle.ShouldBeTrue();
        var others = new UpstreamWatermarks(["app/0_0", "app/0_1"]);
        others.Take("app/0_0", 100, isIdle: false);
        others.Take("app/0_1", 40, isIdle: false);
        others.Take("app/0_0", 100, isIdle: true);
        others.Watermark.ShouldBe(40);
        others.Take("app/0_1", 40, isIdle: true);
        others.Watermark.ShouldBe(100, "as if the other had been idle first");

        var bytes = new ByteBuffer();
        upstream.Write(bytes);
        var restored = new UpstreamWatermarks(["app/0_0", "app/0_1", "app/0_2"]);
        var reader = new ByteReader(bytes.Span);
        restored.Read(ref reader, 100);
        (restored.Watermark, restored.IsIdle, restored.IsEnded).ShouldBe((100, false, false), "another task writes the topic now, which has said nothing");
        restored.Take("app/0_0", WatermarkTracker.End, isIdle: false);
        restored.Take("app/0_1", WatermarkTracker.End, isIdle: false);
        restored.IsEnded.ShouldBeFalse();
        restored.Take("app/0_2", WatermarkTracker.End, isIdle: false);
        (restored.IsEnded, restored.Watermark).ShouldBe((true, WatermarkTracker.End));
    }

    [Fact]
    public void A_source_is_ahead_by_more_than_the_drift_of_the_slowest_that_is_neither_idle_nor_ended()
    {
        var aligned = Bound(0).WithAlignment(TimeSpan.FromMilliseconds(50)).WithIdleness(TimeSpan.FromMilliseconds(5));
        var tracker = Of(aligned, aligned, aligned);
        tracker.IsAhead(0).ShouldBeFalse("nothing is known yet");
        tracker.Observe(0, 100);
        tracker.IsAhead(0).ShouldBeTrue("the others have not begun");
        tracker.IsAhead(1).ShouldBeFalse();
        tracker.Observe(1, 50);
        tracker.Observe(2, 49);
        tracker.IsAhead(0).ShouldBeTrue();
        tracker.Observe(2, 50);
        tracker.IsAhead(0).ShouldBeFalse("50 ms are allowed");
        tracker.Observe(0, 200);
        tracker.IsAhead(0).ShouldBeTrue();
        tracker.MarkSilent(1, 0);
        tracker.Advance(5);
        tracker.IsAhead(0).ShouldBeTrue("there is another slow one");
        tracker.EndInput(2);
        tracker.IsAhead(0).ShouldBeFalse("one is idle, the other at its end");
        tracker.MarkActive(1);
        tracker.IsAhead(0).ShouldBeTrue();
    }
}
