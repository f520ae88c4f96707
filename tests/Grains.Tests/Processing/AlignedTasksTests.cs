using OrleansStreams.Records;
using OrleansStreams.Topologies;
using static OrleansStreams.Processing.ProcessingCluster;

namespace OrleansStreams.Processing;

/// <summary>Partitions of an aligned source are tasks of their own, which wait for each other.</summary>
public sealed class AlignedTasksTests
{
    [Fact]
    public async Task A_partition_that_is_too_far_ahead_waits_for_the_task_of_another_and_goes_on_when_that_has_caught_up_or_is_idle()
    {
        await using var cluster = await ProcessingCluster.StartAsync((builder, _) => builder
            .Stream("in", Consumed.With(Serdes.Utf8, Serdes.Utf8).WithWatermarks(WatermarkStrategy.Monotonic().WithAlignment(TimeSpan.FromMilliseconds(100)).WithIdleness(TimeSpan.FromSeconds(4))))
            .To("out", Produced.With(Serdes.Utf8, Serdes.Utf8)));
        await cluster.CreateTopicAsync("in", 2);
        await cluster.CreateTopicAsync("out", 1);
        await TimeApplicationTests.AppendToAsync(cluster, "in", 1, "slow", "x", 1);
        await EventuallyAsync(() => cluster.App.StartAsync(NoParameters), _ => true);
        await cluster.UntilAsync(status => WatermarkOf(status, 1) == 0);
        for (var at = 0; at < 40; at++)
        {
            // One fetch after the other, so that the tasks hear of each other between them.
            await TimeApplicationTests.AppendToAsync(cluster, "in", 0, "fast", new string('x', 3000), 1 + (50 * at));
        }

        // It is held, or else it would be at its end long before the other is idle: what it has done meanwhile is counted by the records of the other.
        for (var beat = 0; beat < 20; beat++)
        {
            await TimeApplicationTests.AppendToAsync(cluster, "in", 1, "slow", "x", 2 + beat);
            await cluster.UntilAsync(status => WatermarkOf(status, 1) >= 1 + beat);
        }

        WatermarkOf(await cluster.App.GetStatusAsync(), 0).ShouldBeLessThan(1500, $"the other is at 21 {await cluster.Grains.GetGrain<IStreamTaskGrain>("app/0_0").AlignAsync(long.MaxValue)} {await cluster.Grains.GetGrain<IStreamTaskGrain>("app/0_1").AlignAsync(long.MaxValue)}");
        await TimeApplicationTests.AppendToAsync(cluster, "in", 1, "slow", "x", 1000);
        await cluster.UntilAsync(status => WatermarkOf(status, 0) >= 1000);

        // Silent for good, it holds nobody up any more.
        await cluster.UntilAsync(status => WatermarkOf(status, 0) == 50 * 39);
    }

    private static long WatermarkOf(StreamApplicationStatus status, int partition) => status.Tasks.Single(task => task.TaskId == $"0_{partition}").EventTimeWatermark;
}
