using System.Diagnostics;
using Microsoft.Extensions.DependencyInjection;
using OrleansStreams.Clients;
using OrleansStreams.Log;
using OrleansStreams.Processing;
using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.Benchmarks.Paths;

/// <summary>Our end-to-end paths: a silo in this process, file storage with <c>flush = always</c>, the in-process client.</summary>
internal sealed class PathBenchmarks(BenchmarkSilo silo)
{
    private static readonly ProducerOptions ProducerOptions = new() { LingerMs = 1, BatchBytes = 256 * 1024, MaxBufferedBytes = 32 * 1024 * 1024 };

    /// <summary>Produces records to one partition, acks = all, idempotent; records/s to the last acknowledgement.</summary>
    public async Task<double> ProduceAsync(string topic, long records, int valueBytes)
    {
        await silo.Client.Admin.CreateTopicAsync(topic, 1, new TopicConfig { RetentionMs = -1 });
        var value = Workload.Value(valueBytes);
        await using var producer = silo.Client.CreateProducer(Serdes.Bytes, Serdes.Bytes, ProducerOptions);
        var began = Stopwatch.GetTimestamp();
        for (long record = 0; record < records; record++)
        {
            var accepted = producer.EnqueueAsync(new ProducerRecord<byte[], byte[]>(topic, Workload.Key(record), value) { Timestamp = Workload.FirstTimestamp + record });
            if (!accepted.IsCompletedSuccessfully)
            {
                await accepted;
            }
        }

        await producer.FlushAsync();
        return records / Stopwatch.GetElapsedTime(began).TotalSeconds;
    }

    /// <summary>Consumes all records of a topic's one partition as decoded results; records/s.</summary>
    public async Task<double> ConsumeAsync(string topic, long records)
    {
        await using var consumer = silo.Client.CreateConsumer(LengthOnly.Instance, LengthOnly.Instance);
        consumer.Assign((new TopicPartition(topic, 0), StartPosition.Earliest));
        var began = Stopwatch.GetTimestamp();
        long read = 0;
        await foreach (var _ in consumer.ConsumeAsync())
        {
            if (++read == records)
            {
                break;
            }
        }

        return records / Stopwatch.GetElapsedTime(began).TotalSeconds;
    }

    /// <summary>Counts a topic's records by key and window, exactly once, in one task; events/s from the start to the commit of the last.</summary>
    public async Task<double> CountWindowsAsync(string application, string topic, long records)
    {
        var began = Stopwatch.GetTimestamp();
        await silo.Client.Applications.StartAsync(application);
        while ((await silo.Client.Applications.GetStatusAsync(application)).Tasks.Sum(task => task.RecordsIn) < records)
        {
            await Task.Delay(5);
        }

        // Stopping ends with the last commit: the figure covers everything that exactly-once costs.
        await silo.Client.Applications.StopAsync(application);
        return records / Stopwatch.GetElapsedTime(began).TotalSeconds;
    }

    /// <summary>The topology of <see cref="CountWindowsAsync"/>.</summary>
    public static void BuildCount(StreamsBuilder builder, string topic, string output) => builder
        .Stream(topic, Consumed.With(Serdes.Utf8, Serdes.Memory).WithWatermarks(WatermarkStrategy.BoundedOutOfOrderness(TimeSpan.Zero)))
        .GroupByKey()
        .WindowedBy(TumblingWindows.Of(TimeSpan.FromMilliseconds(Workload.WindowMs)))
        .Count(Materialized.As("counts", Serdes.Int64))
        .Map((windowed, count) => (windowed.Key, count))
        .To(output, Produced.With(Serdes.Utf8, Serdes.Int64));

    /// <summary>Produces at a fixed rate and consumes at the same time; the time from enqueueing to consumption in ms.</summary>
    public async Task<(double P50, double P99)> LatencyAsync(string topic, int perSecond, TimeSpan duration)
    {
        await silo.Client.Admin.CreateTopicAsync(topic, 1, new TopicConfig { RetentionMs = -1 });
        var total = (int)(perSecond * duration.TotalSeconds);
        var latencies = new double[total];
        var consuming = ConsumeLatenciesAsync(topic, latencies);
        await using (var producer = silo.Client.CreateProducer(Serdes.Bytes, Serdes.Int64, ProducerOptions with { LingerMs = 0 }))
        {
            var began = Stopwatch.GetTimestamp();
            for (var record = 0; record < total; record++)
            {
                var due = TimeSpan.FromSeconds((double)record / perSecond) - Stopwatch.GetElapsedTime(began);
                if (due > TimeSpan.FromMilliseconds(1))
                {
                    await Task.Delay(due);
                }

                await producer.EnqueueAsync(new ProducerRecord<byte[], long>(topic, null, Stopwatch.GetTimestamp()));
            }
        }

        await consuming;
        Array.Sort(latencies);
        return (latencies[total / 2], latencies[total * 99 / 100]);
    }

    private async Task ConsumeLatenciesAsync(string topic, double[] latencies)
    {
        await using var consumer = silo.Client.CreateConsumer(Serdes.Bytes, Serdes.Int64);
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

    /// <summary>Touches the value without a copy, as a consumer does that needs none.</summary>
    private sealed class LengthOnly : IDeserializer<int>
    {
        public static LengthOnly Instance { get; } = new();

        public int Deserialize(ReadOnlySpan<byte> data) => data.Length;
    }
}
