using OrleansStreams.Errors;
using OrleansStreams.Records;
using OrleansStreams.Topologies;
using static OrleansStreams.Testing.ProcessorFixture;

namespace OrleansStreams.Testing;

/// <summary>The first of a key or id within 10 ms passes; the grace is 5 ms.</summary>
public sealed class DeduplicateTests
{
    private static readonly DeduplicationWindow s_window = DeduplicationWindow.Of(TimeSpan.FromMilliseconds(10)).Grace(TimeSpan.FromMilliseconds(5));

    [Theory]
    [InlineData("1@0 2@9", "1")] // within the window
    [InlineData("1@0 2@10", "1 2")] // a window apart is not within
    [InlineData("1@0 2@5 3@12", "1 3")] // what was left out stops nobody
    [InlineData("1@0 2@0", "1")] // of one time
    [InlineData("a=1@0 b=2@1 a=3@2", "1 2")] // each key by itself
    [InlineData("1@20 2@16", "1")] // first is who comes first, though the other is earlier
    [InlineData("1@12 2@20 3@9 4@22", "1 4")] // earlier by less than the window of one that has passed
    [InlineData("x=0@12 1@16 2@6", "0 1")] // late: the watermark is 15, the grace 5
    [InlineData("x=0@12 1@16 2@11", "0 1")] // not late, but the same
    [InlineData("1@0 x=0@17 2@11", "1 0 2")] // the last moment before the grace is over: 0 is still known, and 11 away
    [InlineData("1@2 x=0@17 2@11", "1 0")] // and here it is 9 away
    [InlineData("1@0 -=2@50", "null")]
    public void The_first_record_of_a_key_passes_and_later_ones_within_the_window_do_not(string script, string expected)
    {
        if (expected == "null")
        {
            var error = Should.Throw<StreamsException>(() => Run(ByKey(), script));
            (error.Code, error.Message.Contains("null key", StringComparison.Ordinal)).ShouldBe((StreamsErrorCode.InvalidInput, true));
            return;
        }

        var results = EveryCrash.Run(ByKey, Script(script), driver => Read(driver));
        string.Join(' ', results.Select(result => result.Split('=')[1].Split('@')[0])).ShouldBe(expected);
    }

    [Fact]
    public void Late_records_are_counted_and_what_has_passed_is_forgotten_with_the_watermark()
    {
        var driver = Run(ByKey(), "a=1@0 b=2@3 c=3@15");
        var store = driver.GetStore("once-seen", Serdes.Utf8, Serdes.Bytes);
        store.Count.ShouldBe(3);
        Script("d=4@16")[0](driver);
        store.Count.ShouldBe(3, "the watermark is 15: a is forgotten, d is new");
        store.Windows("a").ShouldBeEmpty();
        Script("a=5@9")[0](driver);
        driver.LateRecords.ShouldBe(1);
        Script("e=6@1000")[0](driver);
        Script("f=7@1001")[0](driver);
        store.Count.ShouldBe(2);
        driver.CloseInputs();
        store.Count.ShouldBe(0);
    }

    [Fact]
    public void Ids_are_compared_instead_of_keys_and_a_record_without_an_id_passes()
    {
        StreamsBuilder Describe()
        {
            var builder = new StreamsBuilder();
            builder.Stream("in", Texts).Deduplicate((_, value) => value == "-" ? null! : value[..1], Serdes.Utf8, s_window).To("out", ToTexts);
            return builder;
        }

        EveryCrash.Run(Describe, Script("a=x1@0 b=x2@1 b=y@2 c=x3@10 c=x4@11"), driver => Read(driver)).ShouldBe(["a=x1@0", "b=y@2", "c=x3@10"]);
        var all = new StreamsBuilder();
        all.Stream("in", Texts).Deduplicate((_, _) => (string)null!, Serdes.Utf8, s_window).To("out", ToTexts);
        Read(Run(all, "a=x@0 a=x@0")).Count().ShouldBe(2);
    }

    [Fact]
    public void A_stream_whose_key_has_changed_must_be_repartitioned()
    {
        var builder = new StreamsBuilder();
        var changed = builder.Stream("in", Texts).SelectKey((_, value) => value[..1]);
        Should.Throw<StreamsException>(() => changed.Deduplicate(s_window)).Code.ShouldBe(StreamsErrorCode.InvalidConfig);
        changed.Deduplicate(s_window, Grouped.With(Serdes.Utf8, Serdes.Utf8).WithName("by-letter"), "once").To("out", ToTexts);
        var driver = Run(builder, "a=x1@0 b=x2@1 c=y@2 d=x3@3", new() { Partitions = 3 });
        Read(driver).Order(StringComparer.Ordinal).ShouldBe(["x=x1@0", "y=y@2"]);
    }

    [Fact]
    public void What_follows_may_group_by_the_key_and_null_values_stay_null()
    {
        var builder = new StreamsBuilder();
        builder.Stream("in", Consumed.With(Serdes.Utf8, Serdes.Int64)).Deduplicate(s_window).ToTable(Materialized.As("last", Serdes.Int64))
            .ToStream().MapValues(value => $"{value}").To("out", ToTexts);
        var driver = new TopologyTestDriver(builder.Build());
        var input = driver.CreateInput("in", Serdes.Utf8, Serdes.Int64);
        input.Pipe("a", 1, 0);
        input.Pipe("a", 2, 1);
        input.PipeNull("a", 10);
        driver.GetStore("last", Serdes.Utf8, Serdes.Int64).Count.ShouldBe(0, "the deletion has passed");
    }

    [Fact]
    public void It_prints_itself_and_its_window_has_bounds()
    {
        ByKey().Build().Describe().ShouldContain("once: deduplicate by key utf8 within 10 grace 5 -> sink-2");
        ByKey().Build().SubTopologies[0].Stores.ShouldBe(["once-seen"]);
        Should.Throw<StreamsException>(() => DeduplicationWindow.Of(TimeSpan.Zero)).Code.ShouldBe(StreamsErrorCode.InvalidConfig);
        Should.Throw<StreamsException>(() => s_window.Grace(TimeSpan.FromMilliseconds(-1))).Code.ShouldBe(StreamsErrorCode.InvalidConfig);
        Should.Throw<StreamsException>(() => new StreamsBuilder().Stream("in", Texts).Deduplicate(s_window, "no name")).Code.ShouldBe(StreamsErrorCode.InvalidConfig);
    }

    private static StreamsBuilder ByKey()
    {
        var builder = new StreamsBuilder();
        builder.Stream("in", Texts).Deduplicate(s_window, "once").To("out", ToTexts);
        return builder;
    }
}
