using OrleansStreams.Errors;
using OrleansStreams.Records;
using OrleansStreams.Storage;
using static OrleansStreams.Log.LogFixture;

namespace OrleansStreams.Log;

public sealed class PartitionLogAppendTests
{
    private readonly LogFixture _fixture = new();

    [Fact]
    public void Appends_get_dense_offsets_in_the_order_of_the_calls() => Turns.Run(async () =>
    {
        await using var log = await _fixture.OpenAsync();
        _fixture.HoldWrites();
        var first = log.AppendAsync(Batch("a", "b"));
        var second = log.AppendAsync(Batch("c"));
        log.Offsets.HighWatermark.ShouldBe(0);
        log.Offsets.LogEndOffset.ShouldBe(3);
        _fixture.ReleaseWrites();

        (await first).ShouldBe(new ProduceResult(0, -1, 0, false));
        (await second).ShouldBe(new ProduceResult(2, -1, 0, false));
        (await ReadAllAsync(log)).ShouldBe([(0, "a"), (1, "b"), (2, "c")]);
    });

    [Fact]
    public void An_append_is_not_acknowledged_nor_readable_before_it_is_durable() => Turns.Run(async () =>
    {
        await using var log = await _fixture.OpenAsync();
        _fixture.HoldWrites();
        var append = log.AppendAsync(Batch("a"));
        await Turns.Settle();
        append.IsCompleted.ShouldBeFalse();
        var early = await log.FetchAsync(new FetchRequest(0, 1000, 1, 0), default);
        early.Batches.IsEmpty.ShouldBeTrue();
        early.HighWatermark.ShouldBe(0);
        _fixture.ReleaseWrites();
        await append;
        (await ReadAllAsync(log)).ShouldBe([(0, "a")]);
    });

    [Fact]
    public void A_request_may_hold_several_batches() => Turns.Run(async () =>
    {
        await using var log = await _fixture.OpenAsync();
        byte[] request = [.. Sequenced(7, 0, 2), .. Sequenced(8, 0), .. Sequenced(7, 2), .. Batch("x")];
        (await log.AppendAsync(request)).BaseOffset.ShouldBe(0);
        (await ReadAllAsync(log)).Select(record => record.Value).ShouldBe(["7:0", "7:1", "8:0", "7:2", "x"]);
    });

    [Fact]
    public void A_duplicate_answers_its_original_offset_and_changes_nothing() => Turns.Run(async () =>
    {
        await using var log = await _fixture.OpenAsync();
        await log.AppendAsync(Batch("x"));
        await log.AppendAsync(Sequenced(7, 0, 3));
        await log.AppendAsync(Sequenced(7, 3));
        (await log.AppendAsync(Sequenced(7, 0, 3))).ShouldBe(new ProduceResult(1, -1, 0, true));
        log.Offsets.LogEndOffset.ShouldBe(5);
    });

    [Fact]
    public void A_duplicate_older_than_remembered_is_acknowledged_without_an_offset() => Turns.Run(async () =>
    {
        await using var log = await _fixture.OpenAsync();
        for (var sequence = 0; sequence < 6; sequence++)
        {
            await log.AppendAsync(Sequenced(7, sequence));
        }

        (await log.AppendAsync(Sequenced(7, 0))).ShouldBe(new ProduceResult(-1, -1, 0, true));
        log.Offsets.LogEndOffset.ShouldBe(6);
    });

    [Fact]
    public void A_duplicate_of_a_batch_in_flight_waits_for_the_same_flush() => Turns.Run(async () =>
    {
        await using var log = await _fixture.OpenAsync();
        _fixture.HoldWrites();
        var original = log.AppendAsync(Sequenced(7, 0));
        var duplicate = log.AppendAsync(Sequenced(7, 0));
        await Turns.Settle();
        duplicate.IsCompleted.ShouldBeFalse();
        _fixture.ReleaseWrites();
        (await original).IsDuplicate.ShouldBeFalse();
        (await duplicate).ShouldBe(new ProduceResult(0, -1, 0, true));
        (await ReadAllAsync(log)).Count.ShouldBe(1);
    });

    [Fact]
    public void A_duplicate_of_a_batch_that_is_lost_in_flight_is_not_acknowledged() => Turns.Run(async () =>
    {
        await using var log = await _fixture.OpenAsync();
        _fixture.HoldWrites();
        var original = log.AppendAsync(Sequenced(7, 0));
        var duplicate = log.AppendAsync(Sequenced(7, 0));
        await Turns.Settle();
        _fixture.FailWrites(new InvalidOperationException("disk on fire"));
        (await RefusedAsync(original)).IsRetriable.ShouldBeTrue();
        (await RefusedAsync(duplicate)).IsRetriable.ShouldBeTrue();
    });

    [Fact]
    public void A_request_of_old_and_new_batches_appends_the_new_ones() => Turns.Run(async () =>
    {
        await using var log = await _fixture.OpenAsync();
        await log.AppendAsync(Sequenced(7, 0, 2));
        var result = await log.AppendAsync((byte[])[.. Sequenced(7, 0, 2), .. Sequenced(7, 2)]);
        result.ShouldBe(new ProduceResult(0, -1, 0, false));
        (await ReadAllAsync(log)).Select(record => record.Value).ShouldBe(["7:0", "7:1", "7:2"]);
    });

    [Theory]
    [InlineData(2, 0, StreamsErrorCode.OutOfOrderSequence)]
    [InlineData(5, 1, StreamsErrorCode.OutOfOrderSequence)]
    public void A_gap_is_refused_and_changes_nothing(int sequence, short epoch, StreamsErrorCode code) => Turns.Run(async () =>
    {
        await using var log = await _fixture.OpenAsync();
        await log.AppendAsync(Sequenced(7, 0));
        var refused = await RefusedAsync(log.AppendAsync((byte[])[.. Batch("x"), .. Sequenced(7, sequence, 1, epoch)]));
        refused.Code.ShouldBe(code);
        refused.Outcome.ShouldBe(WriteOutcome.NotWritten);
        log.Offsets.LogEndOffset.ShouldBe(1);
        (await log.AppendAsync(Sequenced(7, 1))).BaseOffset.ShouldBe(1);
    });

    [Fact]
    public void A_producer_of_a_lower_epoch_is_refused() => Turns.Run(async () =>
    {
        await using var log = await _fixture.OpenAsync();
        await log.AppendAsync(Sequenced(7, 0, 1, epoch: 3));
        (await RefusedAsync(log.AppendAsync(Sequenced(7, 1, 1, epoch: 2)))).Code.ShouldBe(StreamsErrorCode.InvalidProducerEpoch);
        log.Offsets.LogEndOffset.ShouldBe(1);
    });

    [Fact]
    public void A_damaged_batch_refuses_the_whole_request() => Turns.Run(async () =>
    {
        await using var log = await _fixture.OpenAsync();
        var damaged = Batch("b");
        damaged[^1] ^= 1;
        (await RefusedAsync(log.AppendAsync((byte[])[.. Batch("a"), .. damaged]))).Code.ShouldBe(StreamsErrorCode.CorruptBatch);
        (await RefusedAsync(log.AppendAsync(Batch("a").AsMemory(..^1)))).Code.ShouldBe(StreamsErrorCode.CorruptBatch);
        (await RefusedAsync(log.AppendAsync("rubbish"u8.ToArray()))).Code.ShouldBe(StreamsErrorCode.CorruptBatch);
        (await RefusedAsync(log.AppendAsync(default))).Code.ShouldBe(StreamsErrorCode.InvalidRequest);
        log.Offsets.LogEndOffset.ShouldBe(0);
        log.IsUsable.ShouldBeTrue();
    });

    [Fact]
    public void A_batch_that_claims_more_offsets_than_records_is_refused() => Turns.Run(async () =>
    {
        await using var log = await _fixture.OpenAsync();
        var batch = Batch("a");
        System.Buffers.Binary.BinaryPrimitives.WriteInt32BigEndian(batch.AsSpan(RecordBatchHeader.LastOffsetDeltaAt), 1_000_000);
        RecordBatch.StampProducer(batch, -1, -1, -1);
        (await RefusedAsync(log.AppendAsync(batch))).Code.ShouldBe(StreamsErrorCode.CorruptBatch);
    });

    [Fact]
    public void A_batch_above_the_largest_size_is_refused() => Turns.Run(async () =>
    {
        _fixture.Config = TopicConfig.Default with { MaxMessageBytes = 200 };
        await using var log = await _fixture.OpenAsync();
        (await RefusedAsync(log.AppendAsync(Batch(new string('x', 200))))).Code.ShouldBe(StreamsErrorCode.RecordTooLarge);
        log.Offsets.LogEndOffset.ShouldBe(0);
        await log.AppendAsync(Batch("small"));
    });

    [Fact]
    public void A_producer_without_sequence_is_refused() => Turns.Run(async () =>
    {
        await using var log = await _fixture.OpenAsync();
        (await RefusedAsync(log.AppendAsync(BatchOf(7, 0, -1, 1000, "a")))).Code.ShouldBe(StreamsErrorCode.InvalidRequest);
        (await RefusedAsync(log.AppendAsync(BatchOf(7, -1, 0, 1000, "a")))).Code.ShouldBe(StreamsErrorCode.InvalidRequest);
    });

    [Fact]
    public void Past_the_bound_of_pending_bytes_a_producer_is_told_to_wait() => Turns.Run(async () =>
    {
        _fixture.Options = new StreamsOptions { PendingBytesMax = 150 };
        await using var log = await _fixture.OpenAsync();
        _fixture.HoldWrites();
        var first = log.AppendAsync(Sequenced(7, 0));
        var second = log.AppendAsync(Sequenced(7, 1));
        var busy = await RefusedAsync(log.AppendAsync(Sequenced(7, 2)));
        busy.Code.ShouldBe(StreamsErrorCode.PartitionBusy);
        busy.IsRetriable.ShouldBeTrue();
        busy.Outcome.ShouldBe(WriteOutcome.NotWritten);
        _fixture.ReleaseWrites();
        await first;
        await second;
        log.PendingBytes.ShouldBe(0);
        (await log.AppendAsync(Sequenced(7, 2))).BaseOffset.ShouldBe(2);
    });

    [Fact]
    public void A_request_larger_than_the_bound_is_taken_when_nothing_is_pending() => Turns.Run(async () =>
    {
        _fixture.Options = new StreamsOptions { PendingBytesMax = 10 };
        await using var log = await _fixture.OpenAsync();
        (await log.AppendAsync(Batch("a"))).BaseOffset.ShouldBe(0);
    });

    [Fact]
    public void A_failed_write_fails_everything_under_way_with_retriable_errors_and_ends_the_log() => Turns.Run(async () =>
    {
        var log = await _fixture.OpenAsync();
        var told = new List<StreamsErrorCode>();
        log.Failed = error => told.Add(error.Code);
        _fixture.HoldWrites();
        var first = log.AppendAsync(Batch("a"));
        var second = log.AppendAsync(Batch("b"));
        var poll = log.FetchAsync(new FetchRequest(0, 1000, 1, 10_000), default);
        _fixture.FailWrites(new InvalidOperationException("disk on fire"));

        foreach (var task in new Task[] { first, second, poll })
        {
            (await RefusedAsync(task)).IsRetriable.ShouldBeTrue();
        }

        (await RefusedAsync(log.AppendAsync(Batch("c")))).IsRetriable.ShouldBeTrue();
        log.IsUsable.ShouldBeFalse();
        told.ShouldBe([StreamsErrorCode.StorageError]);
        await log.DisposeAsync();

        await using var again = await _fixture.OpenAsync();
        again.Offsets.LogEndOffset.ShouldBe(0);
        (await again.AppendAsync(Batch("d"))).BaseOffset.ShouldBe(0);
    });

    [Fact]
    public void A_full_disk_is_said_and_loses_nothing() => Turns.Run(async () =>
    {
        var log = await _fixture.OpenAsync();
        await log.AppendAsync(Batch("a"));
        _fixture.Storage.CapacityBytes = _fixture.Storage.UsedBytes;
        var refused = await RefusedAsync(log.AppendAsync(Batch("b")));
        refused.Code.ShouldBe(StreamsErrorCode.DiskFull);
        refused.IsRetriable.ShouldBeTrue();
        await log.DisposeAsync();

        _fixture.Storage.CapacityBytes = long.MaxValue;
        await using var again = await _fixture.OpenAsync();
        (await again.AppendAsync(Batch("b"))).BaseOffset.ShouldBe(1);
        (await ReadAllAsync(again)).ShouldBe([(0, "a"), (1, "b")]);
    });

    [Fact]
    public void A_stale_opener_cannot_write() => Turns.Run(async () =>
    {
        var stale = await _fixture.OpenAsync();
        await stale.AppendAsync(Batch("a"));
        await using var current = await _fixture.OpenAsync();
        (await RefusedAsync(stale.AppendAsync(Batch("zombie")))).Code.ShouldBe(StreamsErrorCode.FencedLeaderEpoch);
        stale.IsUsable.ShouldBeFalse();
        await current.AppendAsync(Batch("b"));
        (await ReadAllAsync(current)).ShouldBe([(0, "a"), (1, "b")]);
        await stale.DisposeAsync();
    });

    [Fact]
    public void Log_append_time_is_stamped_and_answered() => Turns.Run(async () =>
    {
        _fixture.Config = TopicConfig.Default with { MessageTimestampType = TimestampType.LogAppendTime };
        await using var log = await _fixture.OpenAsync();
        var now = _fixture.Time.GetUtcNow().ToUnixTimeMilliseconds();
        (await log.AppendAsync(Sequenced(7, 0))).LogAppendTime.ShouldBe(now);
        _fixture.Time.Advance(TimeSpan.FromSeconds(1));
        (await log.AppendAsync(Sequenced(7, 0))).LogAppendTime.ShouldBe(now);
        var fetched = await log.FetchAsync(new FetchRequest(0, 1000, 1, 0), default);
        var header = RecordBatchHeader.Read(fetched.Batches.Span);
        header.TimestampType.ShouldBe(TimestampType.LogAppendTime);
        header.MaxTimestamp.ShouldBe(now);
        RecordBatch.Validate(fetched.Batches.Span, out _).ShouldBe(StreamsErrorCode.None);
    });

    [Fact]
    public void Closing_waits_for_appends_under_way() => Turns.Run(async () =>
    {
        var log = await _fixture.OpenAsync();
        _fixture.HoldWrites();
        var append = log.AppendAsync(Batch("a"));
        var closing = log.DisposeAsync().AsTask();
        await Turns.Settle();
        closing.IsCompleted.ShouldBeFalse();
        (await RefusedAsync(log.AppendAsync(Batch("b")))).Code.ShouldBe(StreamsErrorCode.NotLeader);
        _fixture.ReleaseWrites();
        (await append).BaseOffset.ShouldBe(0);
        await closing;
    });
}
