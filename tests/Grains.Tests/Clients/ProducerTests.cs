using Orleans;
using OrleansStreams.Errors;
using System.Globalization;
using OrleansStreams.Clients;
using OrleansStreams.Log;
using OrleansStreams.Records;

namespace OrleansStreams.Tests.Clients;

public sealed class ProducerTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    [InlineData(5)]
    [InlineData(6)]
    public async Task Over_a_lossy_way_an_idempotent_producers_records_stand_in_the_log_once_and_in_order(int seed)
    {
        var cluster = new UnreliableCluster(seed, partitions: 3, faults: 0.3);
        var client = ClientOf(cluster, seed);
        const int Records = 2_000;
        var deliveries = new List<PendingDelivery>();
        await using (var producer = client.CreateProducer(Serdes.Int32, Serdes.Int32, new ProducerOptions { BatchBytes = 512, LingerMs = 0 }))
        {
            for (var record = 0; record < Records; record++)
            {
                deliveries.Add(await producer.EnqueueAsync(new ProducerRecord<int, int>("t", record % 17, record)));
            }
        }

        var logged = await ReadAllAsync(cluster, partitions: 3);
        logged.Select(record => record.Value).Order().ShouldBe(Enumerable.Range(0, Records));
        foreach (var partition in logged.GroupBy(record => record.Partition))
        {
            partition.Select(record => record.Value).ShouldBeInOrder();
        }

        for (var record = 0; record < Records; record += 97)
        {
            var metadata = await deliveries[record].AsTask();
            logged.Single(logged => logged.Value == record).ShouldBe((metadata.Partition.Partition, metadata.Offset, record));
        }
    }

    [Fact]
    public async Task Without_idempotence_lost_answers_repeat_records_but_lose_none_and_keep_their_order()
    {
        var cluster = new UnreliableCluster(7, partitions: 1, faults: 0.3);
        await using (var producer = ClientOf(cluster, 7).CreateProducer(Serdes.Int32, Serdes.Int32, new ProducerOptions { BatchBytes = 512, LingerMs = 0, EnableIdempotence = false }))
        {
            for (var record = 0; record < 1_000; record++)
            {
                await producer.EnqueueAsync(new ProducerRecord<int, int>("t", 0, record));
            }
        }

        var values = (await ReadAllAsync(cluster, partitions: 1)).Select(record => record.Value).ToList();
        values.Distinct().ShouldBe(Enumerable.Range(0, 1_000));
        values.Count.ShouldBeGreaterThan(1_000);
    }

    [Fact]
    public async Task After_a_refused_batch_those_behind_it_are_delivered_without_a_gap()
    {
        var cluster = new UnreliableCluster(8, partitions: 1, faults: 0) { Calm = true };
        var refusals = 0;
        cluster.Refuse = () => ++refusals == 2 ? new StreamsException(StreamsErrorCode.InvalidTimestamp, "planted", WriteOutcome.NotWritten) : null;
        await using var producer = ClientOf(cluster, 8).CreateProducer(Serdes.Int32, Serdes.Int32, new ProducerOptions { BatchBytes = 256, LingerMs = 0 });
        var deliveries = new List<PendingDelivery>();
        for (var record = 0; record < 200; record++)
        {
            deliveries.Add(await producer.EnqueueAsync(new ProducerRecord<int, int>("t", 0, record)));
        }

        var failure = await Should.ThrowAsync<StreamsException>(() => producer.FlushAsync());
        failure.Code.ShouldBe(StreamsErrorCode.InvalidTimestamp);

        var delivered = new List<int>();
        for (var record = 0; record < deliveries.Count; record++)
        {
            try
            {
                await deliveries[record].AsTask().WaitAsync(Patience);
                delivered.Add(record);
            }
            catch (StreamsException error) when (error.Code == StreamsErrorCode.InvalidTimestamp)
            {
                // The refused batch.
            }
        }

        delivered.Count.ShouldBeInRange(1, 199);
        (await ReadAllAsync(cluster, partitions: 1)).Select(record => record.Value).ShouldBe(delivered);
    }

    [Fact]
    public async Task Batches_whose_fate_is_unknown_when_time_is_over_are_reported_so_and_never_written_twice()
    {
        var cluster = new UnreliableCluster(13, partitions: 1, faults: 0) { Calm = true };
        await using var producer = ClientOf(cluster, 13).CreateProducer(Serdes.Int32, Serdes.Int32, new ProducerOptions { BatchBytes = 256, LingerMs = 0, DeliveryTimeoutMs = 300 });
        await producer.ProduceAsync(new ProducerRecord<int, int>("t", 0, -1));
        cluster.LoseAnswers = true;
        var lost = new List<PendingDelivery>();
        for (var record = 0; record < 40; record++)
        {
            lost.Add(await producer.EnqueueAsync(new ProducerRecord<int, int>("t", 0, record)));
        }

        var failure = await Should.ThrowAsync<StreamsException>(() => lost[0].AsTask().WaitAsync(Patience));
        failure.Outcome.ShouldBe(WriteOutcome.Unknown);
        cluster.LoseAnswers = false;
        await producer.ProduceAsync(new ProducerRecord<int, int>("t", 0, 1_000)).AsTask().WaitAsync(Patience);

        var values = (await ReadAllAsync(cluster, partitions: 1)).Select(record => record.Value).ToList();
        values.ShouldBeUnique();
        values.ShouldContain(1_000);
        for (var record = 0; record < lost.Count; record++)
        {
            try
            {
                await lost[record].AsTask();
                values.ShouldContain(record);
            }
            catch (StreamsException error)
            {
                error.Outcome.ShouldBe(WriteOutcome.Unknown);
            }
        }
    }

    [Fact]
    public async Task A_full_buffer_makes_the_caller_wait_and_then_says_so()
    {
        var cluster = new UnreliableCluster(9, partitions: 1, faults: 0) { Calm = true };
        var blocked = true;
        cluster.Refuse = () => blocked ? new StreamsException(StreamsErrorCode.PartitionBusy, "planted", WriteOutcome.NotWritten) : null;
        var options = new ProducerOptions { BatchBytes = 256, MaxBufferedBytes = 512, MaxBlockMs = 50, LingerMs = 0 };
        await using var producer = ClientOf(cluster, 9).CreateProducer(Serdes.Int32, Serdes.Bytes, options);
        var accepted = 0;

        var refused = await Should.ThrowAsync<StreamsException>(async () =>
        {
            for (; accepted < 100; accepted++)
            {
                await producer.EnqueueAsync(new ProducerRecord<int, byte[]>("t", 0, new byte[100]));
            }
        });

        refused.Code.ShouldBe(StreamsErrorCode.BufferExhausted);
        accepted.ShouldBeInRange(1, 5);
        blocked = false;
        await producer.FlushAsync().WaitAsync(Patience);
        (await ReadAllAsync(cluster, partitions: 1, value: _ => 0)).Count.ShouldBe(accepted);
    }

    [Fact]
    public async Task Keys_go_where_Kafkas_default_partitioner_sends_them_and_an_explicit_partition_wins()
    {
        var cluster = new UnreliableCluster(10, partitions: 7, faults: 0) { Calm = true };
        await using var producer = ClientOf(cluster, 10).CreateProducer(Serdes.Utf8, Serdes.Int32);

        foreach (var key in (string[])["DTW", "ORD", "21", "foobar"])
        {
            var metadata = await producer.ProduceAsync(new ProducerRecord<string, int>("t", key, 1));
            metadata.Partition.Partition.ShouldBe(KeyHash.PartitionFor(System.Text.Encoding.UTF8.GetBytes(key), 7));
        }

        (await producer.ProduceAsync(new ProducerRecord<string, int>("t", "DTW", 1) { Partition = 6 })).Partition.Partition.ShouldBe(6);
    }

    [Fact]
    public async Task Mistakes_are_typed_errors_and_nothing_is_written()
    {
        var cluster = new UnreliableCluster(11, partitions: 2, faults: 0) { Calm = true };
        var client = ClientOf(cluster, 11);
        await using var producer = client.CreateProducer(Serdes.Int32, Serdes.Bytes);

        (await CodeOfAsync(() => producer.ProduceAsync(new ProducerRecord<int, byte[]>("missing", 1, [])))).ShouldBe(StreamsErrorCode.UnknownTopicOrPartition);
        (await CodeOfAsync(() => producer.ProduceAsync(new ProducerRecord<int, byte[]>("t", 1, []) { Partition = 2 }))).ShouldBe(StreamsErrorCode.UnknownTopicOrPartition);
        (await CodeOfAsync(() => producer.ProduceAsync(new ProducerRecord<int, byte[]>("t", 1, []) { Partition = -1 }))).ShouldBe(StreamsErrorCode.UnknownTopicOrPartition);
        (await CodeOfAsync(() => producer.ProduceAsync(new ProducerRecord<int, byte[]>("t", 1, new byte[2_000_000])))).ShouldBe(StreamsErrorCode.RecordTooLarge);
        Should.Throw<StreamsException>(() => client.CreateProducer(Serdes.Int32, Serdes.Bytes, new ProducerOptions { MaxInFlightPerPartition = 6 })).Code.ShouldBe(StreamsErrorCode.InvalidConfig);
        (await ReadAllAsync(cluster, partitions: 2, value: _ => 0)).ShouldBeEmpty();

        await producer.DisposeAsync();
        (await CodeOfAsync(() => producer.ProduceAsync(new ProducerRecord<int, byte[]>("t", 1, [])))).ShouldBe(StreamsErrorCode.Closed);
    }

    [Fact]
    public async Task Without_acks_the_offset_is_not_known_and_the_record_arrives_all_the_same_on_a_calm_way()
    {
        var cluster = new UnreliableCluster(12, partitions: 1, faults: 0) { Calm = true };
        await using var producer = ClientOf(cluster, 12).CreateProducer(Serdes.Int32, Serdes.Int32, new ProducerOptions { Acks = Acks.None });

        (await producer.ProduceAsync(new ProducerRecord<int, int>("t", 1, 42))).Offset.ShouldBe(-1);
        await producer.FlushAsync();

        (await ReadAllAsync(cluster, partitions: 1)).Single().Value.ShouldBe(42);
    }

    [Fact]
    public async Task A_batch_that_is_not_full_is_sent_when_it_has_lingered_and_not_before()
    {
        var cluster = new UnreliableCluster(14, partitions: 1, faults: 0) { Calm = true };
        var time = new ManualTime();
        await using var producer = new StreamsClient(cluster.Grains, time, new Random(14)).CreateProducer(Serdes.Int32, Serdes.Int32, new ProducerOptions { LingerMs = 1 });
        var first = (await producer.EnqueueAsync(new ProducerRecord<int, int>("t", 0, 1))).AsTask();
        time.Advance(TimeSpan.FromMilliseconds(0.6));
        var second = (await producer.EnqueueAsync(new ProducerRecord<int, int>("t", 0, 2))).AsTask();
        first.IsCompleted.ShouldBeFalse();
        time.Advance(TimeSpan.FromMilliseconds(0.4));
        (await first.WaitAsync(Patience)).Offset.ShouldBe(0);
        (await second.WaitAsync(Patience)).Offset.ShouldBe(1);
    }

    [Fact]
    public async Task Many_partitions_that_each_get_a_record_now_and_then_do_not_hold_the_caller()
    {
        var cluster = new UnreliableCluster(15, partitions: 16, faults: 0) { Calm = true };
        var time = new ManualTime();
        await using var producer = new StreamsClient(cluster.Grains, time, new Random(15)).CreateProducer(Serdes.Int32, Serdes.Int32, new ProducerOptions { LingerMs = 1 });
        var known = (await producer.EnqueueAsync(new ProducerRecord<int, int>("t", 0, 0))).AsTask();
        time.Advance(TimeSpan.FromMilliseconds(1));
        await known.WaitAsync(Patience);
        time.Advance(TimeSpan.FromMilliseconds(0.5));

        // The clock stands still: whoever waits on the caller's thread for the rest of a millisecond never comes back.
        for (var record = 0; record < 1_000; record++)
        {
            producer.EnqueueAsync(new ProducerRecord<int, int>("t", record, record)).AsTask().IsCompleted.ShouldBeTrue();
        }

        time.Advance(TimeSpan.FromMilliseconds(1));
        await producer.FlushAsync().WaitAsync(Patience);
        (await ReadAllAsync(cluster, partitions: 16)).Count.ShouldBe(1_001);
    }

    [Fact]
    public async Task A_record_that_cannot_be_written_leaves_the_buffer_as_it_was()
    {
        var cluster = new UnreliableCluster(16, partitions: 1, faults: 0) { Calm = true };
        await using var producer = ClientOf(cluster, 16).CreateProducer(Serdes.Int32, Serdes.Utf8, new ProducerOptions { BatchBytes = 256, MaxBufferedBytes = 512, MaxBlockMs = 0 });
        await producer.ProduceAsync(new ProducerRecord<int, string>("t", 0, "first"));
        for (var record = 0; record < 100; record++)
        {
            (await CodeOfAsync(() => producer.ProduceAsync(new ProducerRecord<int, string>("t", 0, "half of a pair: \ud800")))).ShouldBe(StreamsErrorCode.SerializationFailed);
            (await CodeOfAsync(() => producer.ProduceAsync(new ProducerRecord<int, string>("t", 0, "") { Partition = 7 }))).ShouldBe(StreamsErrorCode.UnknownTopicOrPartition);
        }

        (await producer.ProduceAsync(new ProducerRecord<int, string>("t", 0, "last"))).Offset.ShouldBe(1);
    }

    private static StreamsClient ClientOf(UnreliableCluster cluster, int seed) => new(cluster.Grains, TimeProvider.System, new Random(seed));

    private static async Task<StreamsErrorCode> CodeOfAsync(Func<ValueTask<RecordMetadata>> call) =>
        (await Should.ThrowAsync<StreamsException>(async () => await call())).Code;

    private static async Task<List<(int Partition, long Offset, int Value)>> ReadAllAsync(UnreliableCluster cluster, int partitions, Func<ReadOnlyMemory<byte>, int>? value = null)
    {
        cluster.Calm = true;
        var records = new List<(int, long, int)>();
        for (var partition = 0; partition < partitions; partition++)
        {
            var grain = cluster.Grains.GetGrain<IPartitionGrain>(string.Create(CultureInfo.InvariantCulture, $"t/{partition}"));
            for (long offset = 0; offset < (await grain.GetOffsetsAsync()).HighWatermark;)
            {
                var fetched = await grain.FetchAsync(new FetchRequest(offset, 1024 * 1024, 1, 0), CancellationToken.None);
                foreach (var batch in new ConsumedBatches(new TopicPartition("t", partition), fetched.Batches, offset, fetched.NextOffset).Split())
                {
                    Decode(batch, partition, value ?? (data => Serdes.Int32.Deserialize(data.Span)), records);
                }

                offset = fetched.NextOffset;
            }
        }

        return records;
    }

    private static void Decode(ReadOnlyMemory<byte> batch, int partition, Func<ReadOnlyMemory<byte>, int> value, List<(int, long, int)> records)
    {
        var reader = new RecordBatchReader(batch);
        while (reader.TryRead(out var record))
        {
            records.Add((partition, record.Offset, value(record.ValueMemory)));
        }
    }
}
