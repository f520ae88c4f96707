using System.Diagnostics;
using System.Globalization;
using OrleansStreams.Benchmarks.Reports;
using OrleansStreams.Silo.Samples;

namespace OrleansStreams.Benchmarks.Paths;

/// <summary>The whole demo as a process of its own: its peak resident memory, on the shipped flights and on many more of the same shape.</summary>
internal static class DemoMemory
{
    private const long Rows = 2_000_000;

    public static async Task RunAsync(ReportOptions options)
    {
        var folder = Directory.CreateTempSubdirectory("streams-benchmark-demo-").FullName;
        try
        {
            await PrintAsync("demo, 20,000 rows", Path.Combine(folder, "shipped"), input: null);
            var rows = options.Scaled(Rows);
            var input = Path.Combine(folder, "flights.csv");
            Generate(input, rows);
            await PrintAsync(string.Create(CultureInfo.InvariantCulture, $"demo, {rows:#,0} rows"), Path.Combine(folder, "generated"), input);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static async Task PrintAsync(string what, string data, string? input)
    {
        var (peakBytes, exitCode, elapsed) = await MeasureAsync(data, input);
        ReportTable.Line(new Measurement($"{what}, peak resident memory, MB", peakBytes / 1e6));
        if (exitCode != 0)
        {
            ReportTable.Note($"(the demo ended with exit code {exitCode} after {elapsed.TotalSeconds.ToString("0", CultureInfo.InvariantCulture)} s)");
        }
    }

    private static async Task<(long PeakBytes, int ExitCode, TimeSpan Elapsed)> MeasureAsync(string data, string? input)
    {
        var dll = Path.Combine(AppContext.BaseDirectory, "ClientApp.dll");
        string[] arguments = ["exec", dll, "demo", "--json", "--fresh", "--data", data, .. input is null ? Array.Empty<string>() : ["--input", input]];
        var began = Stopwatch.GetTimestamp();
        using var demo = Process.Start(new ProcessStartInfo("dotnet", arguments) { RedirectStandardOutput = true })!;
        long peak = 0;
        var reading = Task.Run(async () =>
        {
            // Read, so that the demo never waits for us; not kept.
            while (await demo.StandardOutput.ReadLineAsync() is not null)
            {
            }
        });
        while (!reading.IsCompleted)
        {
            peak = Math.Max(peak, PeakBytes(demo));
            await Task.WhenAny(reading, Task.Delay(20));
        }

        await demo.WaitForExitAsync();
        return (peak, demo.ExitCode, Stopwatch.GetElapsedTime(began));
    }

    /// <summary>The kernel's own high-water mark; 0 when the process has ended.</summary>
    private static long PeakBytes(Process process)
    {
        if (!OperatingSystem.IsLinux())
        {
            process.Refresh();
            return process.HasExited ? 0 : process.PeakWorkingSet64;
        }

        try
        {
            const string Mark = "VmHWM:";
            var line = File.ReadLines($"/proc/{process.Id}/status").FirstOrDefault(line => line.StartsWith(Mark, StringComparison.Ordinal));
            return line is null ? 0 : long.Parse(line.AsSpan(Mark.Length, line.Length - Mark.Length - 2), NumberStyles.AllowLeadingWhite | NumberStyles.AllowTrailingWhite, CultureInfo.InvariantCulture) * 1024;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            return 0;
        }
    }

    /// <summary>More flights of the same quarter: the shipped ones over and over, each at another minute nearby with another delay.</summary>
    private static void Generate(string path, long rows)
    {
        var shipped = File.ReadAllLines(FlightDelaysSettings.ShippedInput);
        var random = new Random(1);
        using var writer = new StreamWriter(path);
        writer.WriteLine(shipped[0]);
        for (long row = 0; row < rows; row++)
        {
            var fields = shipped[1 + (int)(row % (shipped.Length - 1))].Split(',');
            var scheduled = DateTime.ParseExact(fields[0], "yyyy/MM/dd HH:mm", CultureInfo.InvariantCulture).AddMinutes(random.Next(60));
            var delay = int.Parse(fields[1], CultureInfo.InvariantCulture) + random.Next(-5, 6);
            writer.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{scheduled:yyyy/MM/dd HH:mm},{delay},{fields[2]},{fields[3]},{fields[4]}"));
        }
    }
}
