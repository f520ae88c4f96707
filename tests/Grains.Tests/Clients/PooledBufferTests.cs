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
        var kept = Keep(cluster);
        await using (var producer = CreateProducer(cluster, seed, new ProducerOptions()))
        {
            await ProduceInRoundsAsync(producer, () => producer.FlushAsync());
        }

        ShouldBeUnchanged(kept);
    }

    [Fact]
    public async Task The_bytes_of_a_batch_that_was_given_up_never_change_afterwards()
    {
        var cluster = new UnreliableCluster(24, partitions: 2, faults: 0) { LoseAnswers = true };
        var kept = Keep(cluster);
        var gaveUp = 0;
        await using (var producer = CreateProducer(cluster, 24, new ProducerOptions { DeliveryTimeoutMs = 1 }))
        {
            await ProduceInRoundsAsync(producer, FlushAsync);

            // What was given up since is told by the next flush.
            cluster.LoseAnswers = false;
            await FlushAsync();

            async Task FlushAsync()
            {
                try
                {
                    await producer.FlushAsync();
                }
                catch (StreamsException error) when (error.Code == StreamsErrorCode.RequestTimedOut)
                {
                    gaveUp++;
                }
            }
        }

        gaveUp.ShouldBeGreaterThan(10);
        ShouldBeUnchanged(kept);
    }

    [Fact]
    public async Task The_bytes_of_a_batch_that_nobody_acknowledges_never_change_afterwards()
    {
        var cluster = new UnreliableCluster(25, partitions: 2, faults: 0) { Calm = true };
        var kept = Keep(cluster);
        await using (var producer = CreateProducer(cluster, 25, new ProducerOptions { Acks = Acks.None, EnableIdempotence = false }))
        {
            await ProduceInRoundsAsync(producer, () => producer.FlushAsync());
        }

        ShouldBeUnchanged(kept);
    }

    [Fact]
    public async Task Records_that_were_read_stay_as_they_are_while_many_others_are_written()
    {
        await using var cluster = await ClusterFixture.StartAsync();
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

    private static List<(ReadOnlyMemory<byte> Memory, byte[] Then)> Keep(UnreliableCluster cluster)
    {
        var kept = new List<(ReadOnlyMemory<byte> Memory, byte[] Then)>();
        cluster.Unanswered = memory =>
        {
            lock (kept)
            {
                kept.Add((memory, memory.ToArray()));
            }
        };
        return kept;
    }

    private static void ShouldBeUnchanged(List<(ReadOnlyMemory<byte> Memory, byte[] Then)> kept)
    {
        kept.Count.ShouldBeGreaterThan(20);
        kept.Count(call => !call.Memory.Span.SequenceEqual(call.Then)).ShouldBe(0);
    }

    private static Producer<int, byte[]> CreateProducer(UnreliableCluster cluster, int seed, ProducerOptions options) =>
        new StreamsClient(cluster.Grains, TimeProvider.System, new Random(seed)).CreateProducer(Serdes.Int32, Serdes.Bytes, options with { BatchBytes = 1024, LingerMs = 0 });

    /// <summary>The batches of a round get the buffers of those before it.</summary>
    private static async Task ProduceInRoundsAsync(Producer<int, byte[]> producer, Func<Task> flush)
    {
        for (var round = 0; round < 20; round++)
        {
            for (var record = 0; record < 100; record++)
            {
                var value = new byte[50];
                Array.Fill(value, (byte)(round * 100 + record));
                await producer.EnqueueAsync(new ProducerRecord<int, byte[]>("t", record, value));
            }

            await flush();
        }
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
