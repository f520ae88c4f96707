using System.Diagnostics;

namespace OrleansStreams.Benchmarks;

/// <summary>The codec's figures in a few seconds, each beside its raw bound measured in the same run.</summary>
internal static class CodecQuick
{
    private static readonly TimeSpan Span = TimeSpan.FromMilliseconds(400);

    public static int Run()
    {
        Console.WriteLine($"{"measure",-34}{"ours",18}{"raw bound",18}{"ratio",8}");
        foreach (var valueBytes in new[] { 100, 1024 })
        {
            var work = new CodecWork(valueBytes);
            var copy = PerSecond(() => work.CopyBatch()) * CodecWork.Records / 1e6;
            Print($"encode + CRC, {valueBytes} B values", PerSecond(() => work.Encode()) * CodecWork.Records / 1e6, copy, "M rec/s");
            Print($"decode, {valueBytes} B values", PerSecond(() => work.Decode()) * CodecWork.Records / 1e6, copy, "M rec/s");
            Print($"validate, {valueBytes} B values", PerSecond(() => work.Validate()) * CodecWork.Records / 1e6, copy, "M rec/s");
            Print($"decode snappy, {valueBytes} B values", PerSecond(() => work.DecodeSnappy()) * CodecWork.Records / 1e6, copy, "M rec/s");
        }

        var block = new CodecWork(100);
        Print("CRC-32C of 1 MiB", PerSecond(() => block.Checksum()) * CodecWork.ChecksumBytes / 1e9, PerSecond(() => block.CopyBlock()) * CodecWork.ChecksumBytes / 1e9, "GB/s");
        Console.WriteLine("Raw bound: copying the same bytes (for batches into fresh memory). One core.");
        return 0;
    }

    private static void Print(string measure, double ours, double bound, string unit) =>
        Console.WriteLine($"{measure,-34}{ours,10:F1} {unit,-7}{bound,10:F1} {unit,-7}{ours / bound,8:F2}");

    // The best of five, after a warm-up that lets the JIT finish: on a shared machine the best says what the code can do.
    private static double PerSecond(Action action)
    {
        var best = 0.0;
        for (var round = 0; round < 7; round++)
        {
            var started = Stopwatch.GetTimestamp();
            var count = 0;
            while (Stopwatch.GetElapsedTime(started) < Span)
            {
                action();
                count++;
            }

            var rate = count / Stopwatch.GetElapsedTime(started).TotalSeconds;
            best = round < 2 ? 0 : Math.Max(best, rate);
        }

        return best;
    }
}
