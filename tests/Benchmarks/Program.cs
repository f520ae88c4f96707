using OrleansStreams.Benchmarks;
using OrleansStreams.Benchmarks.Cluster;
using OrleansStreams.Benchmarks.Log;
using OrleansStreams.Benchmarks.Nexmark;
using OrleansStreams.Benchmarks.Paths;
using OrleansStreams.Benchmarks.Postgres;
using OrleansStreams.Benchmarks.Reports;
using OrleansStreams.Benchmarks.State;

// One line a report: its name, its options for people, what runs it (null: the options are wrong).
(string Name, string Options, Func<string[], Task<int>?> Run)[] reports =
[
    ("paths", ReportOptions.Usage, rest => Report(rest, PathReport.RunAsync)),
    ("memory", ReportOptions.Usage, rest => Report(rest, PathReport.MemoryAsync)),
    ("postgres", ReportOptions.Usage, rest => Report(rest, PostgresReport.RunAsync)),
    ("state", ReportOptions.Usage, rest => Report(rest, StateReport.RunAsync)),
    ("keys", ReportOptions.Usage, rest => Report(rest, StateReport.KeysAsync)),
    ("windows", ReportOptions.Usage, rest => Report(rest, StateReport.WindowsAsync)),
    ("restart", ReportOptions.Usage, rest => Report(rest, StateReport.RestartAsync)),
    ("commits", ReportOptions.Usage, rest => Report(rest, StateReport.CommitsAsync)),
    ("guarantees", ReportOptions.Usage, rest => Report(rest, StateReport.GuaranteesAsync)),
    ("results", ReportOptions.Usage, rest => Report(rest, ResultLatencyReport.RunAsync)),
    ("nexmark", NexmarkOptions.Usage, rest => NexmarkOptions.Parse(rest) is { } options ? Task.FromResult(NexmarkReport.Run(options)) : null),
    ("cluster", ReportOptions.Usage, rest => Report(rest, ClusterReport.RunAsync)),
    ("peers", ReportOptions.Usage, rest => Report(rest, PeersReport.RunAsync)),
    ("demo-memory", ReportOptions.Usage, rest => Report(rest, DemoMemory.RunAsync)),
    ("scaling", "[SCALE [throughput|fetch|opening|idle]]", ScalingReport.FromArguments),
    ("codec", "[BenchmarkDotNet options, for example --filter '*']", rest => Task.FromResult(CodecBenchmarks.Run(rest))),
    ("codec-quick", "", rest => rest.Length == 0 ? Task.FromResult(CodecQuick.Run()) : null),
];

var name = args.Length == 0 || args[0].StartsWith("--", StringComparison.Ordinal) ? "paths" : args[0];
var chosen = reports.FirstOrDefault(report => report.Name == name);
if (chosen.Run?.Invoke(args.Length > 0 && args[0] == name ? args[1..] : args) is { } running)
{
    return await running;
}

Console.Error.WriteLine("Usage: dotnet run -c Release --project tests/Benchmarks [-- REPORT [OPTIONS]]     (without a report: paths)");
foreach (var report in reports)
{
    Console.Error.WriteLine($"       {report.Name} {report.Options}");
}

return 2;

static Task<int>? Report(string[] rest, Func<ReportOptions, Task> run)
{
    return ReportOptions.Parse(rest) is { } options ? RunAsync(options) : null;

    async Task<int> RunAsync(ReportOptions options)
    {
        await run(options);
        return 0;
    }
}
