using OrleansStreams.Benchmarks;

switch (args.FirstOrDefault())
{
    case "codec":
        return CodecBenchmarks.Run(args[1..]);
    case "codec-quick":
        return CodecQuick.Run();
    default:
        Console.Error.WriteLine("Usage: dotnet run -c Release --project tests/Benchmarks -- codec [BenchmarkDotNet options, for example --filter '*']");
        Console.Error.WriteLine("       dotnet run -c Release --project tests/Benchmarks -- codec-quick");
        return 2;
}
