using System.Diagnostics;
using System.Globalization;
using OrleansStreams.Log;
using OrleansStreams.Silo.Samples;

namespace OrleansStreams.Benchmarks.Paths;

/// <summary>Runs every path several times, each beside its raw bound, and prints medians and ratios.</summary>
internal static class PathReport
{
    private const int Runs = 5;
    private const string CountTopic = "count-input";

    /// <param name="scale">1 for the quoted figures; less for a quick look.</param>
    public static async Task RunAsync(double scale)
    {
        var small = (long)(5_000_000 * scale);
        var large = (long)(1_000_000 * scale);
        await using var silo = await BenchmarkSilo.StartAsync(CountTopic, Runs + 1);
        var paths = new PathBenchmarks(silo);
        await silo.Client.Admin.CreateTopicAsync("counts", 1, new TopicConfig { RetentionMs = -1 });

        Console.WriteLine($"{Environment.ProcessorCount} cores, flush before every acknowledgement (durability: disk), medians of {Runs}, data in {silo.Folder}");
        Console.WriteLine($"{"path",-44}{"ours",16}{"raw bound",16}{"ratio",8}");

        // Warm memory and code before the first phase.
        await paths.ProduceAsync("warm", Math.Min(small, 1_000_000), 100);
        RawBounds.EncodeAppendFlush(silo.Folder, Math.Min(small, 1_000_000), 100);
        await paths.ConsumeAsync("warm", Math.Min(small, 1_000_000));

        await MeasureAsync("produce 100 B, records/s", run => paths.ProduceAsync($"produce-100-{run}", small, 100), () => RawBounds.EncodeAppendFlush(silo.Folder, small, 100));
        await MeasureAsync("produce 1 KiB, records/s", run => paths.ProduceAsync($"produce-1024-{run}", large, 1024), () => RawBounds.EncodeAppendFlush(silo.Folder, large, 1024));

        var batches = Workload.Batches(small, 100);
        await MeasureAsync("consume 100 B, records/s", run => paths.ConsumeAsync($"produce-100-{run}", small), () => RawBounds.Decode(batches));

        await paths.ProduceAsync(CountTopic, small, 100);
        await paths.CountWindowsAsync($"count-{Runs}", CountTopic, small);
        await MeasureAsync(
            "windowed count, exactly once, 1 task, events/s", run => paths.CountWindowsAsync($"count-{run}", CountTopic, small), () => RawBounds.CountByKeyAndWindow(batches));

        var latency = await paths.LatencyAsync("latency", 5_000, TimeSpan.FromSeconds(Math.Max(2, 10 * scale)));
        var flush = FlushLatency(silo.Folder);
        Print("end-to-end latency p50 at 5,000/s, ms", latency.P50, flush.P50);
        Print("end-to-end latency p99 at 5,000/s, ms", latency.P99, flush.P99);
        Console.WriteLine("(the bound of a latency is one write and flush of 4 KiB, measured in the same run)");
        await DemoMemoryAsync();
    }

    private static async Task MeasureAsync(string path, Func<int, Task<double>> ours, Func<double> bound)
    {
        var figures = new List<(double Ours, double Bound)>();
        for (var run = 0; run < Runs; run++)
        {
            figures.Add((await ours(run), bound()));
        }

        Print(path, Median(figures.Select(figure => figure.Ours)), Median(figures.Select(figure => figure.Bound)), Median(figures.Select(figure => figure.Ours / figure.Bound)));
    }

    private static void Print(string path, double ours, double bound, double? ratio = null) =>
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{path,-44}{Figure(ours),16}{Figure(bound),16}{ratio ?? ours / bound,8:0.00}"));

    private static string Figure(double value) => value.ToString(value < 1000 ? "0.00" : "#,0", CultureInfo.InvariantCulture);

    private static double Median(IEnumerable<double> values)
    {
        double[] sorted = [.. values.Order()];
        return sorted[sorted.Length / 2];
    }

    private static (double P50, double P99) FlushLatency(string folder)
    {
        var path = Path.Combine(folder, "flush");
        using var file = File.OpenHandle(path, FileMode.Create, FileAccess.Write, FileShare.None, FileOptions.DeleteOnClose);
        var block = new byte[4096];
        var times = new double[500];
        for (var i = 0; i < times.Length; i++)
        {
            var began = Stopwatch.GetTimestamp();
            RandomAccess.Write(file, block, (long)i * block.Length);
            RandomAccess.FlushToDisk(file);
            times[i] = Stopwatch.GetElapsedTime(began).TotalMilliseconds;
        }

        Array.Sort(times);
        return (times[times.Length / 2], times[times.Length * 99 / 100]);
    }

    /// <summary>The whole demo as a process of its own: its peak resident memory.</summary>
    private static async Task DemoMemoryAsync()
    {
        var data = Directory.CreateTempSubdirectory("streams-benchmark-demo-").FullName;
        try
        {
            var dll = Path.Combine(AppContext.BaseDirectory, "ClientApp.dll");
            using var demo = Process.Start(new ProcessStartInfo("dotnet", ["exec", dll, "demo", "--json", "--data", data, "--input", FlightDelaysSettings.ShippedInput]) { RedirectStandardOutput = true })!;
            long peak = 0;
            var reading = demo.StandardOutput.ReadToEndAsync();
            while (!reading.IsCompleted)
            {
                demo.Refresh();
                peak = demo.HasExited ? peak : Math.Max(peak, demo.PeakWorkingSet64);
                await Task.WhenAny(reading, Task.Delay(20));
            }

            await demo.WaitForExitAsync();
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"demo: exit code {demo.ExitCode}, peak memory {peak / 1e6:0} MB (target: under 500 MB)"));
        }
        finally
        {
            Directory.Delete(data, recursive: true);
        }
    }
}
