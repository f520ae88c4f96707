using OrleansStreams.Clients;
using OrleansStreams.Records;
using OrleansStreams.Topologies;
using static OrleansStreams.Processing.ProcessingCluster;
using static OrleansStreams.Processing.ServingTests;

namespace OrleansStreams.Processing;

/// <summary>Runs over a part of the input.</summary>
public sealed class BoundedTests
{
    private static readonly Consumed<string, long> s_consumed = Consumed.With(Serdes.Utf8, Serdes.Int64);

    [Theory]
    [InlineData(StreamPositionKind.Offset, 3, 7, 3, 7)]
    [InlineData(StreamPositionKind.Offset, 12, 13, 12, 13)]
    [InlineData(StreamPositionKind.Offset, 5, 5, 5, 5)]
    [InlineData(StreamPositionKind.Offset, 7, 3, 7, 7)]
    [InlineData(StreamPositionKind.Offset, 0, 1_000, 0, 20)]
    [InlineData(StreamPositionKind.Timestamp, 45, 100, 5, 10)]
    [InlineData(StreamPositionKind.Timestamp, 50, 191, 5, 20)]
    [InlineData(StreamPositionKind.Timestamp, -5, 0, 0, 0)]
    public async Task A_run_from_one_place_to_another_has_what_lies_between_them_also_where_they_lie_inside_a_batch(StreamPositionKind kind, long from, long to, int first, int end)
    {
        await using var cluster = await StartAsync(Counting);
        await cluster.CreateTopicAsync("in", 1);
        var client = Client(cluster);
        await ProduceAsync(client, Enumerable.Range(0, 20).Select(i => (Key(i), i * 10L)));

        await cluster.App.StartWithAsync(new StreamApplicationStart(NoParameters) { From = new StreamPosition(kind, from), To = new StreamPosition(kind, to) });

        var done = await cluster.UntilAsync(status => status.State == StreamApplicationState.Completed);
        done.Tasks[0].Lag.ShouldBe(0);
        var rows = await client.Applications.QueryRangeAsync(Application, "windows", new StoreRange(), Serdes.Utf8, Serdes.Int64);
        rows.Rows.Select(row => row.Key).ShouldBe(Enumerable.Range(first, end - first).Select(Key));
        rows.Rows.ShouldAllBe(row => row.IsFinal && row.Value == 1);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public async Task A_run_up_to_a_place_comes_to_the_same_end_when_a_silo_crashes_in_it(int seed)
    {
        const int Records = 4_000;
        await using var cluster = await StartAsync(Counting);
        await cluster.CreateTopicAsync("in", 1);
        var client = Client(cluster);
        await ProduceAsync(client, Enumerable.Range(0, Records).Select(i => (Key(i % 40), (long)i)));
        await cluster.App.StartWithAsync(new StreamApplicationStart(NoParameters) { To = StreamPosition.Latest });
        await ProduceAsync(client, Enumerable.Range(0, 40).Select(i => (Key(i), 1_000_000L)));

        for (var crash = 0; crash < 2; crash++)
        {
            var goal = (crash + 1) * Records / 4;
            await cluster.UntilAsync(status => status.Tasks.Sum(task => task.RecordsIn) >= goal);
            await cluster.CrashOneAsync(new Random(seed + crash));
            await EventuallyAsync(async () => { await cluster.App.EnsureRunningAsync(); return true; }, _ => true);
        }

        await cluster.UntilAsync(status => status.State == StreamApplicationState.Completed);
        var rows = await EventuallyAsync(
            () => client.Applications.QueryRangeAsync(Application, "windows", new StoreRange { Limit = 10_000 }, Serdes.Utf8, Serdes.Int64), _ => true);
        rows.Rows.Sum(row => row.Value).ShouldBe(Records);
        rows.Rows.ShouldAllBe(row => row.IsFinal && row.WindowStartMs < Records);
    }

    private static void Counting(StreamsBuilder builder, ApplicationParameters parameters) => builder.Stream("in", s_consumed)
        .GroupByKey().WindowedBy(TumblingWindows.Of(TimeSpan.FromMilliseconds(100))).Count(Materialized.As("windows", Serdes.Int64).WithRetention(TimeSpan.FromDays(1)));
}
