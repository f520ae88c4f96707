using System.Diagnostics;
using System.Runtime.InteropServices;
using OrleansStreams.Benchmarks.Paths;
using OrleansStreams.Log;
using OrleansStreams.Records;

namespace OrleansStreams.Benchmarks.Log;

/// <summary>Fetches a partition from end to end, as batches: what a consumer can get at most.</summary>
internal static class FetchRates
{
    private const string Topic = "fetches";
    private const int RequestBytes = 1024 * 1024;

    /// <param name="bytes">The log's size.</param>
    /// <param name="runs">Of which the medians are printed.</param>
    public static async Task RunAsync(long bytes, int runs)
    {
        await using var silo = await LogSilo.StartAsync();
        await silo.Client.Admin.CreateTopicAsync(Topic, 1, new TopicConfig { RetentionMs = -1 });
        var grain = silo.Partition(Topic, 0);
        var batch = Workload.Batches(2_200, 100)[0];
        var records = (double)RecordBatchHeader.Read(batch).RecordCount / batch.Length;
        var underWay = new Queue<Task>();
        for (long written = 0; written < bytes; written += batch.Length)
        {
            underWay.Enqueue(grain.AppendAsync(new ProduceRequest(batch)));
            if (underWay.Count > 64)
            {
                await underWay.Dequeue();
            }
        }

        await Task.WhenAll(underWay);
        var end = (await grain.GetOffsetsAsync()).HighWatermark;
        var tail = (long)(end * Math.Min(1, 40e6 / bytes));
        ScalingReport.Print($"fetch of one partition in {RequestBytes >> 20} MiB answers, given back after use, one caller (raw bound: a file read in such pieces: {Median(runs, () => RawRead(silo.Folder)) / 1e6:0} MB/s)");
        ScalingReport.Print($"{"from",24}{"MB/s",8}{"records/s",14}{"CPU s/M rec",13}{"alloc B/rec",13}");
        foreach (var (name, from, times) in new[] { ("segments (page cache)", 0L, 1), ("memory (tail cache)", end - tail, Math.Max(1, (int)(end / tail))) })
        {
            var figures = new List<AppendRate>();
            await FetchAsync(grain, from, end, times, records);
            for (var run = 0; run < runs; run++)
            {
                figures.Add(await FetchAsync(grain, from, end, times, records));
            }

            ScalingReport.Print(
                $"{name,24}{ScalingReport.Median(figures.Select(figure => figure.BytesPerSecond)) / 1e6,8:0}{ScalingReport.Median(figures.Select(figure => figure.RecordsPerSecond)),14:#,0}" +
                $"{ScalingReport.Median(figures.Select(figure => figure.CpuPerMillion)),13:0.000}{ScalingReport.Median(figures.Select(figure => figure.AllocatedPerRecord)),13:0.00}");
        }
    }

    private static async Task<AppendRate> FetchAsync(IPartitionGrain grain, long from, long end, int times, double recordsPerByte)
    {
        var cpu = Process.GetCurrentProcess().TotalProcessorTime;
        var allocated = GC.GetTotalAllocatedBytes();
        var began = Stopwatch.GetTimestamp();
        long bytes = 0;
        for (var time = 0; time < times; time++)
        {
            for (var offset = from; offset < end;)
            {
                var result = await grain.FetchAsync(new FetchRequest(offset, RequestBytes, 1, 0), default);
                bytes += result.Batches.Length;
                offset = result.NextOffset;
                result.Release();
            }
        }

        var seconds = Stopwatch.GetElapsedTime(began).TotalSeconds;
        var records = bytes * recordsPerByte;
        return new AppendRate(
            bytes / seconds, records / seconds, (Process.GetCurrentProcess().TotalProcessorTime - cpu).TotalSeconds / records * 1e6, (GC.GetTotalAllocatedBytes() - allocated) / records);
    }

    private static double Median(int runs, Func<double> measure) => ScalingReport.Median(Enumerable.Range(0, runs).Select(_ => measure()));

    private static double RawRead(string folder)
    {
        var segment = Directory.EnumerateFiles(folder, "*.log", SearchOption.AllDirectories).Where(path => path.Contains(Topic, StringComparison.Ordinal)).Order().First();
        using var file = File.OpenHandle(segment);
        var buffer = new byte[RequestBytes];
        var began = Stopwatch.GetTimestamp();
        long position = 0;
        long touched = 0;
        for (int count; (count = RandomAccess.Read(file, buffer, position)) > 0; position += count)
        {
            touched += MemoryMarshal.Read<long>(buffer);
        }

        GC.KeepAlive(touched);
        return position / Stopwatch.GetElapsedTime(began).TotalSeconds;
    }
}
