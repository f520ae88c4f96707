using OrleansStreams.Errors;
using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.Testing;

public sealed class TableTests
{
    private static readonly Consumed<string, long> s_numbers = Consumed.With(Serdes.Utf8, Serdes.Int64);
    private static readonly Consumed<string, string> s_texts = Consumed.With(Serdes.Utf8, Serdes.Utf8);
    private static readonly Produced<string, long> s_toNumbers = Produced.With(Serdes.Utf8, Serdes.Int64);

    [Fact]
    public void A_table_has_the_last_value_of_each_key_and_a_null_deletes_it_also_for_a_value_type()
    {
        var builder = new StreamsBuilder();
        builder.Table("in", s_numbers, Materialized.As("table", Serdes.Int64)).ToStream().To("out", s_toNumbers);
        var driver = new TopologyTestDriver(builder.Build());
        var input = driver.CreateInput("in", Serdes.Utf8, Serdes.Int64);
        input.Pipe("a", 1, 1);
        input.Pipe("b", 0, 2);
        input.Pipe("a", 2, 3);
        input.PipeNull("b", 4);
        input.PipeNull("never", 5);

        driver.GetStore("table", Serdes.Utf8, Serdes.Int64).All().ShouldBe([new("a", 2)]);
        driver.CreateOutput("out", Serdes.Utf8, Serdes.Int64).ReadAll().Select(record => (record.Key, record.Value, record.IsValueNull))
            .ShouldBe([("a", 1, false), ("b", 0, false), ("a", 2, false), ("b", 0, true)]);
    }

    [Fact]
    public void A_null_of_a_value_type_stays_a_null_through_steps_that_keep_the_value()
    {
        var builder = new StreamsBuilder();
        var (kept, mapped) = (builder.Stream("in", s_numbers).Filter((_, _) => true).Peek((_, _) => { }), builder.Stream("in2", s_numbers).MapValues(value => value));
        kept.To("out", s_toNumbers);
        mapped.To("mapped", s_toNumbers);
        var driver = new TopologyTestDriver(builder.Build());
        driver.CreateInput("in", Serdes.Utf8, Serdes.Int64).PipeNull("a", 1);
        driver.CreateInput("in2", Serdes.Utf8, Serdes.Int64).PipeNull("a", 1);
        driver.CreateOutput("out", Serdes.Utf8, Serdes.Int64).ReadAll().ShouldHaveSingleItem().IsValueNull.ShouldBeTrue();
        driver.CreateOutput("mapped", Serdes.Utf8, Serdes.Int64).ReadAll().ShouldHaveSingleItem().IsValueNull.ShouldBeFalse();
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_filtered_table_deletes_keys_for_which_its_predicate_holds_no_more(bool isMaterialized)
    {
        var builder = new StreamsBuilder();
        var filtered = builder.Table("in", s_numbers).Filter((_, value) => value > 10, isMaterialized ? Materialized.As("large", Serdes.Int64) : null);
        filtered.ToStream().To("out", s_toNumbers);
        filtered.StoreName.ShouldBe(isMaterialized ? "large" : null);
        var driver = new TopologyTestDriver(builder.Build());
        var input = driver.CreateInput("in", Serdes.Utf8, Serdes.Int64);
        foreach (var value in (long[])[5, 11, 12, 7, 8, 20])
        {
            input.Pipe("k", value, value);
        }

        driver.Restart();
        input.PipeNull("k", 30);

        driver.CreateOutput("out", Serdes.Utf8, Serdes.Int64).ReadAll().Select(record => (record.Value, record.IsValueNull))
            .ShouldBe([(11, false), (12, false), (0, true), (20, false), (0, true)]);
        if (isMaterialized)
        {
            driver.GetStore("large", Serdes.Utf8, Serdes.Int64).Count.ShouldBe(0);
        }
    }

    [Fact]
    public void Filter_not_keeps_what_filter_drops()
    {
        var builder = new StreamsBuilder();
        builder.Table("in", s_numbers).FilterNot((_, value) => value > 10, Materialized.As("small", Serdes.Int64));
        var driver = new TopologyTestDriver(builder.Build());
        var input = driver.CreateInput("in", Serdes.Utf8, Serdes.Int64);
        input.Pipe("a", 5, 1);
        input.Pipe("b", 15, 1);
        driver.GetStore("small", Serdes.Utf8, Serdes.Int64).All().ShouldBe([new("a", 5)]);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_mapped_table_deletes_keys_that_are_mapped_to_null(bool isMaterialized)
    {
        var builder = new StreamsBuilder();
        builder.Table("in", s_numbers).MapValues((key, value) => value < 0 ? null! : $"{key}{value}", isMaterialized ? Materialized.As("texts", Serdes.Utf8) : null)
            .ToStream().To("out", Produced.With(Serdes.Utf8, Serdes.Utf8));
        var driver = new TopologyTestDriver(builder.Build());
        var input = driver.CreateInput("in", Serdes.Utf8, Serdes.Int64);
        foreach (var value in (long[])[-1, 2, 3, -2, -3, 4])
        {
            input.Pipe("k", value, 0);
        }

        input.PipeNull("k", 0);
        driver.CreateOutput("out", Serdes.Utf8, Serdes.Utf8).ReadAll().Select(record => record.Value).ShouldBe(["k2", "k3", null, "k4", null]);
    }

    [Fact]
    public void Reduce_and_aggregate_leave_out_null_values_and_delete_what_becomes_null()
    {
        var builder = new StreamsBuilder();
        var grouped = builder.Stream("in", s_texts).GroupByKey();
        grouped.Reduce((all, one) => one == "clear" ? null! : $"{all},{one}", Materialized.As("reduced", Serdes.Utf8)).ToStream().To("out", Produced.With(Serdes.Utf8, Serdes.Utf8));
        grouped.Aggregate(() => 100L, (_, value, sum) => sum + value.Length, Materialized.As("lengths", Serdes.Int64));
        var driver = new TopologyTestDriver(builder.Build());
        var input = driver.CreateInput("in", Serdes.Utf8, Serdes.Utf8);
        foreach (var value in (string?[])["x", "y", null, "clear", "z"])
        {
            input.Pipe("k", value, 0);
        }

        driver.CreateOutput("out", Serdes.Utf8, Serdes.Utf8).ReadAll().Select(record => record.Value).ShouldBe(["x", "x,y", null, "z"]);
        driver.GetStore("lengths", Serdes.Utf8, Serdes.Int64).All().ShouldBe([new("k", 108)]);
    }

    [Fact]
    public void A_null_key_belongs_to_no_table_and_is_refused()
    {
        var builder = new StreamsBuilder();
        builder.Table("in", s_numbers);
        var driver = new TopologyTestDriver(builder.Build());
        var error = Should.Throw<StreamsException>(() => driver.CreateInput("in", Serdes.Utf8, Serdes.Int64).Pipe(null, 1, 1));
        error.Code.ShouldBe(StreamsErrorCode.InvalidInput);
        error.Message.ShouldContain("null key");
    }

    [Fact]
    public void A_table_of_records_whose_key_may_have_changed_is_refused_with_what_to_do()
    {
        var stream = new StreamsBuilder().Stream("in", s_numbers).SelectKey((_, value) => value);
        Should.Throw<StreamsException>(() => stream.ToTable(Materialized.As("table", Serdes.Int64))).Message.ShouldContain("Repartition");
    }

    [Fact]
    public void Two_stores_of_one_name_are_refused()
    {
        var builder = new StreamsBuilder();
        builder.Table("a", s_numbers, Materialized.As("same", Serdes.Int64));
        builder.Stream("b", s_numbers).GroupByKey().Count(Materialized.As("same", Serdes.Int64));
        Should.Throw<StreamsException>(() => builder.Build()).Message.ShouldContain("'same'");
    }
}
