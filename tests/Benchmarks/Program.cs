using System.Globalization;
using OrleansStreams.Benchmarks;
using OrleansStreams.Benchmarks.Log;
using OrleansStreams.Benchmarks.Paths;

switch (args.FirstOrDefault())
{
    case null:
        await PathReport.RunAsync(scale: 1);
        return 0;
    case "paths" when args.Length == 2 && double.TryParse(args[1], NumberStyles.Float, CultureInfo.InvariantCulture, out var scale) && scale is > 0 and <= 100:
        await PathReport.RunAsync(scale);
        return 0;
    case "scaling" when args.Length <= 3 && (args.Length < 3 || args[2] is "throughput" or "fetch" or "opening" or "idle"):
        if (!double.TryParse(args.ElementAtOrDefault(1) ?? "1", NumberStyles.Float, CultureInfo.InvariantCulture, out var factor) || factor is not (> 0 and <= 100))
        {
            goto default;
        }

        await ScalingReport.RunAsync(factor, args.ElementAtOrDefault(2));
        return 0;
    case "codec":
        return CodecBenchmarks.Run(args[1..]);
    case "codec-quick":
        return CodecQuick.Run();
    default:
        Console.Error.WriteLine("Usage: dotnet run -c Release --project tests/Benchmarks                   every path beside its raw bound");
        Console.Error.WriteLine("       dotnet run -c Release --project tests/Benchmarks -- paths SCALE    with SCALE times as many records, for example 0.1");
        Console.Error.WriteLine("       dotnet run -c Release --project tests/Benchmarks -- scaling [SCALE [throughput|fetch|opening|idle]]    many partitions, long logs, idle partitions");
        Console.Error.WriteLine("       dotnet run -c Release --project tests/Benchmarks -- codec [BenchmarkDotNet options, for example --filter '*']");
        Console.Error.WriteLine("       dotnet run -c Release --project tests/Benchmarks -- codec-quick");
        return 2;
}
