using OrleansStreams.Errors;
using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.Testing;

/// <summary>A stream meets a table. Steps of a script: S:value is a record of the stream, T:value one of the table (- for null), ! a crash; a key may stand before, as in S:k=value.</summary>
public sealed class StreamTableJoinTests
{
    private static readonly Consumed<string, string> s_texts = Consumed.With(Serdes.Utf8, Serdes.Utf8);
    private static readonly Produced<string, string> s_toTexts = Produced.With(Serdes.Utf8, Serdes.Utf8);

    [Theory]
    [InlineData("S:1 T:a", "", "1_")] // the record comes before its key's value
    [InlineData("T:a S:1", "1a", "1a")]
    [InlineData("T:a T:b S:1 S:2", "1b 2b", "1b 2b")] // the last value counts
    [InlineData("T:a S:1 T:b S:2", "1a 2b", "1a 2b")] // what was told stays told
    [InlineData("T:a T:- S:1", "", "1_")] // a tombstone takes the value away
    [InlineData("T:a T:- T:b S:1", "1b", "1b")]
    [InlineData("T:- S:1", "", "1_")]
    [InlineData("T:a S:-", "", "")] // a null value joins nothing
    [InlineData("S:-", "", "")]
    [InlineData("T:x=a S:y=1", "", "1_")] // other keys are others
    [InlineData("T:a ! S:1 ! S:2", "1a 2a", "1a 2a")] // the table outlives a crash
    [InlineData("T:a T:- ! S:1", "", "1_")]
    [InlineData("T:a T:b", "", "")] // the table alone tells nothing
    public void A_record_meets_the_value_that_its_key_has_when_it_comes(string script, string inner, string left)
    {
        foreach (var (isLeft, expected) in ((bool, string)[])[(false, inner), (true, left)])
        {
            var builder = new StreamsBuilder();
            var (stream, table) = (builder.Stream("stream", s_texts), builder.Table("table", s_texts));
            (isLeft ? stream.LeftJoin(table, (value, found) => value + (found ?? "_")) : stream.Join(table, (value, found) => value + found)).To("out", s_toTexts);
            string.Join(' ', Run(builder, script).Select(record => record.Value)).ShouldBe(expected, $"left: {isLeft}");

            builder = new StreamsBuilder();
            var (byKey, global) = (builder.Stream("stream", s_texts), builder.GlobalTable("table", s_texts, Materialized.As("global", Serdes.Utf8)));
            (isLeft ? byKey.LeftJoin(global, (key, _) => key, (value, found) => value + (found ?? "_")) : byKey.Join(global, (key, _) => key, (value, found) => value + found))
                .To("out", s_toTexts);
            string.Join(' ', Run(builder, script).Select(record => record.Value)).ShouldBe(expected, $"global, left: {isLeft}");
        }
    }

    [Fact]
    public void The_result_has_the_records_key_time_and_headers()
    {
        var builder = new StreamsBuilder();
        builder.Stream("stream", s_texts).Join(builder.Table("table", s_texts), (key, value, found) => $"{key}:{value}{found}").To("out", s_toTexts);
        var driver = new TopologyTestDriver(builder.Build());
        driver.CreateInput("table", Serdes.Utf8, Serdes.Utf8).Pipe("k", "a", 500);
        driver.CreateInput("stream", Serdes.Utf8, Serdes.Utf8).Pipe("k", "1", 100, [new RecordHeader("trace", "x"u8.ToArray())]);
        var record = driver.CreateOutput("out", Serdes.Utf8, Serdes.Utf8).ReadAll().ShouldHaveSingleItem();
        (record.Key, record.Value, record.Timestamp).ShouldBe(("k", "k:1a", 100));
        record.Headers.ShouldHaveSingleItem().Key.ShouldBe("trace");
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_stream_is_joined_with_a_table_that_follows_from_another(bool isKept)
    {
        var builder = new StreamsBuilder();
        var table = builder.Table("table", s_texts).Filter((_, value) => value.Length > 1).MapValues(value => value[..1], isKept ? Materialized.As("first", Serdes.Utf8) : null);
        builder.Stream("stream", s_texts).LeftJoin(table, (value, found) => value + (found ?? "_")).To("out", s_toTexts);
        Run(builder, "T:ab S:1 T:c S:2 T:de ! S:3").Select(record => record.Value).ShouldBe(["1a", "2_", "3d"]);
    }

    [Theory]
    [InlineData("T:drop S:1", "", "1_", "1_")] // the filter's table has no such key
    [InlineData("T:a T:drop S:1 T:b S:2", "2b", "1_ 2b", "1_ 2b")]
    [InlineData("S:1", "", "1_", "1_")]
    [InlineData("T:x=a S:y=1 S:x=2", "2a", "1_ 2a", "1_ 2a")]
    [InlineData("T:a T:- S:1", "", "1_", "1_")]
    public void A_key_that_a_filter_drops_has_no_value_whether_the_filtered_table_is_kept_or_not(string script, string inner, string left, string mapped)
    {
        foreach (var kept in (Materialized<string>?[])[null, Materialized.As("filtered", Serdes.Utf8)])
        {
            var (innerBuilder, innerTable) = Filtered(kept);
            innerBuilder.Stream("stream", s_texts).Join(innerTable, (value, found) => value + found).To("out", s_toTexts);
            var (leftBuilder, leftTable) = Filtered(kept);
            leftBuilder.Stream("stream", s_texts).LeftJoin(leftTable, (value, found) => value + (found ?? "_")).To("out", s_toTexts);
            var (mappedBuilder, mappedTable) = Filtered(kept);
            mappedBuilder.Stream("stream", s_texts).LeftJoin(mappedTable.MapValues(value => value), (value, found) => value + (found ?? "_")).To("out", s_toTexts);
            foreach (var (builder, expected) in ((StreamsBuilder, string)[])[(innerBuilder, inner), (leftBuilder, left), (mappedBuilder, mapped)])
            {
                string.Join(' ', Run(builder, script).Select(record => record.Value)).ShouldBe(expected, $"kept: {kept is not null}");
            }
        }

        static (StreamsBuilder, KTable<string, string>) Filtered(Materialized<string>? kept)
        {
            var builder = new StreamsBuilder();
            return (builder, builder.Table("table", s_texts).Filter((_, value) => value != "drop", kept));
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_key_that_is_not_there_has_no_value_in_a_mapped_table_of_numbers_either(bool isKept)
    {
        var builder = new StreamsBuilder();
        var doubled = builder.Stream("table", s_texts).GroupByKey().Count(Materialized.As("counts", Serdes.Int64)).MapValues(count => 2 * count, isKept ? Materialized.As("doubled", Serdes.Int64) : null);
        builder.Stream("stream", s_texts).Join(doubled, (value, found) => $"{value}:{found}").To("out", s_toTexts);
        Run(builder, "T:x=a S:y=1 S:x=2 T:x=b S:x=3").Select(record => record.Value).ShouldBe(["2:2", "3:4"]);
    }

    [Fact]
    public void A_stream_is_joined_with_its_own_count_in_the_order_of_the_description()
    {
        var builder = new StreamsBuilder();
        var stream = builder.Stream("stream", s_texts);
        var counts = stream.GroupByKey().Count(Materialized.As("counts", Serdes.Int64));
        stream.Join(counts, (value, count) => $"{value}{count}").To("out", s_toTexts);
        Run(builder, "S:a S:b ! S:c").Select(record => record.Value).ShouldBe(["a1", "b2", "c3"]);
    }

    [Fact]
    public void A_stream_whose_key_has_changed_is_repartitioned_to_where_the_table_has_it()
    {
        var builder = new StreamsBuilder();
        builder.Stream("stream", s_texts).SelectKey((_, value) => value)
            .LeftJoin(builder.Table("table", s_texts), (value, found) => $"{value}-{found ?? "_"}", Joined.With(Serdes.Utf8, Serdes.Utf8).WithName("by-value")).To("out", s_toTexts);
        var driver = new TopologyTestDriver(builder.Build(), new() { TopicPartitions = Partitions(("stream", 3), ("table", 5)) });
        var (stream, table) = (driver.CreateInput("stream", Serdes.Utf8, Serdes.Utf8), driver.CreateInput("table", Serdes.Utf8, Serdes.Utf8));
        for (var number = 0; number < 20; number++)
        {
            table.Pipe($"v{number}", $"{number}", 1);
        }

        for (var number = 0; number < 21; number++)
        {
            stream.Pipe($"k{number}", $"v{number}", 2);
            driver.Restart(TestCrash.DuringDelivery);
        }

        driver.CreateOutput("out", Serdes.Utf8, Serdes.Utf8).ReadAll().Select(record => record.Value)
            .ShouldBe(Enumerable.Range(0, 21).Select(number => $"v{number}-{(number < 20 ? $"{number}" : "_")}"), ignoreOrder: true);
        driver.Tasks.Length.ShouldBe(3 + 5);
    }

    [Fact]
    public void Every_task_has_a_global_table_whole_whatever_its_partitions_and_joins_it_by_any_key()
    {
        var builder = new StreamsBuilder();
        var global = builder.GlobalTable("table", s_texts, Materialized.As("global", Serdes.Utf8));
        var stream = builder.Stream("stream", s_texts).LeftJoin(global, (_, value) => value == "none" ? null! : value, (value, found) => $"{value}-{found ?? "_"}");
        stream.Join(global, (_, value) => value[..2], (value, found) => $"{value}/{found}").To("out", s_toTexts);
        var driver = new TopologyTestDriver(builder.Build(), new() { TopicPartitions = Partitions(("stream", 4), ("table", 3)) });
        var (records, table) = (driver.CreateInput("stream", Serdes.Utf8, Serdes.Utf8), driver.CreateInput("table", Serdes.Utf8, Serdes.Utf8));
        for (var number = 0; number < 10; number++)
        {
            table.Pipe($"v{number}", $"{number}", 1);
            driver.Restart(TestCrash.DuringDelivery);
        }

        table.PipeNull("v9", 2);
        for (var number = 0; number < 10; number++)
        {
            records.Pipe($"k{number}", $"v{number}", 2, partition: number % 4);
        }

        driver.CreateOutput("out", Serdes.Utf8, Serdes.Utf8).ReadAll().Select(record => record.Value)
            .ShouldBe(Enumerable.Range(0, 9).Select(number => $"v{number}-{number}/{number}"), ignoreOrder: true);
        driver.GetStore("global", Serdes.Utf8, Serdes.Utf8).Count.ShouldBe(4 * 9);
        driver.Tasks.Length.ShouldBe(3 + 4);
    }

    [Fact]
    public void Topics_of_different_partition_counts_cannot_be_joined()
    {
        var builder = new StreamsBuilder();
        builder.Stream("stream", s_texts).Join(builder.Table("table", s_texts), (value, found) => value + found);
        var topology = builder.Build();
        var error = Should.Throw<StreamsException>(() => new TopologyTestDriver(topology, new() { TopicPartitions = Partitions(("stream", 2), ("table", 3)) }));
        error.Code.ShouldBe(StreamsErrorCode.InvalidPartitions);
        error.Message.ShouldContain("stream: 2, table: 3");
    }

    [Fact]
    public void Keys_that_cannot_meet_are_refused_with_what_to_do()
    {
        var builder = new StreamsBuilder();
        var stream = builder.Stream("stream", s_texts);
        var table = builder.Table("table", s_texts);
        var changed = Should.Throw<StreamsException>(() => stream.SelectKey((_, value) => value).Join(table, (value, found) => value + found));
        (changed.Code, changed.Message.Contains("Joined.With", StringComparison.Ordinal)).ShouldBe((StreamsErrorCode.InvalidConfig, true));

        var other = new OtherSerde();
        Should.Throw<StreamsException>(() => stream.Join(builder.Table("other", Consumed.With(other, Serdes.Utf8)), (value, found) => value + found)).Message.ShouldContain("'other-text'");
        Should.Throw<StreamsException>(() => stream.SelectKey((_, value) => value).Join(table, (value, found) => value + found, Joined.With(other, Serdes.Utf8)))
            .Message.ShouldContain("'other-text'");
        Should.Throw<StreamsException>(() => stream.Join(new StreamsBuilder().Table("table", s_texts), (value, found) => value + found)).Code.ShouldBe(StreamsErrorCode.InvalidConfig);
        Should.Throw<StreamsException>(() => stream.Join(new StreamsBuilder().GlobalTable("table", s_texts), (key, _) => key, (value, found) => value + found))
            .Code.ShouldBe(StreamsErrorCode.InvalidConfig);
    }

    [Fact]
    public void A_null_key_joins_no_table_and_is_refused()
    {
        var builder = new StreamsBuilder();
        builder.Stream("stream", s_texts).LeftJoin(builder.Table("table", s_texts), (value, found) => value + found).To("out", s_toTexts);
        var driver = new TopologyTestDriver(builder.Build());
        Should.Throw<StreamsException>(() => driver.CreateInput("stream", Serdes.Utf8, Serdes.Utf8).Pipe(null, "1", 1)).Code.ShouldBe(StreamsErrorCode.InvalidInput);
    }

    internal static System.Collections.Immutable.ImmutableDictionary<string, int> Partitions(params (string Topic, int Count)[] topics) =>
        System.Collections.Immutable.ImmutableDictionary.CreateRange(topics.Select(topic => KeyValuePair.Create(topic.Topic, topic.Count)));

    private static System.Collections.Immutable.ImmutableArray<TestRecord<string, string>> Run(StreamsBuilder builder, string script)
    {
        var driver = new TopologyTestDriver(builder.Build());
        foreach (var step in script.Split(' '))
        {
            if (step == "!")
            {
                driver.Restart();
                continue;
            }

            var (key, value) = step[2..].Split('=') is [var first, var second] ? (first, second) : ("k", step[2..]);
            driver.CreateInput(step[0] == 'S' ? "stream" : "table", Serdes.Utf8, Serdes.Utf8).Pipe(key, value == "-" ? null : value, 1);
        }

        return driver.CreateOutput("out", Serdes.Utf8, Serdes.Utf8).ReadAll();
    }

    private sealed class OtherSerde : ISerde<string>
    {
        public string Name => "other-text";

        public void Serialize(string value, System.Buffers.IBufferWriter<byte> writer) => Serdes.Utf8.Serialize(value, writer);

        public string Deserialize(ReadOnlySpan<byte> data) => Serdes.Utf8.Deserialize(data);
    }
}
