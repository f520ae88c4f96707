using OrleansStreams.Errors;
using OrleansStreams.Records;
using OrleansStreams.Topologies;
using static OrleansStreams.Testing.WindowTopologies;

namespace OrleansStreams.Testing;

/// <summary>
/// What windows of each kind hold at their edges, by event times (one key unless "key@time"). The watermark before an event is the largest time before it, minus 1.
/// </summary>
public sealed class WindowKindVectorTests
{
    [Theory]
    [InlineData("tumbling 2 1", "0 1 2 1 0 5 0", "k 0-2=4|k 2-4=1|k 4-6=1", "k 0")]
    [InlineData("hopping 2 2 1", "0 1 2 1 0 5 0", "k 0-2=4|k 2-4=1|k 4-6=1", "k 0")]
    [InlineData("hopping 10 5 0", "0", "k -5-5=1|k 0-10=1", "")]
    [InlineData("hopping 10 5 0", "4", "k -5-5=1|k 0-10=1", "")]
    [InlineData("hopping 10 5 0", "5", "k 0-10=1|k 5-15=1", "")]
    [InlineData("hopping 10 5 0", "9 10", "k 0-10=1|k 5-15=2|k 10-20=1", "")]
    [InlineData("hopping 10 5 0", "0 5 9", "k -5-5=1|k 0-10=3|k 5-15=2", "")]
    [InlineData("hopping 10 5 0", "-1", "k -10-0=1|k -5-5=1", "")]
    [InlineData("hopping 10 5 0", "-5", "k -10-0=1|k -5-5=1", "")]
    [InlineData("hopping 10 5 0", "-6", "k -15--5=1|k -10-0=1", "")]
    [InlineData("hopping 10 3 0", "9", "k 0-10=1|k 3-13=1|k 6-16=1|k 9-19=1", "")]
    [InlineData("hopping 10 3 0", "10", "k 3-13=1|k 6-16=1|k 9-19=1", "")]
    [InlineData("hopping 10 3 0", "8", "k 0-10=1|k 3-13=1|k 6-16=1", "")]
    [InlineData("hopping 3 1 0", "5 5", "k 3-6=2|k 4-7=2|k 5-8=2", "")]
    [InlineData("hopping 10 5 0", "0 6 4", "k -5-5=1|k 0-10=3|k 5-15=1", "")]
    [InlineData("hopping 10 5 0", "0 10 4", "k -5-5=1|k 0-10=2|k 5-15=1|k 10-20=1", "")]
    [InlineData("hopping 10 5 0", "0 11 4", "k -5-5=1|k 0-10=1|k 5-15=1|k 10-20=1", "k 4")]
    [InlineData("hopping 10 5 1", "0 11 4", "k -5-5=1|k 0-10=2|k 5-15=1|k 10-20=1", "")]
    [InlineData("hopping 10 5 1", "0 12 4", "k -5-5=1|k 0-10=1|k 5-15=1|k 10-20=1", "k 4")]
    [InlineData("hopping 10 5 0", "0 1000", "k -5-5=1|k 0-10=1|k 995-1005=1|k 1000-1010=1", "")]
    [InlineData("hopping 10 5 0", "a@0 b@5 a@5", "a -5-5=1|a 0-10=2|b 0-10=1|a 5-15=1|b 5-15=1", "")]
    [InlineData("session 5 0", "0", "k 0-1=1", "")]
    [InlineData("session 5 0", "3 3 3", "k 3-4=3", "")]
    [InlineData("session 5 0", "0 5", "k 0-6=2", "")]
    [InlineData("session 5 0", "0 6", "k 0-1=1|k 6-7=1", "")]
    [InlineData("session 5 0", "-3 0", "k -3-1=2", "")]
    [InlineData("session 5 0", "0 1000 1003", "k 0-1=1|k 1000-1004=2", "")]
    [InlineData("session 5 0", "0 8 4", "k 0-1=1|k 4-9=2", "")]
    [InlineData("session 5 3", "0 8 4", "k 0-9=3", "")]
    [InlineData("session 5 2", "0 8 4", "k 0-1=1|k 4-9=2", "")]
    [InlineData("session 5 20", "0 6 12 3 9", "k 0-13=5", "")]
    [InlineData("session 5 20", "0 6 12 9 3", "k 0-13=5", "")]
    [InlineData("session 5 20", "0 6 12 9", "k 0-1=1|k 6-13=3", "")]
    [InlineData("session 5 20", "12 6 0", "k 0-1=1|k 6-7=1|k 12-13=1", "")]
    [InlineData("session 5 0", "10 7", "k 7-11=2", "")]
    [InlineData("session 5 0", "10 14 6", "k 6-15=3", "")]
    [InlineData("session 5 0", "10 5", "k 5-11=2", "")]
    [InlineData("session 5 0", "10 4", "k 10-11=1", "k 4")]
    [InlineData("session 5 1", "10 4", "k 4-5=1|k 10-11=1", "")]
    [InlineData("session 5 0", "0 3 20 2", "k 0-4=2|k 20-21=1", "k 2")]
    [InlineData("session 5 0", "0 4 8 12 2", "k 0-13=5", "")]
    [InlineData("session 10 0", "a@0 d@10 a@0", "a 0-1=2|d 10-11=1", "")]
    [InlineData("session 10 0", "a@0 d@11 a@0", "a 0-1=1|d 11-12=1", "a 0")]
    [InlineData("session 10 1", "a@0 d@11 a@0", "a 0-1=2|d 11-12=1", "")]
    [InlineData("session 10 1", "a@0 d@12 a@0", "a 0-1=1|d 12-13=1", "a 0")]
    [InlineData("session 5 0", "a@0 b@3 a@5 b@9", "b 3-4=1|a 0-6=2|b 9-10=1", "")]
    [InlineData("sliding 10 0", "20", "k 10-21=1", "")]
    [InlineData("sliding 10 0", "3", "k -7-4=1", "")]
    [InlineData("sliding 10 0", "20 20", "k 10-21=2", "")]
    [InlineData("sliding 0 0", "5 5 6", "k 5-6=2|k 6-7=1", "")]
    [InlineData("sliding 10 0", "20 25", "k 10-21=1|k 15-26=2|k 21-32=1", "")]
    [InlineData("sliding 10 0", "20 30", "k 10-21=1|k 20-31=2|k 21-32=1", "")]
    [InlineData("sliding 10 0", "20 31", "k 10-21=1|k 21-32=1", "")]
    [InlineData("sliding 10 0", "20 32", "k 10-21=1|k 22-33=1", "")]
    [InlineData("sliding 10 0", "25 20", "k 15-26=2|k 21-32=1", "")]
    [InlineData("sliding 10 4", "25 20", "k 15-26=2|k 21-32=1", "")]
    [InlineData("sliding 10 5", "25 20", "k 10-21=1|k 15-26=2|k 21-32=1", "")]
    [InlineData("sliding 10 50", "20 25 30", "k 10-21=1|k 15-26=2|k 20-31=3|k 21-32=2|k 26-37=1", "")]
    [InlineData("sliding 10 50", "20 30 25", "k 10-21=1|k 15-26=2|k 20-31=3|k 21-32=2|k 26-37=1", "")]
    [InlineData("sliding 10 50", "25 20 30", "k 10-21=1|k 15-26=2|k 20-31=3|k 21-32=2|k 26-37=1", "")]
    [InlineData("sliding 10 50", "25 30 20", "k 10-21=1|k 15-26=2|k 20-31=3|k 21-32=2|k 26-37=1", "")]
    [InlineData("sliding 10 50", "30 20 25", "k 10-21=1|k 15-26=2|k 20-31=3|k 21-32=2|k 26-37=1", "")]
    [InlineData("sliding 10 50", "30 25 20", "k 10-21=1|k 15-26=2|k 20-31=3|k 21-32=2|k 26-37=1", "")]
    [InlineData("sliding 10 0", "20 36 25", "k 10-21=1|k 26-37=1", "")]
    [InlineData("sliding 10 0", "20 37 25", "k 10-21=1|k 27-38=1", "k 25")]
    [InlineData("sliding 10 1", "20 37 25", "k 10-21=1|k 27-38=1", "")]
    [InlineData("sliding 10 0", "20 1000", "k 10-21=1|k 990-1001=1", "")]
    [InlineData("sliding 10 0", "a@20 b@25", "a 10-21=1|b 15-26=1", "")]
    public void A_windows_final_result_comes_once_and_holds_what_is_not_late(string windows, string times, string results, string late)
    {
        foreach (var commitEvery in (int[])[1, 2, 100])
        {
            var driver = new TopologyTestDriver(Counting(windows), new() { CommitEvery = commitEvery });
            Pipe(driver, times);
            driver.CloseInputs();
            Results(driver).ShouldBe(results);
            string.Join('|', driver.CreateOutput(Late, Serdes.Utf8, Serdes.Int64).ReadAll().Select(record => $"{record.Key} {record.Timestamp}")).ShouldBe(late);
            driver.LateRecords.ShouldBe(late.Length == 0 ? 0 : late.Split('|').Length);
        }
    }

    [Theory]
    [InlineData("tumbling 2 0", "update", "0 1 2", "k 0-2=1|k 0-2=2|k 2-4=1")]
    [InlineData("hopping 10 5 0", "update", "0 6", "k -5-5=1|k 0-10=1|k 0-10=2|k 5-15=1")]
    [InlineData("hopping 10 5 0", "update", "0 11 4", "k -5-5=1|k 0-10=1|k 5-15=1|k 10-20=1")]
    [InlineData("session 5 0", "update", "3 3", "k 3-4=1|k 3-4=2")]
    [InlineData("session 5 0", "update", "0 3", "k 0-1=1|k 0-1=0|k 0-4=2")]
    [InlineData("session 5 10", "update", "0 8 4", "k 0-1=1|k 8-9=1|k 0-1=0|k 8-9=0|k 0-9=3")]
    [InlineData("sliding 10 0", "update", "20 25", "k 10-21=1|k 15-26=2|k 21-32=1")]
    [InlineData("sliding 10 9", "update", "25 20", "k 15-26=1|k 15-26=2|k 10-21=1|k 21-32=1")]
    [InlineData("tumbling 10 0", "every 4", "0 1 5 6 11", "k 0-10=1|k 0-10=2|k 0-10=3|k 0-10=4|k 10-20=1")]
    [InlineData("tumbling 10 0", "every 1000", "0 1 5 6 11", "k 0-10=1|k 0-10=2|k 0-10=4|k 10-20=1")]
    [InlineData("tumbling 10 5", "every 1000", "2 3 14 4 16", "k 0-10=1|k 0-10=3|k 10-20=2")]
    [InlineData("session 5 0", "every 4", "0 3 4 20", "k 0-1=1|k 0-1=0|k 0-4=2|k 0-4=0|k 0-5=3|k 20-21=1")]
    [InlineData("session 5 0", "every 100", "1 20 23 26", "k 1-2=1|k 20-27=3")]
    public void Results_before_the_close_are_emitted_as_configured_and_the_last_one_is_final(string windows, string emit, string times, string results)
    {
        var driver = new TopologyTestDriver(Counting(windows, emit));
        Pipe(driver, times);
        driver.CloseInputs();
        Results(driver).ShouldBe(results);
    }

    [Fact]
    public void A_final_result_has_the_windows_last_millisecond_as_its_timestamp_and_comes_when_the_watermark_does()
    {
        foreach (var (windows, before, at, timestamp) in ((string, long, long, long)[])
            [("hopping 10 10 3", 13, 14, 9), ("session 5 3", 10, 11, 2), ("sliding 5 3", 5, 6, 2)])
        {
            var driver = new TopologyTestDriver(Counting(windows));
            var input = driver.CreateInput("in0", Serdes.Utf8, Serdes.Int64);
            var output = driver.CreateOutput(Out, Serdes.Utf8, Serdes.Utf8);
            input.Pipe("k", 0, 2);
            input.Pipe("other", 0, before);
            output.ReadAll().ShouldBeEmpty(windows);
            input.Pipe("other", 0, at);
            output.ReadAll().ShouldHaveSingleItem(windows).Timestamp.ShouldBe(timestamp, windows);
        }
    }

    [Theory]
    [InlineData("hopping 10 5 0", "0-10:2:True 5-15:1:False 10-20:1:False", "0-10:2:True")]
    [InlineData("session 5 0", "1-3:2:True 12-13:1:False", "1-3:2:True")]
    public void Windows_can_be_queried_open_and_closed_until_their_retention_is_over(string windows, string all, string first)
    {
        var driver = new TopologyTestDriver(Counting(windows, retention: 50));
        Pipe(driver, "1 2 12");
        var store = driver.GetStore(Store, Serdes.Utf8, Serdes.Int64);
        Text(store.Windows("k", 0)).ShouldBe(all);
        Text(store.Windows("k", 0, 5)).ShouldBe(first);
        driver.Restart();
        Text(driver.GetStore(Store, Serdes.Utf8, Serdes.Int64).Windows("k", 0)).ShouldBe(all);
        Pipe(driver, "59");
        Text(store.Windows("k", 0, 5)).ShouldBe(windows.StartsWith("session", StringComparison.Ordinal) ? string.Empty : first);
        Pipe(driver, "300");
        Text(store.Windows("k", 0, 50)).ShouldBeEmpty();

        static string Text(IEnumerable<TestWindow<long>> found) => string.Join(' ', found.Select(window => $"{window.StartMs}-{window.EndMs}:{window.Value}:{window.IsFinal}"));
    }

    [Fact]
    public void What_sliding_windows_keep_of_events_is_forgotten_when_no_window_can_hold_them_any_more()
    {
        var driver = new TopologyTestDriver(Counting("sliding 10 5", retention: 0));
        Pipe(driver, "0 3 7 100");
        driver.Tasks.Single().StateEntries.ShouldBe(2, "the last event and its window");
    }

    [Fact]
    public void Values_are_aggregated_in_sessions_and_sliding_windows()
    {
        var builder = new StreamsBuilder();
        var grouped = builder.Stream("in0", Consumed.With(Serdes.Utf8, Serdes.Int64)).GroupByKey();
        var produced = Produced.With(Serdes.Utf8, Serdes.Int64);
        grouped.WindowedBy(SessionWindows.With(Ms(5)).Grace(Ms(50))).Aggregate(() => 1000L, (_, value, sum) => sum + value, (_, x, y) => x + y, Materialized.As("s1", Serdes.Int64))
            .Map((window, sum) => (window.Key, sum)).To("sessions", produced);
        grouped.WindowedBy(SessionWindows.With(Ms(5)).Grace(Ms(50))).Reduce(Math.Max, Materialized.As("s2", Serdes.Int64)).Map((window, max) => (window.Key, max)).To("max", produced);
        grouped.WindowedBy(SlidingWindows.Of(Ms(5)).Grace(Ms(50))).Aggregate(() => 1000L, (_, value, sum) => sum + value, Materialized.As("s3", Serdes.Int64), Serdes.Int64)
            .Map((window, sum) => (window.Key, sum)).To("sliding", produced);
        grouped.WindowedBy(HoppingWindows.Of(Ms(10), Ms(5)).Grace(Ms(50))).Reduce((x, y) => x + y, Materialized.As("s4", Serdes.Int64))
            .Map((window, sum) => (window.Key, sum)).To("hopping", produced);
        var driver = new TopologyTestDriver(builder.Build());
        var input = driver.CreateInput("in0", Serdes.Utf8, Serdes.Int64);
        foreach (var (time, value) in ((long, long)[])[(10, 1), (18, 2), (14, 4)])
        {
            input.Pipe("k", value, time);
            driver.Restart();
        }

        driver.CloseInputs();
        Read("sessions").ShouldBe([2007], "two sessions, each begun with 1000");
        Read("max").ShouldBe([4]);
        Read("sliding").ShouldBe([1001, 1005, 1004, 1006, 1002], "[5,10] [9,14] [11,16] [13,18] [15,20]");
        Read("hopping").ShouldBe([5, 7, 2]);

        long[] Read(string topic) => [.. driver.CreateOutput(topic, Serdes.Utf8, Serdes.Int64).ReadAll().Select(record => record.Value)];
    }

    [Fact]
    public void Windows_that_cannot_be_are_refused()
    {
        Refused(() => HoppingWindows.Of(Ms(10), Ms(11))).ShouldContain("gaps");
        Refused(() => HoppingWindows.Of(Ms(10), Ms(0))).ShouldContain("advance");
        Refused(() => HoppingWindows.Of(Ms(10), Ms(5)).Grace(Ms(-1))).ShouldContain("grace");
        Refused(() => SessionWindows.With(Ms(0))).ShouldContain("gap");
        Refused(() => SlidingWindows.Of(Ms(-1))).ShouldContain("difference");
        Refused(() => Counting("tumbling 10 0", "every 0")).ShouldContain("interval");

        static string Refused(Action action)
        {
            var error = Should.Throw<StreamsException>(action);
            error.Code.ShouldBe(StreamsErrorCode.InvalidConfig);
            return error.Message;
        }
    }

    private static void Pipe(TopologyTestDriver driver, string times)
    {
        var input = driver.CreateInput("in0", Serdes.Utf8, Serdes.Int64);
        foreach (var (key, time) in times.Split(' ').Select(Event))
        {
            input.Pipe(key, 0, time);
        }
    }

    private static string Results(TopologyTestDriver driver) =>
        string.Join('|', driver.CreateOutput(Out, Serdes.Utf8, Serdes.Utf8).ReadAll().Select(record => $"{record.Key} {record.Value}"));
}
