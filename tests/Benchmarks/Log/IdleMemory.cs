using OrleansStreams.Log;
using OrleansStreams.Records;

namespace OrleansStreams.Benchmarks.Log;

/// <summary>What a partition costs that was written to, read from, and is idle since.</summary>
internal static class IdleMemory
{
    private const string Topic = "idle";

    public static async Task RunAsync(int partitions)
    {
        await using var silo = await LogSilo.StartAsync(options: new StreamsOptions { MaintenanceInterval = TimeSpan.FromMilliseconds(500), PartitionIdleTimeout = TimeSpan.FromSeconds(1) });

        // Retention is what an idle partition must remember to be woken for.
        await silo.Client.Admin.CreateTopicAsync(Topic, partitions, TopicConfig.Default);
        await TouchAsync(silo, 0);
        var before = Heap();
        for (var partition = 0; partition < partitions; partition++)
        {
            await TouchAsync(silo, partition);
        }

        var used = Heap();
        var maintenance = silo.Maintenance;
        while (maintenance.OpenCount > 0)
        {
            await Task.Delay(100);
        }

        var idle = Heap();
        ScalingReport.Print($"{partitions} partitions written and read one after the other: {(double)(used - before) / partitions:0} bytes each at the end of that, {(double)(idle - before) / partitions:0} bytes each once idle (target: under 2,000)");
    }

    private static async Task TouchAsync(LogSilo silo, int partition)
    {
        var builder = new RecordBatchBuilder();
        builder.Append(DateTimeOffset.UtcNow.ToUnixTimeMilliseconds(), "k"u8, false, "v"u8, false);
        var grain = silo.Partition(Topic, partition);
        await grain.AppendAsync(new ProduceRequest(builder.Build()));
        await grain.FetchAsync(new FetchRequest(0, 1000, 1, 0), default);
    }

    private static long Heap()
    {
        GC.Collect(2, GCCollectionMode.Forced, blocking: true, compacting: true);
        GC.WaitForPendingFinalizers();
        return GC.GetTotalMemory(forceFullCollection: true);
    }
}
