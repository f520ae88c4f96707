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
        for (var at = 0; at < 60; at++)
        {
            // The fast one's events are 50 ms apart, the slow one's 1 ms; between them the tasks hear of each other.
            await TimeApplicationTests.AppendToAsync(cluster, "in", 0, "fast", new string('x', 3000), 1 + (50 * at));
            await TimeApplicationTests.AppendToAsync(cluster, "in", 1, "slow", "x", 2 + at);
            await cluster.UntilAsync(status => WatermarkOf(status, 1) >= 1 + at);
        }

        WatermarkOf(await cluster.App.GetStatusAsync(), 0).ShouldBeLessThan(2000, "it was told soon that the other is not as far");
        await TimeApplicationTests.AppendToAsync(cluster, "in", 1, "slow", "x", 2500);
        await cluster.UntilAsync(status => WatermarkOf(status, 0) >= 2000);

        // Silent for good, it holds nobody up any more.
        await cluster.UntilAsync(status => WatermarkOf(status, 0) == 50 * 59);
    }

    private static long WatermarkOf(StreamApplicationStatus status, int partition) => status.Tasks.Single(task => task.TaskId == $"0_{partition}").EventTimeWatermark;
}
