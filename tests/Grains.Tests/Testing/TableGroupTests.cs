using System.Buffers;
using FsCheck;
using FsCheck.Fluent;
using OrleansStreams.Errors;
using OrleansStreams.Records;
using OrleansStreams.Topologies;
using static OrleansStreams.Testing.TableScripts;

namespace OrleansStreams.Testing;

/// <summary>Tables grouped by what stands in their rows. A row is "group:value"; "_" is null. An aggregate writes down what it did.</summary>
public sealed class TableGroupTests
{
    [Theory]
    [InlineData("rows.1=a:x", "a=0+x")]
    [InlineData("rows.1=a:x rows.2=a:y", "a=0+x a=0+x+y")]
    [InlineData("rows.1=a:x rows.1=a:y", "a=0+x a=0+x-x+y")] // one step: nobody sees the group without the row
    [InlineData("rows.1=a:x rows.1=a:x", "a=0+x a=0+x-x+x")]
    [InlineData("rows.1=a:x rows.1=b:y", "a=0+x a=0+x-x b=0+y")] // out of the one, then into the other
    [InlineData("rows.1=a:x rows.1=b:x rows.1=a:y", "a=0+x a=0+x-x b=0+x b=0+x-x a=0+x-x+y")]
    [InlineData("rows.1=a:x rows.1=-", "a=0+x a=0+x-x")]
    [InlineData("rows.1=a:x rows.2=a:y rows.1=-", "a=0+x a=0+x+y a=0+x+y-x")]
    [InlineData("rows.1=-", "")] // what never was is not subtracted
    [InlineData("rows.1=a:x rows.1=- rows.1=-", "a=0+x a=0+x-x")]
    [InlineData("rows.1=_:x", "")] // a null group is none
    [InlineData("rows.1=a:x rows.1=_:y", "a=0+x a=0+x-x")]
    [InlineData("rows.1=_:x rows.1=a:y", "a=0+y")]
    [InlineData("rows.1=a:_", "")] // nor is a null value in it
    [InlineData("rows.1=a:x rows.1=a:_", "a=0+x a=0+x-x")]
    [InlineData("rows.1=a:_ rows.1=a:y", "a=0+y")]
    [InlineData("rows.1=a:x rows.2=b:y rows.1=b:z rows.2=-", "a=0+x b=0+y a=0+x-x b=0+y+z b=0+y+z-y")]
    public void An_aggregate_of_a_table_subtracts_the_old_row_and_adds_the_new_one(string script, string results) => Run(
        () => Describe(grouped => grouped.Aggregate(() => "0", (_, value, all) => $"{all}+{value}", (_, value, all) => $"{all}-{value}", Materialized.As("all", Serdes.Utf8))),
        script).ShouldBe(results);

    [Theory]
    [InlineData("rows.1=a:x", "a=x")] // the first one as it is
    [InlineData("rows.1=a:x rows.2=a:y rows.1=a:z", "a=x a=x+y a=x+y-x+z")]
    [InlineData("rows.1=a:x rows.1=b:y rows.2=a:z", "a=x a=x-x b=y a=x-x+z")]
    public void A_reduction_of_a_table_combines_values(string script, string results) => Run(
        () => Describe(grouped => grouped.Reduce((all, value) => $"{all}+{value}", (all, value) => $"{all}-{value}", Materialized.As("all", Serdes.Utf8))),
        script).ShouldBe(results);

    [Theory]
    [InlineData("rows.1=a:x rows.2=a:x rows.1=a:y", "a=1 a=2 a=2")]
    [InlineData("rows.1=a:x rows.1=b:x", "a=1 a=0 b=1")] // a group without rows counts 0, as in Kafka Streams
    [InlineData("rows.1=a:x rows.2=a:x rows.1=- rows.2=-", "a=1 a=2 a=1 a=0")]
    public void A_count_of_a_table_counts_rows(string script, string results) => Run(
        () => Describe(grouped => grouped.Count(Materialized.As("all", Serdes.Int64)).MapValues(count => $"{count}")), script).ShouldBe(results);

    [Theory]
    [InlineData("rows.1=a:x rows.1=-", "a=x a=-")]
    [InlineData("rows.1=a:x rows.1=b:y", "a=x a=- b=y")]
    [InlineData("rows.1=a:x rows.1=- rows.2=a:y", "a=x a=- a=y")] // and begins anew
    [InlineData("rows.1=a:x rows.1=a:y", "a=x a=y")] // emptied and begun again in one step: nobody sees the deletion
    [InlineData("rows.1=a:x rows.2=a:stop rows.2=a:y", "a=x a=- a=y")] // an adder may delete too, and then there is nothing to subtract from
    [InlineData("rows.1=a:stop", "")]
    public void An_aggregate_that_becomes_null_is_deleted(string script, string results) => Run(
        () => Describe(grouped => grouped.Aggregate(
            () => string.Empty,
            (_, value, all) => value == "stop" ? null! : all + value,
            (_, value, all) => all.Replace(value, string.Empty, StringComparison.Ordinal) is { Length: > 0 } rest ? rest : null!,
            Materialized.As("all", Serdes.Utf8))),
        script).ShouldBe(results);

    [Fact]
    public void A_grouped_table_has_one_repartition_topic_for_all_its_aggregates_with_the_name_that_it_was_given()
    {
        var builder = new StreamsBuilder();
        var grouped = builder.Table("rows", Texts).GroupBy((_, row) => (row, 1L), Grouped.With(Serdes.Utf8, Serdes.Int64).WithName("by-row").WithNumberOfPartitions(3));
        grouped.Count(Materialized.As("counts", Serdes.Int64));
        grouped.Reduce((all, one) => all + one, (all, one) => all - one, Materialized.As("sums", Serdes.Int64));
        var topology = builder.Build();
        topology.Describe().ShouldBe(
            """
            Sub-topology 0
              source-0: topic rows key utf8 value utf8 -> to-table-1
              to-table-1: to-table store rows-1 key utf8 value utf8 -> table-group-by-2
              table-group-by-2: table-group-by -> by-row
              by-row: to by-row-repartition
            Sub-topology 1
              by-row-source: topic by-row-repartition key utf8 value change(int64) -> table-count-5, table-reduce-6
              table-count-5: table-aggregate store counts key utf8 value int64
              table-reduce-6: table-aggregate store sums key utf8 value int64

            """);
        var driver = Drive(topology, "rows.1=a rows.2=a rows.1=b rows.3=c ! rows.3=-", []);
        driver.Tasks.Length.ShouldBe(4, "one by the topic of rows, three by the repartition topic");
        driver.GetStore("counts", Serdes.Utf8, Serdes.Int64).All().ShouldBe([new("a", 1), new("b", 1), new("c", 0)]);
        driver.GetStore("sums", Serdes.Utf8, Serdes.Int64).All().ShouldBe([new("a", 1), new("b", 1), new("c", 0)]);
    }

    [Fact]
    public void A_row_that_moves_keeps_time_and_headers_of_what_moved_it()
    {
        var driver = new TopologyTestDriver(Describe(grouped => grouped.Count(Materialized.As("all", Serdes.Int64)).MapValues(count => $"{count}")));
        var rows = driver.CreateInput("rows", Serdes.Utf8, Serdes.Utf8);
        rows.Pipe("1", "a:x", 500);
        rows.Pipe("1", "b:x", 300, [new RecordHeader("trace", "x"u8.ToArray())]);
        driver.CreateOutput("out", Serdes.Utf8, Serdes.Utf8).ReadAll().Select(record => (record.Key, record.Value, record.Timestamp, record.Headers.Length))
            .ShouldBe([("a", "1", 500, 0), ("a", "0", 300, 1), ("b", "1", 300, 1)]);
    }

    [Fact]
    public void A_failing_subtractor_stops_the_task_and_changes_nothing()
    {
        var builder = new StreamsBuilder();
        builder.Table("rows", Texts).GroupBy((_, row) => (row, row), Grouped.With(Serdes.Utf8, Serdes.Utf8))
            .Reduce((all, one) => all + one, (_, _) => throw new InvalidOperationException("no way back"), Materialized.As("all", Serdes.Utf8));
        var driver = Drive(builder.Build(), "rows.1=a rows.2=a", []);
        var error = Should.Throw<StreamsException>(() => Pipe(driver, "rows.1=-"));
        (error.Code, error.Message.Contains("no way back", StringComparison.Ordinal)).ShouldBe((StreamsErrorCode.InvalidInput, true));
        driver.GetStore("all", Serdes.Utf8, Serdes.Utf8).All().ShouldBe([new("a", "aa")]);
    }

    [Fact]
    public void Groups_follow_their_table_whatever_rows_move_over_any_partitions_commits_and_crashes() => Check.One(
        PropertyRuns.Of(150), Prop.ForAll(ArbMap.Default.ArbFor<int>(), RunModel));

    private static void RunModel(int seed)
    {
        var random = new System.Random(seed);
        var builder = new StreamsBuilder();
        var grouped = builder.Table("rows", Texts).GroupBy((key, row) => (row[..1], key), Grouped.With(Serdes.Utf8, Serdes.Utf8).WithNumberOfPartitions(random.Next(1, 4)));
        grouped.Count(Materialized.As("counts", Serdes.Int64));
        grouped.Aggregate(
            () => string.Empty,
            (_, key, all) => string.Concat((all + key).Order()),
            (_, key, all) => all.Remove(all.IndexOf(key, StringComparison.Ordinal), 1) is { Length: > 0 } rest ? rest : null!,
            Materialized.As("members", Serdes.Utf8));
        var driver = new TopologyTestDriver(builder.Build(), new() { Partitions = random.Next(1, 4), CommitEvery = random.Next(1, 5), SnapshotBytesMin = 300 });
        var model = new SortedDictionary<string, string>(StringComparer.Ordinal);
        for (var step = 0; step < 80; step++)
        {
            var (key, row) = ($"{random.Next(6)}", random.Next(4) == 0 ? null : $"{(char)('a' + random.Next(3))}{step}");
            driver.CreateInput("rows", Serdes.Utf8, Serdes.Utf8).Pipe(key, row, step);
            model.Remove(key);
            if (row is not null)
            {
                model.Add(key, row[..1]);
            }

            if (random.Next(8) == 0)
            {
                driver.Restart((TestCrash)random.Next(4));
            }
        }

        driver.Commit();
        var groups = model.GroupBy(row => row.Value).OrderBy(group => group.Key, StringComparer.Ordinal).ToArray();
        driver.GetStore("members", Serdes.Utf8, Serdes.Utf8).All().ShouldBe(groups.Select(group => KeyValuePair.Create(group.Key, string.Concat(group.Select(row => row.Key)))));
        driver.GetStore("counts", Serdes.Utf8, Serdes.Int64).All().Where(count => count.Value != 0).ShouldBe(groups.Select(group => KeyValuePair.Create(group.Key, group.LongCount())));
    }

    [Fact]
    public void A_change_is_written_in_the_form_that_stands_beside_its_serde()
    {
        var serde = new ChangeSerde<string>(Serdes.Utf8);
        foreach (var (change, bytes) in ((Change<string>, string)[])
            [(Change.Added("n"), "026E"), (Change.Deleted("old"), "016F6C64"), (Change.Updated("o", "new"), "03010000006F6E6577"), (default, "00")])
        {
            var writer = new ArrayBufferWriter<byte>();
            serde.Serialize(change, writer);
            Convert.ToHexString(writer.WrittenSpan).ShouldBe(bytes);
            serde.Deserialize(writer.WrittenSpan).ShouldBe(change);
        }

        foreach (var damaged in (string[])["", "04", "03", "03FFFFFFFF", "0302000000AA"])
        {
            Should.Throw<StreamsException>(() => serde.Deserialize(Convert.FromHexString(damaged))).Code.ShouldBe(StreamsErrorCode.SerializationFailed);
        }
    }

    private static Topology Describe(Func<KGroupedTable<string, string>, KTable<string, string>> aggregate)
    {
        var builder = new StreamsBuilder();
        var grouped = builder.Table("rows", Texts).GroupBy(
            (_, row) => row.Split(':') is [var group, var value] ? (group == "_" ? null! : group, value == "_" ? null! : value) : throw new FormatException(row),
            Grouped.With(Serdes.Utf8, Serdes.Utf8));
        aggregate(grouped).ToStream().To("out", ToTexts);
        return builder.Build();
    }
}
