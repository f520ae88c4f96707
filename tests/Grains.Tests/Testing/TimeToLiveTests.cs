using OrleansStreams.Errors;
using OrleansStreams.Records;
using OrleansStreams.Topologies;
using static OrleansStreams.Testing.ProcessorFixture;

namespace OrleansStreams.Testing;

/// <summary>Keys live for 10 ms. The watermark is one ms behind the largest event time.</summary>
public sealed class TimeToLiveTests
{
    private static readonly TimeSpan s_life = TimeSpan.FromMilliseconds(10);

    [Theory]
    [InlineData("a=1@0 b=2@10 b=3@11", "a=1@0 b=2@10 b=3@11 a=-@10")] // when the watermark is at 10, and not before
    [InlineData("a=1@0 a=2@8 b=3@18 b=4@19", "a=1@0 a=2@8 b=3@18 b=4@19 a=-@18")] // a write keeps it
    [InlineData("b=0@8 a=1@8 a=2@3 c=3@14 c=4@19", "b=0@8 a=1@8 a=2@3 c=3@14 c=4@19 a=-@18 b=-@18")] // the latest write counts; at one time by key
    [InlineData("a=1@0 a=-@5 b=2@20", "a=1@0 a=-@5 b=2@20")] // who was deleted is not deleted again
    [InlineData("a=1@0 a=-@5 a=2@6 b=3@14 b=4@17", "a=1@0 a=-@5 a=2@6 b=3@14 b=4@17 a=-@16")] // and lives anew
    [InlineData("a=1@0 b=2@5 c=3@100", "a=1@0 b=2@5 c=3@100 a=-@10 b=-@15")] // in a jump by their times
    [InlineData("a=1@0 b=2@50 a=3@1 b=4@51", "a=1@0 b=2@50 a=-@10 a=3@1 b=4@51 a=-@11")] // written when its time is over already: until the watermark rises
    [InlineData("a=1@0 end", "a=1@0")] // the end of the input is no time that has passed
    public void A_key_of_a_table_that_was_not_written_for_its_time_to_live_is_deleted(string script, string expected)
    {
        StreamsBuilder Describe()
        {
            var builder = new StreamsBuilder();
            builder.Table("in", Texts, Materialized.As("table", Serdes.Utf8).WithTimeToLive(s_life)).ToStream().To("out", ToTexts);
            return builder;
        }

        string.Join(' ', EveryCrash.Run(Describe, Script(script), driver => Read(driver))).ShouldBe(expected);
    }

    [Fact]
    public void An_aggregate_begins_anew_and_what_follows_it_is_told()
    {
        StreamsBuilder Describe()
        {
            var builder = new StreamsBuilder();
            builder.Stream("in", Texts).GroupByKey().Count(Materialized.As("counts", Serdes.Int64).WithTimeToLive(s_life))
                .Filter((_, count) => count > 1, Materialized.As("many", Serdes.Int64)).MapValues(count => $"{count}").ToStream().To("out", ToTexts);
            return builder;
        }

        EveryCrash.Run(Describe, Script("a=x@0 a=x@1 b=x@5 a=x@6 b=x@20 b=x@21 a=x@22 a=x@23"), driver => Read(driver)).ShouldBe(["a=2@1", "a=3@6", "b=2@20", "a=-@16", "b=3@21", "a=2@23"]);
    }

    [Fact]
    public void Forgotten_keys_take_no_room()
    {
        var builder = new StreamsBuilder();
        builder.Stream("in", Texts).GroupByKey().TopN(2, value => value, Materialized.As("best", Serdes.Utf8).WithTimeToLive(s_life));
        var driver = new TopologyTestDriver(builder.Build(), new() { CommitEvery = 7 });
        var input = driver.CreateInput("in", Serdes.Utf8, Serdes.Utf8);
        for (var time = 0; time < 500; time++)
        {
            input.Pipe($"k{time}", "x", time);
        }

        driver.Tasks[0].StateEntries.ShouldBe(2 * 11, "values and times of the last keys");
        driver.Commit();
        driver.Restart();
        driver.Tasks[0].StateEntries.ShouldBe(2 * 11);
    }

    [Fact]
    public void The_entries_of_a_processors_store_are_forgotten_whatever_crashes()
    {
        var seen = Stores.KeyValue("seen", Serdes.Utf8, Serdes.Utf8).WithTimeToLive(s_life);
        StreamsBuilder Describe() => Through(
            context => context.Schedule(TimeSpan.FromMilliseconds(50), PunctuationType.EventTime, time => context.GetStore(seen).Put("tick", $"{time}")),
            (context, record) =>
            {
                var store = context.GetStore(seen);
                context.Forward(record.WithValue(string.Join(',', store.All().Select(pair => pair.Key + pair.Value))));
                if (record.Value == "del")
                {
                    store.Delete(record.Key);
                }
                else if (record.Value != "read")
                {
                    store.Put(record.Key, record.Value);
                }
            },
            seen);
        EveryCrash.Run(Describe, Script("a=1@1 b=2@2 a=read@9 a=read@11 a=read@12 a=read@13 a=3@14 a=del@15 a=4@16 a=read@26 a=read@27 a=read@28 a=read@55 a=read@61 a=read@62"), driver => Read(driver))
            .Select(result => result[(result.IndexOf('=', StringComparison.Ordinal) + 1)..])
            .ShouldBe(["@1", "a1,tick0@2", "a1,b2,tick0@9", "a1,b2,tick0@11", "a1,b2@12", "b2@13", "@14", "a3@15", "@16", "a4@26", "a4@27", "@28", "@55", "tick50@61", "@62"]);
    }

    [Fact]
    public void It_prints_itself_has_bounds_and_is_not_for_windows()
    {
        var builder = new StreamsBuilder();
        builder.Table("in", Texts, Materialized.As("table", Serdes.Utf8).WithTimeToLive(s_life));
        builder.Build().Describe().ShouldContain("to-table store table key utf8 value utf8 time-to-live 10");
        builder.Build().SubTopologies[0].Stores.ShouldBe(["table", "table-times"]);
        Stores.KeyValue("s", Serdes.Utf8, Serdes.Utf8).WithTimeToLive(s_life).Shape.ShouldBe("s key utf8 value utf8 time-to-live 10");
        Should.Throw<StreamsException>(() => Materialized.As("x", Serdes.Utf8).WithTimeToLive(TimeSpan.Zero)).Code.ShouldBe(StreamsErrorCode.InvalidConfig);
        Should.Throw<StreamsException>(() => Stores.KeyValue("s", Serdes.Utf8, Serdes.Utf8).WithTimeToLive(TimeSpan.FromDays(400_000))).Code.ShouldBe(StreamsErrorCode.InvalidConfig);
        var mortal = Materialized.As("windows", Serdes.Int64).WithTimeToLive(s_life);
        var grouped = new StreamsBuilder().Stream("in", Texts).GroupByKey();
        Should.Throw<StreamsException>(() => grouped.WindowedBy(TumblingWindows.Of(s_life)).Count(mortal)).Message.ShouldContain("use WithRetention");
        Should.Throw<StreamsException>(() => grouped.WindowedBy(SessionWindows.With(s_life)).Count(mortal)).Message.ShouldContain("use WithRetention");
    }
}
