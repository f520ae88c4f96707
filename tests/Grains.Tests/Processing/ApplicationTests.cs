using System.Globalization;
using System.Text;
using OrleansStreams.Errors;
using OrleansStreams.Log;
using OrleansStreams.Records;
using OrleansStreams.Storage;
using OrleansStreams.Topologies;
using static OrleansStreams.Processing.ProcessingCluster;

namespace OrleansStreams.Processing;

/// <summary>Whole applications on real grains and storage, while silos crash.</summary>
public sealed class ApplicationTests
{
    private const int Rows = 6_000;
    private const int Partitions = 3;

    [Theory]
    [InlineData(false, 1)]
    [InlineData(false, 3)]
    [InlineData(true, 2)]
    public async Task While_silos_crash_every_row_is_counted_once_and_every_window_comes_out_once(bool files, int silos)
    {
        var random = new Random(11);
        var path = string.Empty;
        await using var cluster = await ProcessingCluster.StartAsync((builder, parameters) => Describe(builder, path, rate: 20_000), silos, files);
        path = cluster.FileOf("rows", Lines());
        await CreateTopicsAsync(cluster);
        await EventuallyAsync(() => cluster.App.StartAsync(NoParameters), _ => true);
        for (var crash = 0; crash < 12; crash++)
        {
            var goal = (crash + 1) * Rows / 14;
            await cluster.UntilAsync(status => status.Tasks.Where(task => task.SourceRow >= 0).Sum(task => task.SourceRow) >= goal);
            await cluster.CrashOneAsync(random);
            await EventuallyAsync(async () => { await cluster.App.EnsureRunningAsync(); return true; }, _ => true);
        }

        var status = await cluster.UntilAsync(status => status.State == StreamApplicationState.Completed);
        status.Tasks.Length.ShouldBe(1 + Partitions);
        var (results, late) = OnePass();
        (await cluster.ReadAsync("counts", Partitions)).Order(StringComparer.Ordinal).ShouldBe(results);
        (await cluster.ReadAsync("late", Partitions)).Count.ShouldBe(late);
        (await cluster.ReadAsync("events", Partitions)).Count.ShouldBe(Rows);
        status.Tasks.Sum(task => task.LateRecords).ShouldBe(late);
        late.ShouldBeGreaterThan(0);
    }

    [Fact]
    public async Task A_missing_topic_is_named_with_the_command_that_creates_it()
    {
        await using var cluster = await ProcessingCluster.StartAsync((builder, _) => Describe(builder, "/none", 0));
        var error = await Should.ThrowAsync<StreamsException>(() => cluster.App.StartAsync(NoParameters));
        error.Code.ShouldBe(StreamsErrorCode.UnknownTopicOrPartition);
        error.Message.ShouldContain("topics create counts");
        (await cluster.App.GetStatusAsync()).State.ShouldBe(StreamApplicationState.Stopped);
    }

    [Fact]
    public async Task Other_parameters_than_the_first_are_refused_and_an_unknown_application_is_told()
    {
        var path = string.Empty;
        await using var cluster = await ProcessingCluster.StartAsync((builder, _) => Describe(builder, path, 0));
        path = cluster.FileOf("rows", Lines());
        await CreateTopicsAsync(cluster);
        await cluster.App.StartAsync(NoParameters.Add("a", "1"));
        (await Should.ThrowAsync<StreamsException>(() => cluster.App.StartAsync(NoParameters.Add("a", "2")))).Code.ShouldBe(StreamsErrorCode.InvalidRequest);
        (await cluster.App.StartAsync(NoParameters.Add("a", "1"))).Parameters["a"].ShouldBe("1");

        // After a stop, none given means those of the first start.
        await cluster.App.StopAsync();
        (await cluster.App.StartAsync(NoParameters)).Parameters["a"].ShouldBe("1");
        var unknown = cluster.Grains.GetGrain<IStreamApplicationGrain>("other");
        (await Should.ThrowAsync<StreamsException>(unknown.GetStatusAsync)).Code.ShouldBe(StreamsErrorCode.ApplicationNotFound);
    }

    [Fact]
    public async Task Parameters_that_change_no_result_may_change_from_start_to_start_and_take_effect_at_once()
    {
        var path = string.Empty;
        await using var cluster = await ProcessingCluster.StartAsync((builder, parameters) => Describe(builder.AllowChanges("file"), parameters.GetString("file", path), rate: null));
        path = cluster.FileOf("rows", Lines());
        var moved = cluster.FileOf("moved", Lines());
        await CreateTopicsAsync(cluster);
        await cluster.App.StartAsync(NoParameters.Add("file", path).Add("rate", "20000"));
        await cluster.UntilAsync(status => status.Tasks.Any(task => task.SourceRow > 500));

        var fixedOne = await Should.ThrowAsync<StreamsException>(() => cluster.App.StartAsync(NoParameters.Add("file", moved).Add("other", "1")));
        fixedOne.Code.ShouldBe(StreamsErrorCode.InvalidRequest);
        var changed = await cluster.App.StartAsync(NoParameters.Add("file", moved));

        changed.Parameters.ShouldBe(NoParameters.Add("file", moved));
        File.Delete(path);
        await cluster.UntilAsync(status => status.State == StreamApplicationState.Completed);
        (await cluster.ReadAsync("counts", Partitions)).Order(StringComparer.Ordinal).ShouldBe(OnePass().Results);
        (await cluster.ReadAsync("events", Partitions)).Count.ShouldBe(Rows);
        (await cluster.App.GetStatusAsync()).Parameters["file"].ShouldBe(moved);
    }

    [Fact]
    public async Task A_wrong_line_fails_the_task_and_nothing_after_it_is_processed_until_it_is_mended()
    {
        await using var cluster = await StartedAsync(["k,1", "k,2", "nonsense", "k,3"], rate: 0);
        var failed = await cluster.UntilAsync(status => status.State == StreamApplicationState.Failed);
        var task = failed.Tasks.Single(task => task.TaskId == "0_0");
        task.Error.ShouldNotBeNull().ShouldContain("line 3 of file");
        task.WillRestart.ShouldBeFalse();
        (await cluster.ReadAsync("events", Partitions)).ShouldBeEmpty("the failed run's uncommitted rows must not come out");
        cluster.FileOf("rows", ["k,1", "k,2", "k,2", "k,3"]);
        await cluster.App.StartAsync(NoParameters);
        await cluster.UntilAsync(status => status.State == StreamApplicationState.Completed);
        (await cluster.ReadAsync("events", Partitions)).Count.ShouldBe(4);
    }

    [Fact]
    public async Task A_source_file_that_is_not_there_is_waited_for()
    {
        var path = string.Empty;
        await using var cluster = await ProcessingCluster.StartAsync((builder, _) => Describe(builder, path, rate: 0));
        path = cluster.FileOf("rows", Lines());
        File.Delete(path);
        await CreateTopicsAsync(cluster);
        await cluster.App.StartAsync(NoParameters);
        var waiting = await cluster.UntilAsync(status => status.Tasks.Any(task => task.Error is not null));
        waiting.State.ShouldBe(StreamApplicationState.Running);
        waiting.Tasks.Single(task => task.Error is not null).Error!.ShouldContain("is not there");
        cluster.FileOf("rows", Lines());
        await cluster.UntilAsync(status => status.State == StreamApplicationState.Completed);
        (await cluster.ReadAsync("events", Partitions)).Count.ShouldBe(Rows);
    }

    [Fact]
    public async Task A_source_file_that_was_changed_after_lines_of_it_were_committed_is_refused()
    {
        await using var cluster = await StartedAsync(Lines(), rate: 1_000);
        await cluster.UntilAsync(status => status.Tasks.Any(task => task.SourceRow > 500));
        await cluster.App.StopAsync();
        cluster.FileOf("rows", Lines().Append("k,1"));
        await cluster.App.StartAsync(NoParameters);
        var failed = await cluster.UntilAsync(status => status.State == StreamApplicationState.Failed);
        failed.Tasks.Single(task => task.TaskId == "0_0").Error.ShouldNotBeNull().ShouldContain("put the old file back");
    }

    [Fact]
    public async Task Queries_see_committed_state_also_after_a_crash_and_after_the_end()
    {
        await using var cluster = await StartedAsync(Lines(), rate: 0);
        await cluster.UntilAsync(status => status.State == StreamApplicationState.Completed);
        var before = await QueryAsync(cluster);
        before.Entries.ShouldNotBeEmpty();
        before.Entries.ShouldAllBe(entry => entry.IsFinal);
        before.EventTimeWatermark.ShouldBe(long.MaxValue);
        await cluster.CrashOneAsync(new Random(1));
        await cluster.App.EnsureRunningAsync();
        var after = await QueryAsync(cluster);
        after.Entries.Select(Text).ShouldBe(before.Entries.Select(Text));
        after.CommitOffset.ShouldBe(before.CommitOffset);
        (await Should.ThrowAsync<StreamsException>(() => cluster.App.QueryAsync(new StateQuery("none", "a"u8.ToArray(), 0, 1, 1)))).Code.ShouldBe(StreamsErrorCode.StoreNotFound);
        (await Should.ThrowAsync<StreamsException>(() => cluster.App.QueryAsync(new StateQuery("store", "a"u8.ToArray(), 0, 1, 0)))).Code.ShouldBe(StreamsErrorCode.InvalidRequest);
    }

    [Fact]
    public async Task A_stopped_application_stays_stopped_and_goes_on_where_it_was()
    {
        await using var cluster = await StartedAsync(Lines(), rate: 20_000);
        await cluster.UntilAsync(status => status.Tasks.Any(task => task.SourceRow > 500));
        await cluster.App.StopAsync();
        var stopped = await cluster.App.GetStatusAsync();
        stopped.State.ShouldBe(StreamApplicationState.Stopped);
        stopped.Tasks.ShouldAllBe(task => task.State == StreamTaskState.Stopped || task.State == StreamTaskState.Completed);
        var refused = await Should.ThrowAsync<StreamsException>(() => cluster.App.QueryAsync(new StateQuery("store", "a"u8.ToArray(), 0, 1, 1)));
        refused.Code.ShouldBe(StreamsErrorCode.ApplicationNotRunning);
        refused.IsRetriable.ShouldBeFalse("waiting does not start a stopped application");
        var rows = (await cluster.ReadAsync("events", Partitions)).Count;
        ((long)rows).ShouldBe(stopped.Tasks.Single(task => task.SourceRow >= 0).SourceRow);
        await cluster.App.EnsureRunningAsync();
        (await cluster.App.GetStatusAsync()).State.ShouldBe(StreamApplicationState.Stopped);
        await cluster.App.StartAsync(NoParameters);
        await cluster.UntilAsync(status => status.State == StreamApplicationState.Completed);
        (await cluster.ReadAsync("counts", Partitions)).Order(StringComparer.Ordinal).ShouldBe(OnePass().Results);
    }

    [Fact]
    public async Task A_stale_task_is_fenced_by_its_journal_and_the_results_stay_exactly_once()
    {
        await using var cluster = await StartedAsync(Lines(), rate: 20_000);
        await cluster.UntilAsync(status => status.Tasks.Any(task => task.SourceRow > 500));

        // Somebody else opens the journal, as a second activation would; the running one cannot commit any more and makes room.
        await using (await cluster.Storage.OpenAsync(new LogId("journals/app/0_0"), new LogOptions()))
        {
        }

        await cluster.UntilAsync(status => status.State == StreamApplicationState.Completed);
        (await cluster.ReadAsync("events", Partitions)).Count.ShouldBe(Rows);
        (await cluster.ReadAsync("counts", Partitions)).Order(StringComparer.Ordinal).ShouldBe(OnePass().Results);
    }

    [Fact]
    public async Task A_chain_of_tasks_over_topics_ends_when_its_file_has_ended()
    {
        var path = string.Empty;
        await using var cluster = await ProcessingCluster.StartAsync((builder, _) =>
        {
            Serialized(builder.FileSource<string, long>("rows", path, Parse), "events");
            Serialized(builder.Stream("events", Consumed.With(Serdes.Utf8, Serdes.Int64)).Filter((key, _) => key != "a"), "counts");
            Serialized(builder.Stream("counts", Consumed.With(Serdes.Utf8, Serdes.Int64)), "late");
        });
        path = cluster.FileOf("rows", Lines());
        await CreateTopicsAsync(cluster);
        await cluster.App.StartAsync(NoParameters);
        await cluster.UntilAsync(status => status.State == StreamApplicationState.Completed);
        (await cluster.ReadAsync("late", Partitions)).Count.ShouldBe(Lines().Count(line => !line.StartsWith("a,", StringComparison.Ordinal)));
    }

    [Fact]
    public async Task Windows_over_a_topic_that_several_tasks_of_the_application_write_are_refused_with_event_times_that_those_tasks_cannot_know()
    {
        await using var cluster = await ProcessingCluster.StartAsync((builder, _) =>
        {
            Serialized(builder.Stream("events", Consumed.With(Serdes.Utf8, Serdes.Int64)), "counts");
            builder.Stream("counts", Consumed.With(Serdes.Utf8, Serdes.Int64).WithEventTime((_, value, _) => value)).GroupByKey().WindowedBy(TumblingWindows.Of(TimeSpan.FromSeconds(1)))
                .Count(Materialized.As("store", Serdes.Int64)).Map((window, count) => (window.Key, count)).To("late", Produced.With(Serdes.Utf8, Serdes.Int64));
        });
        await CreateTopicsAsync(cluster);
        var error = await Should.ThrowAsync<StreamsException>(() => cluster.App.StartAsync(NoParameters));
        error.Code.ShouldBe(StreamsErrorCode.InvalidConfig);
        error.Message.ShouldContain("'counts'");
        (await cluster.App.GetStatusAsync()).State.ShouldBe(StreamApplicationState.Stopped);
    }

    [Fact]
    public async Task An_application_stops_although_its_topics_are_gone()
    {
        await using var cluster = await StartedAsync(Lines(), rate: 20_000);
        await cluster.UntilAsync(status => status.Tasks.Any(task => task.SourceRow > 500));
        await cluster.Grains.GetGrain<ITopicGrain>("late").DeleteAsync();
        await cluster.App.StopAsync();
        (await cluster.Grains.GetGrain<IStreamTaskGrain>("app/0_0").GetStatusAsync()).State.ShouldBe(StreamTaskState.Stopped);
    }

    [Fact]
    public async Task An_input_topic_that_got_more_partitions_stops_the_application_with_the_reason()
    {
        await using var cluster = await StartedAsync(Lines(), rate: 20_000);
        await cluster.UntilAsync(status => status.Tasks.Any(task => task.SourceRow > 500));
        await cluster.Grains.GetGrain<ITopicGrain>("events").IncreasePartitionsAsync(Partitions + 1);
        var failed = await cluster.UntilAsync(status => status.State == StreamApplicationState.Failed);
        failed.Tasks.ShouldAllBe(task => task.Error!.Contains($"'events' had {Partitions} partitions", StringComparison.Ordinal));
        (await Should.ThrowAsync<StreamsException>(() => cluster.App.StartAsync(NoParameters))).Code.ShouldBe(StreamsErrorCode.InvalidPartitions);
        await cluster.App.StopAsync();
        (await cluster.App.GetStatusAsync()).State.ShouldBe(StreamApplicationState.Stopped);
    }

    private static string Text(StateEntry entry) => $"{entry.WindowStartMs}={Convert.ToHexString(entry.Value.Span)}";

    private static Task<StateQueryResult> QueryAsync(ProcessingCluster cluster) =>
        EventuallyAsync(() => cluster.App.QueryAsync(new StateQuery("store", "a"u8.ToArray(), 0, long.MaxValue, 10_000)), _ => true);

    /// <summary>A cluster of one silo, on which the application reads a file of these lines.</summary>
    private static async Task<ProcessingCluster> StartedAsync(IEnumerable<string> lines, double rate)
    {
        var path = string.Empty;
        var cluster = await ProcessingCluster.StartAsync((builder, _) => Describe(builder, path, rate));
        path = cluster.FileOf("rows", lines);
        await CreateTopicsAsync(cluster);
        await cluster.App.StartAsync(NoParameters);
        return cluster;
    }

    private static async Task CreateTopicsAsync(ProcessingCluster cluster)
    {
        foreach (var topic in (string[])["events", "counts", "late"])
        {
            await cluster.CreateTopicAsync(topic, Partitions);
        }
    }

    private static IEnumerable<string> Lines() => Events().Select(e => string.Create(CultureInfo.InvariantCulture, $"{e.Key},{e.Time}"));

    private static IEnumerable<(string Key, long Time)> Events()
    {
        var random = new Random(5);
        for (var row = 0; row < Rows; row++)
        {
            yield return (((char)('a' + random.Next(20))).ToString(), Math.Max(0, (row * 10) - random.Next(0, 700)));
        }
    }

    private static void Describe(StreamsBuilder builder, string path, double? rate)
    {
        Serialized(builder.FileSource<string, long>("rows", path, Parse, rate), "events");
        builder.Stream("events", Consumed.With(Serdes.Utf8, Serdes.Int64).WithWatermarks(WatermarkStrategy.BoundedOutOfOrderness(TimeSpan.FromMilliseconds(500))))
            .GroupByKey()
            .WindowedBy(TumblingWindows.Of(TimeSpan.FromMilliseconds(100)).Grace(TimeSpan.FromMilliseconds(50)))
            .LateTo("late")
            .Count(Materialized.As("store", Serdes.Int64))
            .Map((windowed, count) => (windowed.Key, string.Create(CultureInfo.InvariantCulture, $"{windowed.WindowStartMs}:{count}")))
            .To("counts", Produced.With(Serdes.Utf8, Serdes.Utf8));
    }

    private static (string Key, long Value, long Timestamp) Parse(ReadOnlySpan<byte> line, long row)
    {
        var comma = line.IndexOf((byte)',');
        return (Encoding.UTF8.GetString(line[..comma]), 1, long.Parse(line[(comma + 1)..], CultureInfo.InvariantCulture));
    }

    private static void Serialized(KStream<string, long> stream, string topic) => stream.To(topic, Produced.With(Serdes.Utf8, Serdes.Int64));

    private static (List<string> Results, int Late) OnePass()
    {
        var counts = new Dictionary<(string, long), long>();
        var watermarks = Enumerable.Repeat(long.MinValue, Partitions).ToArray();
        var late = 0;
        foreach (var (key, time) in Events())
        {
            var partition = KeyHash.PartitionFor(Encoding.UTF8.GetBytes(key), Partitions);
            var start = time / 100 * 100;
            if (start + 150 <= watermarks[partition])
            {
                late++;
            }
            else
            {
                counts[(key, start)] = counts.GetValueOrDefault((key, start)) + 1;
            }

            watermarks[partition] = Math.Max(watermarks[partition], time - 501);
        }

        var results = counts.Select(pair => $"{KeyHash.PartitionFor(Encoding.UTF8.GetBytes(pair.Key.Item1), Partitions)}:{pair.Key.Item1}={pair.Key.Item2}:{pair.Value}");
        return ([.. results.Order(StringComparer.Ordinal)], late);
    }
}
