using System.Text;
using OrleansStreams.Errors;
using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.Testing;

/// <summary>What becomes of records on which an application fails.</summary>
public sealed class PoisonRecordTests
{
    private static readonly Consumed<string, long> s_numbers = Consumed.With(Serdes.Utf8, Serdes.Int64);
    private static readonly Consumed<string, string> s_texts = Consumed.With(Serdes.Utf8, Serdes.Utf8);
    private static readonly Produced<string, long> s_toNumbers = Produced.With(Serdes.Utf8, Serdes.Int64);
    private static readonly Produced<string, string> s_toTexts = Produced.With(Serdes.Utf8, Serdes.Utf8);

    [Fact]
    public void Without_a_policy_the_task_fails_and_says_how_to_go_on()
    {
        var builder = new StreamsBuilder();
        builder.Stream("in", s_numbers).To("out", s_toNumbers);
        var driver = new TopologyTestDriver(builder.Build());

        var error = Should.Throw<StreamsException>(() => driver.CreateInput("in", Serdes.Utf8, Serdes.Utf8).Pipe("a", "no number", 1));

        error.Code.ShouldBe(StreamsErrorCode.SerializationFailed);
        error.Message.ShouldContain("offset 0 of topic 'in'");
        error.Message.ShouldContain("ErrorPolicy.Skip");
    }

    [Fact]
    public void A_value_that_cannot_be_read_is_skipped_and_counted_and_the_records_around_it_are_processed()
    {
        var builder = new StreamsBuilder();
        builder.Stream("in", s_numbers.OnError(ErrorPolicy.Skip)).MapValues(value => value + 1).To("out", s_toNumbers);
        var driver = new TopologyTestDriver(builder.Build());
        driver.CreateInput("in", Serdes.Utf8, Serdes.Int64).Pipe("a", 1, 1);
        driver.CreateInput("in", Serdes.Utf8, Serdes.Utf8).Pipe("a", "no number", 2);
        driver.CreateInput("in", Serdes.Utf8, Serdes.Int64).Pipe("a", 2, 3);

        driver.CreateOutput("out", Serdes.Utf8, Serdes.Int64).ReadAll().Select(record => record.Value).ShouldBe([2, 3]);
        var task = driver.Tasks.ShouldHaveSingleItem();
        (task.SkippedRecords, task.DeadLetters, task.RecordsIn).ShouldBe((1, 0, 3));
        driver.Restart();
        driver.Tasks.ShouldHaveSingleItem().SkippedRecords.ShouldBe(1);
    }

    [Fact]
    public void A_window_right_behind_the_source_is_not_opened_by_a_value_that_cannot_be_read()
    {
        var builder = new StreamsBuilder();
        builder.Stream("in", s_numbers.OnError(ErrorPolicy.Skip)).GroupByKey().WindowedBy(TumblingWindows.Of(TimeSpan.FromMilliseconds(10)))
            .Aggregate(() => 0L, (_, value, sum) => sum + value, Materialized.As("sums", Serdes.Int64)).Map((window, sum) => (window.Key, sum)).To("out", s_toNumbers);
        var driver = new TopologyTestDriver(builder.Build(), new() { CommitEvery = 10 });
        driver.CreateInput("in", Serdes.Utf8, Serdes.Utf8).Pipe("a", "no number", 5000);
        driver.CreateInput("in", Serdes.Utf8, Serdes.Int64).Pipe("a", 7, 3);
        driver.CloseInputs();

        driver.LateRecords.ShouldBe(0, "the time of a record that was taken out moves no watermark");
        driver.CreateOutput("out", Serdes.Utf8, Serdes.Int64).ReadAll().ShouldHaveSingleItem().Value.ShouldBe(7);
    }

    [Fact]
    public void A_dead_letter_has_the_record_as_it_was_and_headers_that_say_where_it_comes_from_and_what_failed()
    {
        var builder = new StreamsBuilder();
        builder.Stream("in", s_texts.OnError(ErrorPolicy.DeadLetter("dead"))).MapValues(Failing).To("out", s_toTexts);
        var driver = new TopologyTestDriver(builder.Build(), new() { Application = "app" });
        var input = driver.CreateInput("in", Serdes.Utf8, Serdes.Utf8);
        input.Pipe("a", "good", 1);
        input.Pipe("b", "bad", 2, [new("trace", "7"u8.ToArray()), new("empty", null)]);
        input.Pipe(null, "bad", 3);
        input.Pipe("a", "good", 4);

        driver.CreateOutput("out", Serdes.Utf8, Serdes.Utf8).ReadAll().Length.ShouldBe(2);
        var letters = driver.CreateOutput("dead", Serdes.Utf8, Serdes.Utf8).ReadAll();
        letters.Select(letter => (letter.Key, letter.Value, letter.Timestamp)).ShouldBe([("b", "bad", 2), (null, "bad", 3)]);
        var headers = letters[0].Headers;
        headers.Select(header => header.Key).ShouldBe(
            ["trace", "empty", "error.topic", "error.partition", "error.offset", "error.timestamp", "error.exception", "error.message", "error.stack", "error.application", "error.task"]);
        headers[1].Value.ShouldBeNull();
        string.Join('|', headers.Where(header => header.Key is not ("empty" or "error.stack")).Select(TextOf))
            .ShouldBe("7|in|0|1|2|System.FormatException|bad indeed|app|0_0");
        TextOf(headers.Single(header => header.Key == DeadLetterHeaders.Stack)).ShouldContain(nameof(Failing));
        var task = driver.Tasks.ShouldHaveSingleItem();
        (task.SkippedRecords, task.DeadLetters).ShouldBe((2, 2));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(5)]
    [InlineData(100)]
    public void A_record_that_fails_midway_leaves_nothing_in_stores_or_outputs(int commitEvery)
    {
        // One branch has written and another has counted before the third fails.
        var builder = new StreamsBuilder();
        var numbers = builder.OnError(ErrorPolicy.DeadLetter("dead")).Stream("in", s_numbers);
        numbers.To("copy", s_toNumbers);
        numbers.GroupByKey().Count(Materialized.As("counts", Serdes.Int64));
        numbers.MapValues(value => value < 0 ? throw new InvalidOperationException("negative") : value).To("out", s_toNumbers);
        var driver = new TopologyTestDriver(builder.Build(), new() { CommitEvery = commitEvery });
        var input = driver.CreateInput("in", Serdes.Utf8, Serdes.Int64);
        long[] values = [1, -2, 3, 4, -5, -6, 7, 8];
        for (var i = 0; i < values.Length; i++)
        {
            input.Pipe("k", values[i], i);
        }

        driver.CloseInputs();

        driver.CreateOutput("copy", Serdes.Utf8, Serdes.Int64).ReadAll().Select(record => record.Value).ShouldBe([1, 3, 4, 7, 8]);
        driver.CreateOutput("out", Serdes.Utf8, Serdes.Int64).ReadAll().Select(record => record.Value).ShouldBe([1, 3, 4, 7, 8]);
        driver.CreateOutput("dead", Serdes.Utf8, Serdes.Int64).ReadAll().Select(record => record.Value).ShouldBe([-2, -5, -6]);
        driver.GetStore("counts", Serdes.Utf8, Serdes.Int64).All().ShouldBe([new("k", 5)]);
        var task = driver.Tasks.ShouldHaveSingleItem();
        (task.RecordsIn, task.SkippedRecords, task.DeadLetters).ShouldBe((8, 3, 3));
    }

    [Fact]
    public void An_aggregate_that_was_changed_in_place_before_the_failure_is_what_it_was_before()
    {
        var builder = new StreamsBuilder();
        builder.Stream("in", s_numbers.OnError(ErrorPolicy.Skip)).GroupByKey()
            .Aggregate(() => new List<long>(), AddOrFail, Materialized.As("lists", Serdes.Json<List<long>>())).MapValues(list => string.Join(',', list)).ToStream().To("out", s_toTexts);
        var driver = new TopologyTestDriver(builder.Build(), new() { CommitEvery = 3 });
        var input = driver.CreateInput("in", Serdes.Utf8, Serdes.Int64);
        for (var value = 1; value <= 7; value++)
        {
            input.Pipe("k", value == 3 || value == 5 ? -value : value, value);
        }

        driver.CloseInputs();

        driver.CreateOutput("out", Serdes.Utf8, Serdes.Utf8).ReadAll().Select(record => record.Value).ShouldBe(["1", "1,2", "1,2,4", "1,2,4,6", "1,2,4,6,7"]);

        static List<long> AddOrFail(string key, long value, List<long> list)
        {
            list.Add(value);
            return value < 0 ? throw new InvalidOperationException("negative") : list;
        }
    }

    [Fact]
    public void Whatever_is_poison_wherever_tasks_crash_the_results_are_those_of_the_good_records_and_each_letter_is_written_once()
    {
        for (var seed = 0; seed < 60; seed++)
        {
            var random = new Random(seed);
            var builder = new StreamsBuilder();
            var numbers = builder.OnError(ErrorPolicy.DeadLetter("dead")).Stream("in", s_numbers);
            numbers.MapValues(value => value % 5 == 0 ? throw new InvalidOperationException("early") : value).GroupBy((_, value) => value % 3, Grouped.With(Serdes.Int64, Serdes.Int64))
                .Reduce((sum, value) => value % 7 == 0 ? throw new InvalidOperationException("late") : sum + value, Materialized.As("sums", Serdes.Int64));
            var driver = new TopologyTestDriver(builder.Build(), new() { CommitEvery = random.Next(1, 9), Partitions = 2, SnapshotBytesMin = 300 });
            var sums = new Dictionary<long, long>();
            var dead = new List<long>();
            for (var i = 0; i < 60; i++)
            {
                var value = random.Next(1, 50);
                driver.CreateInput("in", Serdes.Utf8, Serdes.Int64).Pipe(null, value, i, partition: 0);
                if (random.Next(6) == 0)
                {
                    driver.Restart((TestCrash)random.Next(4));
                }

                // The first value of a key goes in as it is.
                if (value % 5 == 0 || (value % 7 == 0 && sums.ContainsKey(value % 3)))
                {
                    dead.Add(value);
                }
                else
                {
                    sums[value % 3] = sums.GetValueOrDefault(value % 3) + value;
                }
            }

            driver.CloseInputs();
            driver.GetStore("sums", Serdes.Int64, Serdes.Int64).All().OrderBy(sum => sum.Key).ShouldBe(sums.OrderBy(sum => sum.Key), $"seed {seed}");
            driver.CreateOutput("dead", Serdes.Utf8, Serdes.Int64).ReadAll().Select(letter => letter.Value).Order().ShouldBe(dead.Order(), $"seed {seed}");
            driver.Tasks.Sum(task => task.DeadLetters).ShouldBe(dead.Count, $"seed {seed}");
        }
    }

    [Fact]
    public void Behind_a_repartitioning_the_applications_policy_holds_and_not_the_sources()
    {
        var builder = new StreamsBuilder();
        builder.Stream("in", s_numbers.OnError(ErrorPolicy.Skip)).GroupBy((_, value) => value, Grouped.With(Serdes.Int64, Serdes.Int64))
            .Aggregate(() => 0L, (_, _, _) => throw new InvalidOperationException("no"), Materialized.As("sums", Serdes.Int64));
        var driver = new TopologyTestDriver(builder.Build());
        Should.Throw<StreamsException>(() => driver.CreateInput("in", Serdes.Utf8, Serdes.Int64).Pipe("a", 1, 1)).Message.ShouldContain("-repartition'");
    }

    [Fact]
    public void Code_that_fails_when_a_window_closes_fails_the_task_whatever_the_policy_because_no_record_is_the_cause()
    {
        var builder = new StreamsBuilder();
        builder.OnError(ErrorPolicy.Skip).Stream("in", s_numbers).GroupByKey().WindowedBy(TumblingWindows.Of(TimeSpan.FromMilliseconds(10))).Count(Materialized.As("counts", Serdes.Int64))
            .Map<string, long>((_, _) => throw new InvalidOperationException("no")).To("out", s_toNumbers);
        var driver = new TopologyTestDriver(builder.Build());
        var input = driver.CreateInput("in", Serdes.Utf8, Serdes.Int64);
        input.Pipe("a", 1, 1);
        Should.Throw<StreamsException>(() => input.Pipe("a", 1, 100)).Code.ShouldBe(StreamsErrorCode.InvalidInput);
    }

    [Fact]
    public void An_invalid_time_is_poison_too_unless_its_own_policy_says_otherwise()
    {
        var builder = new StreamsBuilder();
        builder.OnError(ErrorPolicy.DeadLetter("dead"));
        builder.Stream("in", s_numbers).To("out", s_toNumbers);
        builder.Stream("other", s_numbers.WithInvalidTimestamps(InvalidTimestampPolicy.Skip)).To("out2", s_toNumbers);
        var driver = new TopologyTestDriver(builder.Build());
        driver.CreateInput("in", Serdes.Utf8, Serdes.Int64).Pipe("a", 1, -1);
        driver.CreateInput("other", Serdes.Utf8, Serdes.Int64).Pipe("a", 2, -1);
        var letter = driver.CreateOutput("dead", Serdes.Utf8, Serdes.Int64).ReadAll().ShouldHaveSingleItem();
        (letter.Value, letter.Timestamp).ShouldBe((1, -1));
        driver.Tasks.Sum(task => task.SkippedRecords).ShouldBe(2);
    }

    [Fact]
    public void A_line_of_a_file_goes_to_the_dead_letter_topic_as_it_is()
    {
        var builder = new StreamsBuilder();
        builder.OnError(ErrorPolicy.DeadLetter("dead"))
            .FileSource<string, long>("rows", "/data/rows", (line, _) => ("k", long.Parse(line, System.Globalization.CultureInfo.InvariantCulture), 1))
            .GroupByKey(Grouped.With(Serdes.Utf8, Serdes.Int64)).Count(Materialized.As("counts", Serdes.Int64));
        var driver = new TopologyTestDriver(builder.Build());
        var rows = driver.CreateFileInput("rows");
        rows.PipeLine("1");
        rows.PipeLine("nonsense");
        rows.PipeLine("3");
        driver.CloseInputs();
        var letter = driver.CreateOutput("dead", Serdes.Utf8, Serdes.Utf8).ReadAll().ShouldHaveSingleItem();
        letter.Value.ShouldBe("nonsense");
        string.Join('|', letter.Headers.Take(3).Select(TextOf)).ShouldBe("/data/rows|0|2");
        driver.GetStore("counts", Serdes.Utf8, Serdes.Int64).All().ShouldBe([new("k", 2)]);
    }

    [Fact]
    public void The_dead_letter_topic_must_not_be_one_that_the_application_uses_and_is_shown_in_its_description()
    {
        var builder = new StreamsBuilder();
        builder.OnError(ErrorPolicy.DeadLetter("out")).Stream("in", s_numbers).To("out", s_toNumbers);
        Should.Throw<StreamsException>(builder.Build).Code.ShouldBe(StreamsErrorCode.InvalidConfig);

        var topology = builder.OnError(ErrorPolicy.DeadLetter("dead")).Build();
        topology.Describe().ShouldContain("source-0: topic in key utf8 value int64, on error dead letter to dead -> ");
        topology.ToMermaid().ShouldContain("    node0 -. errors .-> topic2\n");
        Should.Throw<StreamsException>(() => ErrorPolicy.DeadLetter("no topic")).Code.ShouldBe(StreamsErrorCode.InvalidTopic);
    }

    private static string Failing(string value) => value == "bad" ? throw new FormatException("bad indeed") : value;

    private static string TextOf(RecordHeader header) => Encoding.UTF8.GetString(header.Value!.Value.Span);
}
