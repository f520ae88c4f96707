using System.Collections.Immutable;
using OrleansStreams.Clients;
using OrleansStreams.Errors;
using OrleansStreams.Log;
using OrleansStreams.Records;
using OrleansStreams.Topologies;
using static OrleansStreams.Processing.ProcessingCluster;
using static OrleansStreams.Processing.ServingTests;

namespace OrleansStreams.Processing;

/// <summary>Pausing, resetting, fixed ranges of input, and versions beside each other.</summary>
public sealed class OperationTests
{
    private const int Partitions = 3;

    private static readonly TimeSpan s_wait = TimeSpan.FromSeconds(20);

    [Fact]
    public async Task A_paused_application_answers_queries_and_reads_nothing_also_after_a_crash_until_it_is_resumed()
    {
        await using var cluster = await StartedAsync();
        var client = Client(cluster);
        var before = await ProduceAsync(client, Enumerable.Range(0, 30).Select(i => (Key(i), 0L)));
        await client.Applications.QueryRangeAsync(Application, "counts", new StoreRange(), Serdes.Utf8, Serdes.Int64, new QueryFreshness { AtLeast = [.. before], Wait = s_wait });

        (await client.Applications.PauseAsync(Application)).State.ShouldBe(StreamApplicationState.Paused);
        var after = await ProduceAsync(client, Enumerable.Range(0, 30).Select(i => (Key(i), 0L)));
        (await CountsAsync(client)).ShouldAllBe(row => row.Value == 1);
        var unseen = await Should.ThrowAsync<StreamsException>(() => client.Applications.QueryRangeAsync(
            Application, "counts", new StoreRange(), Serdes.Utf8, Serdes.Int64, new QueryFreshness { AtLeast = [.. after], Wait = TimeSpan.FromMilliseconds(100) }));
        unseen.Code.ShouldBe(StreamsErrorCode.RequestTimedOut);

        await cluster.CrashOneAsync(new Random(1));
        await EventuallyAsync(async () => { await cluster.App.EnsureRunningAsync(); return true; }, _ => true);
        var paused = await cluster.UntilAsync(status => status.Tasks.All(task => task.State == StreamTaskState.Running));
        paused.State.ShouldBe(StreamApplicationState.Paused);
        paused.Tasks.ShouldAllBe(task => task.IsPaused);
        (await CountsAsync(client)).ShouldAllBe(row => row.Value == 1);

        (await client.Applications.ResumeAsync(Application)).State.ShouldBe(StreamApplicationState.Running);
        var all = await client.Applications.QueryRangeAsync(Application, "counts", new StoreRange(), Serdes.Utf8, Serdes.Int64, new QueryFreshness { AtLeast = [.. after], Wait = s_wait });
        all.Rows.Length.ShouldBe(30);
        all.Rows.ShouldAllBe(row => row.Value == 2);
    }

    [Theory]
    [InlineData(StreamPositionKind.Earliest, 0, 3)]
    [InlineData(StreamPositionKind.Latest, 0, 1)]
    [InlineData(StreamPositionKind.Timestamp, 2_000, 2)]
    [InlineData(StreamPositionKind.Offset, 1_000_000, 1)]
    public async Task A_reset_application_has_no_state_and_reads_from_where_it_was_told(StreamPositionKind kind, long value, long counted)
    {
        await using var cluster = await StartedAsync();
        var client = Client(cluster);
        await ProduceAsync(client, Enumerable.Range(0, 30).Select(i => (Key(i), 1_000L)));
        var second = await ProduceAsync(client, Enumerable.Range(0, 30).Select(i => (Key(i), 2_000L)));
        await client.Applications.QueryRangeAsync(Application, "counts", new StoreRange(), Serdes.Utf8, Serdes.Int64, new QueryFreshness { AtLeast = [.. second], Wait = s_wait });
        (await Should.ThrowAsync<StreamsException>(() => client.Applications.ResetAsync(Application, StreamPosition.Earliest))).Message.ShouldContain("stop it before");
        await client.Applications.StopAsync(Application);

        await client.Applications.ResetAsync(Application, new StreamPosition(kind, value));

        (await cluster.Storage.ListAsync("journals/app")).ShouldBeEmpty();
        (await cluster.App.GetStatusAsync()).Tasks.ShouldBeEmpty();

        // What comes between the reset and the start belongs to what is read.
        var third = await ProduceAsync(client, Enumerable.Range(0, 30).Select(i => (Key(i), 3_000L)));
        await client.Applications.StartAsync(Application);
        var rows = await client.Applications.QueryRangeAsync(Application, "counts", new StoreRange(), Serdes.Utf8, Serdes.Int64, new QueryFreshness { AtLeast = [.. third], Wait = s_wait });
        rows.Rows.Length.ShouldBe(30);
        rows.Rows.ShouldAllBe(row => row.Value == counted);
        (await client.Applications.QueryRangeAsync(Application, "by-value", new StoreRange(), Serdes.Int64, Serdes.Int64, new QueryFreshness { AtLeast = [.. third], Wait = s_wait }))
            .Rows.Sum(row => row.Value).ShouldBe(30 * counted);
    }

    [Fact]
    public async Task A_batch_over_what_is_there_completes_with_the_result_of_the_stream()
    {
        await using var cluster = await StartedAsync();
        var client = Client(cluster);
        var random = new Random(3);
        var records = Enumerable.Range(0, 3_000).Select(i => (Key(random.Next(40)), (long)i)).ToArray();
        await ProduceAsync(client, records);

        const string Batch = Application + "@batch";
        var start = new StreamApplicationStart(NoParameters) { To = StreamPosition.Latest };
        await client.Applications.StartWithAsync(Batch, start);

        // What comes later belongs to the stream alone: it closes the stream's windows.
        var last = await ProduceAsync(client, Enumerable.Range(0, 40).Select(i => (Key(i), 1_000_000L)));
        var batch = await EventuallyAsync(() => client.Applications.GetStatusAsync(Batch), status => status.State == StreamApplicationState.Completed);
        batch.Tasks.ShouldAllBe(task => task.EventTimeWatermark == long.MaxValue && task.Lag == 0);
        await client.Applications.QueryRangeAsync(Application, "by-value", new StoreRange(), Serdes.Int64, Serdes.Int64, new QueryFreshness { AtLeast = [.. last], Wait = s_wait });

        var range = new StoreRange { ToMs = 500_000, Limit = 100 };
        foreach (var store in (string[])["windows", "sessions"])
        {
            var same = await client.Applications.ReconcileAsync(new StoreName(Application, store), new StoreName(Batch, store), range);
            same.AreEqual.ShouldBeTrue($"{store}: {string.Join(' ', same.Differences)}");
            same.Equal.ShouldBeGreaterThan(40);
        }

        (await client.Applications.QueryRangeAsync(Batch, "windows", new StoreRange { Limit = 10_000 }, Serdes.Utf8, Serdes.Int64)).Rows.Sum(row => row.Value).ShouldBe(3_000);
        (await client.Applications.QueryRangeAsync(Batch, "windows", new StoreRange { Limit = 10_000 }, Serdes.Utf8, Serdes.Int64)).Rows.ShouldAllBe(row => row.IsFinal);

        // The same again is no contradiction, other places are.
        (await client.Applications.StartWithAsync(Batch, start)).State.ShouldBe(StreamApplicationState.Completed);
        (await Should.ThrowAsync<StreamsException>(() => client.Applications.StartWithAsync(Batch, start with { To = StreamPosition.Earliest }))).Code.ShouldBe(StreamsErrorCode.InvalidRequest);
        (await Should.ThrowAsync<StreamsException>(() => client.Applications.StartWithAsync(Application, start))).Message.ShouldContain("reset it, or drop it");
    }

    [Fact]
    public async Task A_batch_over_nothing_completes_at_once()
    {
        await using var cluster = await ProcessingCluster.StartAsync(ServingTests.Describe);
        await cluster.CreateTopicAsync("in", Partitions);
        await cluster.App.StartWithAsync(new StreamApplicationStart(NoParameters) { To = StreamPosition.Latest });
        await cluster.UntilAsync(status => status.State == StreamApplicationState.Completed);
    }

    [Fact]
    public async Task Another_version_catches_up_beside_the_first_and_takes_its_place_under_the_alias()
    {
        await using var cluster = await ProcessingCluster.StartAsync(Weighted);
        await cluster.CreateTopicAsync("in", Partitions);
        var client = Client(cluster);
        await client.Applications.StartAsync(Application);
        var last = await ProduceAsync(client, Enumerable.Range(0, 30).Select(i => (Key(i), 0L)));
        var fresh = new QueryFreshness { AtLeast = [.. last], Wait = s_wait };
        await client.Applications.SwitchAsync("serving", Application);
        (await ServedAsync()).ShouldBe((Application, 1));

        const string Second = Application + "@v2";
        (await Should.ThrowAsync<StreamsException>(() => client.Applications.SwitchAsync("serving", Second))).Message.ShouldContain("start it before");
        await client.Applications.StartAsync(Second, NoParameters.Add("weight", "10"));
        await EventuallyAsync(() => client.Applications.GetStatusAsync(Second), status => status.Tasks.Sum(task => task.RecordsIn) == 30 && status.Tasks.All(task => task.Lag == 0));
        (await ServedAsync()).ShouldBe((Application, 1), "who catches up does not answer yet");

        await client.Applications.SwitchAsync("serving", Second);

        (await ServedAsync()).ShouldBe((Second, 10));
        (await client.Applications.GetStatusAsync("serving")).Name.ShouldBe(Second);
        (await client.Applications.ListAsync()).ShouldBe([Application, Second]);
        (await client.Applications.ReconcileAsync(new StoreName(Application, "sums"), new StoreName("serving", "sums"), differences: 3)).ShouldSatisfyAllConditions(
            found => found.AreEqual.ShouldBeFalse(),
            found => found.Different.ShouldBe(30),
            found => found.Differences.Length.ShouldBe(3));
        (await Should.ThrowAsync<StreamsException>(() => client.Applications.DropAsync(Second))).Message.ShouldContain("'serving'");

        // The alias and the version outlive the silo.
        await client.Applications.DropAsync(Application);
        await cluster.CrashOneAsync(new Random(1));
        await EventuallyAsync(ServedAsync, served => served == (Second, 10));
        (await Should.ThrowAsync<StreamsException>(() => client.Applications.GetStatusAsync("nobody"))).Code.ShouldBe(StreamsErrorCode.ApplicationNotFound);

        async Task<(string, long)> ServedAsync()
        {
            var page = await client.Applications.QueryRangeAsync("serving", "sums", new StoreRange { Limit = 1 }, Serdes.Utf8, Serdes.Int64, fresh);
            return (page.Application, page.Rows[0].Value);
        }
    }

    [Fact]
    public async Task A_comparison_tells_what_only_one_side_has()
    {
        await using var cluster = await ProcessingCluster.StartAsync(Weighted);
        await cluster.CreateTopicAsync("in", Partitions);
        var client = Client(cluster);
        await ProduceAsync(client, Enumerable.Range(0, 20).Select(i => (Key(i), 0L)));
        await client.Applications.StartWithAsync(Application, new StreamApplicationStart(NoParameters) { To = StreamPosition.Latest });
        await ProduceAsync(client, Enumerable.Range(15, 10).Select(i => (Key(i), 0L)));
        await client.Applications.StartWithAsync(Application + "@2", new StreamApplicationStart(NoParameters.Add("skip", Key(3))) { To = StreamPosition.Latest });
        foreach (var name in (string[])[Application, Application + "@2"])
        {
            await EventuallyAsync(() => client.Applications.GetStatusAsync(name), status => status.State == StreamApplicationState.Completed);
        }

        var found = await client.Applications.ReconcileAsync(new StoreName(Application, "sums"), new StoreName(Application + "@2", "sums"), new StoreRange { Limit = 4 });

        (found.Equal, found.OnlyInFirst, found.OnlyInSecond, found.Different).ShouldBe((14L, 1L, 5L, 5L));
        found.Differences[0].ShouldSatisfyAllConditions(
            first => first.Kind.ShouldBe(RowDifferenceKind.OnlyInFirst),
            first => Serdes.Utf8.Deserialize(first.First!.Key.Span).ShouldBe(Key(3)),
            first => first.Second.ShouldBeNull());
        found.Differences[^1].Kind.ShouldBe(RowDifferenceKind.OnlyInSecond);

        // The same in parts, whatever their size.
        foreach (var rows in (int[])[1, 3, 1_000])
        {
            var (parts, range) = (new List<Reconciliation>(), new StoreRange { Limit = 4 });
            do
            {
                parts.Add(await client.Applications.ReconcileAsync(new StoreName(Application, "sums"), new StoreName(Application + "@2", "sums"), range, 1_000, rows));
                range = range with { Continuation = parts[^1].Continuation };
            }
            while (!range.Continuation.IsEmpty);

            parts.ShouldAllBe(part => part.Rows <= rows && part.Rows > 0);
            (parts.Sum(part => part.Equal), parts.Sum(part => part.OnlyInFirst), parts.Sum(part => part.OnlyInSecond), parts.Sum(part => part.Different)).ShouldBe((14L, 1L, 5L, 5L));
            parts.SelectMany(part => part.Differences).Select(one => one.Kind).ShouldBe(found.Differences.Select(one => one.Kind));
        }
    }

    [Fact]
    public async Task Sessions_that_begin_together_and_end_apart_are_two_rows_of_a_comparison()
    {
        await using var cluster = await ProcessingCluster.StartAsync(ServingTests.Describe);
        await cluster.CreateTopicAsync("in", Partitions);
        var client = Client(cluster);
        foreach (var (name, time) in ((string, long)[])[(Application, 0L), (Application + "@2", 100L)])
        {
            await ProduceAsync(client, [(Key(1), time)]);
            await client.Applications.StartWithAsync(name, new StreamApplicationStart(NoParameters) { To = StreamPosition.Latest });
            await EventuallyAsync(() => client.Applications.GetStatusAsync(name), status => status.State == StreamApplicationState.Completed);
        }

        var found = await client.Applications.ReconcileAsync(new StoreName(Application, "sessions"), new StoreName(Application + "@2", "sessions"));

        (found.Equal, found.OnlyInFirst, found.OnlyInSecond, found.Different).ShouldBe((0L, 1L, 1L, 0L));
        found.Differences[0].First!.WindowEndMs.ShouldBe(1);
        found.Differences[1].Second!.WindowEndMs.ShouldBe(101);
    }

    [Theory]
    [InlineData("app@")]
    [InlineData("app@a b")]
    [InlineData("other@v2")]
    [InlineData("app@b.c")]
    public async Task A_version_that_cannot_be_one_is_refused(string name)
    {
        await using var cluster = await ProcessingCluster.StartAsync(Weighted);
        var error = await Should.ThrowAsync<StreamsException>(() => Client(cluster).Applications.StartAsync(name));
        error.Code.ShouldBeOneOf(StreamsErrorCode.InvalidConfig, StreamsErrorCode.ApplicationNotFound);
    }

    private static async Task<ImmutableArray<StoredRow<string, long>>> CountsAsync(StreamsClient client) =>
        (await client.Applications.QueryRangeAsync(Application, "counts", new StoreRange(), Serdes.Utf8, Serdes.Int64)).Rows;

    private static void Weighted(StreamsBuilder builder, ApplicationParameters parameters)
    {
        var (weight, skipped) = (parameters.GetInt64("weight", 1), parameters.GetString("skip", string.Empty));
        builder.Stream("in", Consumed.With(Serdes.Utf8, Serdes.Int64))
            .Filter((key, _) => key != skipped)
            .GroupByKey()
            .Aggregate(() => 0L, (_, _, sum) => sum + weight, Materialized.As("sums", Serdes.Int64));
    }
}
