using System.Text;
using OrleansStreams.Errors;
using OrleansStreams.Log.Compaction;
using OrleansStreams.Records;
using static OrleansStreams.Log.LogFixture;

namespace OrleansStreams.Log.Deduplication;

public sealed class IdempotencyKeyTests
{
    private readonly LogFixture _fixture = new() { Config = new TopicConfig { DedupWindowMs = 60_000, DedupKeysMax = 100 } };

    [Fact]
    public void A_second_record_with_the_same_key_answers_with_the_originals_offset_and_timestamp_and_stores_nothing() => Turns.Run(async () =>
    {
        await using var log = await _fixture.OpenAsync();
        await log.AppendAsync(Batch("before"));
        (await log.AppendAsync(Keyed(5000, ("k", "first")))).ShouldBe(new ProduceResult(1, -1, 0, false) { Duplicates = [] }, ResultComparer.Instance);
        var again = await log.AppendAsync(Keyed(6000, ("k", "second")));
        again.ShouldBe(new ProduceResult(1, -1, 0, true) { Duplicates = [new DuplicateRecord(0, 1, 5000)] }, ResultComparer.Instance);
        (await ReadAllAsync(log)).ShouldBe([(0, "before"), (1, "first")]);
        log.Offsets.LogEndOffset.ShouldBe(2);
    });

    [Fact]
    public void Fresh_records_of_a_batch_are_stored_beside_duplicates_and_after_one_of_the_same_batch() => Turns.Run(async () =>
    {
        await using var log = await _fixture.OpenAsync();
        await log.AppendAsync(Keyed(5000, ("a", "a1")));
        var result = await log.AppendAsync(Keyed(6000, ("b", "b1"), ("a", "a2"), ("b", "b2"), (null, "plain"), ("c", "c1")));
        result.ShouldBe(new ProduceResult(1, -1, 0, false) { Duplicates = [new DuplicateRecord(1, 0, 5000), new DuplicateRecord(2, 1, 6000)] }, ResultComparer.Instance);
        (await ReadAllAsync(log)).ShouldBe([(0, "a1"), (1, "b1"), (4, "plain"), (5, "c1")]);
        (await log.AppendAsync(Keyed(7000, ("c", "c2")))).Duplicates.ShouldBe([new DuplicateRecord(0, 5, 6000)]);
    });

    [Fact]
    public void Duplicates_across_the_batches_of_one_request_are_met_too() => Turns.Run(async () =>
    {
        await using var log = await _fixture.OpenAsync();
        byte[] request = [.. Keyed(5000, ("a", "a1"), ("b", "b1")), .. Keyed(6000, ("b", "b2")), .. Keyed(7000, ("c", "c1"), ("a", "a2"))];
        var result = await log.AppendAsync(request);
        result.Duplicates.ShouldBe([new DuplicateRecord(2, 1, 5000), new DuplicateRecord(4, 0, 5000)]);
        (await ReadAllAsync(log)).ShouldBe([(0, "a1"), (1, "b1"), (2, "c1")]);
    });

    [Fact]
    public void A_duplicate_of_a_record_that_is_being_flushed_is_answered_only_when_that_is_durable() => Turns.Run(async () =>
    {
        await using var log = await _fixture.OpenAsync();
        _fixture.HoldWrites();
        var original = log.AppendAsync(Keyed(5000, ("a", "a1")));
        var duplicate = log.AppendAsync(Keyed(6000, ("a", "a2")));
        await Turns.Settle();
        duplicate.IsCompleted.ShouldBeFalse();
        _fixture.ReleaseWrites();
        (await original).IsDuplicate.ShouldBeFalse();
        (await duplicate).Duplicates.ShouldBe([new DuplicateRecord(0, 0, 5000)]);
        (await ReadAllAsync(log)).ShouldBe([(0, "a1")]);
    });

    [Fact]
    public void When_the_original_cannot_be_written_neither_it_nor_its_duplicate_is_acknowledged() => Turns.Run(async () =>
    {
        var log = await _fixture.OpenAsync();
        _fixture.HoldWrites();
        var original = log.AppendAsync(Keyed(5000, ("a", "a1")));
        var duplicate = log.AppendAsync(Keyed(6000, ("a", "a2")));
        _fixture.FailWrites(new InvalidOperationException("power cut"));
        (await RefusedAsync(original)).IsRetriable.ShouldBeTrue();
        (await RefusedAsync(duplicate)).IsRetriable.ShouldBeTrue();
        await using var again = await _fixture.OpenAsync();
        (await again.AppendAsync(Keyed(6000, ("a", "a2")))).IsDuplicate.ShouldBeFalse("the original was lost");
        (await ReadAllAsync(again)).ShouldBe([(0, "a2")]);
    });

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Keys_are_known_after_a_clean_close_and_after_a_crash(bool isClean) => Turns.Run(async () =>
    {
        _fixture.Options = new StreamsOptions { CheckpointIntervalBytes = 300 };
        var log = await _fixture.OpenAsync();
        for (var i = 0; i < 20; i++)
        {
            await log.AppendAsync(Keyed(5000 + i, ($"k{i}", $"v{i}"), (null, "plain")));
        }

        if (isClean)
        {
            await log.DisposeAsync();
        }

        await using var again = await _fixture.OpenAsync();
        for (var i = 0; i < 20; i++)
        {
            (await again.AppendAsync(Keyed(9000, ($"k{i}", "again")))).Duplicates.ShouldBe([new DuplicateRecord(0, 2 * i, 5000 + i)]);
        }

        again.Offsets.LogEndOffset.ShouldBe(40);
    });

    [Fact]
    public void A_key_is_forgotten_when_its_window_is_over() => Turns.Run(async () =>
    {
        await using var log = await _fixture.OpenAsync();
        await log.AppendAsync(Keyed(5000, ("a", "a1")));
        _fixture.Time.Advance(TimeSpan.FromMilliseconds(59_999));
        (await log.AppendAsync(Keyed(5000, ("a", "a2")))).IsDuplicate.ShouldBeTrue();
        _fixture.Time.Advance(TimeSpan.FromMilliseconds(1));
        (await log.AppendAsync(Keyed(5000, ("a", "a3")))).BaseOffset.ShouldBe(1);
        (await log.AppendAsync(Keyed(5000, ("a", "a4")))).Duplicates.ShouldBe([new DuplicateRecord(0, 1, 5000)]);
        _fixture.Time.Advance(TimeSpan.FromMilliseconds(60_000));
        await log.MaintainAsync(_fixture.Slots);
        log.KeyCount.ShouldBe(0);
    });

    [Fact]
    public void At_the_bound_the_oldest_key_is_forgotten() => Turns.Run(async () =>
    {
        _fixture.Config = _fixture.Config with { DedupKeysMax = 3 };
        await using var log = await _fixture.OpenAsync();
        foreach (var key in new[] { "a", "b", "c", "d" })
        {
            await log.AppendAsync(Keyed(5000, (key, key)));
        }

        log.KeyCount.ShouldBe(3);
        (await log.AppendAsync(Keyed(5000, ("b", "again")))).IsDuplicate.ShouldBeTrue();
        (await log.AppendAsync(Keyed(5000, ("a", "again")))).IsDuplicate.ShouldBeFalse();
        log.KeyCount.ShouldBe(3);
    });

    [Fact]
    public void An_idempotent_producers_sequence_goes_on_over_dropped_records_and_over_a_crash() => Turns.Run(async () =>
    {
        var crashed = await _fixture.OpenAsync();
        await crashed.AppendAsync(Sequenced(7, 0, ("a", "a1"), ("b", "b1")));
        (await crashed.AppendAsync(Sequenced(7, 2, ("a", "a2"), ("c", "c1"), ("b", "b2")))).Duplicates.Length.ShouldBe(2);
        (await crashed.AppendAsync(Sequenced(7, 5, ("c", "c2")))).ShouldBe(
            new ProduceResult(5, -1, 0, true) { Duplicates = [new DuplicateRecord(0, 3, 1000)] }, ResultComparer.Instance);
        (await ReadAllAsync(crashed)).ShouldBe([(0, "a1"), (1, "b1"), (3, "c1")]);

        await using var log = await _fixture.OpenAsync();
        (await RefusedAsync(log.AppendAsync(Sequenced(7, 7, ("e", "e1"))))).Code.ShouldBe(StreamsErrorCode.OutOfOrderSequence);
        var retried = await log.AppendAsync(Sequenced(7, 2, ("a", "a2"), ("c", "c1"), ("b", "b2")));
        retried.ShouldBe(
            new ProduceResult(2, -1, 0, true) { Duplicates = [new DuplicateRecord(0, 0, 1000), new DuplicateRecord(2, 1, 1000)] }, ResultComparer.Instance);
        (await log.AppendAsync(Sequenced(7, 6, ("d", "d1")))).BaseOffset.ShouldBe(6);
        (await ReadAllAsync(log))[^1].ShouldBe((6, "d1"));
    });

    [Fact]
    public void With_log_append_time_the_originals_time_is_answered() => Turns.Run(async () =>
    {
        _fixture.Config = _fixture.Config with { MessageTimestampType = TimestampType.LogAppendTime };
        await using var log = await _fixture.OpenAsync();
        var time = _fixture.Now;
        (await log.AppendAsync(Keyed(5, ("a", "a1")))).LogAppendTime.ShouldBe(time);
        _fixture.Time.Advance(TimeSpan.FromSeconds(5));
        (await log.AppendAsync(Keyed(6, ("a", "a2")))).ShouldBe(
            new ProduceResult(0, time, 0, true) { Duplicates = [new DuplicateRecord(0, 0, time)] }, ResultComparer.Instance);
        (await log.AppendAsync(Keyed(6, ("a", "a3"), ("b", "b1")))).LogAppendTime.ShouldBe(time + 5000);
    });

    [Fact]
    public void Keys_are_known_after_their_records_were_compacted() => Turns.Run(async () =>
    {
        _fixture.Config = CompactionFixture.Compacted with { DedupWindowMs = 60_000 };
        var crashed = await _fixture.OpenAsync();
        for (var i = 0; i < 10; i++)
        {
            var builder = new RecordBatchBuilder();
            builder.Append(1000, "same"u8, false, "x"u8, false, [IdempotencyKey.Header($"k{i}")]);
            await crashed.AppendAsync(builder.Build());
        }

        await crashed.CloseSegmentAsync(1000);
        await crashed.CompactAsync(_fixture);
        (await crashed.RecordsAsync()).Count.ShouldBe(1);
        await using var log = await _fixture.OpenAsync();
        var again = new RecordBatchBuilder();
        again.Append(1000, "same"u8, false, "y"u8, false, [IdempotencyKey.Header("k3")]);
        (await log.AppendAsync(again.Build())).Duplicates.ShouldBe([new DuplicateRecord(0, 3, 1000)]);
    });

    [Fact]
    public void Without_a_window_records_are_not_looked_into_and_keys_mean_nothing() => Turns.Run(async () =>
    {
        _fixture.Config = TopicConfig.Default;
        await using var log = await _fixture.OpenAsync();
        var undecodable = Keyed(5000, ("a", "a1"));
        undecodable.AsSpan(RecordBatchHeader.Size).Fill(0xFF);
        RecordBatch.StampProducer(undecodable, -1, -1, -1);
        (await log.AppendAsync(undecodable)).Duplicates.IsDefault.ShouldBeTrue();
        await log.AppendAsync(Keyed(5000, ("a", "a1")));
        (await log.AppendAsync(Keyed(5000, ("a", "a2")))).BaseOffset.ShouldBe(2);
        log.KeyCount.ShouldBe(0);

        log.Config = _fixture.Config with { DedupWindowMs = 1000 };
        (await RefusedAsync(log.AppendAsync(undecodable))).Code.ShouldBe(StreamsErrorCode.CorruptBatch);
        log.Offsets.LogEndOffset.ShouldBe(3);
    });

    [Fact]
    public void A_damaged_request_is_refused_before_any_of_its_keys_is_remembered() => Turns.Run(async () =>
    {
        await using var log = await _fixture.OpenAsync();
        var undecodable = Keyed(5000, ("b", "b1"));
        undecodable.AsSpan(RecordBatchHeader.Size).Fill(0xFF);
        RecordBatch.StampProducer(undecodable, -1, -1, -1);
        byte[] request = [.. Keyed(5000, ("a", "a1")), .. undecodable];
        (await RefusedAsync(log.AppendAsync(request))).Code.ShouldBe(StreamsErrorCode.CorruptBatch);
        (await log.AppendAsync(Keyed(5000, ("a", "a1")))).IsDuplicate.ShouldBeFalse();
    });

    [Theory]
    [InlineData(CompressionType.Gzip)]
    [InlineData(CompressionType.Snappy)]
    public void Compressed_batches_stay_compressed_when_records_are_dropped(CompressionType compression) => Turns.Run(async () =>
    {
        await using var log = await _fixture.OpenAsync();
        await log.AppendAsync(Keyed(5000, ("a", "a1")));
        var builder = new RecordBatchBuilder(compression);
        foreach (var key in new[] { "a", "b", "c" })
        {
            builder.Append(6000, default, true, Encoding.UTF8.GetBytes(key), false, [IdempotencyKey.Header(key), new RecordHeader("other", new byte[] { 1 })]);
        }

        await log.AppendAsync(builder.Build());
        var fetched = await log.FetchAsync(new FetchRequest(1, 10_000, 1, 0), default);
        var reader = new RecordBatchReader(fetched.Batches);
        reader.Header.Compression.ShouldBe(compression);
        reader.TryRead(out var record).ShouldBeTrue();
        (record.Offset, record.GetHeaders()[1].Key).ShouldBe((2L, "other"));
    });

    private static byte[] Keyed(long timestamp, params (string? Key, string Value)[] records) => BuilderOf(timestamp, records).Build();

    private static byte[] Sequenced(long producerId, int sequence, params (string? Key, string Value)[] records) => BuilderOf(1000, records).Build(producerId, 0, sequence);

    private static RecordBatchBuilder BuilderOf(long timestamp, (string? Key, string Value)[] records)
    {
        var builder = new RecordBatchBuilder();
        foreach (var (key, value) in records)
        {
            builder.Append(timestamp, default, true, Encoding.UTF8.GetBytes(value), false, key is null ? null : [IdempotencyKey.Header(key)]);
        }

        return builder;
    }

    /// <summary>Results with their duplicates by content.</summary>
    private sealed class ResultComparer : IEqualityComparer<ProduceResult>
    {
        public static ResultComparer Instance { get; } = new();

        public bool Equals(ProduceResult? x, ProduceResult? y) =>
            (x! with { Duplicates = default }) == (y! with { Duplicates = default }) && x.Duplicates.AsSpan().SequenceEqual(y.Duplicates.AsSpan());

        public int GetHashCode(ProduceResult result) => result.BaseOffset.GetHashCode();
    }
}
