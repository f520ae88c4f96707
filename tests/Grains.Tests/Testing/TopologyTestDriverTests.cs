using OrleansStreams.Errors;
using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.Testing;

public sealed class TopologyTestDriverTests
{
    private static readonly Consumed<string, long> s_numbers = Consumed.With(Serdes.Utf8, Serdes.Int64).AllowTimesBefore1970();

    [Fact]
    public void A_count_is_written_with_every_record_and_can_be_read_from_its_store()
    {
        var driver = new TopologyTestDriver(Counting(), new() { Partitions = 3 });
        var input = driver.CreateInput("in", Serdes.Utf8, Serdes.Int64);
        var output = driver.CreateOutput("out", Serdes.Utf8, Serdes.Int64);

        input.Pipe("a", 1, timestamp: 10, headers: [new RecordHeader("trace", "x"u8.ToArray())]);
        input.Pipe("b", 2, timestamp: 20);
        input.Pipe("a", 3, timestamp: 30);

        var records = output.ReadAll();
        records.Select(record => (record.Key, record.Value, record.Timestamp)).ShouldBe([("a", 1, 10), ("b", 1, 20), ("a", 2, 30)]);
        records[0].Headers.ShouldHaveSingleItem().Key.ShouldBe("trace");
        records[1].Headers.ShouldBeEmpty();
        output.ReadAll().ShouldBeEmpty();
        var store = driver.GetStore("counts", Serdes.Utf8, Serdes.Int64);
        store.All().ShouldBe([new("a", 2), new("b", 1)]);
        store.TryGet("a", out var count).ShouldBeTrue();
        count.ShouldBe(2);
        store.TryGet("c", out _).ShouldBeFalse();
        driver.Tasks.Length.ShouldBe(3);
        driver.Tasks.Sum(task => task.RecordsIn).ShouldBe(3);
    }

    [Theory]
    [InlineData(TestCrash.BeforeCommit)]
    [InlineData(TestCrash.BeforeDelivery)]
    [InlineData(TestCrash.DuringDelivery)]
    [InlineData(TestCrash.AfterDelivery)]
    public void A_crash_anywhere_leaves_no_trace_in_the_results(TestCrash crash)
    {
        var driver = new TopologyTestDriver(Counting(), new() { Partitions = 2, CommitEvery = 5, SnapshotBytesMin = 256 });
        var input = driver.CreateInput("in", Serdes.Utf8, Serdes.Int64);
        var output = driver.CreateOutput("out", Serdes.Utf8, Serdes.Int64);
        for (var number = 0; number < 100; number++)
        {
            input.Pipe($"key-{number % 4}", number, number);
            if (number % 7 == 3)
            {
                driver.Restart(crash);
            }
        }

        driver.Commit();

        output.ReadAll().GroupBy(record => record.Key).ShouldAllBe(key => key.Select(record => record.Value).SequenceEqual(Enumerable.Range(1, 25).Select(count => (long)count)));
        driver.GetStore("counts", Serdes.Utf8, Serdes.Int64).All().Select(pair => pair.Value).ShouldBe([25, 25, 25, 25]);
        driver.Tasks.Sum(task => task.RecordsIn).ShouldBe(100);
    }

    [Fact]
    public void What_is_not_committed_is_not_in_the_output()
    {
        var driver = new TopologyTestDriver(Counting(), new() { CommitEvery = 3 });
        var input = driver.CreateInput("in", Serdes.Utf8, Serdes.Int64);
        var output = driver.CreateOutput("out", Serdes.Utf8, Serdes.Int64);
        input.Pipe("a", 1, 1);
        input.Pipe("a", 1, 2);
        output.ReadAll().ShouldBeEmpty();
        input.Pipe("a", 1, 3);
        output.ReadAll().Length.ShouldBe(3);
    }

    [Fact]
    public void Windows_close_by_the_watermark_and_the_rest_of_them_at_the_end_of_the_input()
    {
        var builder = new StreamsBuilder();
        builder.Stream("in", s_numbers).GroupByKey().WindowedBy(TumblingWindows.Of(TimeSpan.FromMilliseconds(10)))
            .Count(Materialized.As("windows", Serdes.Int64)).Map((window, count) => (window.Key, count)).To("out", Produced.With(Serdes.Utf8, Serdes.Int64));
        var driver = new TopologyTestDriver(builder.Build());
        var input = driver.CreateInput("in", Serdes.Utf8, Serdes.Int64);
        var output = driver.CreateOutput("out", Serdes.Utf8, Serdes.Int64);
        foreach (var time in (long[])[1, 2, 11, 5])
        {
            input.Pipe("k", 0, time);
        }

        output.ReadAll().Select(record => (record.Value, record.Timestamp)).ShouldBe([(2, 9)]);
        driver.LateRecords.ShouldBe(1);
        driver.GetStore("windows", Serdes.Utf8, Serdes.Int64).Windows("k").ShouldBe([new(0, 10, 2, true), new(10, 20, 1, false)]);
        driver.CloseInputs();
        output.ReadAll().Select(record => (record.Value, record.Timestamp)).ShouldBe([(1, 19)]);
        driver.Tasks.ShouldHaveSingleItem().IsCompleted.ShouldBeTrue();
    }

    [Fact]
    public void A_window_behind_a_window_takes_its_results_although_the_first_closes_a_grace_later()
    {
        var builder = new StreamsBuilder();
        builder.Stream("in", s_numbers).GroupByKey().WindowedBy(TumblingWindows.Of(TimeSpan.FromMilliseconds(10)).Grace(TimeSpan.FromMilliseconds(25)))
            .Count(Materialized.As("first", Serdes.Int64)).Map((window, count) => ("all", count)).GroupByKey(Grouped.With(Serdes.Utf8, Serdes.Int64))
            .WindowedBy(TumblingWindows.Of(TimeSpan.FromMilliseconds(20)))
            .Aggregate(() => 0L, (_, count, sum) => sum + count, Materialized.As("second", Serdes.Int64))
            .Map((window, sum) => ($"{window.WindowStartMs}", sum)).To("out", Produced.With(Serdes.Utf8, Serdes.Int64));
        var driver = new TopologyTestDriver(builder.Build(), new() { Partitions = 2 });
        var input = driver.CreateInput("in", Serdes.Utf8, Serdes.Int64);
        var output = driver.CreateOutput("out", Serdes.Utf8, Serdes.Int64);
        foreach (var time in (long[])[1, 12, 23, 3, 34, 1000, 1001])
        {
            input.Pipe("a", 0, time, partition: 0);
            input.Pipe("b", 0, time, partition: 1);
        }

        output.ReadAll().Select(record => (record.Key, record.Value)).ShouldBe([("0", 6), ("20", 4)]);
        driver.CloseInputs();
        output.ReadAll().Select(record => (record.Key, record.Value)).ShouldBe([("1000", 4)]);
        driver.LateRecords.ShouldBe(0);
    }

    [Fact]
    public void Records_go_through_a_repartition_topic_to_the_task_of_their_new_key()
    {
        var builder = new StreamsBuilder();
        builder.Stream("in", s_numbers).GroupBy((_, value) => value % 3, Grouped.With(Serdes.Int64, Serdes.Int64).WithNumberOfPartitions(4))
            .Reduce((sum, value) => sum + value, Materialized.As("sums", Serdes.Int64)).ToStream().To("out", Produced.With(Serdes.Int64, Serdes.Int64));
        var driver = new TopologyTestDriver(builder.Build(), new() { Partitions = 2, CommitEvery = 4 });
        var input = driver.CreateInput("in", Serdes.Utf8, Serdes.Int64);
        for (var number = 1; number <= 9; number++)
        {
            input.Pipe($"{number}", number, number);
            driver.Restart(TestCrash.DuringDelivery);
        }

        driver.Commit();
        driver.GetStore("sums", Serdes.Int64, Serdes.Int64).All().ShouldBe([new(0, 18), new(1, 12), new(2, 15)]);
        driver.Tasks.Length.ShouldBe(6);
        driver.CreateOutput("out", Serdes.Int64, Serdes.Int64).ReadAll().Length.ShouldBe(9);
    }

    [Fact]
    public void A_file_source_is_read_line_by_line_and_ends_with_the_inputs()
    {
        var builder = new StreamsBuilder();
        builder.FileSource("rows", "/nowhere", (line, number) => (number, System.Text.Encoding.UTF8.GetString(line), number)).To("out", Produced.With(Serdes.Int64, Serdes.Utf8));
        var driver = new TopologyTestDriver(builder.Build());
        var rows = driver.CreateFileInput("rows");
        rows.PipeLine("first");
        driver.Restart();
        rows.PipeLine("second");
        driver.CreateOutput("out", Serdes.Int64, Serdes.Utf8).ReadAll().Select(record => (record.Key, record.Value)).ShouldBe([(1, "first"), (2, "second")]);
        driver.CloseInputs();
        driver.Tasks.ShouldHaveSingleItem().IsCompleted.ShouldBeTrue();
        Should.Throw<StreamsException>(() => rows.PipeLine("third")).Code.ShouldBe(StreamsErrorCode.InvalidRequest);
    }

    [Fact]
    public void An_idle_input_steps_aside_when_the_wall_clock_goes_on()
    {
        var builder = new StreamsBuilder();
        var consumed = s_numbers.WithWatermarks(WatermarkStrategy.BoundedOutOfOrderness(TimeSpan.Zero).WithIdleness(TimeSpan.FromSeconds(1)));
        builder.Stream("in", consumed).Merge(builder.Stream("in2", consumed)).GroupByKey().WindowedBy(TumblingWindows.Of(TimeSpan.FromMilliseconds(10)))
            .Count(Materialized.As("windows", Serdes.Int64)).Map((window, count) => (window.Key, count)).To("out", Produced.With(Serdes.Utf8, Serdes.Int64));
        var driver = new TopologyTestDriver(builder.Build());
        var input = driver.CreateInput("in", Serdes.Utf8, Serdes.Int64);
        var output = driver.CreateOutput("out", Serdes.Utf8, Serdes.Int64);
        driver.CreateInput("in2", Serdes.Utf8, Serdes.Int64).Pipe("k", 0, 3);
        input.Pipe("k", 0, 4);
        input.Pipe("k", 0, 100);
        output.ReadAll().ShouldBeEmpty();
        driver.AdvanceWallClock(TimeSpan.FromMilliseconds(999));
        input.Pipe("k", 0, 101);
        output.ReadAll().ShouldBeEmpty();
        driver.AdvanceWallClock(TimeSpan.FromMilliseconds(1));
        output.ReadAll().ShouldHaveSingleItem().Value.ShouldBe(2);
    }

    [Fact]
    public void What_the_topology_does_not_have_is_told_by_name()
    {
        var driver = new TopologyTestDriver(Counting());
        Should.Throw<StreamsException>(() => driver.CreateInput("other", Serdes.Utf8, Serdes.Int64)).Message.ShouldContain("'other'");
        Should.Throw<StreamsException>(() => driver.CreateFileInput("rows")).Code.ShouldBe(StreamsErrorCode.InvalidRequest);
        Should.Throw<StreamsException>(() => driver.GetStore("none", Serdes.Utf8, Serdes.Int64)).Code.ShouldBe(StreamsErrorCode.StoreNotFound);
        Should.Throw<StreamsException>(() => driver.GetStore("counts", Serdes.Int32, Serdes.Int64).All()).Code.ShouldBe(StreamsErrorCode.InvalidRequest);
        Should.Throw<StreamsException>(() => driver.CreateInput("in", Serdes.Utf8, Serdes.Int64).Pipe("k", 1, 1, partition: 1)).Code.ShouldBe(StreamsErrorCode.UnknownTopicOrPartition);
    }

    private static Topology Counting()
    {
        var builder = new StreamsBuilder();
        builder.Stream("in", s_numbers).GroupByKey().Count(Materialized.As("counts", Serdes.Int64)).ToStream().To("out", Produced.With(Serdes.Utf8, Serdes.Int64));
        return builder.Build();
    }
}
