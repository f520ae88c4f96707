using Microsoft.Extensions.Logging.Abstractions;
using OrleansStreams.Log;
using OrleansStreams.Processing.Sources;
using OrleansStreams.Records;
using OrleansStreams.Storage;
using OrleansStreams.Topologies;
using static OrleansStreams.Processing.EngineFixture;

namespace OrleansStreams.Processing;

/// <summary>A range query of a task with many keys, one turn at a time.</summary>
public sealed class ScanTurnTests
{
    private const int Keys = 20_000;

    // As many as it takes to look at so many keys in each.
    private const int OrderTurns = Keys / TaskEngine.OrderSlots;

    [Fact]
    public void A_first_range_query_makes_its_order_in_turns_which_is_kept_while_somebody_reads_and_dropped_then() => Turns.Run(async () =>
    {
        var time = new ManualTime();
        await using var storage = new MemoryLogStorage();
        var topics = new TaskTopics();
        topics.Add([.. Enumerable.Range(0, Keys).Select(i => ((string?)$"k{i:D5}", 2L))]);
        var options = new ProcessingOptions { CommitInterval = TimeSpan.Zero };
        await using var task = new StreamTask(Plan(Describe()), new TaskEnvironment(topics, storage, new PhysicalSourceFiles(), options, time, NullLogger.Instance), 0);
        var run = task.Start();
        await Turns.UntilAsync(() => task.Status().RecordsIn == Keys);

        (await TurnsOfAsync(task)).ShouldBeGreaterThanOrEqualTo(OrderTurns);
        (await TurnsOfAsync(task)).ShouldBe(0, "the order is there");

        // New keys keep it up.
        topics.Add(("k00000-behind", 3));
        await Turns.UntilAsync(() => task.Status().RecordsIn == Keys + 1);
        (await TurnsOfAsync(task)).ShouldBeLessThan(OrderTurns);
        (await task.ScanAsync(Scan())).Rows.Select(row => Serdes.Utf8.Deserialize(row.Key.Span)).ShouldBe(["k00000", "k00000-behind", "k00001"]);

        time.Advance(TimeSpan.FromMinutes(2));
        topics.Add(("k00000", 4));
        await Turns.UntilAsync(() => task.Status().RecordsIn == Keys + 2);
        (await TurnsOfAsync(task)).ShouldBeGreaterThanOrEqualTo(OrderTurns, "nobody has read for long");
        await task.StopAsync();
        await run;
    });

    private static async Task<int> TurnsOfAsync(StreamTask task)
    {
        var scan = task.ScanAsync(Scan());
        var turns = 0;
        for (; !scan.IsCompleted; turns++)
        {
            await Task.Yield();
        }

        (await scan).Rows.Length.ShouldBe(3);
        return turns;
    }

    private static StoreScan Scan() => new("seen", default, default, long.MinValue, long.MaxValue, 3);

    private static SubTopology Describe()
    {
        var builder = new StreamsBuilder();
        builder.Stream(Input, Consumed.With(Serdes.Utf8, Serdes.Int64)).GroupByKey().Count(Materialized.As("seen", Serdes.Int64));
        return builder.Build().SubTopologies.ShouldHaveSingleItem();
    }
}
