using System.Text;
using OrleansStreams.Clients;
using OrleansStreams.Log;
using OrleansStreams.Records;

namespace OrleansStreams.Cluster.Tests.Load;

/// <summary>Reads a whole topic as it is now.</summary>
internal static class TopicReading
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    public static async Task<List<Stored>> ReadAllAsync(this StreamsClient client, string topic, int partitions)
    {
        var ends = new Dictionary<TopicPartition, long>();
        for (var partition = 0; partition < partitions; partition++)
        {
            var offsets = await client.Admin.GetOffsetsAsync(new TopicPartition(topic, partition));
            if (offsets.HighWatermark > 0)
            {
                ends.Add(new TopicPartition(topic, partition), offsets.HighWatermark);
            }
        }

        var records = new List<Stored>();
        if (ends.Count == 0)
        {
            return records;
        }

        await using var consumer = client.CreateConsumer(Serdes.Utf8, Serdes.Utf8);
        consumer.Assign([.. ends.Keys.Select(partition => (partition, StartPosition.Earliest))]);
        using var patience = new CancellationTokenSource(Patience);
        await foreach (var batches in consumer.ConsumeBatchesAsync(patience.Token))
        {
            foreach (var record in batches.Records)
            {
                records.Add(new Stored(batches.Partition.Partition, record.Offset, Encoding.UTF8.GetString(record.Value)));
            }

            // By the batches' end: the last records of a topic that an application writes to are its watermarks, which no reader sees.
            if (ends.TryGetValue(batches.Partition, out var end) && batches.NextOffset >= end && ends.Remove(batches.Partition) && ends.Count == 0)
            {
                break;
            }
        }

        return records;
    }
}
