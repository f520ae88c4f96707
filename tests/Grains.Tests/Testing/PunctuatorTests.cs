using OrleansStreams.Errors;
using OrleansStreams.Records;
using OrleansStreams.Topologies;
using static OrleansStreams.Testing.ProcessorFixture;

namespace OrleansStreams.Testing;

/// <summary>Functions that are called again and again. The watermark is one ms behind the largest event time.</summary>
public sealed class PunctuatorTests
{
    private static readonly KeyValueStoreDefinition<string, long> s_waiting = Stores.KeyValue("waiting", Serdes.Utf8, Serdes.Int64);

    [Theory]
    [InlineData("a@1 a@10 a@11 a@12", "0 10")] // the first watermark has passed 0; 10 is passed when the watermark is there, not before
    [InlineData("a@1 a@55 a@56 a@61", "0 50 60")] // once after a jump, for the last
    [InlineData("a@1 a@21 a@5 a@22", "0 20")] // late records change nothing
    [InlineData("a@1 end", "0 10")] // at the end once more, for the first multiple behind all events
    [InlineData("a@1 a@99 end", "0 90 100")]
    [InlineData("a@25 a@26 end", "20 30")]
    [InlineData("end", "")] // nothing ever came
    public void Event_time_punctuators_are_called_when_the_watermark_passes_a_multiple_of_their_interval(string script, string expected)
    {
        var results = EveryCrash.Run(() => Ticking(10), Script(script), driver => Read(driver));
        string.Join(' ', results.Select(result => result.Split('@')[1])).ShouldBe(expected);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void An_event_that_a_punctuator_forwards_too_late_is_counted_or_refused_but_never_written_to_the_late_topic_without_its_content(bool hasLateTopic)
    {
        var builder = new StreamsBuilder();
        var windowed = builder.Stream("in", Consumed.With(Serdes.Utf8, Serdes.Utf8)).Process(() => new Backwards(), Processed.With(Backwards.Seen).KeepsKey()).Child("old").GroupByKey()
            .WindowedBy(TumblingWindows.Of(TimeSpan.FromMilliseconds(10)));
        (hasLateTopic ? windowed.LateTo("late") : windowed).Count(Materialized.As("counts", Serdes.Int64)).Map((window, count) => (window.Key, count)).To("out", Produced.With(Serdes.Utf8, Serdes.Int64));
        var driver = new TopologyTestDriver(builder.Build());
        var input = driver.CreateInput("in", Serdes.Utf8, Serdes.Utf8);
        input.Pipe("a", "x", 1);
        if (!hasLateTopic)
        {
            input.Pipe("a", "x", 1000);
            driver.LateRecords.ShouldBe(1);
            return;
        }

        var error = Should.Throw<StreamsException>(() => input.Pipe("a", "x", 1000));
        (error.Code, error.Message.Contains("WithOutputDelay", StringComparison.Ordinal)).ShouldBe((StreamsErrorCode.InvalidInput, true));
        driver.CreateOutput("late", Serdes.Utf8, Serdes.Utf8).ReadAll().ShouldBeEmpty();
    }

    [Fact]
    public void Punctuators_are_called_in_the_order_of_their_times_and_at_one_time_in_that_of_their_scheduling()
    {
        var builder = Through(
            context =>
            {
                foreach (var interval in (int[])[15, 10, 30])
                {
                    context.Schedule(TimeSpan.FromMilliseconds(interval), PunctuationType.EventTime, time => context.Forward(new("tick", $"{interval} w{context.EventTimeWatermarkMs}", time)));
                }
            },
            (_, _) => { });
        Read(Run(builder, "a@31 a@32 a@47")).ShouldBe(["tick=15 w30@30", "tick=10 w30@30", "tick=30 w30@30", "tick=10 w40@40", "tick=15 w45@45"]);
    }

    [Fact]
    public void A_punctuator_flushes_what_it_finds_in_the_store_exactly_once_whatever_crashes()
    {
        StreamsBuilder Describe() => Through(
            context =>
            {
                var waiting = context.GetStore(s_waiting);
                context.Schedule(TimeSpan.FromMilliseconds(10), PunctuationType.EventTime, time =>
                {
                    foreach (var (key, count) in waiting.All())
                    {
                        context.Source.ShouldBeNull();
                        context.Forward(new(key, $"{count}", time));
                        waiting.Delete(key);
                    }
                });
            },
            (context, record) => context.GetStore(s_waiting).Put(record.Key, context.GetStore(s_waiting).TryGet(record.Key, out var count) ? count + 1 : 1),
            s_waiting);
        EveryCrash.Run(Describe, Script("b=x@1 a=x@2 b=x@3 a=x@12 c=x@13 b=x@35 end"), driver => Read(driver))
            .ShouldBe(["b=1@0", "a=2@10", "b=1@10", "b=1@30", "c=1@30"]);
    }

    [Fact]
    public void What_windows_before_it_emit_at_the_end_is_punctuated_too()
    {
        var builder = new StreamsBuilder();
        var sums = Stores.KeyValue("sums", Serdes.Utf8, Serdes.Int64);
        builder.Stream("in", Texts).GroupByKey().WindowedBy(TumblingWindows.Of(TimeSpan.FromMilliseconds(100))).Count(Materialized.As("windows", Serdes.Int64))
            .Map((window, count) => (window.Key, $"{count}"))
            .Process(() => new TextProcessor(
                context => context.Schedule(TimeSpan.FromMilliseconds(10), PunctuationType.EventTime, time =>
                {
                    foreach (var (key, sum) in context.GetStore(sums).All())
                    {
                        context.Forward(new(key, $"{sum}", time));
                        context.GetStore(sums).Delete(key);
                    }
                }),
                (context, record) => context.GetStore(sums).Put(record.Key, record.TimestampMs)), Processed.With(sums))
            .To("out", ToTexts);
        Read(Run(builder, "a=x@1 b=x@250 end")).ShouldBe(["a=99@240", "b=299@300"]);
    }

    [Fact]
    public void A_punctuator_that_was_cancelled_stays_so_after_a_crash()
    {
        StreamsBuilder Describe()
        {
            var builder = Through(
                context =>
                {
                    IPunctuator punctuator = null!;
                    punctuator = context.Schedule(TimeSpan.FromMilliseconds(10), PunctuationType.EventTime, time =>
                    {
                        context.Forward(new("tick", "x", time));
                        if (time == 20)
                        {
                            punctuator.Cancel();
                        }
                    });
                },
                (_, _) => { });
            return builder;
        }

        EveryCrash.Run(Describe, Script("a@1 a@12 a@25 a@35 a@45 end"), driver => Read(driver)).ShouldBe(["tick=x@0", "tick=x@10", "tick=x@20"]);
    }

    [Fact]
    public void Wall_clock_punctuators_are_called_an_interval_after_the_beginning_and_then_at_every_interval()
    {
        var driver = new TopologyTestDriver(Clocked(100).Build(), new() { StartTime = DateTimeOffset.FromUnixTimeMilliseconds(1_030) });
        var output = driver.CreateOutput("out", Serdes.Utf8, Serdes.Utf8);
        List<long> Advance(int ms)
        {
            driver.AdvanceWallClock(TimeSpan.FromMilliseconds(ms));
            return [.. output.ReadAll().Select(record => record.Timestamp)];
        }

        Advance(99).ShouldBeEmpty();
        Advance(1).ShouldBe([1_130]);
        Advance(100).ShouldBe([1_230]);
        Advance(350).ShouldBe([1_580]); // once after several have passed
        Advance(49).ShouldBeEmpty();
        Advance(1).ShouldBe([1_630]); // and then where it would have been
    }

    [Theory]
    [InlineData(TestCrash.BeforeCommit)]
    [InlineData(TestCrash.BeforeDelivery)]
    [InlineData(TestCrash.DuringDelivery)]
    [InlineData(TestCrash.AfterDelivery)]
    public void A_restart_neither_forgets_nor_repeats_a_wall_clock_punctuation(TestCrash crash)
    {
        var driver = new TopologyTestDriver(Clocked(100).Build(), new() { StartTime = DateTimeOffset.FromUnixTimeMilliseconds(1_000) });
        var output = driver.CreateOutput("out", Serdes.Utf8, Serdes.Utf8);
        driver.AdvanceWallClock(TimeSpan.FromMilliseconds(120));
        driver.Restart(crash);
        output.ReadAll().Select(record => record.Timestamp).ShouldBe([1_120]);
        driver.AdvanceWallClock(TimeSpan.FromMilliseconds(79));
        driver.Restart(crash);
        output.ReadAll().ShouldBeEmpty();
        driver.AdvanceWallClock(TimeSpan.FromMilliseconds(1));
        output.ReadAll().Select(record => record.Timestamp).ShouldBe([1_200]);
    }

    [Fact]
    public void What_was_punctuated_and_not_committed_is_punctuated_again()
    {
        var driver = new TopologyTestDriver(Clocked(100).Build(), new() { CommitEvery = 1000 });
        var output = driver.CreateOutput("out", Serdes.Utf8, Serdes.Utf8);
        driver.AdvanceWallClock(TimeSpan.FromMilliseconds(100));
        driver.Restart();
        driver.Commit();
        output.ReadAll().Length.ShouldBe(1);
    }

    [Fact]
    public void What_a_punctuator_throws_names_it_and_what_made_it_due()
    {
        var byEventTime = Through(context => context.Schedule(TimeSpan.FromMilliseconds(10), PunctuationType.EventTime, time => throw new InvalidOperationException($"broken {time}")), (_, _) => { });
        var error = Should.Throw<StreamsException>(() => Run(byEventTime, "a@12"));
        error.Code.ShouldBe(StreamsErrorCode.InvalidInput);
        error.Message.ShouldContain("record at offset 0 of topic 'in'");
        error.Message.ShouldContain("The punctuator 0 of the processor 'step', every 10 ms by event time, failed at 10: InvalidOperationException: broken 10");

        var byClock = new TopologyTestDriver(Through(
            context => context.Schedule(TimeSpan.FromSeconds(1), PunctuationType.WallClock, _ => context.Forward(new("k", "v", long.MinValue))), (_, _) => { }).Build());
        error = Should.Throw<StreamsException>(() => byClock.AdvanceWallClock(TimeSpan.FromSeconds(1)));
        error.Code.ShouldBe(StreamsErrorCode.InvalidTimestamp);
        error.Message.ShouldContain("punctuation by the wall clock");
        error.Message.ShouldContain("every 1000 ms by wall clock");
    }

    [Theory]
    [InlineData(0)]
    [InlineData(-5)]
    public void An_interval_must_be_at_least_a_millisecond(int ms)
    {
        foreach (var type in Enum.GetValues<PunctuationType>())
        {
            var error = Should.Throw<StreamsException>(() => Run(Through(context => context.Schedule(TimeSpan.FromMilliseconds(ms), type, _ => { }), (_, _) => { }), "a@1"));
            error.Code.ShouldBe(StreamsErrorCode.InvalidConfig);
            error.Message.ShouldContain("The interval of a punctuator of the processor 'step'");
        }
    }

    private static StreamsBuilder Ticking(int interval) =>
        Through(context => context.Schedule(TimeSpan.FromMilliseconds(interval), PunctuationType.EventTime, time => context.Forward(new("tick", "x", time))), (_, _) => { });

    private static StreamsBuilder Clocked(int interval) =>
        Through(context => context.Schedule(TimeSpan.FromMilliseconds(interval), PunctuationType.WallClock, now => context.Forward(new("tick", "x", now))), (_, _) => { });

    /// <summary>Forwards an event of time 5 whenever time has passed a multiple of 100.</summary>
    private sealed class Backwards : IStreamProcessor<string, string, string, string>
    {
        public static readonly KeyValueStoreDefinition<string, long> Seen = Stores.KeyValue("seen", Serdes.Utf8, Serdes.Int64);

        public void Init(IProcessorContext<string, string> context) =>
            context.Schedule(TimeSpan.FromMilliseconds(100), PunctuationType.EventTime, time =>
            {
                if (time >= 900)
                {
                    context.Forward(new("a", "old", 5), "old");
                }
            });

        public void Process(ProcessorRecord<string, string> record)
        {
        }
    }
}
