using OrleansStreams.Clients;
using OrleansStreams.Errors;
using OrleansStreams.Log;
using OrleansStreams.Records;

namespace OrleansStreams.Tests.Clients;

/// <summary>The producer against real topic and partition grains.</summary>
public sealed class ClusterProducerTests : IAsyncLifetime
{
    private ClusterFixture _cluster = null!;

    public async Task InitializeAsync() => _cluster = await ClusterFixture.StartAsync();

    public Task DisposeAsync() => _cluster.DisposeAsync().AsTask();

    [Fact]
    public async Task A_record_arrives_with_key_value_timestamp_and_headers()
    {
        await _cluster.Client.Admin.CreateTopicAsync("t", 1);
        await using var producer = _cluster.Client.CreateProducer(Serdes.Utf8, Serdes.Utf8);
        var headers = new RecordHeader[] { new("h", "v"u8.ToArray()), new("null", null) };
        var metadata = await producer.ProduceAsync(new ProducerRecord<string, string>("t", "k", "v") { Timestamp = 77, Headers = headers });
        metadata.ShouldBe(new RecordMetadata(new TopicPartition("t", 0), 0, 77));
        (await producer.ProduceAsync(new ProducerRecord<string, string>("t", null, null))).Offset.ShouldBe(1);

        await using var consumer = _cluster.Client.CreateConsumer(Serdes.Utf8, Serdes.Utf8);
        consumer.Assign((new TopicPartition("t", 0), StartPosition.Earliest));
        var records = await Collect.FirstAsync(consumer, 2);
        (records[0].Key, records[0].Value, records[0].Timestamp).ShouldBe(("k", "v", 77));
        records[0].Headers.Select(header => header.Key).ShouldBe(["h", "null"]);
        records[0].Headers[1].Value.ShouldBeNull();
        (records[1].Key, records[1].Value).ShouldBe((null, null));
    }

    [Theory]
    [InlineData(CompressionType.Gzip)]
    [InlineData(CompressionType.Snappy)]
    public async Task Compressed_records_arrive(CompressionType compression)
    {
        await _cluster.Client.Admin.CreateTopicAsync("t", 1);
        await using (var producer = _cluster.Client.CreateProducer(Serdes.Int32, Serdes.Utf8, new ProducerOptions { Compression = compression }))
        {
            for (var record = 0; record < 1000; record++)
            {
                await producer.EnqueueAsync(new ProducerRecord<int, string>("t", record, $"the same text over and over, number {record}"));
            }
        }

        (await _cluster.Client.Admin.GetOffsetsAsync(new TopicPartition("t", 0))).SizeBytes.ShouldBeLessThan(20_000);
        await using var consumer = _cluster.Client.CreateConsumer(Serdes.Int32, Serdes.Utf8);
        consumer.Assign((new TopicPartition("t", 0), StartPosition.Earliest));
        (await Collect.FirstAsync(consumer, 1000)).Select(record => record.Key).ShouldBe(Enumerable.Range(0, 1000));
    }

    [Fact]
    public async Task A_topic_with_log_append_time_answers_the_partitions_clock()
    {
        await _cluster.Client.Admin.CreateTopicAsync("t", 1, new TopicConfig { MessageTimestampType = TimestampType.LogAppendTime });
        await using var producer = _cluster.Client.CreateProducer(Serdes.Utf8, Serdes.Utf8);
        (await producer.ProduceAsync(new ProducerRecord<string, string>("t", "k", "v") { Timestamp = 77 })).Timestamp.ShouldBeGreaterThan(1_700_000_000_000);
    }

    [Fact]
    public async Task Batches_are_no_larger_than_the_topic_takes_and_a_record_that_is_alone_too_large_is_refused_alone()
    {
        await _cluster.Client.Admin.CreateTopicAsync("t", 1, new TopicConfig { MaxMessageBytes = 1000 });
        await using var producer = _cluster.Client.CreateProducer(Serdes.Int32, Serdes.Bytes, new ProducerOptions { BatchBytes = 100_000 });
        var deliveries = new List<PendingDelivery>();
        for (var record = 0; record < 100; record++)
        {
            deliveries.Add(await producer.EnqueueAsync(new ProducerRecord<int, byte[]>("t", record, new byte[record == 50 ? 2000 : 100])));
        }

        var failure = await Should.ThrowAsync<StreamsException>(() => deliveries[50].AsTask());
        failure.Code.ShouldBe(StreamsErrorCode.RecordTooLarge);
        failure.Outcome.ShouldBe(WriteOutcome.NotWritten);
        deliveries.RemoveAt(50);
        var offsets = await Task.WhenAll(deliveries.Select(async delivery => (await delivery).Offset));
        offsets.ShouldBe(Enumerable.Range(0, 99).Select(offset => (long)offset));
    }

    [Fact]
    public async Task Partitions_that_are_added_are_used_before_long()
    {
        await _cluster.Client.Admin.CreateTopicAsync("t", 1);
        await using var producer = _cluster.Client.CreateProducer(Serdes.Int32, Serdes.Int32, new ProducerOptions { LingerMs = 0, MetadataMaxAgeMs = 1 });
        await producer.ProduceAsync(new ProducerRecord<int, int>("t", 0, 0));
        await _cluster.Client.Admin.IncreasePartitionsAsync("t", 2);
        var deadline = DateTime.UtcNow + TimeSpan.FromSeconds(20);
        var key = 0;
        while ((await producer.ProduceAsync(new ProducerRecord<int, int>("t", key++, 0))).Partition.Partition == 0)
        {
            DateTime.UtcNow.ShouldBeLessThan(deadline, "the second partition was never used");
        }
    }

    [Fact]
    public async Task A_topic_that_is_created_again_takes_records_of_the_same_producer()
    {
        await _cluster.Client.Admin.CreateTopicAsync("t", 1);
        await using var producer = _cluster.Client.CreateProducer(Serdes.Int32, Serdes.Int32, new ProducerOptions { LingerMs = 0 });
        await producer.ProduceAsync(new ProducerRecord<int, int>("t", 0, 0));
        await producer.ProduceAsync(new ProducerRecord<int, int>("t", 0, 1));
        await _cluster.Client.Admin.DeleteTopicAsync("t");
        (await Should.ThrowAsync<StreamsException>(async () => await producer.ProduceAsync(new ProducerRecord<int, int>("t", 0, 2)))).Code.ShouldBe(StreamsErrorCode.UnknownTopicOrPartition);
        await _cluster.Client.Admin.CreateTopicAsync("t", 1);
        (await producer.ProduceAsync(new ProducerRecord<int, int>("t", 0, 3))).Offset.ShouldBe(0);
    }

    [Fact]
    public async Task Many_callers_at_once_lose_nothing()
    {
        await _cluster.Client.Admin.CreateTopicAsync("t", 4);
        await using var producer = _cluster.Client.CreateProducer(Serdes.Int32, Serdes.Int32, new ProducerOptions { MaxBufferedBytes = 200_000 });
        await Task.WhenAll(Enumerable.Range(0, 8).Select(caller => Task.Run(async () =>
        {
            for (var record = 0; record < 5000; record++)
            {
                await producer.EnqueueAsync(new ProducerRecord<int, int>("t", caller, (caller * 5000) + record));
            }
        })));
        await producer.FlushAsync();

        await using var consumer = _cluster.Client.CreateConsumer(Serdes.Int32, Serdes.Int32);
        consumer.Assign([.. Enumerable.Range(0, 4).Select(partition => (new TopicPartition("t", partition), StartPosition.Earliest))]);
        var records = await Collect.FirstAsync(consumer, 40_000);
        records.Select(record => record.Value).Order().ShouldBe(Enumerable.Range(0, 40_000));
        foreach (var caller in records.GroupBy(record => record.Key))
        {
            caller.Select(record => record.Value).ShouldBeInOrder();
        }
    }
}
