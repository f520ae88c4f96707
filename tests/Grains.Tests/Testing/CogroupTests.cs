using OrleansStreams.Errors;
using OrleansStreams.Records;
using OrleansStreams.Topologies;
using static OrleansStreams.Testing.TableScripts;
using static OrleansStreams.Testing.WindowTopologies;

namespace OrleansStreams.Testing;

/// <summary>Several streams in one aggregate, which writes down what came from where: values of stream one as they are, those of stream two in brackets.</summary>
public sealed class CogroupTests
{
    [Theory]
    [InlineData("one.k=a", "k=.a")]
    [InlineData("two.k=a", "k=.[a]")]
    [InlineData("one.k=a two.k=b one.k=c", "k=.a k=.a[b] k=.a[b]c")]
    [InlineData("one.k=a two.l=b one.l=c", "k=.a l=.[b] l=.[b]c")]
    [InlineData("one.k=a two.k=- one.k=- two.k=b", "k=.a k=.a[b]")] // null values are left out
    [InlineData("one.k=a two.k=stop one.k=b", "k=.a k=- k=.b")] // null deletes, and the next one begins anew
    [InlineData("one.k=a ! two.k=b ! one.k=c", "k=.a k=.a[b] k=.a[b]c")]
    public void An_aggregate_takes_the_records_of_all_cogrouped_streams(string script, string results) => Run(
        () => Describe(cogrouped => cogrouped.Aggregate(() => ".", Materialized.As("all", Serdes.Utf8)).ToStream()), script).ShouldBe(results);

    [Theory]
    [InlineData("one.k=a@0 two.k=b@9 one.k=c@10", "k=0-10.a[b] k=10-20.c")]
    [InlineData("one.k=a@0 two.k=-@1 two.k=b@15 one.k=c@3", "k=0-10.ac k=10-20.[b]")] // the one's watermark is its own
    [InlineData("two.k=b@5 one.l=c@5", "k=0-10.[b] l=0-10.c")]
    public void Tumbling_windows_hold_events_of_all_streams(string script, string results) => Windows(
        cogrouped => cogrouped.WindowedBy(TumblingWindows.Of(Ms(10))).Aggregate(() => ".", Materialized.As("all", Serdes.Utf8)), script).ShouldBe(results);

    [Theory]
    [InlineData("one.k=a@7 two.k=b@12", "k=0-10.a k=5-15.a[b] k=10-20.[b]")]
    public void Hopping_windows_hold_events_of_all_streams(string script, string results) => Windows(
        cogrouped => cogrouped.WindowedBy(HoppingWindows.Of(Ms(10), Ms(5))).Aggregate(() => ".", Materialized.As("all", Serdes.Utf8)), script).ShouldBe(results);

    [Theory]
    [InlineData("one.k=a@0 two.k=b@5 one.k=c@11", "k=0-6.a[b] k=11-12.c")]
    [InlineData("one.k=a@0 two.k=b@8 one.k=c@4", "k=0-9.a+.[b]c")] // two sessions become one
    public void Sessions_reach_over_all_streams(string script, string results) => Windows(
        cogrouped => cogrouped.WindowedBy(SessionWindows.With(Ms(5))).Aggregate(() => ".", (_, earlier, later) => $"{earlier}+{later}", Materialized.As("all", Serdes.Utf8)), script)
        .ShouldBe(results);

    [Theory]
    [InlineData("one.k=a@20 two.k=b@25", "k=10-21.a k=15-26.a[b] k=21-32.[b]")]
    [InlineData("two.k=b@25 one.k=a@20", "k=10-21.a k=15-26.[b]a k=21-32.[b]")] // the first window takes its event from what was kept
    [InlineData("one.k=a@20 one.k=c@30 one.k=b@25", "k=10-21.a k=15-26.ab k=20-31.acb k=21-32.cb k=26-37.c")] // each event was kept with a value of its own
    public void Sliding_windows_hold_events_of_all_streams(string script, string results) => Windows(
        cogrouped => cogrouped.WindowedBy(SlidingWindows.Of(Ms(10)).Grace(Ms(50))).Aggregate(() => ".", Materialized.As("all", Serdes.Utf8)), script).ShouldBe(results);

    [Fact]
    public void Windows_of_cogrouped_streams_are_emitted_and_tell_what_is_late_as_others_are()
    {
        Windows(cogrouped => cogrouped.WindowedBy(TumblingWindows.Of(Ms(10))).EmitOnUpdate().Aggregate(() => ".", Materialized.As("all", Serdes.Utf8)), "one.k=a@0 two.k=b@9")
            .ShouldBe("k=0-10.a k=0-10.a[b]");
        var driver = Drive(
            Describe(cogrouped => Flat(cogrouped.WindowedBy(TumblingWindows.Of(Ms(10))).LateTo("late").Aggregate(() => ".", Materialized.As("all", Serdes.Utf8)))),
            "one.k=a@30 one.k=b@0",
            []);
        var late = driver.CreateOutput("late", Serdes.Utf8, Serdes.Utf8).ReadAll().ShouldHaveSingleItem();
        (late.Key, late.Value, driver.LateRecords).ShouldBe(("k", "b", 1), "as it was read");
    }

    [Fact]
    public void Streams_of_other_value_types_and_repartitioned_ones_are_cogrouped()
    {
        var builder = new StreamsBuilder();
        var numbers = builder.Stream("numbers", Consumed.With(Serdes.Utf8, Serdes.Int64)).GroupByKey();
        var texts = builder.Stream("texts", Texts).GroupBy((_, value) => value[..1], Grouped.With(Serdes.Utf8, Serdes.Utf8).WithName("by-letter"));
        numbers.Cogroup<long>((_, number, sum) => sum + number).Cogroup(texts, (_, text, sum) => sum + text.Length).Aggregate(() => 100, Materialized.As("sums", Serdes.Int64));
        var driver = new TopologyTestDriver(builder.Build(), new() { Partitions = 3 });
        driver.CreateInput("numbers", Serdes.Utf8, Serdes.Int64).Pipe("x", 5, 1);
        driver.CreateInput("numbers", Serdes.Utf8, Serdes.Int64).PipeNull("x", 1);
        driver.CreateInput("texts", Serdes.Utf8, Serdes.Utf8).Pipe("any", "xyz", 1);
        driver.Restart();
        driver.CreateInput("texts", Serdes.Utf8, Serdes.Utf8).Pipe("other", "yz", 1);
        driver.GetStore("sums", Serdes.Utf8, Serdes.Int64).All().ShouldBe([new("x", 108), new("y", 102)]);
    }

    [Fact]
    public void One_stream_alone_can_be_cogrouped()
    {
        var builder = new StreamsBuilder();
        builder.Stream("one", Texts).GroupByKey().Cogroup<string>((_, value, all) => all + value).Aggregate(() => ".", Materialized.As("all", Serdes.Utf8)).ToStream().To("out", ToTexts);
        builder.Build().Describe().ShouldContain("cogroup-1: cogroup -> aggregate-2");
        Results(Drive(builder.Build(), "one.k=a one.k=b", [])).ShouldBe("k=.a k=.ab");
    }

    [Fact]
    public void Streams_that_cannot_meet_are_refused()
    {
        var builder = new StreamsBuilder();
        var cogrouped = builder.Stream("one", Texts).GroupByKey().Cogroup<string>((_, value, all) => all + value);
        var elsewhere = new StreamsBuilder().Stream("two", Texts).GroupByKey();
        Should.Throw<StreamsException>(() => cogrouped.Cogroup(elsewhere, (_, value, all) => all + value)).Code.ShouldBe(StreamsErrorCode.InvalidConfig);

        var otherKeys = builder.Stream("two", Consumed.With(Serdes.Json<string>(), Serdes.Utf8)).GroupByKey();
        Should.Throw<StreamsException>(() => cogrouped.Cogroup(otherKeys, (_, value, all) => all + value)).Message.ShouldContain("'utf8' and 'json'");

        var two = builder.Stream("two", Texts).GroupByKey();
        var without = Should.Throw<StreamsException>(() => cogrouped.Cogroup(two, (_, value, all) => all + value).WindowedBy(SlidingWindows.Of(Ms(10))));
        (without.Code, without.Message.Contains("serde", StringComparison.Ordinal)).ShouldBe((StreamsErrorCode.InvalidConfig, true));

        cogrouped.Cogroup(two, (_, value, all) => all + value).Aggregate(() => ".", Materialized.As("all", Serdes.Utf8));
        var error = Should.Throw<StreamsException>(() => new TopologyTestDriver(builder.Build(), new() { TopicPartitions = StreamTableJoinTests.Partitions(("one", 1), ("two", 2)) }));
        (error.Code, error.Message.Contains("one: 1, two: 2", StringComparison.Ordinal)).ShouldBe((StreamsErrorCode.InvalidPartitions, true));
    }

    private static string Windows(Func<CogroupedKStream<string, string>, KStream<Windowed<string>, string>> windowed, string script) =>
        Run(() => Describe(cogrouped => Flat(windowed(cogrouped))), script, close: true);

    private static KStream<string, string> Flat(KStream<Windowed<string>, string> results) =>
        results.Map((window, all) => (window.Key, $"{window.WindowStartMs}-{window.WindowEndMs}{all}"));

    private static Topology Describe(Func<CogroupedKStream<string, string>, KStream<string, string>> aggregate)
    {
        var builder = new StreamsBuilder();
        var (one, two) = (builder.Stream("one", Texts).GroupByKey(), builder.Stream("two", Texts).GroupByKey());
        aggregate(one.Cogroup<string>((_, value, all) => all + value, Serdes.Utf8).Cogroup(two, (_, value, all) => value == "stop" ? null! : $"{all}[{value}]", Serdes.Utf8))
            .To("out", ToTexts);
        return builder.Build();
    }
}
