using System.Globalization;

namespace OrleansStreams.Benchmarks.Log;

/// <summary>How the log behaves as partitions become many and logs long: throughput by partitions, cold opening by size, memory of an idle partition.</summary>
internal static class ScalingReport
{
    private const int Runs = 5;

    /// <summary>Runs it by its arguments: a scale, then one part; null when they are others.</summary>
    public static Task<int>? FromArguments(string[] arguments)
    {
        if (arguments.Length > 2 || arguments.ElementAtOrDefault(1) is not (null or "throughput" or "fetch" or "opening" or "idle") ||
            !double.TryParse(arguments.ElementAtOrDefault(0) ?? "1", NumberStyles.Float, CultureInfo.InvariantCulture, out var scale) || scale is not (> 0 and <= 100))
        {
            return null;
        }

        return DoneAsync();

        async Task<int> DoneAsync()
        {
            await RunAsync(scale, arguments.ElementAtOrDefault(1));
            return 0;
        }
    }

    /// <param name="scale">1 for the quoted figures; less for a quick look.</param>
    /// <param name="part">throughput, fetch, opening or idle; null for all.</param>
    public static async Task RunAsync(double scale, string? part)
    {
        Console.WriteLine($"{Environment.ProcessorCount} cores, flush before every acknowledgement (durability: disk), medians of {Runs}");
        if (part is null or "throughput")
        {
            await ThroughputAsync(scale);
        }

        if (part is null or "fetch")
        {
            await FetchRates.RunAsync((long)(1e9 * scale), Runs);
        }

        if (part is null or "opening")
        {
            await OpeningAsync(scale);
        }

        if (part is null or "idle")
        {
            await IdleMemory.RunAsync((int)(10_000 * Math.Min(1, scale)));
        }
    }

    private static async Task ThroughputAsync(double scale)
    {
        int[] partitions = [1, 10, 16, 100, 1_000];
        var bytes = (long)(1e9 * scale);
        await using var rates = await AppendRates.StartAsync(partitions.Max());
        await rates.MeasureAsync(16, bytes / 4);
        rates.RawBound(bytes / 4);
        var figures = partitions.ToDictionary(count => count, _ => new List<AppendRate>());
        var bounds = new List<double>();
        for (var run = 0; run < Runs; run++)
        {
            // In turns, so that a change of the machine's mood meets all alike.
            bounds.Add(rates.RawBound(bytes));
            foreach (var count in partitions)
            {
                figures[count].Add(await rates.MeasureAsync(count, bytes));
            }
        }

        var bound = Median(bounds);
        var sixteen = Median(figures[16].Select(figure => figure.BytesPerSecond));
        Print($"append of 100 B records to N partitions, {AppendRates.InFlightBytes >> 20} MiB under way in all (raw bound: one file, 1 MiB writes, a flush each: {bound / 1e6:0} MB/s)");
        Print($"{"partitions",12}{"batch KiB",12}{"records/s",14}{"MB/s",8}{"of raw",8}{"of 16",8}{"CPU s/M rec",13}{"alloc B/rec",13}");
        foreach (var count in partitions)
        {
            var rate = Median(figures[count].Select(figure => figure.BytesPerSecond));
            var records = Median(figures[count].Select(figure => figure.RecordsPerSecond));
            Print($"{count,12}{AppendRates.BatchBytes(count) / 1024,12}{records,14:#,0}{rate / 1e6,8:0}{rate / bound,8:0.00}{rate / sixteen,8:0.00}" +
                $"{Median(figures[count].Select(figure => figure.CpuPerMillion)),13:0.000}{Median(figures[count].Select(figure => figure.AllocatedPerRecord)),13:0.00}");
        }
    }

    private static async Task OpeningAsync(double scale)
    {
        Print("opening a cold partition (files out of the page cache where the system lets us) until its first answer, ms");
        Print($"{"log",12}{"after close",14}{"after kill -9",15}{"raw read",10}");
        foreach (var bytes in new[] { 64L << 20, 256L << 20, 1L << 30 })
        {
            var times = await ColdOpening.MeasureAsync((long)(bytes * scale), Runs);
            Print($"{(long)(bytes * scale) >> 20,8} MiB{times.AfterClose,14:0.0}{times.AfterKill,15:0.0}{times.RawRead,10:0.0}");
        }
    }

    internal static double Median(IEnumerable<double> values)
    {
        double[] sorted = [.. values.Order()];
        return sorted[sorted.Length / 2];
    }

    internal static void Print(FormattableString line) => Console.WriteLine(line.ToString(CultureInfo.InvariantCulture));

    internal static void Print(string line) => Console.WriteLine(line);
}
