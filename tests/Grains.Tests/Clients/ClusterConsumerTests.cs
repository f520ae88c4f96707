using OrleansStreams.Clients;
using OrleansStreams.Errors;
using OrleansStreams.Groups;
using OrleansStreams.Log;
using OrleansStreams.Records;

namespace OrleansStreams.Tests.Clients;

/// <summary>The consumer against real partition and group grains.</summary>
public sealed class ClusterConsumerTests : IAsyncLifetime
{
    private static readonly TopicPartition T0 = new("t", 0);
    private static readonly ConsumerOptions Grouped = new() { GroupId = "g", AutoOffsetReset = AutoOffsetReset.Earliest };

    private ClusterFixture _cluster = null!;

    public async Task InitializeAsync() => _cluster = await ClusterFixture.StartAsync();

    public Task DisposeAsync() => _cluster.DisposeAsync().AsTask();

    [Fact]
    public async Task Records_come_in_order_with_dense_offsets()
    {
        await FillAsync(1, 5000);
        await using var consumer = Assigned(StartPosition.Earliest);
        var records = await Collect.FirstAsync(consumer, 5000);
        records.Select(record => record.Offset).ShouldBe(Enumerable.Range(0, 5000).Select(offset => (long)offset));
        records.Select(record => record.Value).ShouldBe(Enumerable.Range(0, 5000));
    }

    [Fact]
    public async Task Reading_begins_at_an_offset_a_timestamp_or_the_end()
    {
        await FillAsync(1, 100);
        await using (var atOffset = Assigned(StartPosition.AtOffset(42)))
        {
            (await Collect.FirstAsync(atOffset, 1))[0].Value.ShouldBe(42);
        }

        await using (var atTimestamp = Assigned(StartPosition.Timestamp(57)))
        {
            (await Collect.FirstAsync(atTimestamp, 1))[0].Value.ShouldBe(57);
        }

        await using var atEnd = Assigned(StartPosition.Latest);
        await using var records = atEnd.ConsumeAsync().GetAsyncEnumerator();
        var next = records.MoveNextAsync().AsTask();
        await FillMoreAsync(100, 1);
        (await next).ShouldBeTrue();
        records.Current.Value.ShouldBeGreaterThanOrEqualTo(100);
    }

    [Fact]
    public async Task An_offset_out_of_range_follows_the_policy()
    {
        await FillAsync(1, 10);
        await _cluster.Client.Admin.DeleteRecordsAsync(T0, 5);
        await using (var earliest = Assigned(StartPosition.AtOffset(2), new ConsumerOptions { AutoOffsetReset = AutoOffsetReset.Earliest }))
        {
            (await Collect.FirstAsync(earliest, 1))[0].Offset.ShouldBe(5);
        }

        await using var strict = Assigned(StartPosition.AtOffset(2), new ConsumerOptions { AutoOffsetReset = AutoOffsetReset.Error });
        (await Should.ThrowAsync<StreamsException>(() => Collect.FirstAsync(strict, 1))).Code.ShouldBe(StreamsErrorCode.OffsetOutOfRange);
    }

    [Fact]
    public async Task An_unknown_topic_is_a_typed_error()
    {
        await using var consumer = _cluster.Client.CreateConsumer(Serdes.Int32, Serdes.Int32);
        consumer.Assign((new TopicPartition("missing", 0), StartPosition.Earliest));
        (await Should.ThrowAsync<StreamsException>(() => Collect.FirstAsync(consumer, 1))).Code.ShouldBe(StreamsErrorCode.UnknownTopicOrPartition);
    }

    [Fact]
    public async Task A_record_that_cannot_be_read_is_named_and_can_be_passed_over()
    {
        await _cluster.Client.Admin.CreateTopicAsync("t", 1);
        await using (var producer = _cluster.Client.CreateProducer(Serdes.Int32, Serdes.Bytes))
        {
            foreach (var value in (byte[][])[[0, 0, 0, 0], [1, 2], [0, 0, 0, 2]])
            {
                await producer.EnqueueAsync(new ProducerRecord<int, byte[]>("t", 0, value));
            }
        }

        await using var consumer = Assigned(StartPosition.Earliest);
        var seen = new List<int>();
        var failure = await Should.ThrowAsync<StreamsException>(() => Collect.FirstAsync(consumer, 3, record => seen.Add(record.Value)));
        failure.Code.ShouldBe(StreamsErrorCode.SerializationFailed);
        failure.Message.ShouldContain("t-0 at offset 1");
        seen.ShouldBe([0]);
        consumer.Seek(T0, 2);
        (await Collect.FirstAsync(consumer, 1))[0].Value.ShouldBe(2);
    }

    [Fact]
    public async Task Control_records_are_left_out()
    {
        await _cluster.Client.Admin.CreateTopicAsync("t", 1);
        var control = new RecordBatchBuilder();
        control.Append(1, [0, 0, 0, 100], false, [1], false);
        await _cluster.Partition("t").AppendAsync(new ProduceRequest(control.Build(isControl: true)));
        await FillMoreAsync(0, 1);
        await using var consumer = Assigned(StartPosition.Earliest);
        var record = (await Collect.FirstAsync(consumer, 1))[0];
        (record.Offset, record.Value).ShouldBe((1, 0));
    }

    [Fact]
    public async Task Seek_goes_back_and_forth_and_pause_holds_a_partition()
    {
        await FillAsync(2, 200);
        await using var consumer = _cluster.Client.CreateConsumer(Serdes.Int32, Serdes.Int32);
        consumer.Assign((T0, StartPosition.Earliest), (new TopicPartition("t", 1), StartPosition.Earliest));
        await Collect.FirstAsync(consumer, 1);
        consumer.Pause(T0);
        var whilePaused = await Collect.FirstAsync(consumer, 50);
        whilePaused.ShouldAllBe(record => record.Partition.Partition == 1);
        consumer.Pause(new TopicPartition("t", 1));
        consumer.Resume(T0);
        consumer.Seek(T0, 7);
        (await Collect.FirstAsync(consumer, 1))[0].ShouldSatisfyAllConditions(record => record.Partition.ShouldBe(T0), record => record.Offset.ShouldBe(7));
        Should.Throw<StreamsException>(() => consumer.Seek(T0, -1)).Code.ShouldBe(StreamsErrorCode.OffsetOutOfRange);
        Should.Throw<StreamsException>(() => consumer.Seek(new TopicPartition("other", 0), 0)).Code.ShouldBe(StreamsErrorCode.InvalidRequest);
    }

    [Fact]
    public async Task A_group_goes_on_behind_what_was_finished()
    {
        await FillAsync(1, 100);
        await using (var first = Subscribed())
        {
            (await Collect.FirstAsync(first, 40)).Count.ShouldBe(40);
        }

        // The 40th was being worked on when the loop ended, so it is read again.
        await using var second = Subscribed();
        (await Collect.FirstAsync(second, 61)).Select(record => record.Value).ShouldBe(Enumerable.Range(39, 61));
        (await _cluster.Client.Admin.ListGroupsAsync()).ShouldBe(["g"]);
    }

    [Fact]
    public async Task What_is_not_committed_by_hand_is_read_again()
    {
        await FillAsync(1, 100);
        await using (var first = Subscribed(Grouped with { EnableAutoCommit = false }))
        {
            await Collect.FirstAsync(first, 40);
            await first.CommitAsync([new CommittedOffset(T0, 10)]);
            await Collect.FirstAsync(first, 20);
        }

        await using var second = Subscribed();
        (await Collect.FirstAsync(second, 1))[0].Value.ShouldBe(10);
    }

    [Fact]
    public async Task A_group_of_a_topic_that_is_created_later_is_joined_by_the_next_loop()
    {
        await using var consumer = Subscribed();
        for (var attempt = 0; attempt < 2; attempt++)
        {
            (await Should.ThrowAsync<StreamsException>(() => Collect.FirstAsync(consumer, 1))).Code.ShouldBe(StreamsErrorCode.UnknownTopicOrPartition);
        }

        await FillAsync(1, 10);
        (await Collect.FirstAsync(consumer, 10)).Select(record => record.Value).ShouldBe(Enumerable.Range(0, 10));
        (await IsSharedAsync(1)).ShouldBeTrue("the membership that failed is not counted beside the new one");
    }

    [Fact]
    public async Task Two_members_share_the_partitions_and_one_takes_over_when_the_other_leaves()
    {
        await FillAsync(4, 4000);
        await using var first = Subscribed();
        var seen = new HashSet<(int, long)>();
        await foreach (var record in first.ConsumeAsync())
        {
            seen.Add((record.Partition.Partition, record.Offset));
            if (seen.Count == 1000)
            {
                break;
            }
        }

        first.Assignment.Count.ShouldBe(4);
        using var stop = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        await using var second = Subscribed();
        var both = new System.Collections.Concurrent.ConcurrentDictionary<(int, long), int>();
        var reading = ReadUntilStoppedAsync(first, both, stop.Token);
        var secondReading = ReadUntilStoppedAsync(second, both, stop.Token);
        await UntilAsync("the members share", () => IsSharedAsync(2, 2), stop.Token);
        await UntilAsync("all records are read", () => Task.FromResult(both.Keys.Concat(seen).Distinct().Count() == 4000), stop.Token);
        await stop.CancelAsync();
        await Task.WhenAll(reading, secondReading);

        await second.DisposeAsync();
        using var last = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        var alone = ReadUntilStoppedAsync(first, both, last.Token);
        await UntilAsync("the one that stays takes over", () => IsSharedAsync(4), last.Token);
        await last.CancelAsync();
        await alone;
    }

    [Fact]
    public async Task Groups_are_described_reset_and_deleted()
    {
        await FillAsync(1, 100);
        await using (var consumer = Subscribed())
        {
            await Collect.FirstAsync(consumer, 11);
            (await Should.ThrowAsync<StreamsException>(() => _cluster.Client.Admin.ResetGroupOffsetsAsync("g", [new CommittedOffset(T0, 0)]))).Code.ShouldBe(StreamsErrorCode.NonEmptyGroup);
        }

        (await _cluster.Client.Admin.DescribeGroupAsync("g")).Offsets.ShouldBe([new CommittedOffset(T0, 10)]);
        await _cluster.Client.Admin.ResetGroupOffsetsAsync("g", [new CommittedOffset(T0, 90)]);
        await using (var consumer = Subscribed())
        {
            (await Collect.FirstAsync(consumer, 1))[0].Value.ShouldBe(90);
        }

        await _cluster.Client.Admin.DeleteGroupAsync("g");
        (await Should.ThrowAsync<StreamsException>(() => _cluster.Client.Admin.DescribeGroupAsync("g"))).Code.ShouldBe(StreamsErrorCode.GroupIdNotFound);
    }

    [Fact]
    public async Task A_consumer_reads_on_over_crashes_and_misses_nothing()
    {
        await FillAsync(1, 2000);
        await using var consumer = Assigned(StartPosition.Earliest, new ConsumerOptions { MaxPartitionFetchBytes = 1000 });
        var random = new Random(3);
        var values = new List<int>();
        await Collect.FirstAsync(consumer, 2000, async record =>
        {
            values.Add(record.Value);
            if (values.Count % 400 == 0)
            {
                await _cluster.CrashOneAsync(random);
            }
        });
        values.ShouldBe(Enumerable.Range(0, 2000));
    }

    [Fact]
    public async Task Batches_are_handed_over_as_they_are_stored()
    {
        await FillAsync(1, 1000);
        await using var consumer = Assigned(StartPosition.Earliest);
        var count = 0;
        await foreach (var chunk in consumer.ConsumeBatchesAsync())
        {
            chunk.FirstOffset.ShouldBe(count);
            foreach (var batch in chunk.Split())
            {
                RecordBatch.Validate(batch.Span, out var header).ShouldBe(StreamsErrorCode.None);
                count += header.RecordCount;
            }

            chunk.NextOffset.ShouldBe(count);
            if (count == 1000)
            {
                break;
            }
        }
    }

    private static async Task ReadUntilStoppedAsync(Consumer<int, int> consumer, System.Collections.Concurrent.ConcurrentDictionary<(int, long), int> seen, CancellationToken stop)
    {
        try
        {
            await foreach (var record in consumer.ConsumeAsync(stop))
            {
                seen[(record.Partition.Partition, record.Offset)] = record.Value;
            }
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested)
        {
            // As asked.
        }
    }

    private static async Task UntilAsync(string what, Func<Task<bool>> condition, CancellationToken patience)
    {
        while (!await condition())
        {
            if (patience.IsCancellationRequested)
            {
                throw new TimeoutException($"it never came to pass that {what}");
            }

            await Task.Yield();
        }
    }

    /// <summary>How many partitions each member owns, as the group sees it.</summary>
    private async Task<bool> IsSharedAsync(params int[] counts)
    {
        var group = await _cluster.Client.Admin.DescribeGroupAsync("g");
        var owned = group.Members.SelectMany(member => member.Owned).ToList();
        owned.ShouldBeUnique();
        return group.Members.Select(member => member.Owned.Length).SequenceEqual(counts);
    }

    private Consumer<int, int> Assigned(StartPosition start, ConsumerOptions? options = null)
    {
        var consumer = _cluster.Client.CreateConsumer(Serdes.Int32, Serdes.Int32, options);
        consumer.Assign((T0, start));
        return consumer;
    }

    private Consumer<int, int> Subscribed(ConsumerOptions? options = null)
    {
        // Members are named by the client's random source, so each member has one of its own.
        var client = new StreamsClient(_cluster.Grains, TimeProvider.System, Random.Shared);
        var consumer = client.CreateConsumer(Serdes.Int32, Serdes.Int32, options ?? Grouped);
        consumer.Subscribe("t");
        return consumer;
    }

    private async Task FillAsync(int partitions, int records)
    {
        await _cluster.Client.Admin.CreateTopicAsync("t", partitions, new TopicConfig { RetentionMs = -1 });
        await FillMoreAsync(0, records);
    }

    private async Task FillMoreAsync(int from, int records)
    {
        var partitions = (await _cluster.Client.Admin.DescribeTopicAsync("t")).PartitionCount;
        await using var producer = _cluster.Client.CreateProducer(Serdes.Int32, Serdes.Int32, new ProducerOptions { BatchBytes = 512 });
        for (var record = from; record < from + records; record++)
        {
            await producer.EnqueueAsync(new ProducerRecord<int, int>("t", record, record) { Partition = record % partitions, Timestamp = record });
        }
    }
}
