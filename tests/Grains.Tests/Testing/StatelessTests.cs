using OrleansStreams.Errors;
using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.Testing;

public sealed class StatelessTests
{
    private static readonly Consumed<string, long> s_numbers = Consumed.With(Serdes.Utf8, Serdes.Int64);
    private static readonly Produced<string, long> s_toNumbers = Produced.With(Serdes.Utf8, Serdes.Int64);

    [Fact]
    public void A_record_goes_to_the_first_branch_that_takes_it_or_to_the_default_one()
    {
        var builder = new StreamsBuilder();
        var branches = builder.Stream("in", s_numbers).Split()
            .Branch("large", (_, value) => value > 100)
            .Branch("even", (_, value) => value % 2 == 0, even => even.To("even-numbers", s_toNumbers))
            .DefaultBranch("rest");
        branches["large"].To("large-numbers", s_toNumbers);
        branches["rest"].To("other-numbers", s_toNumbers);
        var driver = Piped(builder, 200, 4, 5, 101);
        Values(driver, "large-numbers").ShouldBe([200, 101]);
        Values(driver, "even-numbers").ShouldBe([4]);
        Values(driver, "other-numbers").ShouldBe([5]);
    }

    [Fact]
    public void What_no_branch_takes_is_dropped_without_a_default_branch()
    {
        var builder = new StreamsBuilder();
        builder.Stream("in", s_numbers).Split().Branch("large", (_, value) => value > 100).NoDefaultBranch()["large"].To("out", s_toNumbers);
        Values(Piped(builder, 1, 101), "out").ShouldBe([101]);
    }

    [Fact]
    public void Branches_of_one_name_and_branches_behind_the_default_are_refused()
    {
        var split = new StreamsBuilder().Stream("in", s_numbers).Split().Branch("a", (_, _) => true);
        Should.Throw<StreamsException>(() => split.Branch("a", (_, _) => true)).Code.ShouldBe(StreamsErrorCode.InvalidConfig);
        split.DefaultBranch();
        Should.Throw<StreamsException>(() => split.Branch("b", (_, _) => true)).Message.ShouldContain("before the default branch");
    }

    [Fact]
    public void Peek_sees_records_and_passes_them_on_and_for_each_ends_them()
    {
        var seen = new List<string>();
        var builder = new StreamsBuilder();
        var stream = builder.Stream("in", s_numbers).Peek((key, value) => seen.Add($"{key}{value}"));
        stream.ForEach((_, value) => seen.Add($"end{value}"));
        stream.To("out", s_toNumbers);
        Values(Piped(builder, 1, 2), "out").ShouldBe([1, 2]);
        seen.ShouldBe(["k1", "end1", "k2", "end2"]);
    }

    [Fact]
    public void Flat_map_values_keeps_the_key_so_that_records_can_be_grouped_by_it()
    {
        var builder = new StreamsBuilder();
        builder.Stream("in", s_numbers).FlatMapValues(value => Enumerable.Range(0, (int)value)).GroupByKey().Count(Materialized.As("counts", Serdes.Int64));
        Piped(builder, 3, 0, 2).GetStore("counts", Serdes.Utf8, Serdes.Int64).All().ShouldBe([new("k", 5)]);
    }

    [Fact]
    public void Merge_takes_many_streams()
    {
        var builder = new StreamsBuilder();
        var stream = builder.Stream("in", s_numbers);
        stream.Merge(stream.MapValues(value => 10 * value), stream.MapValues(value => 100 * value)).To("out", s_toNumbers);
        Values(Piped(builder, 1, 2), "out").Order().ShouldBe([1, 2, 10, 20, 100, 200]);
    }

    [Fact]
    public void Streams_of_two_builders_cannot_be_merged() => Should.Throw<StreamsException>(
        () => new StreamsBuilder().Stream("in", s_numbers).Merge(new StreamsBuilder().Stream("in", s_numbers))).Code.ShouldBe(StreamsErrorCode.InvalidConfig);

    [Fact]
    public void Keys_and_values_are_taken_apart()
    {
        var builder = new StreamsBuilder();
        var stream = builder.Stream("in", s_numbers);
        stream.Keys().To("keys", Produced.With(Serdes.Utf8, Serdes.Utf8));
        stream.Values().To("values", Produced.With(Serdes.Bytes, Serdes.Int64));
        var driver = Piped(builder, 7);
        driver.CreateOutput("keys", Serdes.Utf8, Serdes.Utf8).ReadAll().ShouldHaveSingleItem().Value.ShouldBe("k");
        var value = driver.CreateOutput("values", Serdes.Bytes, Serdes.Int64).ReadAll().ShouldHaveSingleItem();
        (value.Key, value.Value).ShouldBe((null, 7));
    }

    [Fact]
    public void Through_writes_a_topic_and_goes_on_from_it()
    {
        var builder = new StreamsBuilder();
        builder.Stream("in", s_numbers).Through("between", s_toNumbers, s_numbers).MapValues(value => value + 1).To("out", s_toNumbers);
        var driver = Piped(builder, 1, 2);
        Values(driver, "between").ShouldBe([1, 2]);
        Values(driver, "out").ShouldBe([2, 3]);
    }

    [Fact]
    public void A_record_goes_to_the_topic_that_it_chooses_and_another_than_was_named_is_its_error()
    {
        var builder = new StreamsBuilder();
        builder.Stream("in", s_numbers).To((_, value) => value > 9 ? "nowhere" : value % 2 == 0 ? "even" : "odd", ["odd", "even"], s_toNumbers);
        var driver = Piped(builder, 1, 2, 3);
        Values(driver, "odd").ShouldBe([1, 3]);
        Values(driver, "even").ShouldBe([2]);
        var error = Should.Throw<StreamsException>(() => driver.CreateInput("in", Serdes.Utf8, Serdes.Int64).Pipe("k", 10, 4));
        error.Code.ShouldBe(StreamsErrorCode.InvalidInput);
        error.Message.ShouldContain("'nowhere'");
        error.Message.ShouldContain("even, odd");
    }

    private static TopologyTestDriver Piped(StreamsBuilder builder, params ReadOnlySpan<long> values)
    {
        var driver = new TopologyTestDriver(builder.Build());
        var input = driver.CreateInput("in", Serdes.Utf8, Serdes.Int64);
        foreach (var value in values)
        {
            input.Pipe("k", value, timestamp: value);
        }

        return driver;
    }

    private static IEnumerable<long> Values(TopologyTestDriver driver, string topic) =>
        driver.CreateOutput(topic, Serdes.Utf8, Serdes.Int64).ReadAll().Select(record => record.Value);
}
