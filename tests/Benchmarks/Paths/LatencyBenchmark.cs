using System.Buffers;
using System.Buffers.Binary;
using System.Diagnostics;
using OrleansStreams.Benchmarks.Reports;
using OrleansStreams.Clients;
using OrleansStreams.Log;
using OrleansStreams.Records;

namespace OrleansStreams.Benchmarks.Paths;

/// <summary>Percentiles of a latency in ms.</summary>
internal readonly record struct LatencyPercentiles(double P50, double P99, double P999)
{
    public static LatencyPercentiles Of(double[] milliseconds)
    {
        Array.Sort(milliseconds);
        return new LatencyPercentiles(Statistics.Percentile(milliseconds, 0.5), Statistics.Percentile(milliseconds, 0.99), Statistics.Percentile(milliseconds, 0.999));
    }

    public static LatencyPercentiles MedianOf(IReadOnlyCollection<LatencyPercentiles> runs) => new(
        Statistics.Median(runs.Select(run => run.P50)), Statistics.Median(runs.Select(run => run.P99)), Statistics.Median(runs.Select(run => run.P999)));
}

/// <summary>Produces at a fixed rate and consumes at the same time: the time from the moment at which a record was due to its consumption.</summary>
internal sealed class LatencyBenchmark(BenchmarkSilo silo)
{
    private static readonly ProducerOptions Options = PathBenchmarks.ProducerOptions with { LingerMs = 0 };

    public async Task<LatencyPercentiles> RunAsync(string topic, int valueBytes, double perSecond, TimeSpan duration)
    {
        await silo.Client.Admin.CreateTopicAsync(topic, 1, new TopicConfig { RetentionMs = -1 });
        var latency = await RunAsync(topic, topic, [null], valueBytes, perSecond, duration);
        await silo.Client.Admin.DeleteTopicAsync(topic);
        return latency;
    }

    /// <summary>The same from one topic to another, whose records bear the stamps of those that they come from, one for each.</summary>
    public async Task<LatencyPercentiles> RunAsync(string input, string output, byte[]?[] keys, int valueBytes, double perSecond, TimeSpan duration)
    {
        var total = (int)(perSecond * duration.TotalSeconds);
        var latencies = new double[total];
        var consuming = ConsumeAsync(output, latencies);
        await using (var producer = silo.Client.CreateProducer(Serdes.Bytes, new Stamp(valueBytes), Options))
        {
            // The pace is kept in steps of the system's timer; all that is due at a step bears the step's time, so that a wait for room in the
            // producer's buffer counts as latency.
            var began = Stopwatch.GetTimestamp();
            for (var sent = 0; sent < total;)
            {
                var now = Stopwatch.GetTimestamp();
                var due = Math.Min(total, (int)(Stopwatch.GetElapsedTime(began, now).TotalSeconds * perSecond) + 1);
                for (; sent < due; sent++)
                {
                    var accepted = producer.EnqueueAsync(new ProducerRecord<byte[], long>(input, keys[sent % keys.Length], now));
                    if (!accepted.IsCompletedSuccessfully)
                    {
                        await accepted;
                    }
                }

                await Task.Delay(1);
            }
        }

        await consuming;
        return LatencyPercentiles.Of(latencies[(total / 10)..]);
    }

    /// <summary>One write and flush of 4 KiB, onto blocks that the file has already.</summary>
    public static LatencyPercentiles Flush(string folder, int count)
    {
        var path = Path.Combine(folder, "flush");
        var block = new byte[4096];
        new Random(1).NextBytes(block);
        using var file = File.OpenHandle(path, FileMode.Create, FileAccess.Write, FileShare.None, FileOptions.DeleteOnClose);
        for (var i = 0; i < count; i++)
        {
            RandomAccess.Write(file, block, (long)i * block.Length);
        }

        RandomAccess.FlushToDisk(file);
        var times = new double[count];
        for (var i = 0; i < count; i++)
        {
            var began = Stopwatch.GetTimestamp();
            RandomAccess.Write(file, block, (long)i * block.Length);
            RandomAccess.FlushToDisk(file);
            times[i] = Stopwatch.GetElapsedTime(began).TotalMilliseconds;
        }

        return LatencyPercentiles.Of(times);
    }

    private async Task ConsumeAsync(string topic, double[] latencies)
    {
        await using var consumer = silo.Client.CreateConsumer(Serdes.Bytes, new Stamp(0));
        consumer.Assign((new TopicPartition(topic, 0), StartPosition.Earliest));
        var read = 0;
        await foreach (var record in consumer.ConsumeAsync())
        {
            latencies[read++] = Stopwatch.GetElapsedTime(record.Value).TotalMilliseconds;
            if (read == latencies.Length)
            {
                break;
            }
        }
    }

    /// <summary>A time at the start of a value of a given size.</summary>
    internal sealed class Stamp(int valueBytes) : ISerde<long>
    {
        private readonly byte[] _rest = Workload.Value(Math.Max(0, valueBytes - sizeof(long)));

        public string Name => "stamp";

        public void Serialize(long value, IBufferWriter<byte> writer)
        {
            BinaryPrimitives.WriteInt64BigEndian(writer.GetSpan(sizeof(long)), value);
            writer.Advance(sizeof(long));
            writer.Write(_rest);
        }

        public long Deserialize(ReadOnlySpan<byte> data) => BinaryPrimitives.ReadInt64BigEndian(data);
    }
}
