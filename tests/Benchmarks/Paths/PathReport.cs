using OrleansStreams.Benchmarks.Reports;
using OrleansStreams.Storage;

namespace OrleansStreams.Benchmarks.Paths;

/// <summary>The full report: every path beside its raw bound, in one run.</summary>
internal static class PathReport
{
    public static async Task RunAsync(ReportOptions options)
    {
        Console.WriteLine($"{Environment.ProcessorCount} cores; in-process client, idempotent, acks = all, one producer, one consumer; medians of {options.Repeats}.");
        var maximum = 0.0;
        var count = new CountReport(options);
        await using (var silo = await BenchmarkSilo.StartAsync(FlushMode.Always, count.Register))
        {
            ReportTable.Title($"Durability: disk (flush before every acknowledgement), data in {silo.Folder}");
            ReportTable.Columns();
            var throughput = new ThroughputReport(options, silo, "always", FlushMode.Always);
            await throughput.RunAsync();
            maximum = throughput.ProduceMaximum;
            await LatencyReport.RunAsync(options, silo, maximum);
            await count.RunAsync(silo);
        }

        await using (var silo = await BenchmarkSilo.StartAsync(FlushMode.OperatingSystem))
        {
            ReportTable.Title("Durability: page cache (flush = os)");
            ReportTable.Columns();
            await new ThroughputReport(options, silo, "os", FlushMode.OperatingSystem).RunAsync();
        }

        await MemoryAsync(options);
        ReportTable.Title("The demo");
        ReportTable.Columns();
        await DemoMemory.RunAsync(options);
        Console.WriteLine("\nRaw bounds, on the same bytes: produce, one thread writes ready batches to one file (flushing every 4 MiB when the durability is disk);");
        Console.WriteLine("consume, a plain loop steps through every record in memory. CPU: seconds of the whole process per million; alloc: managed bytes per unit.");
    }

    /// <summary>Logs in memory: the client's own bound, whatever the disk does.</summary>
    public static async Task MemoryAsync(ReportOptions options)
    {
        await using var silo = await BenchmarkSilo.StartInMemoryAsync();
        ReportTable.Title("Logs in memory (no durability: the bound of client, host and partition)");
        ReportTable.Columns();
        await new ThroughputReport(options, silo, "memory", FlushMode.OperatingSystem).RunAsync();
    }
}
