using System.Text;
using Microsoft.Extensions.DependencyInjection;
using OrleansStreams.Clients;
using OrleansStreams.Log;
using OrleansStreams.Log.Compaction;
using OrleansStreams.Records;
using OrleansStreams.Storage;

namespace OrleansStreams.Silo.Tests.Limits;

/// <summary>What happens at each limit of topics, partitions and clients.</summary>
public sealed class LimitTests
{
    private static readonly LogId Id = new("topics/limits.1/0");

    private readonly MemoryLogStorage _storage = new();

    [Fact]
    [Limit("max.message.bytes")]
    public async Task A_batch_above_max_message_bytes_is_refused_and_nothing_is_written()
    {
        await using var log = await OpenAsync(new TopicConfig { MaxMessageBytes = 200 });
        await RefusedAsync(log.AppendAsync(Batch(new string('x', 200))), StreamsErrorCode.RecordTooLarge, "max.message.bytes", "200");
        log.Offsets.LogEndOffset.ShouldBe(0);
    }

    [Fact]
    [Limit("segment.bytes")]
    public async Task A_segment_that_is_full_is_followed_by_the_next()
    {
        await using (var log = await OpenAsync(new TopicConfig { SegmentBytes = 1024 }))
        {
            for (var i = 0; i < 10; i++)
            {
                await log.AppendAsync(Batch(new string('x', 400)));
            }

            await log.AppendAsync(Batch(new string('y', 4000)));
        }

        await using var raw = await _storage.OpenAsync(Id, new LogOptions());
        raw.Segments.Count.ShouldBe(6);
        raw.Segments.SkipLast(1).ShouldAllBe(segment => segment.Bytes <= 1024);
    }

    [Fact]
    [Limit("dedup.keys.max")]
    public async Task The_oldest_idempotency_key_is_forgotten_when_there_are_more_than_the_bound()
    {
        await using var log = await OpenAsync(new TopicConfig { DedupWindowMs = 60_000, DedupKeysMax = 2 });
        foreach (var key in new[] { "a", "b", "c" })
        {
            (await log.AppendAsync(Batch("v", [IdempotencyKey.Header(key)]))).IsDuplicate.ShouldBeFalse();
        }

        log.KeyCount.ShouldBe(2);
        (await log.AppendAsync(Batch("v", [IdempotencyKey.Header("b")]))).IsDuplicate.ShouldBeTrue();
        (await log.AppendAsync(Batch("v", [IdempotencyKey.Header("a")]))).IsDuplicate.ShouldBeFalse();
    }

    [Fact]
    [Limit("limits:pending-bytes")]
    public async Task A_partition_with_too_many_unacknowledged_bytes_asks_to_wait_and_drops_nothing()
    {
        var held = new TaskCompletionSource();
        _storage.BeforeWrite = _ => held.Task;
        await using var log = await OpenAsync(TopicConfig.Default, new StreamsOptions { PendingBytesMax = 150 });
        var first = log.AppendAsync(Batch("one request is taken whatever its size"));
        var refused = await RefusedAsync(log.AppendAsync(Batch(new string('x', 100))), StreamsErrorCode.PartitionBusy, "150");
        (refused.IsRetriable, refused.Outcome).ShouldBe((true, WriteOutcome.NotWritten));
        held.SetResult();
        (await first).BaseOffset.ShouldBe(0);
        (await log.AppendAsync(Batch("again"))).BaseOffset.ShouldBe(1);
    }

    [Fact]
    [Limit("limits:request-batches")]
    public async Task A_request_with_too_many_batches_is_refused()
    {
        await using var log = await OpenAsync(TopicConfig.Default, new StreamsOptions { RequestBatchesMax = 2 });
        byte[] three = [.. Batch("a"), .. Batch("b"), .. Batch("c")];
        await RefusedAsync(log.AppendAsync(three), StreamsErrorCode.InvalidRequest, "more than 2");
        log.Offsets.LogEndOffset.ShouldBe(0);
    }

    [Fact]
    [Limit("limits:fetch-bytes")]
    public async Task A_fetch_answers_no_more_than_the_bound_but_one_batch_whole()
    {
        await using var log = await OpenAsync(TopicConfig.Default, new StreamsOptions { FetchBytesMax = 300 });
        for (var i = 0; i < 10; i++)
        {
            await log.AppendAsync(Batch(new string('x', 50)));
        }

        (await log.FetchAsync(new FetchRequest(0, int.MaxValue, 1, 0), default)).NextOffset.ShouldBe(2);
        await log.AppendAsync(Batch(new string('x', 5000)));
        (await log.FetchAsync(new FetchRequest(10, int.MaxValue, 1, 0), default)).NextOffset.ShouldBe(11);
    }

    [Fact]
    [Limit("limits:fetch-wait-ms")]
    public async Task A_fetch_that_would_wait_longer_answers_what_it_has()
    {
        await using var log = await OpenAsync(TopicConfig.Default, new StreamsOptions { FetchWaitMax = TimeSpan.FromMilliseconds(1) });
        var fetched = await log.FetchAsync(new FetchRequest(0, 100, 100, int.MaxValue), default).WaitAsync(TimeSpan.FromSeconds(60));
        fetched.Batches.IsEmpty.ShouldBeTrue();
    }

    [Fact]
    [Limit("limits:topic-partitions")]
    public void A_topic_with_too_many_partitions_is_refused() =>
        Should.Throw<StreamsException>(() => TopicRules.CheckPartitionCount(11, new StreamsOptions { TopicPartitionsMax = 10 }.TopicPartitionsMax))
            .ShouldSatisfyAllConditions(error => error.Code.ShouldBe(StreamsErrorCode.InvalidPartitions), error => error.Message.ShouldContain("1 to 10"));

    [Fact]
    [Limit("limits:producers")]
    public async Task The_producer_that_was_silent_for_longest_is_forgotten()
    {
        await using var log = await OpenAsync(TopicConfig.Default, new StreamsOptions { PartitionProducersMax = 2 });
        for (var producer = 1; producer <= 3; producer++)
        {
            await log.AppendAsync(Sequenced(producer, 0));
        }

        log.ProducerCount.ShouldBe(2);
        (await log.AppendAsync(Sequenced(3, 0))).IsDuplicate.ShouldBeTrue();
        (await log.AppendAsync(Sequenced(1, 0))).IsDuplicate.ShouldBeFalse("it is not known any more");
    }

    [Fact]
    [Limit("limits:compaction-map-bytes")]
    public async Task A_log_with_more_keys_than_the_table_holds_is_compacted_all_the_same()
    {
        var config = new TopicConfig { CleanupPolicy = CleanupPolicy.Compact, SegmentBytes = 1024, MinCleanableDirtyRatio = 0 };
        var options = new StreamsOptions { CompactionMapBytes = 5 * KeyOffsetMap.SlotBytes };
        await using var log = await OpenAsync(config, options);
        for (var i = 0; i < 100; i++)
        {
            await log.AppendAsync(Keyed($"k{i % 25}", $"{i}"));
        }

        await log.AppendAsync(Keyed("last", new string('x', 1100)));
        await log.MaintainAsync(new CompactionSlots(options));
        await log.Compacting;
        (await CountAsync(log)).ShouldBe(26);
    }

    [Fact]
    [Limit("limits:compactions")]
    public void Only_so_many_compactions_run_at_a_time()
    {
        var slots = new CompactionSlots(new StreamsOptions { CompactionsMax = 2 });
        (slots.TryTake(), slots.TryTake(), slots.TryTake()).ShouldBe((true, true, false));
        slots.Release();
        (slots.TryTake(), slots.TryTake()).ShouldBe((true, false));
    }

    [Fact]
    [Limit("ProducerOptions.BatchBytes")]
    public async Task A_batch_that_is_full_is_sent()
    {
        await using var silo = await TestSilo.StartAsync();
        var client = silo.Services.GetRequiredService<StreamsClient>();
        await client.Admin.CreateTopicAsync("t", 1);
        await using (var producer = client.CreateProducer(Serdes.Utf8, Serdes.Utf8, new ProducerOptions { BatchBytes = 256, LingerMs = 60_000 }))
        {
            var first = await producer.EnqueueAsync(new("t", "k", new string('x', 150)));
            for (var i = 0; i < 5; i++)
            {
                await producer.EnqueueAsync(new("t", "k", new string('x', 150)));
            }

            (await first.AsTask().WaitAsync(TimeSpan.FromSeconds(50))).Offset.ShouldBe(0, "nobody waited for the linger");
        }
    }

    [Fact]
    [Limit("ProducerOptions.MaxBufferedBytes")]
    public async Task A_record_for_which_there_is_no_room_in_time_is_refused_and_not_written()
    {
        await using var silo = await TestSilo.StartAsync();
        var client = silo.Services.GetRequiredService<StreamsClient>();
        await client.Admin.CreateTopicAsync("t", 1);
        await using var producer = client.CreateProducer(Serdes.Utf8, Serdes.Utf8, new ProducerOptions { BatchBytes = 256, MaxBufferedBytes = 256, LingerMs = 60_000, MaxBlockMs = 1 });
        var refused = await Should.ThrowAsync<StreamsException>(async () =>
        {
            for (var i = 0; i < 10; i++)
            {
                await producer.EnqueueAsync(new("t", "k", new string('x', 100)));
            }
        });
        (refused.Code, refused.Outcome).ShouldBe((StreamsErrorCode.BufferExhausted, WriteOutcome.NotWritten));
    }

    [Fact]
    [Limit("ProducerOptions.MaxInFlightPerPartition")]
    public async Task With_one_batch_under_way_the_next_waits_and_order_holds()
    {
        await using var silo = await TestSilo.StartAsync();
        var client = silo.Services.GetRequiredService<StreamsClient>();
        await client.Admin.CreateTopicAsync("t", 1);
        await using var producer = client.CreateProducer(Serdes.Utf8, Serdes.Utf8, new ProducerOptions { MaxInFlightPerPartition = 1, BatchBytes = 256 });
        var deliveries = new List<PendingDelivery>();
        for (var i = 0; i < 50; i++)
        {
            deliveries.Add(await producer.EnqueueAsync(new("t", "k", new string('x', 100))));
        }

        for (var i = 0; i < 50; i++)
        {
            (await deliveries[i]).Offset.ShouldBe(i);
        }
    }

    private static byte[] Batch(string value, IReadOnlyList<RecordHeader>? headers = null)
    {
        var builder = new RecordBatchBuilder();
        builder.Append(1000, default, true, Encoding.UTF8.GetBytes(value), false, headers);
        return builder.Build();
    }

    private static byte[] Keyed(string key, string value)
    {
        var builder = new RecordBatchBuilder();
        builder.Append(1000, Encoding.UTF8.GetBytes(key), false, Encoding.UTF8.GetBytes(value), false);
        return builder.Build();
    }

    private static byte[] Sequenced(long producerId, int sequence)
    {
        var builder = new RecordBatchBuilder();
        builder.Append(1000, default, true, default, true);
        return builder.Build(producerId, 0, sequence);
    }

    private static async Task<int> CountAsync(PartitionLog log)
    {
        var count = 0;
        for (var offset = 0L; offset < log.Offsets.HighWatermark;)
        {
            var fetched = await log.FetchAsync(new FetchRequest(offset, 100_000, 1, 0), default);
            for (var rest = fetched.Batches; !rest.IsEmpty; rest = rest[RecordBatchHeader.Read(rest.Span).TotalBytes..])
            {
                count += RecordBatchHeader.Read(rest.Span).RecordCount;
            }

            offset = fetched.NextOffset;
        }

        return count;
    }

    private static async Task<StreamsException> RefusedAsync(Task<ProduceResult> append, StreamsErrorCode code, params string[] parts)
    {
        var refused = await Should.ThrowAsync<StreamsException>(() => append);
        refused.Code.ShouldBe(code);
        parts.ShouldAllBe(part => refused.Message.Contains(part));
        return refused;
    }

    private ValueTask<PartitionLog> OpenAsync(TopicConfig config, StreamsOptions? options = null) =>
        PartitionLog.OpenAsync(_storage, Id, config, options ?? new StreamsOptions(), TimeProvider.System);
}
