using BenchmarkDotNet.Attributes;
using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Jobs;
using BenchmarkDotNet.Running;
using BenchmarkDotNet.Toolchains.InProcess.Emit;
using OrleansStreams.Records;

namespace OrleansStreams.Benchmarks;

/// <summary>The record batch codec under BenchmarkDotNet; figures are per record, or per byte for the checksum.</summary>
[MemoryDiagnoser]
public class CodecBenchmarks
{
    private CodecWork _work = null!;

    [Params(100, 1024)]
    public int ValueBytes { get; set; }

    public static int Run(string[] args)
    {
        // In this process: the tool's own project generation does not know our output layout.
        var job = Job.ShortRun.WithToolchain(InProcessEmitToolchain.Instance);
        var summaries = BenchmarkSwitcher.FromTypes([typeof(CodecBenchmarks)])
            .Run(args.Length == 0 ? ["--filter", "*"] : args, DefaultConfig.Instance.AddJob(job));
        return summaries.Any(summary => summary.HasCriticalValidationErrors) ? 1 : 0;
    }

    [GlobalSetup]
    public void Setup() => _work = new CodecWork(ValueBytes);

    [Benchmark(OperationsPerInvoke = CodecWork.Records)]
    public int Encode_with_checksum() => _work.Encode();

    [Benchmark(OperationsPerInvoke = CodecWork.Records)]
    public long Decode() => _work.Decode();

    [Benchmark(OperationsPerInvoke = CodecWork.Records)]
    public long Validate_and_decode() => _work.Validate() + _work.Decode();

    [Benchmark(OperationsPerInvoke = CodecWork.Records)]
    public long Decode_snappy() => _work.DecodeSnappy();

    [Benchmark(OperationsPerInvoke = CodecWork.ChecksumBytes)]
    public uint Checksum() => _work.Checksum();
}
