using OrleansStreams.Clients;
using OrleansStreams.Errors;
using OrleansStreams.Log;
using OrleansStreams.Records;

namespace OrleansStreams.Tests.Clients;

/// <summary>The loop over records: what it costs, how it ends, how far ahead it reads.</summary>
public sealed class RecordStreamTests
{
    private static readonly TopicPartition T0 = new("t", 0);
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    [Fact]
    public async Task Going_to_a_record_that_is_there_completes_at_once_and_allocates_nothing()
    {
        var cluster = await FilledAsync(20_000, batchBytes: 100_000);
        await using var consumer = Assigned(cluster);
        await using var records = consumer.ConsumeAsync().GetAsyncEnumerator();
        long allocated = 0;
        var atOnce = 0;
        for (var read = 0; read < 20_000; read++)
        {
            var before = GC.GetAllocatedBytesForCurrentThread();
            var next = records.MoveNextAsync();
            if (next.IsCompletedSuccessfully)
            {
                atOnce++;
                allocated += GC.GetAllocatedBytesForCurrentThread() - before;
            }

            (await next).ShouldBeTrue();

            if (records.Current.Value != read)
            {
                throw new InvalidOperationException($"{records.Current.Value} came at {read}");
            }
        }

        atOnce.ShouldBeGreaterThan(19_900);
        ((double)allocated / atOnce).ShouldBeLessThan(5);
    }

    [Fact]
    public async Task While_the_application_works_on_one_answer_the_next_is_read_and_no_more()
    {
        var cluster = await FilledAsync(2_000, batchBytes: 512);
        await using var consumer = Assigned(cluster, new ConsumerOptions { MaxPartitionFetchBytes = 1_000 });
        await using var records = consumer.ConsumeAsync().GetAsyncEnumerator();
        (await records.MoveNextAsync()).ShouldBeTrue();
        using var patience = new CancellationTokenSource(Patience);
        while (cluster.Fetches < 2)
        {
            patience.Token.ThrowIfCancellationRequested();
            await Task.Yield();
        }

        for (var turn = 0; turn < 1_000; turn++)
        {
            await Task.Yield();
        }

        cluster.Fetches.ShouldBe(2);
        for (var read = 1; read < 2_000; read++)
        {
            (await records.MoveNextAsync()).ShouldBeTrue();
            records.Current.Value.ShouldBe(read);
        }

        cluster.Fetches.ShouldBeGreaterThan(10);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Either_of_two_tokens_ends_the_loop_and_the_consumer_can_be_read_again(bool first)
    {
        var cluster = await FilledAsync(10, batchBytes: 512);
        await using var consumer = Assigned(cluster);
        using var one = new CancellationTokenSource();
        using var other = new CancellationTokenSource();
        await Should.ThrowAsync<OperationCanceledException>(async () =>
        {
            await foreach (var record in consumer.ConsumeAsync(one.Token).WithCancellation(other.Token))
            {
                if (record.Value == 9)
                {
                    await (first ? one : other).CancelAsync();
                }
            }
        });

        // Asking for the next record said that the last one was finished.
        consumer.PositionOf(T0).ShouldBe(10);
        consumer.Seek(T0, 3);
        (await Collect.FirstAsync(consumer, 1))[0].Value.ShouldBe(3);
    }

    [Fact]
    public async Task Two_loops_at_a_time_are_refused_and_an_ended_loop_stays_ended()
    {
        var cluster = await FilledAsync(10, batchBytes: 512);
        await using var consumer = Assigned(cluster);
        var loop = consumer.ConsumeAsync().GetAsyncEnumerator();
        (await loop.MoveNextAsync()).ShouldBeTrue();
        await using var second = consumer.ConsumeAsync().GetAsyncEnumerator();
        (await Should.ThrowAsync<StreamsException>(async () => await second.MoveNextAsync())).Code.ShouldBe(StreamsErrorCode.InvalidRequest);
        (await loop.MoveNextAsync()).ShouldBeTrue();
        await loop.DisposeAsync();
        (await loop.MoveNextAsync()).ShouldBeFalse();
        (await Collect.FirstAsync(consumer, 1))[0].Value.ShouldBe(1);
    }

    [Fact]
    public async Task Seeking_in_the_loop_drops_the_rest_of_the_block()
    {
        var cluster = await FilledAsync(1_000, batchBytes: 100_000);
        await using var consumer = Assigned(cluster);
        var values = new List<int>();
        await Collect.FirstAsync(consumer, 4, record =>
        {
            values.Add(record.Value);
            if (record.Value == 1)
            {
                consumer.Seek(T0, 900);
            }
        });
        values.ShouldBe([0, 1, 900, 901]);
    }

    [Fact]
    public async Task Headers_can_be_looked_at_long_after_the_loop_has_gone_on()
    {
        var cluster = new UnreliableCluster(1, partitions: 1, faults: 0) { Calm = true };
        var client = new StreamsClient(cluster.Grains, TimeProvider.System, new Random(1));
        await using (var producer = client.CreateProducer(Serdes.Int32, Serdes.Int32))
        {
            for (var record = 0; record < 500; record++)
            {
                RecordHeader[]? headers = record % 3 == 0 ? [new("n", new[] { (byte)record }), new("null", null)] : null;
                await producer.EnqueueAsync(new ProducerRecord<int, int>("t", 0, record) { Headers = headers });
            }
        }

        await using var consumer = client.CreateConsumer(Serdes.Int32, Serdes.Int32);
        consumer.Assign((T0, StartPosition.Earliest));
        var records = await Collect.FirstAsync(consumer, 500);
        foreach (var record in records)
        {
            record.Headers.Count.ShouldBe(record.Value % 3 == 0 ? 2 : 0);
            if (record.Headers.Count > 0)
            {
                record.Headers[0].Value!.Value.Span[0].ShouldBe((byte)record.Value);
                record.Headers.Select(header => header.Key).ShouldBe(["n", "null"]);
                record.Headers[1].Value.ShouldBeNull();
            }
        }
    }

    private static Consumer<int, int> Assigned(UnreliableCluster cluster, ConsumerOptions? options = null)
    {
        var consumer = new StreamsClient(cluster.Grains, TimeProvider.System, new Random(2)).CreateConsumer(Serdes.Int32, Serdes.Int32, options);
        consumer.Assign((T0, StartPosition.Earliest));
        return consumer;
    }

    private static async Task<UnreliableCluster> FilledAsync(int records, int batchBytes)
    {
        var cluster = new UnreliableCluster(1, partitions: 1, faults: 0) { Calm = true };
        await using var producer = new StreamsClient(cluster.Grains, TimeProvider.System, new Random(1)).CreateProducer(Serdes.Int32, Serdes.Int32, new ProducerOptions { BatchBytes = batchBytes });
        for (var record = 0; record < records; record++)
        {
            await producer.EnqueueAsync(new ProducerRecord<int, int>("t", 0, record));
        }

        return cluster;
    }
}
