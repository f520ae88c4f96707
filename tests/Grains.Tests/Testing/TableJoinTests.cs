using OrleansStreams.Errors;
using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.Testing;

/// <summary>Two tables meet. Steps of a script: L:value is a change of the left table, R:value one of the right (- deletes), ! a crash. A result is left+right, _ for what is not there, - for a deletion.</summary>
public sealed class TableJoinTests
{
    private static readonly Consumed<string, string> s_texts = Consumed.With(Serdes.Utf8, Serdes.Utf8);
    private static readonly Produced<string, string> s_toTexts = Produced.With(Serdes.Utf8, Serdes.Utf8);

    [Theory]
    [InlineData("L:a", "", "a+_", "a+_")]
    [InlineData("R:x", "", "", "_+x")]
    [InlineData("L:a R:x", "a+x", "a+_ a+x", "a+_ a+x")]
    [InlineData("R:x L:a", "a+x", "a+x", "_+x a+x")]
    [InlineData("L:a R:x L:b R:y", "a+x b+x b+y", "a+_ a+x b+x b+y", "a+_ a+x b+x b+y")] // both sides change it
    [InlineData("L:a R:x L:-", "a+x -", "a+_ a+x -", "a+_ a+x _+x")]
    [InlineData("L:a R:x R:-", "a+x -", "a+_ a+x a+_", "a+_ a+x a+_")]
    [InlineData("L:a R:x L:- R:-", "a+x -", "a+_ a+x -", "a+_ a+x _+x -")] // one tombstone, with the last of it
    [InlineData("L:a R:x R:- L:-", "a+x -", "a+_ a+x a+_ -", "a+_ a+x a+_ -")]
    [InlineData("L:- R:- L:- R:-", "", "", "")] // what never was is not deleted
    [InlineData("R:x R:-", "", "", "_+x -")]
    [InlineData("L:a L:- R:x", "", "a+_ -", "a+_ - _+x")]
    [InlineData("L:a R:x L:- L:b", "a+x - b+x", "a+_ a+x - b+x", "a+_ a+x _+x b+x")] // and comes again
    [InlineData("L:a L:a R:x R:x", "a+x a+x", "a+_ a+_ a+x a+x", "a+_ a+_ a+x a+x")] // an update to the same value is one too
    [InlineData("L:a ! R:x ! L:- !", "a+x -", "a+_ a+x -", "a+_ a+x _+x")] // over crashes
    [InlineData("L:a L:null R:x", "", "a+_ -", "a+_ - _+x")] // see the mapping below: a value that is mapped to null is none
    public void The_result_follows_both_tables(string script, string inner, string left, string outer)
    {
        foreach (var (kind, expected) in ((StreamKind, string)[])[(StreamKind.Inner, inner), (StreamKind.Left, left), (StreamKind.Outer, outer)])
        {
            Run(kind, isKept: true, script).ShouldBe(expected, $"{kind}, kept");
            Run(kind, isKept: false, script).ShouldBe(expected, $"{kind}, not kept");
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_result_that_is_null_is_no_value(bool isKept)
    {
        var builder = new StreamsBuilder();
        builder.Table("left", s_texts).Join(builder.Table("right", s_texts), (left, right) => left == right ? null! : left + right, isKept ? Materialized.As("kept", Serdes.Utf8) : null)
            .ToStream().To("out", s_toTexts);
        Drive(builder, "L:a R:a R:b L:b L:- L:c").CreateOutput("out", Serdes.Utf8, Serdes.Utf8).ReadAll().Select(record => record.Value).ShouldBe(["ab", null, "cb"]);
    }

    [Fact]
    public void A_kept_result_can_be_read_from_its_store()
    {
        var builder = new StreamsBuilder();
        var joined = builder.Table("left", s_texts).OuterJoin(builder.Table("right", s_texts), (left, right) => $"{left}{right}", Materialized.As("kept", Serdes.Utf8));
        joined.StoreName.ShouldBe("kept");
        Drive(builder, "L:a R:b ! L:c").GetStore("kept", Serdes.Utf8, Serdes.Utf8).All().ShouldBe([new("k", "cb")]);
    }

    [Fact]
    public void A_join_of_three_tables_and_a_stream_looks_into_joins_that_are_not_kept()
    {
        var builder = new StreamsBuilder();
        var (left, right, third) = (builder.Table("left", s_texts), builder.Table("right", s_texts), builder.Table("third", s_texts));
        var all = left.Join(right, (one, two) => one + two).LeftJoin(third, (both, three) => both + (three ?? "_"));
        all.ToStream().To("out", s_toTexts);
        builder.Stream("stream", s_texts).LeftJoin(all, (value, found) => $"{value}:{found}").To("looked-up", s_toTexts);
        var driver = Drive(builder, "L:a R:b");
        var (changes, stream) = (driver.CreateInput("third", Serdes.Utf8, Serdes.Utf8), driver.CreateInput("stream", Serdes.Utf8, Serdes.Utf8));
        stream.Pipe("k", "1", 1);
        changes.Pipe("k", "c", 1);
        driver.Restart();
        stream.Pipe("k", "2", 1);
        driver.CreateInput("right", Serdes.Utf8, Serdes.Utf8).PipeNull("k", 1);
        stream.Pipe("k", "3", 1);
        driver.CreateOutput("out", Serdes.Utf8, Serdes.Utf8).ReadAll().Select(record => record.Value).ShouldBe(["ab_", "abc", null]);
        driver.CreateOutput("looked-up", Serdes.Utf8, Serdes.Utf8).ReadAll().Select(record => record.Value).ShouldBe(["1:ab_", "2:abc", "3:"]);
    }

    [Fact]
    public void A_table_is_joined_with_what_follows_from_it_when_the_result_is_kept()
    {
        var builder = new StreamsBuilder();
        var table = builder.Table("left", s_texts);
        var upper = table.MapValues(value => value.ToUpperInvariant());
        var error = Should.Throw<StreamsException>(() => table.Join(upper, (one, two) => one + two));
        (error.Code, error.Message.Contains("Materialized.As", StringComparison.Ordinal)).ShouldBe((StreamsErrorCode.InvalidConfig, true));

        table.Join(upper, (one, two) => one + two, Materialized.As("kept", Serdes.Utf8)).ToStream().To("out", s_toTexts);
        Drive(builder, "L:a L:b L:-").CreateOutput("out", Serdes.Utf8, Serdes.Utf8).ReadAll().Select(record => record.Value)
            .ShouldBe(["aA", "aA", "bB", "bB", null], "each change comes by both ways, and never with one of them behind");
    }

    [Fact]
    public void A_table_is_joined_with_a_kept_table_that_follows_from_it_only_when_the_result_is_kept_too()
    {
        var builder = new StreamsBuilder();
        var table = builder.Table("left", s_texts);
        var upper = table.MapValues(value => value.ToUpperInvariant(), Materialized.As("upper", Serdes.Utf8));
        var counts = table.ToStream().GroupByKey().Count(Materialized.As("counts", Serdes.Int64));
        foreach (var join in (Action[])[() => table.Join(upper, (one, two) => one + two), () => upper.Join(table, (one, two) => one + two), () => table.Join(counts, (one, two) => one + two)])
        {
            Should.Throw<StreamsException>(join).Message.ShouldContain("Materialized.As");
        }

        table.Join(upper, (one, two) => one + two, Materialized.As("kept", Serdes.Utf8)).ToStream().To("out", s_toTexts);
        upper.Join(counts, (one, two) => $"{one}{two}").ToStream().To("others", s_toTexts);
        var driver = Drive(builder, "L:a L:b L:-");
        driver.CreateOutput("out", Serdes.Utf8, Serdes.Utf8).ReadAll()[^1].Value.ShouldBeNull();
        driver.CreateOutput("others", Serdes.Utf8, Serdes.Utf8).ReadAll().Select(record => record.Value).ShouldBe(["A1", "B1", "B2", null], "neither reads the other's store");
    }

    [Fact]
    public void Tables_that_cannot_meet_are_refused()
    {
        var builder = new StreamsBuilder();
        var table = builder.Table("left", s_texts);
        Should.Throw<StreamsException>(() => table.Join(new StreamsBuilder().Table("right", s_texts), (one, two) => one + two)).Code.ShouldBe(StreamsErrorCode.InvalidConfig);
        table.Join(builder.Table("right", s_texts), (one, two) => one + two);
        Should.Throw<StreamsException>(() => new TopologyTestDriver(builder.Build(), new() { TopicPartitions = StreamTableJoinTests.Partitions(("left", 1), ("right", 2)) }))
            .Code.ShouldBe(StreamsErrorCode.InvalidPartitions);
    }

    private static string Run(StreamKind kind, bool isKept, string script)
    {
        var builder = new StreamsBuilder();
        var materialized = isKept ? Materialized.As("kept", Serdes.Utf8) : null;
        var (left, right) = (builder.Table("left", s_texts).MapValues(value => value == "null" ? null! : value), builder.Table("right", s_texts));
        var joined = kind switch
        {
            StreamKind.Inner => left.Join(right, (one, two) => $"{one}+{two}", materialized),
            StreamKind.Left => left.LeftJoin(right, (one, two) => $"{one}+{two ?? "_"}", materialized),
            _ => left.OuterJoin(right, (one, two) => $"{one ?? "_"}+{two ?? "_"}", materialized),
        };
        joined.ToStream().To("out", s_toTexts);
        var results = Drive(builder, script).CreateOutput("out", Serdes.Utf8, Serdes.Utf8).ReadAll();
        return string.Join(' ', results.Select(record => record.Value ?? "-"));
    }

    private static TopologyTestDriver Drive(StreamsBuilder builder, string script)
    {
        var driver = new TopologyTestDriver(builder.Build());
        foreach (var step in script.Split(' '))
        {
            if (step == "!")
            {
                driver.Restart();
            }
            else
            {
                driver.CreateInput(step[0] == 'L' ? "left" : "right", Serdes.Utf8, Serdes.Utf8).Pipe("k", step[2..] == "-" ? null : step[2..], 1);
            }
        }

        return driver;
    }
}
