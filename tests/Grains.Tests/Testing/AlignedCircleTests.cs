using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.Testing;

/// <summary>A source that is not to be further ahead of the other inputs than some time, and others that are made of it.</summary>
public sealed class AlignedCircleTests
{
    private static readonly Consumed<string, string> s_texts = Consumed.With(Serdes.Utf8, Serdes.Utf8);
    private static readonly StreamJoined<string, string, string> s_joined = StreamJoined.With(Serdes.Utf8, Serdes.Utf8, Serdes.Utf8);

    [Fact]
    public void A_source_does_not_wait_for_a_topic_that_is_made_of_it_and_comes_behind_it()
    {
        var builder = new StreamsBuilder();
        var source = builder.Stream("in", s_texts.WithWatermarks(WatermarkStrategy.Monotonic().WithAlignment(TimeSpan.Zero)));
        var late = s_texts.WithWatermarks(WatermarkStrategy.BoundedOutOfOrderness(TimeSpan.FromDays(1)));
        source.Join(source.Through("between", Produced.With(Serdes.Utf8, Serdes.Utf8), late), (one, other) => one + other, JoinWindows.Of(TimeSpan.Zero), s_joined)
            .To("out", Produced.With(Serdes.Utf8, Serdes.Utf8));
        Run(builder).ShouldBe(["aa", "bb"]);
    }

    [Fact]
    public void A_source_does_not_wait_for_windows_of_it_that_close_a_grace_behind_it()
    {
        var builder = new StreamsBuilder();
        var source = builder.Stream("in", s_texts.WithWatermarks(WatermarkStrategy.Monotonic().WithAlignment(TimeSpan.FromMilliseconds(50))));
        var windows = source.Repartition(Repartitioned.With(Serdes.Utf8, Serdes.Utf8)).GroupByKey()
            .WindowedBy(TumblingWindows.Of(TimeSpan.FromMilliseconds(10)).Grace(TimeSpan.FromMilliseconds(1000))).Reduce((_, last) => last, Materialized.As("last", Serdes.Utf8))
            .Map((window, last) => (window.Key, last));
        source.LeftJoin(windows, (one, other) => one + other, JoinWindows.Of(TimeSpan.FromMilliseconds(10)), s_joined).To("out", Produced.With(Serdes.Utf8, Serdes.Utf8));
        Run(builder).ShouldBe(["aa", "bb"]);
    }

    private static IEnumerable<string?> Run(StreamsBuilder builder)
    {
        var driver = new TopologyTestDriver(builder.Build());
        var input = driver.CreateInput("in", Serdes.Utf8, Serdes.Utf8);
        input.Pipe("k", "a", 100);
        input.Pipe("k", "b", 300);
        driver.CloseInputs();
        driver.Tasks.ShouldAllBe(task => task.IsCompleted);
        return driver.CreateOutput("out", Serdes.Utf8, Serdes.Utf8).ReadAll().Select(record => record.Value);
    }
}
