using System.Buffers;
using System.Globalization;
using OrleansStreams.Errors;
using OrleansStreams.Records;
using OrleansStreams.Topologies;
using static OrleansStreams.Testing.ProcessorFixture;

namespace OrleansStreams.Testing;

/// <summary>The best of each group. Values are a number, which is the score, and a letter.</summary>
public sealed class TopNTests
{
    [Theory]
    [InlineData("5a@1 7b@2 6c@3", "5a 7b,5a 7b,6c")] // a better one drives the worst out
    [InlineData("5a@1 7b@2 4c@3", "5a 7b,5a")] // what is none of the best changes nothing
    [InlineData("5b@1 5c@2 5a@3", "5b 5b,5c 5a,5b")] // of equals the bytes decide, whoever came first
    [InlineData("5a@1 5b@2 5c@3", "5a 5a,5b")]
    [InlineData("5a@1 5a@2 5a@3", "5a 5a,5a")] // equal values count as often as they came
    [InlineData("x=1a@1 y=2b@2 x=3c@3", "1a 2b 3c,1a")] // each group by itself
    [InlineData("5a@1 -@2 6b@3", "5a 6b,5a")] // a null value is none
    [InlineData("5a@9 7b@1", "5a 7b,5a")] // the order of event times is not asked for
    public void The_table_has_the_best_two_of_each_group_and_changes_only_with_them(string script, string expected)
    {
        var results = EveryCrash.Run(BestTwo, Script(script), driver => Read(driver));
        string.Join(' ', results.Select(result => result.Split('=')[1].Split('@')[0])).ShouldBe(expected);
    }

    [Fact]
    public void Its_lists_can_be_read_from_outside()
    {
        var driver = Run(BestTwo(), "x=1a@1 y=2b@2 x=3c@3 x=2d@4");
        var store = driver.GetStore("best", Serdes.Utf8, Serdes.List(Serdes.Utf8));
        store.TryGet("x", out var best).ShouldBeTrue();
        best.ShouldBe(["3c", "2d"]);
        store.Count.ShouldBe(2);
    }

    [Fact]
    public void The_last_state_does_not_depend_on_the_order_in_which_values_came()
    {
        var random = new Random(3);
        var values = Enumerable.Range(0, 60).Select(number => $"{random.Next(8)}{(char)('a' + random.Next(3))}").ToArray();
        var expected = values.OrderByDescending(value => value[0]).ThenBy(value => value, StringComparer.Ordinal).Take(7).ToArray();
        for (var round = 0; round < 20; round++)
        {
            random.Shuffle(values);
            var driver = Run(Best(7), string.Join(' ', values.Select((value, time) => $"{value}@{time}")));
            driver.GetStore("best", Serdes.Utf8, Serdes.List(Serdes.Utf8)).TryGet("k", out var best).ShouldBeTrue();
            best.ShouldBe(expected);
        }
    }

    /// <summary>Nexmark's query 18: of each bidder and auction the last bid.</summary>
    [Fact]
    public void The_last_bid_of_each_bidder_for_each_auction()
    {
        var pair = new PairSerde();
        var builder = new StreamsBuilder();
        builder.Stream("in", Texts)
            .GroupBy((_, bid) => (Auction: bid[0] - '0', Bidder: bid[1] - '0'), Grouped.With(pair, Serdes.Utf8).WithName("by-bidder"))
            .TopN(1, bid => int.Parse(bid[2..], CultureInfo.InvariantCulture), Materialized.As("last-bid", Serdes.Utf8))
            .ToStream().FlatMapValues(top => top).Map((key, bid) => ($"{key.Auction}/{key.Bidder}", bid)).To("out", ToTexts);
        var driver = Run(builder, "12100@1 12200@2 12150@3 32100@4 12300@5", new() { Partitions = 2 });
        Read(driver).Order(StringComparer.Ordinal).ShouldBe(["1/2=12100@1", "1/2=12200@2", "1/2=12300@5", "3/2=32100@4"]);
    }

    [Fact]
    public void It_prints_itself_and_its_count_has_bounds()
    {
        BestTwo().Build().Describe().ShouldContain("top-1: top 2 store best key utf8 value list(utf8) -> to-stream-2");
        foreach (var count in (int[])[0, -1, 10_001])
        {
            Should.Throw<StreamsException>(() => Best(count)).Code.ShouldBe(StreamsErrorCode.InvalidConfig);
        }
    }

    [Fact]
    public void A_list_is_written_as_drawn_and_damage_is_told()
    {
        var serde = Serdes.List(Serdes.Utf8);
        var writer = new ArrayBufferWriter<byte>();
        serde.Serialize(["ab", string.Empty], writer);
        byte[] golden = [0, 0, 0, 2, 0, 0, 0, 2, (byte)'a', (byte)'b', 0, 0, 0, 0];
        writer.WrittenSpan.ToArray().ShouldBe(golden);
        serde.Deserialize(golden).ShouldBe(["ab", string.Empty]);
        serde.Name.ShouldBe("list(utf8)");
        byte[][] damaged = [[], [0, 0, 0], golden[..^1], [.. golden, 0], [127, 255, 255, 255, 0, 0, 0, 0], [255, 255, 255, 255], [0, 0, 0, 1, 0, 0, 0, 9, 1]];
        foreach (var bytes in damaged)
        {
            Should.Throw<StreamsException>(() => serde.Deserialize(bytes)).Code.ShouldBe(StreamsErrorCode.SerializationFailed);
        }

        Should.Throw<StreamsException>(() => serde.Serialize(["a", null!], writer)).Code.ShouldBe(StreamsErrorCode.SerializationFailed);
    }

    private static StreamsBuilder BestTwo() => Best(2);

    private static StreamsBuilder Best(int count)
    {
        var builder = new StreamsBuilder();
        builder.Stream("in", Texts).GroupByKey().TopN(count, value => value[0], Materialized.As("best", Serdes.Utf8))
            .ToStream().MapValues(top => string.Join(',', top)).To("out", ToTexts);
        return builder;
    }

    private sealed class PairSerde : ISerde<(int Auction, int Bidder)>
    {
        public string Name => "pair";

        public void Serialize((int Auction, int Bidder) value, IBufferWriter<byte> writer)
        {
            Serdes.Int32.Serialize(value.Auction, writer);
            Serdes.Int32.Serialize(value.Bidder, writer);
        }

        public (int Auction, int Bidder) Deserialize(ReadOnlySpan<byte> data) => (Serdes.Int32.Deserialize(data[..4]), Serdes.Int32.Deserialize(data[4..]));
    }
}
