using System.Diagnostics;
using Microsoft.Win32.SafeHandles;
using OrleansStreams.Benchmarks.Paths;
using OrleansStreams.Log;
using OrleansStreams.Records;

namespace OrleansStreams.Benchmarks.Log;

/// <summary>Opens a partition of a given size in a silo that was just started: after an orderly close, and on the files that a killed process leaves.</summary>
internal static class ColdOpening
{
    private const string Topic = "cold";
    private const string DropCaches = "/proc/sys/vm/drop_caches";

    /// <summary>Medians in ms; the raw read is that of the last 1 MiB of the log in the same state.</summary>
    public static async Task<(double AfterClose, double AfterKill, double RawRead)> MeasureAsync(long bytes, int runs)
    {
        var closed = Directory.CreateTempSubdirectory("streams-cold-").FullName;
        var killed = Directory.CreateTempSubdirectory("streams-cold-").FullName;
        try
        {
            await using (var silo = await LogSilo.StartAsync(closed))
            {
                await silo.Client.Admin.CreateTopicAsync(Topic, 1, new TopicConfig { RetentionMs = -1 });
                await FillAsync(silo.Partition(Topic, 0), bytes);

                // What a killed process leaves: everything that it wrote, and nothing of what closing writes.
                await CopyAsync(closed, killed);
            }

            return (await MedianAsync(closed), await MedianOfCopiesAsync(killed), ScalingReport.Median(Enumerable.Range(0, runs).Select(_ => RawRead(closed))));
        }
        finally
        {
            Directory.Delete(closed, recursive: true);
            Directory.Delete(killed, recursive: true);
        }

        async Task<double> MedianAsync(string folder)
        {
            var times = new List<double>();
            for (var run = 0; run < runs; run++)
            {
                times.Add(await OpenAsync(folder));
            }

            return ScalingReport.Median(times);
        }

        async Task<double> MedianOfCopiesAsync(string folder)
        {
            // Opening repairs, so each run has a copy of its own.
            var times = new List<double>();
            for (var run = 0; run < runs; run++)
            {
                var copy = Directory.CreateTempSubdirectory("streams-cold-").FullName;
                await CopyAsync(folder, copy);
                times.Add(await OpenAsync(copy));
                Directory.Delete(copy, recursive: true);
            }

            return ScalingReport.Median(times);
        }
    }

    private static async Task FillAsync(IPartitionGrain partition, long bytes)
    {
        // An idempotent producer's, so that recovery has producers to find.
        var batch = Workload.Batches(1_000, 100)[0];
        var sequence = 0;
        var underWay = new Queue<Task>();
        for (long written = 0; written < bytes; written += batch.Length)
        {
            var next = batch.ToArray();
            RecordBatch.StampProducer(next, 7, 0, sequence);
            sequence += RecordBatchHeader.Read(next).RecordCount;
            underWay.Enqueue(partition.AppendAsync(new ProduceRequest(next)));
            if (underWay.Count > 64)
            {
                await underWay.Dequeue();
            }
        }

        await Task.WhenAll(underWay);
    }

    private static async Task<double> OpenAsync(string folder)
    {
        Evict(folder);
        await using var silo = await LogSilo.StartAsync(folder);
        await silo.Client.Admin.DescribeTopicAsync(Topic);
        var began = Stopwatch.GetTimestamp();
        await silo.Partition(Topic, 0).GetOffsetsAsync();
        return Stopwatch.GetElapsedTime(began).TotalMilliseconds;
    }

    private static double RawRead(string folder)
    {
        Evict(folder);
        var segment = Directory.EnumerateFiles(folder, "*.log", SearchOption.AllDirectories).Where(path => path.Contains(Topic, StringComparison.Ordinal)).Order().Last();
        var began = Stopwatch.GetTimestamp();
        using SafeFileHandle file = File.OpenHandle(segment);
        var buffer = new byte[1024 * 1024];
        RandomAccess.Read(file, buffer, Math.Max(0, RandomAccess.GetLength(file) - buffer.Length));
        return Stopwatch.GetElapsedTime(began).TotalMilliseconds;
    }

    private static void Evict(string folder)
    {
        using (var sync = Process.Start(new ProcessStartInfo("sync") { UseShellExecute = false }))
        {
            sync?.WaitForExit();
        }

        try
        {
            File.WriteAllText(DropCaches, "3");
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            // Only root may; then the figure is that of a warm page cache.
            _ = folder;
        }
    }

    private static async Task CopyAsync(string from, string to)
    {
        using var copy = Process.Start(new ProcessStartInfo("cp", ["-r", "--sparse=never", from + "/.", to]) { UseShellExecute = false })!;
        await copy.WaitForExitAsync();
    }
}
