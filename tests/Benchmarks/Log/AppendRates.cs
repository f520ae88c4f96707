using System.Diagnostics;
using OrleansStreams.Benchmarks.Paths;
using OrleansStreams.Log;
using OrleansStreams.Records;

namespace OrleansStreams.Benchmarks.Log;

/// <summary>What one measurement gave.</summary>
internal readonly record struct AppendRate(double BytesPerSecond, double RecordsPerSecond, double CpuPerMillion, double AllocatedPerRecord);

/// <summary>Appends to many partitions at once, with as many bytes under way whatever their number.</summary>
internal sealed class AppendRates : IAsyncDisposable
{
    public const int InFlightBytes = 32 * 1024 * 1024;

    private const string Topic = "rates";
    private readonly LogSilo _silo;

    private AppendRates(LogSilo silo) => _silo = silo;

    public static async Task<AppendRates> StartAsync(int partitions)
    {
        var silo = await LogSilo.StartAsync();
        await silo.Client.Admin.CreateTopicAsync(Topic, partitions, new TopicConfig { RetentionMs = -1 });

        // Opened before anything is measured.
        await Task.WhenAll(Enumerable.Range(0, partitions).Select(partition => silo.Partition(Topic, partition).GetOffsetsAsync()));
        return new AppendRates(silo);
    }

    /// <summary>The size of a request: what a producer's buffer makes of so many partitions.</summary>
    public static int BatchBytes(int partitions) => Math.Clamp(InFlightBytes / partitions / 2, 4 * 1024, 256 * 1024);

    public async Task<AppendRate> MeasureAsync(int partitions, long bytes)
    {
        var batch = Workload.Batches(BatchBytes(partitions) / 113, 100, BatchBytes(partitions) + 4096)[0];
        var records = RecordBatchHeader.Read(batch).RecordCount;
        var request = new ProduceRequest(batch);
        var requests = bytes / batch.Length;
        var lanes = Math.Max(partitions, Math.Min(InFlightBytes / batch.Length, partitions * 8));
        var cpu = Process.GetCurrentProcess().TotalProcessorTime;
        var allocated = GC.GetTotalAllocatedBytes();
        var began = Stopwatch.GetTimestamp();
        var next = 0L;
        await Task.WhenAll(Enumerable.Range(0, lanes).Select(async lane =>
        {
            var grain = _silo.Partition(Topic, lane % partitions);
            while (Interlocked.Increment(ref next) <= requests)
            {
                await grain.AppendAsync(request);
            }
        }));
        var seconds = Stopwatch.GetElapsedTime(began).TotalSeconds;
        var all = (double)requests * records;
        return new AppendRate(
            requests * batch.Length / seconds,
            all / seconds,
            (Process.GetCurrentProcess().TotalProcessorTime - cpu).TotalSeconds / all * 1e6,
            (GC.GetTotalAllocatedBytes() - allocated) / all);
    }

    /// <summary>Writes 1 MiB blocks into one growing file, with a flush after each; bytes/s.</summary>
    public double RawBound(long bytes)
    {
        var path = Path.Combine(_silo.Folder, "raw");
        var block = new byte[1024 * 1024];
        new Random(1).NextBytes(block);
        using var file = File.OpenHandle(path, FileMode.Create, FileAccess.Write, FileShare.None, FileOptions.DeleteOnClose);
        var began = Stopwatch.GetTimestamp();
        for (long position = 0; position < bytes; position += block.Length)
        {
            RandomAccess.Write(file, block, position);
            RandomAccess.FlushToDisk(file);
        }

        return bytes / Stopwatch.GetElapsedTime(began).TotalSeconds;
    }

    public ValueTask DisposeAsync() => _silo.DisposeAsync();
}
