using OrleansStreams.Benchmarks.Reports;
using OrleansStreams.Clients;
using OrleansStreams.Log;
using OrleansStreams.Records;

namespace OrleansStreams.Benchmarks.Paths;

/// <summary>Our produce and consume paths, through the client of a silo in this process or of a cluster.</summary>
internal sealed class PathBenchmarks(StreamsClient client)
{
    public static ProducerOptions ProducerOptions { get; } = new() { LingerMs = 1, BatchBytes = 256 * 1024, MaxBufferedBytes = 16 * 1024 * 1024 };

    public Task CreateTopicAsync(string topic, int partitions) =>
        client.Admin.CreateTopicAsync(topic, partitions, new TopicConfig { RetentionMs = -1 });

    public Task DeleteTopicAsync(string topic) => client.Admin.DeleteTopicAsync(topic);

    /// <summary>Produces keyed records to an existing topic, acks = all, idempotent, one caller; to the last acknowledgement.</summary>
    public Task<Cost> ProduceAsync(string topic, long records, int valueBytes)
    {
        var value = Workload.Value(valueBytes);
        return Cost.OfAsync(records, async () =>
        {
            await using var producer = client.CreateProducer(Serdes.Bytes, Serdes.Bytes, ProducerOptions);
            for (long record = 0; record < records; record++)
            {
                var accepted = producer.EnqueueAsync(new ProducerRecord<byte[], byte[]>(topic, Workload.Key(record), value) { Timestamp = Workload.FirstTimestamp + record });
                if (!accepted.IsCompletedSuccessfully)
                {
                    await accepted;
                }
            }

            await producer.FlushAsync();
        });
    }

    /// <summary>Consumes all records of a topic as decoded results, one at a time.</summary>
    public Task<Cost> ConsumeAsync(string topic, int partitions, long records) => Cost.OfAsync(records, async () =>
    {
        await using var consumer = Consumer(topic, partitions);
        long read = 0;
        await foreach (var _ in consumer.ConsumeAsync())
        {
            if (++read == records)
            {
                break;
            }
        }
    });

    /// <summary>Consumes all records of a topic in batches, whose records are decoded in place.</summary>
    public Task<Cost> ConsumeBatchesAsync(string topic, int partitions, long records) => Cost.OfAsync(records, async () =>
    {
        await using var consumer = Consumer(topic, partitions);
        long read = 0;
        long touched = 0;
        await foreach (var batches in consumer.ConsumeBatchesAsync())
        {
            read += Touch(batches, ref touched);
            if (read >= records)
            {
                break;
            }
        }

        GC.KeepAlive(touched);
    });

    private static long Touch(ConsumedBatches batches, ref long touched)
    {
        long read = 0;
        foreach (var record in batches.Records)
        {
            touched += record.Key[0] + record.Value.Length;
            read++;
        }

        return read;
    }

    private Consumer<int, int> Consumer(string topic, int partitions)
    {
        var consumer = client.CreateConsumer(LengthOnly.Instance, LengthOnly.Instance);
        consumer.Assign([.. Enumerable.Range(0, partitions).Select(partition => (new TopicPartition(topic, partition), StartPosition.Earliest))]);
        return consumer;
    }

    /// <summary>Touches a field without a copy, as a consumer does that needs none.</summary>
    private sealed class LengthOnly : IDeserializer<int>
    {
        public static LengthOnly Instance { get; } = new();

        public int Deserialize(ReadOnlySpan<byte> data) => data.Length;
    }
}
