using OrleansStreams.Clients;
using OrleansStreams.Errors;
using OrleansStreams.Log;
using OrleansStreams.Records;
using OrleansStreams.Topologies;
using static OrleansStreams.Processing.ProcessingCluster;
using static OrleansStreams.Processing.ServingTests;

namespace OrleansStreams.Processing;

/// <summary>What a reset takes away, what it keeps, and where the next start begins.</summary>
public sealed class ResetTests
{
    private const int Partitions = 2;

    private static readonly Consumed<string, long> s_consumed = Consumed.With(Serdes.Utf8, Serdes.Int64);
    private static readonly Produced<string, long> s_produced = Produced.With(Serdes.Utf8, Serdes.Int64);

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task What_a_topic_in_between_holds_from_before_a_reset_is_not_processed_again(bool isToldPlace)
    {
        await using var cluster = await StartAsync((builder, _) => builder
            .Stream("in", s_consumed).Through("middle", s_produced, s_consumed).GroupByKey().Count(Materialized.As("counts", Serdes.Int64)));
        await cluster.CreateTopicAsync("in", Partitions);
        await cluster.CreateTopicAsync("middle", Partitions);
        var client = Client(cluster);
        await client.Applications.StartAsync(Application);
        await ProduceAsync(client, Enumerable.Range(0, 20).Select(i => (Key(i), 0L)));
        await CountedAsync(client, 20);
        await client.Applications.StopAsync(Application);
        await client.Applications.ResetAsync(Application, StreamPosition.Earliest);

        await client.Applications.StartWithAsync(Application, new StreamApplicationStart(NoParameters) { From = isToldPlace ? StreamPosition.Earliest : null });

        await CountedAsync(client, 20);
        await cluster.UntilAsync(status => status.Tasks.All(task => task.Lag == 0));
        (await client.Applications.QueryRangeAsync(Application, "counts", new StoreRange(), Serdes.Utf8, Serdes.Int64)).Rows.ShouldAllBe(row => row.Value == 1);
    }

    [Fact]
    public async Task An_application_whose_input_has_more_partitions_now_is_refused_until_it_is_reset()
    {
        await using var cluster = await StartAsync((builder, _) => builder
            .Stream("in", s_consumed).GroupBy((_, value) => value % 5, Grouped.With(Serdes.Int64, Serdes.Int64).WithName("value")).Count(Materialized.As("counts", Serdes.Int64)));
        await cluster.CreateTopicAsync("in", Partitions);
        var client = Client(cluster);
        await client.Applications.StartAsync(Application);
        await ProduceAsync(client, Enumerable.Range(0, 20).Select(i => (Key(i), 0L)));
        await SummedAsync(20);
        await client.Admin.IncreasePartitionsAsync("in", 5);
        await client.Applications.StopAsync(Application);
        var refused = await Should.ThrowAsync<StreamsException>(() => client.Applications.StartAsync(Application));
        refused.Code.ShouldBe(StreamsErrorCode.InvalidPartitions);
        refused.Message.ShouldContain($"apps reset {Application} --to earliest");
        refused.Message.ShouldContain($"apps start {Application}@VERSION");

        await client.Applications.ResetAsync(Application, StreamPosition.Earliest);
        await client.Applications.StartAsync(Application);

        await SummedAsync(20);
        (await client.Admin.DescribeTopicAsync($"{Application}-value-repartition")).PartitionCount.ShouldBe(5);

        async Task SummedAsync(long sum) => await EventuallyAsync(
            () => client.Applications.QueryRangeAsync(Application, "counts", new StoreRange(), Serdes.Int64, Serdes.Int64), page => page.Rows.Sum(row => row.Value) == sum);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task State_of_a_part_that_the_topology_has_no_more_goes_with_a_reset_or_a_drop(bool isDropped)
    {
        var isSmall = false;
        await using var cluster = await StartAsync((builder, _) =>
        {
            builder.Stream("in", s_consumed).GroupByKey().Count(Materialized.As(isSmall ? "renamed" : "counts", Serdes.Int64));
            if (!isSmall)
            {
                builder.Stream("other", s_consumed).GroupByKey().Count(Materialized.As("others", Serdes.Int64));
            }
        });
        await cluster.CreateTopicAsync("in", Partitions);
        await cluster.CreateTopicAsync("other", Partitions);
        var client = Client(cluster);
        await client.Applications.StartAsync(Application);
        await ProduceAsync(client, Enumerable.Range(0, 20).Select(i => (Key(i), 0L)), "other");
        await cluster.UntilAsync(status => status.Tasks.Sum(task => task.RecordsIn) == 20);
        await client.Applications.StopAsync(Application);

        // Another topology is deployed, does not go with the state, and the state goes.
        isSmall = true;
        await cluster.CrashOneAsync(new Random(1));
        await EventuallyAsync(() => client.Applications.StartAsync(Application), _ => true);
        (await cluster.UntilAsync(status => status.State == StreamApplicationState.Failed)).Tasks.Length.ShouldBe(Partitions);
        await client.Applications.StopAsync(Application);
        await (isDropped ? client.Applications.DropAsync(Application) : client.Applications.ResetAsync(Application, StreamPosition.Earliest));

        (await cluster.Storage.ListAsync("journals/app")).ShouldBeEmpty();
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_reset_to_the_latest_keeps_the_rows_of_tables(bool isGlobal)
    {
        await using var cluster = await StartAsync((builder, _) =>
        {
            var stream = builder.Stream("in", s_consumed);
            var joined = isGlobal
                ? stream.Join(builder.GlobalTable("rows", s_consumed, Materialized.As("rows", Serdes.Int64)), (key, _) => key, (_, row) => row)
                : stream.Join(builder.Table("rows", s_consumed, Materialized.As("rows", Serdes.Int64)), (_, row) => row, Joined.With(Serdes.Utf8, Serdes.Int64));
            joined.To("out", s_produced);
        });
        foreach (var topic in (string[])["in", "rows", "out"])
        {
            await cluster.CreateTopicAsync(topic, Partitions);
        }

        var client = Client(cluster);
        await client.Applications.StartAsync(Application);
        var rows = await ProduceAsync(client, Enumerable.Range(0, 20).Select(i => (Key(i), 0L)), "rows");
        await RowsAsync();
        await client.Applications.StopAsync(Application);

        await client.Applications.ResetAsync(Application, StreamPosition.Latest);
        await client.Applications.StartAsync(Application);

        await RowsAsync();
        await ProduceAsync(client, Enumerable.Range(0, 20).Select(i => (Key(i), 0L)));
        (await EventuallyAsync(() => cluster.ReadAsync("out", Partitions), records => records.Count == 20)).Count.ShouldBe(20);

        async Task RowsAsync()
        {
            var fresh = new QueryFreshness { AtLeast = [.. rows], Wait = TimeSpan.FromSeconds(20) };
            var page = await client.Applications.QueryRangeAsync(Application, "rows", new StoreRange(), Serdes.Utf8, Serdes.Int64, fresh);
            page.Rows.Select(row => row.Key).ShouldBe(Enumerable.Range(0, 20).Select(Key), "each row once, whichever tasks have it");
            page.Partitions.Length.ShouldBe(isGlobal ? 1 : Partitions);
        }
    }

    [Fact]
    public async Task A_reset_to_an_offset_begins_there_in_every_partition()
    {
        await using var cluster = await StartAsync(Counting);
        await cluster.CreateTopicAsync("in", Partitions);
        var client = Client(cluster);
        await client.Applications.StartAsync(Application);
        await ProduceAsync(client, Enumerable.Range(0, 40).Select(i => (Key(i), 0L)));
        await CountedAsync(client, 40);
        await client.Applications.StopAsync(Application);

        await client.Applications.ResetAsync(Application, new StreamPosition(StreamPositionKind.Offset, 7));
        await client.Applications.StartAsync(Application);

        (await cluster.UntilAsync(status => status.Tasks.All(task => task.Lag == 0 && task.RecordsIn > 0))).Tasks.Sum(task => task.RecordsIn).ShouldBe(40 - (Partitions * 7));
    }

    [Fact]
    public async Task A_reset_that_a_crash_has_interrupted_is_finished_by_the_next_start_and_another_place_may_be_told_before()
    {
        await using var cluster = await StartAsync(Counting);
        await cluster.CreateTopicAsync("in", Partitions);
        var client = Client(cluster);
        await client.Applications.StartAsync(Application);
        await ProduceAsync(client, Enumerable.Range(0, 20).Select(i => (Key(i), 0L)));
        await CountedAsync(client, 20);
        await client.Applications.StopAsync(Application);

        foreach (var (place, counted) in ((StreamPosition, int)[])[(StreamPosition.Latest, 0), (StreamPosition.Earliest, 20)])
        {
            await InterruptedAsync(place);
            (await cluster.App.GetStatusAsync()).State.ShouldBe(StreamApplicationState.Stopped);
            await EventuallyAsync(() => cluster.App.StartAsync(NoParameters), _ => true);
            await CountedAsync(client, counted);
            await client.Applications.StopAsync(Application);
        }

        await InterruptedAsync(StreamPosition.Latest);
        await client.Applications.ResetAsync(Application, StreamPosition.Earliest);
        await client.Applications.StartAsync(Application);
        await CountedAsync(client, 20);

        async Task InterruptedAsync(StreamPosition place)
        {
            // The first write notes what is to go, the second that it is gone.
            var writes = 0;
            cluster.States.BeforeWrite = _ => ++writes == 1 ? Task.CompletedTask : throw new IOException("the process dies");
            (await Should.ThrowAsync<StreamsException>(() => cluster.App.ResetAsync(place))).Code.ShouldBe(StreamsErrorCode.StorageError);
            cluster.States.BeforeWrite = null;
            await cluster.CrashOneAsync(new Random(1));
        }
    }

    [Fact]
    public async Task The_lag_is_never_told_as_none_before_it_is_known_and_grows_while_the_application_is_paused()
    {
        await using var cluster = await StartAsync(Counting);
        await cluster.CreateTopicAsync("in", Partitions);
        var client = Client(cluster);
        await ProduceAsync(client, Enumerable.Range(0, 20).Select(i => (Key(i), 0L)));
        await client.Applications.StartAsync(Application);
        await CountedAsync(client, 20);
        await client.Applications.PauseAsync(Application);
        await ProduceAsync(client, Enumerable.Range(0, 20).Select(i => (Key(i), 0L)));
        await LaggingAsync(20);

        await cluster.CrashOneAsync(new Random(1));
        await EventuallyAsync(async () => { await cluster.App.EnsureRunningAsync(); return true; }, _ => true);
        await LaggingAsync(20, status => status.Tasks.Where(task => task.State == StreamTaskState.Running).ShouldAllBe(task => task.Lag != 0));
        await ProduceAsync(client, Enumerable.Range(0, 20).Select(i => (Key(i), 0L)));
        await LaggingAsync(40);

        await client.Applications.ResumeAsync(Application);
        await LaggingAsync(0);

        async Task LaggingAsync(long lag, Action<StreamApplicationStatus>? check = null) => await cluster.UntilAsync(status =>
        {
            check?.Invoke(status);
            return status.Tasks.All(task => task.State == StreamTaskState.Running && task.Lag >= 0) && status.Tasks.Sum(task => task.Lag) == lag;
        });
    }

    private static void Counting(StreamsBuilder builder, ApplicationParameters parameters) =>
        builder.Stream("in", s_consumed).GroupByKey().Count(Materialized.As("counts", Serdes.Int64));

    private static async Task CountedAsync(StreamsClient client, long sum) => await EventuallyAsync(
        async () =>
        {
            var status = await client.Applications.GetStatusAsync(Application);
            var page = await client.Applications.QueryRangeAsync(Application, "counts", new StoreRange(), Serdes.Utf8, Serdes.Int64);
            return (IsRead: status.Tasks.All(task => task.Lag == 0), Sum: page.Rows.Sum(row => row.Value));
        },
        seen => seen.IsRead && seen.Sum == sum);
}
