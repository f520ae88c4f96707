using FsCheck;
using FsCheck.Fluent;
using OrleansStreams.Errors;
using OrleansStreams.Records;
using OrleansStreams.Topologies;
using static OrleansStreams.Testing.TableScripts;
using static OrleansStreams.Testing.WindowTopologies;

namespace OrleansStreams.Testing;

/// <summary>Changes that are held back. The watermark behind an event is the largest time so far, minus 1.</summary>
public sealed class SuppressTests
{
    [Theory]
    [InlineData("rows.a=1@0 rows.b=1@10", "")]
    [InlineData("rows.a=1@0 rows.b=1@11", "a=1")] // due when the watermark is at 0 + 10
    [InlineData("rows.a=1@0 rows.a=2@5 rows.b=1@11", "a=2")] // the last value, in the first one's place in time
    [InlineData("rows.a=1@0 rows.a=2@10 rows.a=3@11", "a=3")] // a change that comes with the time is in it
    [InlineData("rows.a=1@0 rows.b=1@11 rows.a=2@12 rows.b=2@22", "a=1 b=2")] // and the time begins anew
    [InlineData("rows.a=1@0 rows.b=1@11 rows.a=2@12 rows.b=2@23", "a=1 b=2 a=2")]
    [InlineData("rows.a=1@0 rows.a=-@5 rows.b=1@11", "")] // who came and went was never there
    [InlineData("rows.a=1@0 rows.a=-@5 rows.a=2@6 rows.b=1@11", "")] // and begins anew when it comes again
    [InlineData("rows.a=1@0 rows.a=-@5 rows.a=2@6 rows.b=1@17", "a=2")]
    [InlineData("rows.a=1@0 rows.b=1@11 rows.a=-@12 rows.b=2@23", "a=1 b=2 a=-")] // a deletion waits like others
    [InlineData("rows.a=1@0 rows.b=1@11 rows.a=-@12 rows.a=2@13 rows.b=2@23", "a=1 b=2 a=2")]
    [InlineData("rows.a=1@30 rows.b=1@5", "b=1")] // its time is over when it comes
    [InlineData("rows.a=1@30 rows.b=1@20", "")]
    [InlineData("rows.a=1@30 rows.b=1@19", "b=1")]
    [InlineData("rows.a=1@30 rows.a=2@5 rows.b=1@41", "a=2")]
    [InlineData("rows.b=1@0 rows.a=1@0 rows.c=1@50", "a=1 b=1")] // at one time by key
    [InlineData("rows.b=1@0 rows.a=1@1 rows.c=1@1000000", "b=1 a=1")] // a large jump tells each once, by time
    public void The_last_change_of_a_key_is_told_when_its_time_is_over(string script, string results) =>
        Run(() => Table(10, BufferConfig.Unbounded()), script).ShouldBe(results);

    [Theory]
    [InlineData(0, "rows.a=1@5 rows.a=2@5", "")]
    [InlineData(0, "rows.a=1@5 rows.a=2@5 rows.b=1@6", "a=2")]
    [InlineData(100, "rows.a=1@5 rows.a=2@50 rows.b=1@99 rows.b=2@105", "")]
    public void The_time_may_be_none_or_long(long limit, string script, string results) => Run(() => Table(limit, BufferConfig.Unbounded()), script).ShouldBe(results);

    [Fact]
    public void The_end_of_the_input_tells_all_that_is_held_back() =>
        Run(() => Table(1_000_000, BufferConfig.Unbounded()), "rows.b=1@7 rows.a=1@9 rows.b=2@8", close: true).ShouldBe("b=2 a=1");

    [Fact]
    public void What_is_told_has_the_last_changes_time_but_none_before_the_first_ones()
    {
        var driver = Drive(Table(10, BufferConfig.Unbounded()), "rows.a=1@20 rows.a=2@25 rows.b=1@22 rows.b=2@15", [], close: true);
        driver.CreateOutput("out", Serdes.Utf8, Serdes.Utf8).ReadAll().Select(record => (record.Key, record.Value, record.Timestamp)).ShouldBe([("a", "2", 25), ("b", "2", 22)]);
        driver.Tasks.Single().StateEntries.ShouldBe(2, "the table's rows, and nothing is held back");
    }

    [Theory]
    [InlineData("2 records", "rows.a=1@0 rows.b=1@1", "")]
    [InlineData("2 records", "rows.a=1@0 rows.b=1@1 rows.c=1@2", "a=1")] // the oldest
    [InlineData("2 records", "rows.a=1@0 rows.b=1@1 rows.a=2@2", "")] // one that is there already takes no room
    [InlineData("2 records", "rows.a=1@0 rows.b=1@1 rows.a=-@2 rows.c=1@3", "")] // one that is gone gives its room
    [InlineData("2 records", "rows.a=1@0 rows.b=1@1 rows.c=1@2 rows.a=2@3 rows.d=1@4", "a=1 b=1 c=1")]
    [InlineData("1 records", "rows.a=1@5 rows.b=1@0", "b=1")] // by time, not by arrival
    [InlineData("1 records", "rows.a=1@5 rows.b=1@5", "a=1 b=1")] // all of the oldest time
    [InlineData("0 records", "rows.a=1@0 rows.a=2@1 rows.a=-@2", "a=1 a=2 a=-")]
    [InlineData("54 bytes", "rows.a=1@0 rows.b=1@1", "")] // 16 for times, 1 for the key, 8 + 1 + 1 for the change
    [InlineData("53 bytes", "rows.a=1@0 rows.b=1@1", "a=1")]
    [InlineData("54 bytes", "rows.a=1@0 rows.b=1@1 rows.c=1@2", "a=1")]
    [InlineData("54 bytes", "rows.a=1@0 rows.b=1@1 rows.b=22@2", "a=1")] // a change that is longer takes more
    [InlineData("54 bytes", "rows.a=1@0 rows.b=1@1 rows.b=-@2 rows.c=1@3", "")]
    [InlineData("0 bytes", "rows.a=1@0 rows.a=2@1", "a=1 a=2")]
    public void A_buffer_that_is_full_tells_its_oldest_entries_early(string bound, string script, string results) =>
        Run(() => Table(1000, Bound(bound)), script).ShouldBe(results);

    [Theory]
    [InlineData("1 records", "2 records, but may 1")]
    [InlineData("53 bytes", "54 bytes, but may 53")]
    public void A_buffer_that_must_tell_nothing_early_stops_the_task_when_it_is_full(string bound, string message)
    {
        foreach (var restart in (TestCrash[][])[[], [TestCrash.BeforeCommit], [TestCrash.AfterDelivery]])
        {
            var driver = Drive(Table(1000, Bound(bound).ShutDownWhenFull()), "rows.a=1@0", restart);
            var error = Should.Throw<StreamsException>(() => Pipe(driver, "rows.b=1@1"));
            (error.Code, error.Message.Contains(message, StringComparison.Ordinal)).ShouldBe((StreamsErrorCode.StateTooLarge, true), error.Message);
            Results(driver).ShouldBeEmpty();
        }

        Results(Drive(Table(1000, Bound(bound).ShutDownWhenFull().EmitEarlyWhenFull()), "rows.a=1@0 rows.b=1@1", [])).ShouldBe("a=1");
    }

    [Fact]
    public void What_is_told_early_is_not_late_behind_by_the_watermark_of_the_input_that_drove_it_out()
    {
        var builder = new StreamsBuilder();
        var told = builder.Stream("one", Texts).Merge(builder.Stream("two", Texts)).ToTable(Materialized.As("rows", Serdes.Utf8))
            .Suppress(Suppressed.UntilTimeLimit(Ms(1000), BufferConfig.MaxRecords(2)));
        told.ToStream().GroupByKey().WindowedBy(TumblingWindows.Of(Ms(10))).Count(Materialized.As("counts", Serdes.Int64))
            .Map((window, count) => (window.Key, $"{window.WindowStartMs}:{count}")).To("out", ToTexts);
        var driver = Drive(builder.Build(), "two.a=1@0 one.b=1@5001 one.c=1@5002", [], close: true);
        driver.LateRecords.ShouldBe(0);
        Results(driver).ShouldBe("a=0:1 b=5000:1 c=5000:1");
    }

    [Fact]
    public void A_full_buffer_is_no_fault_of_the_record_that_fills_it()
    {
        var builder = new StreamsBuilder().OnError(ErrorPolicy.Skip);
        builder.Table("rows", Texts).Suppress(Suppressed.UntilTimeLimit(Ms(1000), BufferConfig.MaxRecords(1).ShutDownWhenFull())).ToStream().To("out", ToTexts);
        Should.Throw<StreamsException>(() => Drive(builder.Build(), "rows.a=1@0 rows.b=1@1", [])).Code.ShouldBe(StreamsErrorCode.StateTooLarge);
    }

    [Fact]
    public void Both_bounds_hold_together()
    {
        Results(Drive(Table(1000, BufferConfig.MaxRecords(5).WithMaxBytes(53)), "rows.a=1@0 rows.b=1@1", [])).ShouldBe("a=1");
        Results(Drive(Table(1000, BufferConfig.MaxBytes(5000).WithMaxRecords(1)), "rows.a=1@0 rows.b=1@1", [])).ShouldBe("a=1");
        var strict = BufferConfig.Unbounded().WithMaxRecords(5).WithMaxBytes(53);
        Should.Throw<StreamsException>(() => Drive(Table(1000, strict), "rows.a=1@0 rows.b=1@1", [])).Code.ShouldBe(StreamsErrorCode.StateTooLarge);
    }

    [Fact]
    public void What_follows_sees_the_table_as_it_was_told()
    {
        var builder = new StreamsBuilder();
        var told = builder.Table("rows", Texts).Suppress(Suppressed.UntilTimeLimit(Ms(10), BufferConfig.Unbounded()).WithName("held"));
        told.StoreName.ShouldBeNull();
        builder.Stream("stream", Texts).LeftJoin(told, (value, row) => $"{value}:{row ?? "_"}").To("out", ToTexts);
        told.GroupBy((_, row) => ("all", row), Grouped.With(Serdes.Utf8, Serdes.Utf8)).Aggregate(
            () => string.Empty,
            (_, row, all) => $"{all}+{row}",
            (_, row, all) => $"{all}-{row}",
            Materialized.As("changes", Serdes.Utf8));
        var driver = Drive(builder.Build(), "rows.a=1@0 stream.a=s@0 rows.b=1@11 stream.a=t@11 ! rows.a=2@12 rows.a=3@13 stream.a=u@13 rows.b=2@30 stream.a=v@30", []);
        Results(driver).ShouldBe("a=s:_ a=t:_ a=u:1 a=v:1", "the stream's own time holds the watermark back");
        driver.CloseInputs();
        driver.GetStore("changes", Serdes.Utf8, Serdes.Utf8).All().ShouldBe([new("all", "+1+2-1+3")], "a as 1, b as 2, then a as 3: what was told is what is subtracted");
    }

    [Fact]
    public void A_table_without_a_store_needs_the_serde_of_its_values_and_a_filtered_one_has_that_of_its_table()
    {
        var builder = new StreamsBuilder();
        var table = builder.Table("rows", Texts);
        var limit = Suppressed.UntilTimeLimit(Ms(10), BufferConfig.Unbounded());
        Should.Throw<StreamsException>(() => table.MapValues(value => value.Length).Suppress(limit)).Message.ShouldContain("give Suppress the serde");
        table.MapValues(value => value.Length).Suppress(limit, Serdes.Int32);
        table.Filter((_, value) => value != "no").Suppress(limit).ToStream().To("out", ToTexts);
        Results(Drive(builder.Build(), "rows.a=1@0 rows.a=no@1 rows.b=no@1 rows.c=1@2", [], close: true)).ShouldBe("c=1");
    }

    [Fact]
    public void A_suppressed_table_is_joined_with_the_table_itself_when_the_result_is_kept()
    {
        var builder = new StreamsBuilder();
        var table = builder.Table("rows", Texts);
        var told = table.Suppress(Suppressed.UntilTimeLimit(Ms(10), BufferConfig.Unbounded()));
        Should.Throw<StreamsException>(() => table.LeftJoin(told, (now, before) => $"{now}{before ?? "_"}")).Message.ShouldContain("Materialized.As");
        table.LeftJoin(told, (now, before) => $"{now}{before ?? "_"}", Materialized.As("kept", Serdes.Utf8)).ToStream().To("out", ToTexts);
        Results(Drive(builder.Build(), "rows.a=1@0 rows.a=2@1 rows.b=1@11 rows.a=3@12", [])).ShouldBe("a=1_ a=2_ b=1_ a=22 a=32");
    }

    [Fact]
    public void Times_and_bounds_that_make_no_sense_are_refused()
    {
        Should.Throw<StreamsException>(() => Suppressed.UntilTimeLimit(Ms(-1), BufferConfig.Unbounded())).Code.ShouldBe(StreamsErrorCode.InvalidConfig);
        Should.Throw<StreamsException>(() => BufferConfig.MaxRecords(-1)).Code.ShouldBe(StreamsErrorCode.InvalidConfig);
        Should.Throw<StreamsException>(() => BufferConfig.MaxBytes(-1)).Code.ShouldBe(StreamsErrorCode.InvalidConfig);
        Should.Throw<StreamsException>(() => Suppressed.UntilWindowCloses(BufferConfig.Unbounded()).WithName("a/b")).Code.ShouldBe(StreamsErrorCode.InvalidConfig);
    }

    [Fact]
    public void Suppressed_changes_print_their_time_and_store()
    {
        var text = Table(10, BufferConfig.Unbounded()).Describe();
        text.ShouldContain("suppress-2: suppress until time limit 10 store suppress-2 key utf8 value utf8 -> to-stream-3");
        Windows("tumbling 10 5", "update", isSuppressed: true, 0).Describe().ShouldContain(": suppress until window closes store ");
    }

    private static EagerBufferConfig Bound(string bound) =>
        bound.Split(' ') is [var number, "bytes"] ? BufferConfig.MaxBytes(Number(number)) : BufferConfig.MaxRecords(Number(bound.Split(' ')[0]));

    private static Topology Table(long limit, BufferConfig buffer)
    {
        var builder = new StreamsBuilder();
        builder.Table("rows", Texts).Suppress(Suppressed.UntilTimeLimit(Ms(limit), buffer)).ToStream().To("out", ToTexts);
        return builder.Build();
    }

    [Theory]
    [InlineData("tumbling 10 0", "0 5 10 11", "0-10=2")] // wm 10
    [InlineData("tumbling 10 5", "0 10 15", "")]
    [InlineData("tumbling 10 5", "0 10 15 16", "0-10=1")]
    [InlineData("tumbling 10 5", "0 10 14 3 16 3", "0-10=2")] // one within the grace is in, one behind it is late
    [InlineData("tumbling 10 0", "0 1000000", "0-10=1")]
    [InlineData("session 5 0", "0 3 20", "0-4=2")] // the session's old bounds were deleted, and are never told
    [InlineData("session 5 10", "0 8 4 40", "0-9=3")]
    [InlineData("sliding 10 0", "20 25 40", "10-21=1 15-26=2 21-32=1")]
    public void A_windows_result_is_told_once_when_it_closes(string windows, string times, string results)
    {
        foreach (var emit in (string[])["update", "every 3"])
        {
            var script = string.Join(' ', times.Split(' ').Select(time => $"in0.k=x@{time}"));
            Run(() => Windows(windows, emit, isSuppressed: true, 0), script).ShouldBe(string.Join(' ', results.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(result => $"k={result}")), emit);
        }
    }

    [Fact]
    public void Suppression_until_windows_close_tells_what_emit_on_close_tells_with_the_same_times_and_to_the_same_windows_behind() => Check.One(
        PropertyRuns.Of(250), Prop.ForAll(ArbMap.Default.ArbFor<int>(), RunWindows));

    private static void RunWindows(int seed)
    {
        var random = new System.Random(seed);
        var (grace, bound, partitions) = (random.Next(0, 12), random.Next(0, 10), random.Next(1, 3));
        string[] kinds = [$"tumbling 10 {grace}", $"hopping 10 4 {grace}", $"session 5 {grace}", $"sliding 6 {grace}"];
        var windows = kinds[random.Next(kinds.Length)];
        var now = 0;
        var script = string.Join(' ', Enumerable.Range(0, random.Next(1, 40)).Select(number => $"in0.k{random.Next(3)}=x@{Math.Max(0, (now += random.Next(0, 8)) - random.Next(0, 14))}"));
        string[] emits = ["close", "update", $"every {random.Next(1, 20)}"];

        // Windows behind it take what they are told: that they count the same is that nothing came too late or too early for them.
        var expected = Told(Windows(windows, "close", isSuppressed: false, bound), [], 1);
        foreach (var emit in emits)
        {
            Told(Windows(windows, emit, isSuppressed: true, bound), [(TestCrash)random.Next(4)], random.Next(1, 5)).ShouldBe(expected, $"{windows} emit {emit} bound {bound}: {script}");
        }

        string[] Told(Topology topology, TestCrash[] crashes, int commitEvery)
        {
            var driver = Drive(topology, script, crashes, close: true, new() { Partitions = partitions, CommitEvery = commitEvery, SnapshotBytesMin = 300 });
            var told = driver.CreateOutput("out", Serdes.Utf8, Serdes.Utf8).ReadAll().Select(record => $"{record.Partition}: {record.Key}={record.Value}@{record.Timestamp}").ToArray();
            var behind = driver.CreateOutput("behind", Serdes.Utf8, Serdes.Utf8).ReadAll().Select(record => $"behind {record.Key}={record.Value}").Order(StringComparer.Ordinal);
            return [.. Enumerable.Range(0, partitions).SelectMany(partition => told.Where(line => line.StartsWith($"{partition}:", StringComparison.Ordinal))), .. behind, $"late {driver.LateRecords}"];
        }
    }

    [Fact]
    public void Windows_that_are_held_back_are_bounded_too()
    {
        var driver = Drive(Windows("tumbling 10 100", "update", isSuppressed: true, 0, BufferConfig.MaxRecords(2).ShutDownWhenFull()), "in0.k=x@0 in0.k=x@10", []);
        Should.Throw<StreamsException>(() => Pipe(driver, "in0.k=x@20")).Code.ShouldBe(StreamsErrorCode.StateTooLarge);
        Results(driver).ShouldBeEmpty();
    }

    [Fact]
    public void Only_windows_whose_end_is_known_can_be_waited_for()
    {
        var builder = new StreamsBuilder();
        var counts = builder.Stream("in", Texts).GroupByKey().WindowedBy(TumblingWindows.Of(Ms(10))).EmitOnUpdate().Count(Materialized.As("counts", Serdes.Int64));
        var error = Should.Throw<StreamsException>(() => counts.Filter((_, count) => count > 1).Suppress(Suppressed.UntilWindowCloses(BufferConfig.Unbounded())));
        (error.Code, error.Message.Contains("right behind", StringComparison.Ordinal)).ShouldBe((StreamsErrorCode.InvalidConfig, true));
    }

    /// <summary>Counts windows; what is told goes to "out", and is counted in windows again by key, which go to "behind".</summary>
    private static Topology Windows(string windows, string emit, bool isSuppressed, long outOfOrderness, StrictBufferConfig? buffer = null)
    {
        var builder = new StreamsBuilder();
        var consumed = Texts.WithWatermarks(WatermarkStrategy.BoundedOutOfOrderness(Ms(outOfOrderness)));
        var results = Count(builder.Stream("in0", consumed).GroupByKey(), windows.Split(' '), emit.Split(' '), Materialized.As(Store, Serdes.Int64));
        results = isSuppressed ? results.Suppress(Suppressed.UntilWindowCloses(buffer ?? BufferConfig.Unbounded())) : results;
        var flat = results.Map((window, count) => (window.Key, $"{window.WindowStartMs}-{window.WindowEndMs}={count}"));
        flat.To("out", ToTexts);
        flat.GroupByKey(Grouped.With(Serdes.Utf8, Serdes.Utf8)).WindowedBy(TumblingWindows.Of(Ms(20))).Count(Materialized.As("behind-counts", Serdes.Int64))
            .Map((window, count) => (window.Key, $"{window.WindowStartMs}={count}")).To("behind", ToTexts);
        return builder.Build();
    }
}
