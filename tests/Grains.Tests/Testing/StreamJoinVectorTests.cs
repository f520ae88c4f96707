using System.Globalization;
using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.Testing;

/// <summary>
/// Two streams meet. Steps of a script: L:value@time is a record of the left stream, R:value@time one of the right (- for null), T@time one of another key on both, which takes both watermarks
/// to the ms before it, TL@time and TR@time the same on one, ! a crash, E the end of both. A result is left+right@time, with _ for what is not there.
/// </summary>
public sealed class StreamJoinVectorTests
{
    private static readonly Consumed<string, string> s_texts = Consumed.With(Serdes.Utf8, Serdes.Utf8).AllowTimesBefore1970();
    private static readonly StreamJoined<string, string, string> s_joined = StreamJoined.With(Serdes.Utf8, Serdes.Utf8, Serdes.Utf8).WithName("pairs");

    [Theory]
    [InlineData(10, 10, "L:a@100 R:x@110", "a+x@110")] // exactly at after
    [InlineData(10, 10, "L:a@100 R:x@111", "")] // a ms outside
    [InlineData(10, 10, "R:x@90 L:a@100", "a+x@100")] // exactly at before
    [InlineData(10, 10, "R:x@89 L:a@100", "")] // a ms outside
    [InlineData(10, 10, "L:a@100 R:x@90", "a+x@100")] // the same, the left one first
    [InlineData(10, 10, "L:a@100 R:x@89", "")]
    [InlineData(10, 10, "R:x@110 L:a@100", "a+x@110")]
    [InlineData(10, 10, "R:x@111 L:a@100", "")]
    [InlineData(10, 10, "L:a@100 L:b@100 R:x@100 R:y@100", "a+x@100 b+x@100 a+y@100 b+y@100")] // every pair once
    [InlineData(10, 10, "L:a@100 L:a@100 R:x@100", "a+x@100 a+x@100")] // equal records are two
    [InlineData(10, 10, "L:-@100 R:x@100 R:-@100 L:a@100", "a+x@100")] // a null value joins nothing
    [InlineData(10, 10, "L:a@100 ! R:x@105 ! L:b@106", "a+x@105 b+x@106")] // buffers outlive crashes
    [InlineData(10, 10, "L:a@-5 R:x@5", "a+x@5")] // over the epoch
    [InlineData(0, 0, "L:a@100 R:x@100 R:y@101", "a+x@100")] // the same ms only
    [InlineData(0, 10, "L:a@100 R:w@99 R:x@100 R:y@110 R:z@111", "a+x@100 a+y@110")] // right at or after left
    [InlineData(0, 10, "R:w@99 L:a@100 L:b@90", "b+w@99")] // a late left: see below for the grace that b needs
    [InlineData(10, 0, "R:v@89 R:w@90 R:x@100 R:y@101 L:a@100", "a+w@100 a+x@100")] // right at or before left
    [InlineData(-5, 10, "L:a@100 R:w@100 R:x@104 R:y@105 R:z@110 R:o@111", "a+y@105 a+z@110")] // right later by at least 5
    [InlineData(10, -5, "R:v@89 R:w@90 R:x@95 R:y@96 R:z@100 L:a@100", "a+w@100 a+x@100")] // right earlier by at least 5
    [InlineData(-5, 5, "L:a@100 R:w@104 R:x@105 R:y@106", "a+x@105")] // exactly 5 later
    [InlineData(5, -5, "L:a@100 R:x@95 R:y@96", "a+x@100")] // exactly 5 earlier; the left one first
    public void Pairs_are_those_in_the_window_whose_ends_are_included(int before, int after, string script, string expected)
    {
        var grace = script.Contains("b@90", StringComparison.Ordinal) ? 20 : 0;
        Run(StreamKind.Inner, before, after, grace, script).Results.ShouldBe(expected);
        Run(StreamKind.Inner, before, after, 1000, script).Results.ShouldBe(expected, "grace gives nothing but time");
        Run(StreamKind.Inner, before, after, grace, $"{script} T@5000 E").Results.ShouldBe(expected, "what has no partner is not told");
    }

    [Theory]
    [InlineData("L:a@100 T@111", "")] // the watermark is 110: the last ms of the window
    [InlineData("L:a@100 T@112", "a+_@100")] // the watermark has passed it
    [InlineData("L:a@100 TL@1000", "")] // the right stream has not come so far
    [InlineData("L:a@100 TL@1000 R:x@105", "a+x@105")] // and may still bring a partner
    [InlineData("L:a@100 TL@1000 TR@112", "a+_@100")]
    [InlineData("L:a@100 TR@1000", "")] // nor has the left one: a itself may be followed
    [InlineData("L:a@100 R:x@105 T@1000", "a+x@105")] // who had a partner is not told again
    [InlineData("R:x@105 L:a@100 T@1000", "a+x@105")] // had it on coming
    [InlineData("L:a@100 ! R:x@105 ! T@1000 !", "a+x@105")] // and keeps that over crashes
    [InlineData("L:a@100 T@1000 ! T@2000 E !", "a+_@100")] // once, whatever comes
    [InlineData("L:a@100 ! E", "a+_@100")] // the end of input closes all windows
    [InlineData("R:x@100 T@1000 E", "")] // the right stream's are not told in a left join
    [InlineData("L:a@100 R:x@111 T@1000", "a+_@100")] // a ms outside is no partner
    [InlineData("L:a@100 L:b@105 L:c@105 R:x@115 T@1000", "b+x@115 c+x@115 a+_@100")]
    [InlineData("L:a@100 L:b@105 L:c@120 T@1000", "a+_@100 b+_@105 c+_@120")] // in the order of time, however far the watermark jumps
    [InlineData("L:-@100 T@1000", "")] // a null value is no record
    [InlineData("L:a@100 T@112 R:x@105", "a+_@100")] // late: told as alone, it stays alone
    public void In_a_left_join_a_record_without_a_partner_is_told_once_when_its_window_has_closed(string script, string expected) =>
        Run(StreamKind.Left, 10, 10, 0, script).Results.ShouldBe(expected);

    [Theory]
    [InlineData(10, 10, "L:a@100 R:x@200 T@1000", "a+_@100 _+x@200")]
    [InlineData(10, 10, "R:x@100 L:a@200 T@1000", "_+x@100 a+_@200")]
    [InlineData(10, 10, "L:a@100 R:x@100 T@1000", "a+x@100")]
    [InlineData(10, 10, "L:a@100 R:x@111 T@112 T@122 T@123", "a+_@100 _+x@111")]
    [InlineData(10, 10, "R:x@100 T@111", "")]
    [InlineData(10, 10, "R:x@100 T@112", "_+x@100")]
    [InlineData(0, 10, "R:x@100 T@101", "")] // its partners lie at 90 to 100
    [InlineData(0, 10, "R:x@100 T@102", "_+x@100")]
    [InlineData(0, 10, "L:a@100 T@111", "")] // its partners at 100 to 110
    [InlineData(0, 10, "L:a@100 T@112", "a+_@100")]
    [InlineData(10, 0, "L:a@100 T@102", "a+_@100")]
    [InlineData(-5, 10, "R:x@100 T@97 L:a@97", "_+x@100")] // its partners end at 95: closed before it came, as far as the left has come
    [InlineData(10, 10, "L:a@100 ! R:x@200 ! E", "a+_@100 _+x@200")]
    public void In_an_outer_join_both_sides_records_without_a_partner_are_told(int before, int after, string script, string expected) =>
        Run(StreamKind.Outer, before, after, 0, script).Results.ShouldBe(expected);

    [Theory]
    [InlineData("T@98 L:a@100", "a+_@100")] // its partners end at 95, the watermark is 97: told at once
    [InlineData("T@97 L:a@100", "a+_@100")]
    [InlineData("T@96 L:a@100", "")] // the watermark is 95: the last ms of the window
    [InlineData("T@96 L:a@100 T@97", "a+_@100")]
    [InlineData("R:x@95 T@98 L:a@100 T@1000", "a+x@100")] // the partner waits for the record
    [InlineData("R:x@90 T@98 L:a@100 T@1000", "a+x@100")]
    [InlineData("R:x@89 T@98 L:a@100 T@1000", "a+_@100")]
    public void A_window_that_ends_before_its_record_may_have_closed_when_it_comes(string script, string expected) =>
        Run(StreamKind.Left, 10, -5, 0, script).Results.ShouldBe(expected);

    [Theory]
    [InlineData(0, "L:a@100 T@106 R:x@105", "a+x@105", 0)] // the watermark is 105: its own time, which ends a ms later
    [InlineData(0, "L:a@100 T@107 R:x@105", "a+_@100", 1)] // late by a ms
    [InlineData(5, "L:a@100 T@111 R:x@105", "a+x@105", 0)] // the last ms of the grace
    [InlineData(5, "L:a@100 T@112 R:x@105", "a+_@100", 1)]
    [InlineData(5, "L:a@100 T@112 L:b@105", "a+_@100", 1)] // the left one is late too
    [InlineData(5, "L:a@100 T@116", "", 0)] // and who has no partner waits for the grace
    [InlineData(5, "L:a@100 T@117", "a+_@100", 0)]
    [InlineData(0, "L:a@100 TR@107 R:x@105", "", 1)] // by its own input's watermark, however far behind the other is
    [InlineData(0, "L:a@100 TL@1000 R:x@105", "a+x@105", 0)] // and by no other's
    public void A_record_behind_its_inputs_watermark_by_more_than_the_grace_is_late_and_counted(int grace, string script, string expected, int late)
    {
        // Who lost its partner is told when its window closes.
        var (results, lateRecords, _) = Run(StreamKind.Left, 10, 10, grace, late > 0 && expected.Length > 0 ? $"{script} T@1000" : script);
        results.ShouldBe(expected);
        lateRecords.ShouldBe(late);
    }

    [Fact]
    public void Buffers_are_empty_when_all_windows_have_closed()
    {
        var (_, _, driver) = Run(StreamKind.Outer, 10, 20, 30, "L:a@100 R:x@115 L:b@120 ! R:y@130");
        driver.Tasks.Sum(task => task.StateEntries).ShouldBe(4);
        driver.CloseInputs();
        driver.Tasks.Sum(task => task.StateEntries).ShouldBe(0);
    }

    [Fact]
    public void A_stream_joined_with_itself_meets_each_record_itself_too()
    {
        var builder = new StreamsBuilder();
        var stream = builder.Stream("left", s_texts);
        stream.Join(stream, (key, left, right) => $"{key}{left}{right}", JoinWindows.Of(TimeSpan.FromMilliseconds(5)), s_joined).To("out", Produced.With(Serdes.Utf8, Serdes.Utf8));
        var driver = new TopologyTestDriver(builder.Build());
        var input = driver.CreateInput("left", Serdes.Utf8, Serdes.Utf8);
        input.Pipe("k", "a", 100);
        input.Pipe("k", "b", 105);
        input.Pipe("k", "c", 111);
        driver.CreateOutput("out", Serdes.Utf8, Serdes.Utf8).ReadAll().Select(record => record.Value).ShouldBe(["kaa", "kba", "kab", "kbb", "kcc"], ignoreOrder: true);
    }

    [Fact]
    public void Streams_whose_keys_have_changed_are_repartitioned_to_each_other()
    {
        var builder = new StreamsBuilder();
        var (left, right) = (builder.Stream("left", s_texts).SelectKey((_, value) => value), builder.Stream("right", s_texts).SelectKey((_, value) => value));
        left.OuterJoin(right, (one, two) => $"{one ?? "_"}+{two ?? "_"}", JoinWindows.Of(TimeSpan.FromMilliseconds(5)), s_joined).To("out", Produced.With(Serdes.Utf8, Serdes.Utf8));
        var driver = new TopologyTestDriver(builder.Build(), new() { TopicPartitions = StreamTableJoinTests.Partitions(("left", 2), ("right", 3)), CommitEvery = 3 });
        for (var number = 0; number < 12; number++)
        {
            driver.CreateInput("left", Serdes.Utf8, Serdes.Utf8).Pipe($"x{number}", $"{number}", 100);
            driver.Restart(TestCrash.DuringDelivery);
            driver.CreateInput("right", Serdes.Utf8, Serdes.Utf8).Pipe($"y{number}", $"{number + 2}", 103);
        }

        driver.CloseInputs();
        var expected = Enumerable.Range(0, 14).Select(number => number < 2 ? $"{number}+_" : number < 12 ? $"{number}+{number}" : $"_+{number}");
        driver.CreateOutput("out", Serdes.Utf8, Serdes.Utf8).ReadAll().Select(record => record.Value).ShouldBe(expected, ignoreOrder: true);
    }

    [Fact]
    public void A_window_behind_a_join_gets_also_what_is_told_when_windows_close()
    {
        var builder = new StreamsBuilder();
        var (left, right) = (builder.Stream("left", s_texts), builder.Stream("right", s_texts));
        left.LeftJoin(right, (one, two) => one + two, JoinWindows.Of(TimeSpan.FromMilliseconds(5)).Grace(TimeSpan.FromMilliseconds(7)), s_joined)
            .GroupByKey().WindowedBy(TumblingWindows.Of(TimeSpan.FromMilliseconds(10))).Count(Materialized.As("counts", Serdes.Int64))
            .Map((window, count) => ($"{window.Key}{window.WindowStartMs}", $"{count}")).To("out", Produced.With(Serdes.Utf8, Serdes.Utf8));
        var driver = new TopologyTestDriver(builder.Build());
        foreach (var time in (long[])[1, 2, 11, 12, 13, 29, 50, 71])
        {
            driver.CreateInput("left", Serdes.Utf8, Serdes.Utf8).Pipe("k", "a", time);
            driver.CreateInput("right", Serdes.Utf8, Serdes.Utf8).Pipe("k", "x", time + 6);
            driver.Restart();
        }

        driver.CloseInputs();

        long[] lefts = [1, 2, 11, 12, 13, 29, 50, 71];
        var results = lefts.SelectMany(one => lefts.Select(other => other + 6).Where(two => Math.Abs(two - one) <= 5).Select(two => Math.Max(one, two)).DefaultIfEmpty(one));
        driver.CreateOutput("out", Serdes.Utf8, Serdes.Utf8).ReadAll().Select(record => (record.Key, record.Value))
            .ShouldBe(results.GroupBy(time => time / 10 * 10).OrderBy(window => window.Key).Select(window => ((string?)$"k{window.Key}", (string?)$"{window.Count()}")));
        driver.LateRecords.ShouldBe(0);
    }

    [Theory]
    [InlineData(0, 0, "28-29")] // the window's last ms is the watermark at which the record comes
    [InlineData(0, 7, "28-29")]
    [InlineData(5, 0, "23-29")]
    public void A_sliding_window_behind_a_join_takes_what_is_told_when_windows_close(int difference, int grace, string expected)
    {
        var builder = new StreamsBuilder();
        builder.Stream("left", s_texts).LeftJoin(builder.Stream("right", s_texts), (one, two) => one + two, JoinWindows.Of(TimeSpan.FromMilliseconds(19)), s_joined)
            .GroupByKey().WindowedBy(SlidingWindows.Of(TimeSpan.FromMilliseconds(difference)).Grace(TimeSpan.FromMilliseconds(grace))).Count(Materialized.As("windows", Serdes.Int64))
            .Map((window, count) => ($"{window.WindowStartMs}-{window.WindowEndMs}", $"{count}")).To("out", Produced.With(Serdes.Utf8, Serdes.Utf8));
        var driver = new TopologyTestDriver(builder.Build());
        driver.CreateInput("left", Serdes.Utf8, Serdes.Utf8).Pipe("k", "a", 28);
        driver.CloseInputs();
        var record = driver.CreateOutput("out", Serdes.Utf8, Serdes.Utf8).ReadAll().ShouldHaveSingleItem();
        (record.Key, record.Value, driver.LateRecords).ShouldBe((expected, "1", 0));
    }

    [Fact]
    public void A_session_behind_a_join_grows_at_the_very_watermark_at_which_it_is_to_be_emitted()
    {
        var builder = new StreamsBuilder();
        builder.Stream("left", s_texts).LeftJoin(builder.Stream("right", s_texts), (one, two) => one + two, JoinWindows.Of(TimeSpan.Zero), s_joined)
            .GroupByKey().WindowedBy(SessionWindows.With(TimeSpan.FromMilliseconds(5))).EmitEvery(TimeSpan.FromMilliseconds(1)).Reduce((one, two) => one + two, Materialized.As("sessions", Serdes.Utf8))
            .Map((window, value) => ($"{window.WindowStartMs}-{window.WindowEndMs}", value)).To("out", Produced.With(Serdes.Utf8, Serdes.Utf8));
        var driver = new TopologyTestDriver(builder.Build());
        foreach (var time in (long[])[0, 1, 5, 6])
        {
            driver.CreateInput("left", Serdes.Utf8, Serdes.Utf8).Pipe("k", $"{time}", time);
        }

        // The join tells each a ms after its time; a ms later the session that it makes is due, and the next one grows it first.
        driver.CloseInputs();
        driver.CreateOutput("out", Serdes.Utf8, Serdes.Utf8).ReadAll().Select(record => $"{record.Key}={record.Value ?? "-"}")
            .ShouldBe(["0-2=01", "0-2=-", "0-7=0156"], "0-1 and 0-6 had never been emitted");
    }

    [Fact]
    public void Windows_that_end_before_they_begin_are_refused()
    {
        Should.Throw<Errors.StreamsException>(() => JoinWindows.Between(TimeSpan.FromMilliseconds(6), TimeSpan.FromMilliseconds(5))).Code.ShouldBe(Errors.StreamsErrorCode.InvalidConfig);
        Should.Throw<Errors.StreamsException>(() => JoinWindows.Of(TimeSpan.FromMilliseconds(-1))).Code.ShouldBe(Errors.StreamsErrorCode.InvalidConfig);
        Should.Throw<Errors.StreamsException>(() => JoinWindows.Of(TimeSpan.Zero).After(TimeSpan.FromMilliseconds(-1))).Message.ShouldContain("Between");
        Should.Throw<Errors.StreamsException>(() => JoinWindows.Of(TimeSpan.Zero).Grace(TimeSpan.FromMilliseconds(-1))).Code.ShouldBe(Errors.StreamsErrorCode.InvalidConfig);
        var shifted = JoinWindows.Of(TimeSpan.FromMilliseconds(9)).Before(TimeSpan.FromMilliseconds(-2)).After(TimeSpan.FromMilliseconds(3));
        (shifted.BeforeMs, shifted.AfterMs, shifted.GraceMs).ShouldBe((-2, 3, 0));
    }

    [Fact]
    public void Results_have_no_headers_since_which_record_comes_last_is_chance()
    {
        var (_, _, driver) = Run(StreamKind.Inner, 10, 10, 0, "L:a@100");
        driver.CreateInput("right", Serdes.Utf8, Serdes.Utf8).Pipe("k", "x", 100, [new RecordHeader("trace", "x"u8.ToArray())]);
        driver.CreateOutput("out", Serdes.Utf8, Serdes.Utf8).ReadAll().ShouldHaveSingleItem().Headers.ShouldBeEmpty();
    }

    private static (string Results, long Late, TopologyTestDriver Driver) Run(StreamKind kind, int before, int after, int grace, string script)
    {
        var builder = new StreamsBuilder();
        StreamJoinTopologies.Join(
            kind, builder.Stream("left", s_texts), builder.Stream("right", s_texts),
            JoinWindows.Between(TimeSpan.FromMilliseconds(-before), TimeSpan.FromMilliseconds(after)).Grace(TimeSpan.FromMilliseconds(grace)), s_joined)
            .To("out", Produced.With(Serdes.Utf8, Serdes.Utf8));
        var driver = new TopologyTestDriver(builder.Build());
        var (left, right) = (driver.CreateInput("left", Serdes.Utf8, Serdes.Utf8), driver.CreateInput("right", Serdes.Utf8, Serdes.Utf8));
        foreach (var step in script.Split(' '))
        {
            if (step is "!" or "E")
            {
                (step == "!" ? () => driver.Restart() : (Action)driver.CloseInputs)();
                continue;
            }

            var at = step.IndexOf('@', StringComparison.Ordinal);
            var time = long.Parse(step[(at + 1)..], CultureInfo.InvariantCulture);
            var (what, value) = step[..at].Split(':') is [var side, var text] ? (side, text == "-" ? null : text) : (step[..at], null);
            if (what is "L" or "R")
            {
                (what == "L" ? left : right).Pipe("k", value, time);
                continue;
            }

            // A tick has keys that never meet.
            if (what is "T" or "TL")
            {
                left.Pipe("tick-left", "tick", time);
            }

            if (what is "T" or "TR")
            {
                right.Pipe("tick-right", "tick", time);
            }
        }

        var results = driver.CreateOutput("out", Serdes.Utf8, Serdes.Utf8).ReadAll().Where(record => record.Key == "k")
            .Select(record => $"{record.Value}@{record.Timestamp.ToString(CultureInfo.InvariantCulture)}");
        return (string.Join(' ', results), driver.LateRecords, driver);
    }
}

/// <summary>Which join a test is about.</summary>
public enum StreamKind
{
    Inner,
    Left,
    Outer,
}

/// <summary>A join of each kind, whose results are left+right.</summary>
internal static class StreamJoinTopologies
{
    public static KStream<string, string> Join(
        StreamKind kind, KStream<string, string> left, KStream<string, string> right, JoinWindows windows, StreamJoined<string, string, string> joined) => kind switch
        {
            StreamKind.Inner => left.Join(right, (one, two) => $"{one}+{two}", windows, joined),
            StreamKind.Left => left.LeftJoin(right, (one, two) => $"{one}+{two ?? "_"}", windows, joined),
            _ => left.OuterJoin(right, (one, two) => $"{one ?? "_"}+{two ?? "_"}", windows, joined),
        };
}
