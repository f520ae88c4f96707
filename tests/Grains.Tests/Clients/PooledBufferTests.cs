using OrleansStreams.Clients;
using OrleansStreams.Errors;
using OrleansStreams.Log;
using OrleansStreams.Records;

namespace OrleansStreams.Tests.Clients;

/// <summary>A batch is sent from a pooled buffer: what somebody may still read is never written over.</summary>
public sealed class PooledBufferTests
{
    [Theory]
    [InlineData(21)]
    [InlineData(22)]
    [InlineData(23)]
    public async Task The_bytes_of_a_call_without_an_answer_never_change_afterwards(int seed)
    {
        var cluster = new UnreliableCluster(seed, partitions: 2, faults: 0.4);
        var kept = new List<(ReadOnlyMemory<byte> Memory, byte[] Then)>();
        cluster.Unanswered = memory =>
        {
            lock (kept)
            {
                kept.Add((memory, memory.ToArray()));
            }
        };
        await using (var producer = new StreamsClient(cluster, TimeProvider.System, new Random(seed)).CreateProducer(Serdes.Int32, Serdes.Bytes, new ProducerOptions { BatchBytes = 1024, LingerMs = 0 }))
        {
            for (var record = 0; record < 2_000; record++)
            {
                var value = new byte[50];
                Array.Fill(value, (byte)record);
                await producer.EnqueueAsync(new ProducerRecord<int, byte[]>("t", record, value));
                if (record % 100 == 99)
                {
                    // The batches after this one get the buffers of those before it.
                    await producer.FlushAsync();
                }
            }
        }

        kept.Count.ShouldBeGreaterThan(20);
        kept.Count(call => !call.Memory.Span.SequenceEqual(call.Then)).ShouldBe(0);
    }

    [Fact]
    public async Task Records_that_were_read_stay_as_they_are_while_many_others_are_written()
    {
        await using var cluster = new ClusterFixture();
        await cluster.Client.Admin.CreateTopicAsync("t", 1);
        await using var producer = cluster.Client.CreateProducer(Serdes.Int32, Serdes.Bytes, new ProducerOptions { BatchBytes = 1024 });
        await ProduceAsync(producer, 0, 500);
        await using var consumer = cluster.Client.CreateConsumer(Serdes.Int32, Serdes.Bytes);
        consumer.Assign((new TopicPartition("t", 0), StartPosition.Earliest));
        var kept = new List<ConsumedBatches>();
        await foreach (var batches in consumer.ConsumeBatchesAsync())
        {
            kept.Add(batches);
            if (batches.NextOffset == 500)
            {
                break;
            }
        }

        await ProduceAsync(producer, 500, 5_000);
        var next = 0;
        foreach (var batches in kept)
        {
            foreach (var record in batches.Records)
            {
                record.Offset.ShouldBe(next);
                Serdes.Int32.Deserialize(record.Key).ShouldBe(next);
                record.Value.ContainsAnyExcept((byte)next).ShouldBeFalse();
                next++;
            }
        }

        next.ShouldBe(500);
    }

    [Theory]
    [InlineData(CompressionType.None)]
    [InlineData(CompressionType.Gzip)]
    [InlineData(CompressionType.Snappy)]
    public void A_batch_built_in_place_equals_one_built_apart_and_the_builder_serves_again(CompressionType compression)
    {
        var inPlace = new RecordBatchBuilder(compression, 64);
        for (var round = 0; round < 3; round++)
        {
            var apart = new RecordBatchBuilder(compression);
            for (var record = 0; record < 100; record++)
            {
                inPlace.Append(record, [(byte)record], false, new byte[record], false);
                apart.Append(record, [(byte)record], false, new byte[record], false);
            }

            inPlace.BuildInPlace(5, 6, 7).ToArray().ShouldBe(apart.Build(5, 6, 7));
            inPlace.ReturnBuffer();
            inPlace.Count.ShouldBe(0);
        }

        Should.Throw<StreamsException>(() => inPlace.Build()).Code.ShouldBe(StreamsErrorCode.InvalidRequest);
    }

    private static async Task ProduceAsync(Producer<int, byte[]> producer, int from, int to)
    {
        for (var record = from; record < to; record++)
        {
            var value = new byte[50];
            Array.Fill(value, (byte)record);
            await producer.EnqueueAsync(new ProducerRecord<int, byte[]>("t", record, value));
        }

        await producer.FlushAsync();
    }
}
