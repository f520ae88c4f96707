using System.Globalization;
using OrleansStreams.Clients;
using OrleansStreams.Errors;
using OrleansStreams.Log;
using OrleansStreams.Records;
using OrleansStreams.Topologies;
using static OrleansStreams.Processing.ProcessingCluster;

namespace OrleansStreams.Processing;

/// <summary>Queries of whole applications: ranges, pages, and reading one's own writes.</summary>
public sealed class ServingTests
{
    private const int Partitions = 3;

    private static readonly TimeSpan s_wait = TimeSpan.FromSeconds(20);

    [Fact]
    public async Task A_range_of_keys_comes_in_the_order_of_their_bytes_over_all_partitions_a_page_at_a_time()
    {
        await using var cluster = await StartedAsync();
        var client = Client(cluster);
        var last = await ProduceAsync(client, Enumerable.Range(0, 60).Select(i => (Key(i % 30), 0L)));
        var fresh = new QueryFreshness { AtLeast = [.. last], Wait = s_wait };

        var keys = new List<string>();
        var pages = 0;
        var range = new StoreRange { FromKey = Bytes(Key(5)), ToKey = Bytes(Key(25)), Limit = 7 };
        do
        {
            var page = await client.Applications.QueryRangeAsync(Application, "counts", range, Serdes.Utf8, Serdes.Int64, fresh);
            page.Rows.ShouldAllBe(row => row.Value == 2 && row.WindowStartMs == -1);
            page.Partitions.Select(view => view.Partition).ShouldBe([0, 1, 2]);
            page.Application.ShouldBe(Application);
            keys.AddRange(page.Rows.Select(row => row.Key));
            range = range with { Continuation = page.Continuation };
            pages++;
        }
        while (!range.Continuation.IsEmpty);

        keys.ShouldBe(Enumerable.Range(5, 20).Select(Key));
        pages.ShouldBe(3);
        (await client.Applications.QueryRangeAsync(Application, "counts", new StoreRange { FromKey = Bytes("x") }, Serdes.Utf8, Serdes.Int64)).Rows.ShouldBeEmpty();
    }

    [Fact]
    public async Task A_range_of_windows_has_the_windows_of_all_keys_open_and_closed()
    {
        await using var cluster = await StartedAsync();
        var client = Client(cluster);

        // Windows of 100 ms; every partition's watermark gets to 1000.
        var records = ((long[])[50, 150, 250, 1_001]).SelectMany(time => Enumerable.Range(0, 30).Select(key => (Key(key), time)));
        var last = await ProduceAsync(client, records);
        var fresh = new QueryFreshness { AtLeast = [.. last], Wait = s_wait };

        var rows = await client.Applications.QueryRangeAsync(Application, "windows", new StoreRange { FromMs = 100, ToMs = 300 }, Serdes.Utf8, Serdes.Int64, fresh);
        rows.Rows.Select(row => (row.Key, row.WindowStartMs, row.WindowEndMs, row.Value, row.IsFinal)).ShouldBe(
            Enumerable.Range(0, 30).SelectMany(key => ((long[])[100, 200]).Select(start => (Key(key), start, start + 100, 1L, true))));
        rows.Partitions.ShouldAllBe(view => view.EventTimeWatermark == 1_000 && view.CommitOffset > 0);
        var open = await client.Applications.QueryRangeAsync(Application, "windows", new StoreRange { FromMs = 300, Limit = 10 }, Serdes.Utf8, Serdes.Int64);
        open.Rows.Length.ShouldBe(10);
        open.Rows.ShouldAllBe(row => row.WindowStartMs == 1_000 && !row.IsFinal);
        open.Continuation.IsEmpty.ShouldBeFalse();

        var all = await client.Applications.QueryWindowsAsync(Application, "windows", Key(3), Serdes.Utf8, Serdes.Int64, DateTimeOffset.MinValue, DateTimeOffset.MaxValue);
        all.Windows.Select(window => window.WindowStartMs).ShouldBe([0, 100, 200, 1_000]);

        // Sessions lie in the other kind of store.
        var sessions = await client.Applications.QueryRangeAsync(Application, "sessions", new StoreRange { ToKey = Bytes(Key(2)), FromMs = 0, ToMs = 1_000 }, Serdes.Utf8, Serdes.Int64);
        sessions.Rows.Select(row => (row.Key, row.WindowStartMs, row.Value)).ShouldBe([(Key(0), 50L, 3L), (Key(1), 50L, 3L)]);
    }

    [Fact]
    public async Task Who_waits_for_his_write_reads_it_behind_a_repartition_too()
    {
        await using var cluster = await StartedAsync();
        var client = Client(cluster);
        await using var producer = client.CreateProducer(Serdes.Utf8, Serdes.Int64);
        for (var round = 1; round <= 20; round++)
        {
            var place = await producer.ProduceAsync(new ProducerRecord<string, long>("in", Key(round), 7));
            var fresh = new QueryFreshness { AtLeast = [new InputOffset("in", place.Partition.Partition, place.Offset)], Wait = s_wait };
            (await client.Applications.QueryValueAsync(Application, "by-value", 7L, Serdes.Int64, Serdes.Int64, fresh)).Value.ShouldBe(round);
            (await client.Applications.QueryValueAsync(Application, "counts", Key(round), Serdes.Utf8, Serdes.Int64, fresh)).Value.ShouldBe(1);
        }
    }

    [Fact]
    public async Task Who_waits_for_his_write_reads_what_comes_back_from_the_other_table_of_a_join_by_a_foreign_key()
    {
        await using var cluster = await ProcessingCluster.StartAsync((builder, _) =>
        {
            var consumed = Consumed.With(Serdes.Utf8, Serdes.Int64);
            builder.Table("in", consumed).Join(builder.Table("others", consumed), value => Key((int)(value % 10)), (left, right) => (left * 1_000) + right, Materialized.As("joined", Serdes.Int64));
        });
        await cluster.CreateTopicAsync("in", Partitions);
        await cluster.CreateTopicAsync("others", Partitions);
        await cluster.App.StartAsync(NoParameters);
        await cluster.UntilAsync(status => status.Tasks.All(task => task.State == StreamTaskState.Running));
        var client = Client(cluster);
        await ProduceAsync(client, Enumerable.Range(0, 10).Select(i => (Key(i), 0L)), "others");
        await cluster.UntilAsync(status => status.Tasks.Sum(task => task.RecordsIn) == 10);
        await using var producer = client.CreateProducer(Serdes.Utf8, Serdes.Int64);
        for (var round = 1; round <= 30; round++)
        {
            var place = await producer.ProduceAsync(new ProducerRecord<string, long>("in", Key(round % 4), round));
            var fresh = new QueryFreshness { AtLeast = [new InputOffset("in", place.Partition.Partition, place.Offset)], Wait = s_wait };
            (await client.Applications.QueryValueAsync(Application, "joined", Key(round % 4), Serdes.Utf8, Serdes.Int64, fresh)).Value.ShouldBe((round * 1_000) + (round % 10));
        }
    }

    [Fact]
    public async Task A_write_that_is_not_reflected_in_time_is_told_so_and_may_be_waited_for_again()
    {
        await using var cluster = await StartedAsync();
        var client = Client(cluster);
        var early = new QueryFreshness { AtLeast = [new InputOffset("in", 0, 5)], Wait = TimeSpan.FromMilliseconds(50) };

        var error = await Should.ThrowAsync<StreamsException>(() => client.Applications.QueryRangeAsync(Application, "counts", new StoreRange(), Serdes.Utf8, Serdes.Int64, early));

        error.Code.ShouldBe(StreamsErrorCode.RequestTimedOut);
        error.IsRetriable.ShouldBeTrue();
        error.Message.ShouldContain("offset 5 of topic 'in', partition 0");
    }

    [Fact]
    public async Task A_write_is_reflected_when_its_own_record_is_processed_and_not_with_the_one_before_it()
    {
        await using var cluster = await StartedAsync();
        var client = Client(cluster);
        var last = (await ProduceAsync(client, Enumerable.Repeat((Key(1), 0L), 3))).ShouldHaveSingleItem();
        last.Offset.ShouldBe(2);
        (await CountAsync(last, s_wait)).ShouldBe(3);

        (await Should.ThrowAsync<StreamsException>(() => CountAsync(last with { Offset = 3 }, TimeSpan.FromMilliseconds(50)))).Code.ShouldBe(StreamsErrorCode.RequestTimedOut);

        var waiting = CountAsync(last with { Offset = 3 }, s_wait);
        await ProduceAsync(client, [(Key(1), 0L)]);
        (await waiting).ShouldBe(4);

        async Task<long> CountAsync(InputOffset atLeast, TimeSpan wait) =>
            (await client.Applications.QueryValueAsync(Application, "counts", Key(1), Serdes.Utf8, Serdes.Int64, new QueryFreshness { AtLeast = [atLeast], Wait = wait })).Value;
    }

    [Theory]
    [InlineData("other", 0, 1, 100)]
    [InlineData("in", 3, 1, 100)]
    [InlineData("in", -1, 1, 100)]
    [InlineData("in", 0, -1, 100)]
    [InlineData("in", 0, 1, 0)]
    [InlineData("in", 0, 1, 25_001)]
    public async Task A_query_that_cannot_be_answered_is_refused(string topic, int partition, long offset, int waitMs)
    {
        await using var cluster = await StartedAsync();
        var scan = new StoreScan("counts", default, default, long.MinValue, long.MaxValue, 10);

        await RefusedAsync(() => cluster.App.ScanAsync(scan with { AtLeast = [new InputOffset(topic, partition, offset)], WaitMs = waitMs }));
        await RefusedAsync(() => cluster.App.QueryAsync(new StateQuery("counts", Bytes("k"), 0, 1, 1) { AtLeast = [new InputOffset(topic, partition, offset)], WaitMs = waitMs }));
        await RefusedAsync(() => cluster.App.ScanAsync(scan with { Limit = 0 }));
        await RefusedAsync(() => cluster.App.ScanAsync(scan with { FromKey = Bytes("b"), ToKey = Bytes("a") }));
        await RefusedAsync(() => EventuallyAsync(() => cluster.App.ScanAsync(scan with { Continuation = Bytes("short") }), _ => true));
        (await Should.ThrowAsync<StreamsException>(() => cluster.App.ScanAsync(scan with { Store = "none" }))).Code.ShouldBe(StreamsErrorCode.StoreNotFound);

        async Task RefusedAsync(Func<Task> call) => (await Should.ThrowAsync<StreamsException>(call)).Code.ShouldBe(StreamsErrorCode.InvalidRequest);
    }

    [Fact]
    public async Task The_topology_names_the_topics_that_it_really_uses_and_the_status_tells_times_and_sizes()
    {
        await using var cluster = await StartedAsync();
        var client = Client(cluster);
        var topology = await client.Applications.GetTopologyAsync(Application);
        topology.Text.ShouldContain("to app-value-repartition");
        topology.Text.ShouldContain("topic app-value-repartition");
        topology.Mermaid.ShouldContain("([\"app-value-repartition\"])");

        await ProduceAsync(client, Enumerable.Range(0, 30).Select(key => (Key(key), 5_000L)));
        var status = await cluster.UntilAsync(status => status.Tasks.Count(task => task.NewestEventTime == 5_000 && task.EventTimeWatermark == 4_999) == 3 * Partitions);
        foreach (var task in status.Tasks)
        {
            task.WatermarkLagMs.ShouldBeGreaterThan(1_000_000_000);
            task.CommitMsLast.ShouldBeGreaterThanOrEqualTo(0);
            task.CommitMsMedian.ShouldBeGreaterThanOrEqualTo(0);
            (task.StateSizeBytes > 0).ShouldBe(task.StateEntries > 0);
        }
    }

    internal static string Key(int number) => $"k{number:00}";

    internal static ReadOnlyMemory<byte> Bytes(string text) => System.Text.Encoding.UTF8.GetBytes(text);

    internal static StreamsClient Client(ProcessingCluster cluster) => new(cluster.Grains, TimeProvider.System, new Random(1));

    /// <summary>Produces and answers the last place in each partition.</summary>
    internal static async Task<List<InputOffset>> ProduceAsync(StreamsClient client, IEnumerable<(string Key, long Time)> records, string topic = "in")
    {
        await using var producer = client.CreateProducer(Serdes.Utf8, Serdes.Int64);
        var all = records.ToArray();

        // The first alone: calls that wait for the topic's description together go on in any order.
        var first = await SendAsync(all[0]);
        var places = (await Task.WhenAll(all.Skip(1).Select(SendAsync))).Append(first);
        return [.. places.GroupBy(place => place.Partition.Partition).Select(group => new InputOffset(topic, group.Key, group.Max(place => place.Offset)))];

        Task<RecordMetadata> SendAsync((string Key, long Time) record) => producer.ProduceAsync(
            new ProducerRecord<string, long>(topic, record.Key, int.Parse(record.Key[1..], CultureInfo.InvariantCulture)) { Timestamp = record.Time }).AsTask();
    }

    internal static void Describe(StreamsBuilder builder, ApplicationParameters parameters)
    {
        var grouped = builder.Stream("in", Consumed.With(Serdes.Utf8, Serdes.Int64)).GroupByKey();
        grouped.Count(Materialized.As("counts", Serdes.Int64));
        grouped.WindowedBy(TumblingWindows.Of(TimeSpan.FromMilliseconds(100))).Count(Materialized.As("windows", Serdes.Int64));
        grouped.WindowedBy(SessionWindows.With(TimeSpan.FromMilliseconds(200))).Count(Materialized.As("sessions", Serdes.Int64));
        builder.Stream("in", Consumed.With(Serdes.Utf8, Serdes.Int64))
            .GroupBy((_, value) => value, Grouped.With(Serdes.Int64, Serdes.Int64).WithName("value"))
            .Count(Materialized.As("by-value", Serdes.Int64));
    }

    internal static async Task<ProcessingCluster> StartedAsync()
    {
        var cluster = await ProcessingCluster.StartAsync(Describe);
        await cluster.CreateTopicAsync("in", Partitions);
        await cluster.App.StartAsync(NoParameters);
        await cluster.UntilAsync(status => status.Tasks.All(task => task.State == StreamTaskState.Running));
        return cluster;
    }
}
