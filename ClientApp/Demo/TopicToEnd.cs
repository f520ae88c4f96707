using System.Runtime.CompilerServices;
using OrleansStreams.Clients;
using OrleansStreams.Errors;
using OrleansStreams.Log;
using OrleansStreams.Records;

namespace OrleansStreams.ClientApp.Demo;

/// <summary>Reads a topic from its beginning to where it ends now.</summary>
internal static class TopicToEnd
{
    public static async IAsyncEnumerable<T> ReadAsync<T>(
        StreamsClient client, string topic, int partitions, IDeserializer<T> deserializer, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        for (var number = 0; number < partitions; number++)
        {
            var partition = new TopicPartition(topic, number);
            var end = (await client.Admin.GetOffsetsAsync(partition, cancellationToken)).HighWatermark;
            await using var consumer = client.CreateConsumer(Serdes.Memory, Serdes.Memory, new ConsumerOptions { AutoOffsetReset = AutoOffsetReset.Error });
            consumer.Assign((partition, StartPosition.Earliest));
            if (end == 0)
            {
                continue;
            }

            await foreach (var batches in consumer.ConsumeBatchesAsync(cancellationToken))
            {
                foreach (var value in Values(batches, deserializer))
                {
                    yield return value;
                }

                if (batches.NextOffset >= end)
                {
                    break;
                }
            }
        }
    }

    private static List<T> Values<T>(ConsumedBatches batches, IDeserializer<T> deserializer)
    {
        var values = new List<T>();
        foreach (var batch in batches.Split())
        {
            if (RecordBatch.Validate(batch.Span, out var header) != StreamsErrorCode.None)
            {
                throw new StreamsException(StreamsErrorCode.CorruptBatch, $"a batch of {batches.Partition} at offset {header.BaseOffset} fails its checks");
            }

            if (header.IsControl)
            {
                continue;
            }

            var reader = new RecordBatchReader(batch);
            while (reader.TryRead(out var record))
            {
                values.Add(deserializer.Deserialize(record.Value));
            }
        }

        return values;
    }
}
