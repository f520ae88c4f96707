using System.Globalization;
using OrleansStreams.Benchmarks.Reports;
using OrleansStreams.Storage;

namespace OrleansStreams.Benchmarks.Paths;

/// <summary>Produce and consume, 100 B and 1 KiB values, 1 and 16 partitions: each beside what a plain loop does with the same bytes.</summary>
internal sealed class ThroughputReport(ReportOptions options, BenchmarkSilo silo, string durability, FlushMode flush)
{
    private const long SmallRecords = 5_000_000;
    private const long LargeRecords = 1_000_000;

    private readonly PathBenchmarks _paths = new(silo.Client);

    /// <summary>The fastest that this run saw records of 100 B being produced to one partition; records/s.</summary>
    public double ProduceMaximum { get; private set; }

    /// <summary>The data folder's bytes that one phase writes, with room for both sides.</summary>
    public static long PhaseBytes(long records, int valueBytes) => 2 * records * (valueBytes + 20);

    public async Task RunAsync()
    {
        foreach (var valueBytes in (int[])[100, 1024])
        {
            var records = options.Scaled(valueBytes == 100 ? SmallRecords : LargeRecords);
            var batches = Workload.Batches(records, valueBytes);
            await WarmUpAsync(valueBytes, Math.Min(records, 500_000));
            foreach (var partitions in (int[])[1, 16])
            {
                await MeasureAsync(valueBytes, partitions, records, batches);
            }
        }
    }

    /// <summary>Produces and consumes once: medians of both in records/s.</summary>
    public async Task<(Measurement Produce, Measurement Consume)> PairAsync(int valueBytes, int partitions, long records, List<byte[]> batches)
    {
        var what = string.Create(CultureInfo.InvariantCulture, $"{(valueBytes == 1024 ? "1 KiB" : $"{valueBytes} B")}, {partitions} partition{(partitions == 1 ? "" : "s")}, {durability}");
        var topic = string.Create(CultureInfo.InvariantCulture, $"t-{valueBytes}-{partitions}");
        WarmMemory.Touch(PhaseBytes(records, valueBytes));
        var produce = await Measurement.MedianOfAsync(
            $"produce {what}, records/s",
            options.Repeats,
            async run =>
            {
                if (run > 0)
                {
                    await _paths.DeleteTopicAsync(Named(topic, run - 1));
                }

                await _paths.CreateTopicAsync(Named(topic, run), partitions);
                return await _paths.ProduceAsync(Named(topic, run), records, valueBytes);
            },
            () => RawBounds.Append(silo.Folder, batches, records, flush));
        var last = Named(topic, options.Repeats - 1);
        var consume = await Measurement.MedianOfAsync($"consume {what}, records/s", options.Repeats, _ => _paths.ConsumeAsync(last, partitions, records), () => RawBounds.Decode(batches, records));
        return (produce, consume);
    }

    private static string Named(string topic, int run) => string.Create(CultureInfo.InvariantCulture, $"{topic}-{run}");

    private async Task MeasureAsync(int valueBytes, int partitions, long records, List<byte[]> batches)
    {
        var (produce, consume) = await PairAsync(valueBytes, partitions, records, batches);
        ReportTable.Line(produce);
        ReportTable.Line(consume);
        var topic = string.Create(CultureInfo.InvariantCulture, $"t-{valueBytes}-{partitions}-{options.Repeats - 1}");
        ReportTable.Line(await Measurement.MedianOfAsync(
            consume.Name.Replace("consume", "consume in batches", StringComparison.Ordinal),
            options.Repeats,
            _ => _paths.ConsumeBatchesAsync(topic, partitions, records),
            () => RawBounds.Decode(batches, records)));
        await _paths.DeleteTopicAsync(topic);
        if (valueBytes == 100 && partitions == 1)
        {
            ProduceMaximum = produce.Ours;
        }
    }

    /// <summary>Lets the JIT finish and files, heap and page cache grow to their size.</summary>
    public async Task WarmUpAsync(int valueBytes, long records)
    {
        var topic = string.Create(CultureInfo.InvariantCulture, $"warm-{valueBytes}");
        await _paths.CreateTopicAsync(topic, 1);
        for (var round = 0; round < 3; round++)
        {
            await _paths.ProduceAsync(topic, records, valueBytes);
            await _paths.ConsumeAsync(topic, 1, records);
            await _paths.ConsumeBatchesAsync(topic, 1, records);
        }

        await _paths.DeleteTopicAsync(topic);
    }
}
