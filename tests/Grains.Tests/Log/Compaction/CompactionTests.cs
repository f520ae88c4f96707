using OrleansStreams.Errors;
using OrleansStreams.Records;
using static OrleansStreams.Log.Compaction.CompactionFixture;
using static OrleansStreams.Log.LogFixture;

namespace OrleansStreams.Log.Compaction;

public sealed class CompactionTests
{
    private readonly LogFixture _fixture = new() { Config = Compacted };

    [Fact]
    public void Of_each_key_the_latest_record_stays_at_its_offset() => Turns.Run(async () =>
    {
        await using var log = await _fixture.OpenAsync();
        await log.AppendAsync(Keyed(1000, ("a", "1"), ("b", "1"), ("a", "2")));
        await log.AppendAsync(Keyed(1001, ("c", "1"), ("a", "3")));
        await log.CloseSegmentAsync(1002);
        var end = log.Offsets.LogEndOffset;
        var bytes = log.Offsets.SizeBytes;
        await log.CompactAsync(_fixture);
        (await log.RecordsAsync()).ShouldBe([(1, "b", "1"), (3, "c", "1"), (4, "a", "3")]);
        log.Offsets.LogEndOffset.ShouldBe(end);
        log.Offsets.LogStartOffset.ShouldBe(0);
        log.Offsets.SizeBytes.ShouldBeLessThan(bytes);
        (await log.AppendAsync(Keyed(1003, ("d", "1")))).BaseOffset.ShouldBe(end);
        (await log.OffsetForTimestampAsync(1001)).ShouldBe(new TimestampOffset(3, 1001));
    });

    [Fact]
    public void The_active_segment_is_never_compacted() => Turns.Run(async () =>
    {
        await using var log = await _fixture.OpenAsync();
        await log.AppendAsync(Keyed(1000, ("a", "1"), ("a", "2")));
        await log.CompactAsync(_fixture);
        (await log.RecordsAsync()).ShouldBe([(0, "a", "1"), (1, "a", "2")]);
        await log.CloseSegmentAsync(1000);
        await log.AppendAsync(Keyed(1000, ("a", "3")));
        await log.CompactAsync(_fixture);
        (await log.RecordsAsync()).ShouldBe([(1, "a", "2"), (3, "a", "3")], "what stands in the head supersedes nothing yet");
    });

    [Fact]
    public void A_tombstone_takes_its_predecessors_along_and_goes_itself_when_readers_had_their_time() => Turns.Run(async () =>
    {
        await using var log = await _fixture.OpenAsync();
        await log.AppendAsync(Keyed(1000, ("a", "1"), ("b", "1")));
        await log.AppendAsync(Keyed(1000, ("a", null)));
        await log.CloseSegmentAsync(1000);
        _fixture.Time.Advance(TimeSpan.FromDays(1));
        await log.CompactAsync(_fixture);
        (await log.RecordsAsync()).ShouldBe([(1, "b", "1"), (2, "a", "-")], "its time begins when compaction meets it first, however old it is");

        _fixture.Time.Advance(TimeSpan.FromMilliseconds(60_000));
        await log.CloseSegmentAsync(1000);
        await log.CompactAsync(_fixture);
        (await log.RecordsAsync()).ShouldBe([(1, "b", "1"), (2, "a", "-")]);

        _fixture.Time.Advance(TimeSpan.FromMilliseconds(1));
        await log.CloseSegmentAsync(1000);
        await log.CompactAsync(_fixture);
        (await log.RecordsAsync()).ShouldBe([(1, "b", "1")]);
        (await log.FetchAsync(new FetchRequest(1, 10_000, 1, 0), default)).NextOffset.ShouldBeGreaterThan(2, "offset 2 is still covered");
    });

    [Fact]
    public void A_tombstone_keeps_its_horizon_when_its_batch_is_put_together_with_others() => Turns.Run(async () =>
    {
        await using var log = await _fixture.OpenAsync();
        for (var i = 0; i < 5; i++)
        {
            await log.AppendAsync(Keyed(1000 + i, ($"gone-{i}", null)));
            await log.AppendAsync(Keyed(1000 + i, ($"kept-{i}", $"{i}")));
            await log.CloseSegmentAsync(1000);
            await log.CompactAsync(_fixture);
            _fixture.Time.Advance(TimeSpan.FromSeconds(20));
        }

        var left = (await log.RecordsAsync()).Select(record => record.Key).ToList();
        left.Count(key => key.StartsWith("kept", StringComparison.Ordinal)).ShouldBe(5);
        left.Where(key => key.StartsWith("gone", StringComparison.Ordinal)).ShouldBe(["gone-1", "gone-2", "gone-3", "gone-4"], "the first was met 80 s ago");
    });

    [Fact]
    public void Records_younger_than_the_minimal_lag_stay() => Turns.Run(async () =>
    {
        _fixture.Config = Compacted with { MinCompactionLagMs = 60_000 };
        await using var log = await _fixture.OpenAsync();
        await log.AppendAsync(Keyed(_fixture.Now, ("a", "1"), ("a", "2")));
        await log.CloseSegmentAsync(_fixture.Now);
        _fixture.Time.Advance(TimeSpan.FromSeconds(59));
        await log.CompactAsync(_fixture);
        (await log.RecordsAsync()).Count.ShouldBe(2);
        _fixture.Time.Advance(TimeSpan.FromSeconds(1));
        await log.CompactAsync(_fixture);
        (await log.RecordsAsync()).ShouldBe([(1, "a", "2")]);
    });

    [Fact]
    public void A_log_is_compacted_when_enough_of_it_is_dirty_or_something_waits_too_long() => Turns.Run(async () =>
    {
        _fixture.Config = Compacted with { MinCleanableDirtyRatio = 0.5, MaxCompactionLagMs = 3_600_000 };
        await using var log = await _fixture.OpenAsync();
        for (var i = 0; i < 6; i++)
        {
            await log.CloseSegmentAsync(_fixture.Now);
        }

        await log.CompactAsync(_fixture);
        log.CleanedOffset.ShouldBe(5, "all of it was dirty");
        await log.AppendAsync(Keyed(_fixture.Now, ("a", "1"), ("a", "2")));
        await log.CloseSegmentAsync(_fixture.Now);
        await log.CompactAsync(_fixture);
        (await log.RecordsAsync()).Count.ShouldBe(2, "a third is not more than half");
        _fixture.Time.Advance(TimeSpan.FromMilliseconds(3_600_001));
        await log.CompactAsync(_fixture);
        (await log.RecordsAsync()).ShouldBe([(7, "a", "2")], "the oldest has waited too long");
    });

    [Fact]
    public void The_maximal_lag_ends_a_segment_that_would_not_end_by_itself() => Turns.Run(async () =>
    {
        _fixture.Config = Compacted with { MinCleanableDirtyRatio = 1, MaxCompactionLagMs = 60_000 };
        await using var log = await _fixture.OpenAsync();
        await log.AppendAsync(Keyed(_fixture.Now, ("a", "1"), ("a", "2")));
        await log.CompactAsync(_fixture);
        _fixture.Time.Advance(TimeSpan.FromMilliseconds(60_001));
        await log.CompactAsync(_fixture);
        (await log.RecordsAsync()).ShouldBe([(1, "a", "2")]);
    });

    [Fact]
    public void Keys_that_do_not_fit_into_the_table_take_several_passes() => Turns.Run(async () =>
    {
        _fixture.Options = new StreamsOptions { CompactionMapBytes = 10 * KeyOffsetMap.SlotBytes, CompactionReadBytes = 300 };
        await using var log = await _fixture.OpenAsync();
        for (var round = 0; round < 3; round++)
        {
            for (var key = 0; key < 50; key++)
            {
                await log.AppendAsync(Keyed(1000, ($"k{key}", $"{round}"), ($"k{key}", $"{round}+")));
            }
        }

        await log.CloseSegmentAsync(1000);
        await log.CloseSegmentAsync(1000);
        await log.CompactAsync(_fixture);
        var records = await log.RecordsAsync();
        records.Select(record => (record.Key, record.Value)).ShouldBe(Enumerable.Range(0, 50).Select(key => ($"k{key}", "2+")));
    });

    [Fact]
    public void A_batch_with_more_keys_than_the_table_holds_is_compacted_in_parts() => Turns.Run(async () =>
    {
        _fixture.Options = new StreamsOptions { CompactionMapBytes = 1 };
        await using var log = await _fixture.OpenAsync();
        await log.AppendAsync(Keyed(1000, [.. Enumerable.Range(0, 40).Select(i => ((string?)$"k{i % 20}", (string?)$"{i}"))]));
        await log.CloseSegmentAsync(1000);
        await log.CloseSegmentAsync(1000);
        await log.CompactAsync(_fixture);
        (await log.RecordsAsync()).Select(record => record.Value).ShouldBe(Enumerable.Range(20, 20).Select(i => $"{i}"));
    });

    [Fact]
    public void A_record_without_a_key_is_refused_by_a_compacted_topic_and_nothing_of_its_request_is_written() => Turns.Run(async () =>
    {
        await using var log = await _fixture.OpenAsync();
        var request = Keyed(1000, ("a", "1")).Concat(Keyed(CompressionType.Gzip, 1000, ("b", "1"), (null, "x"))).ToArray();
        var refused = await RefusedAsync(log.AppendAsync(request));
        (refused.Code, refused.Outcome).ShouldBe((StreamsErrorCode.InvalidRecord, WriteOutcome.NotWritten));
        refused.Message.ShouldContain("Record 2 ");
        log.Offsets.LogEndOffset.ShouldBe(0);
        (await log.AppendAsync(Keyed(1000, (string.Empty, "an empty key is one")))).BaseOffset.ShouldBe(0);
    });

    [Fact]
    public void Records_without_a_key_from_before_the_topic_was_compacted_go() => Turns.Run(async () =>
    {
        _fixture.Config = Compacted with { CleanupPolicy = CleanupPolicy.Delete };
        await using var log = await _fixture.OpenAsync();
        await log.AppendAsync(Keyed(1000, (null, "x"), ("a", "1")));
        await log.CloseSegmentAsync(1000);
        log.Config = Compacted;
        await log.CompactAsync(_fixture);
        (await log.RecordsAsync()).ShouldBe([(1, "a", "1")]);
    });

    [Fact]
    public void Of_a_tasks_watermark_markers_the_latest_stays() => Turns.Run(async () =>
    {
        await using var log = await _fixture.OpenAsync();
        foreach (var (task, watermark) in new[] { ("t1", 5L), ("t2", 6L), ("t1", 7L) })
        {
            await log.AppendAsync(WatermarkMarker.BuildBatch(task, watermark, -1, -1, -1, 1000));
        }

        await log.CloseSegmentAsync(1000);
        await log.CompactAsync(_fixture);
        var found = new List<(string, long, long)>();
        var fetched = await log.FetchAsync(new FetchRequest(0, 100_000, 1, 0), default);
        for (var rest = fetched.Batches; !rest.IsEmpty;)
        {
            var header = RecordBatchHeader.Read(rest.Span);
            if (WatermarkMarker.TryRead(rest, out var task, out var watermark))
            {
                found.Add((task, watermark, header.LastOffset));
            }

            rest = rest[header.TotalBytes..];
        }

        found.ShouldBe([("t2", 6, 1), ("t1", 7, 2)]);
    });

    [Theory]
    [InlineData(CompressionType.Gzip, TimestampType.CreateTime)]
    [InlineData(CompressionType.Snappy, TimestampType.LogAppendTime)]
    [InlineData(CompressionType.None, TimestampType.LogAppendTime)]
    public void Codec_timestamps_and_headers_survive(CompressionType compression, TimestampType type) => Turns.Run(async () =>
    {
        _fixture.Config = Compacted with { MessageTimestampType = type };
        await using var log = await _fixture.OpenAsync();
        var times = new List<long>();
        for (var i = 0; i < 4; i++)
        {
            var builder = new RecordBatchBuilder(compression);
            builder.Append(1000 + i, "same"u8, false, "x"u8, false);
            builder.Append(1000 + i, [(byte)i], false, "kept"u8, false, [new RecordHeader("h", new byte[] { 1, 2 }), new RecordHeader("n", default(ReadOnlyMemory<byte>?))]);
            builder.Append(1000 + i, [(byte)i, 1], false, default, true);
            await log.AppendAsync(builder.Build());
            times.Add(type == TimestampType.CreateTime ? 1000 + i : _fixture.Now);
            _fixture.Time.Advance(TimeSpan.FromSeconds(1));
        }

        await log.CloseSegmentAsync(1010);
        await log.CloseSegmentAsync(1010);
        await log.CompactAsync(_fixture);
        var seen = 0;
        var fetched = await log.FetchAsync(new FetchRequest(0, 100_000, 1, 0), default);
        for (var rest = fetched.Batches; !rest.IsEmpty; rest = rest[RecordBatchHeader.Read(rest.Span).TotalBytes..])
        {
            var reader = new RecordBatchReader(rest);
            while (reader.TryRead(out var record) && record.Offset < 12)
            {
                record.Timestamp.ShouldBe(times[(int)record.Offset / 3]);
                if (record.Offset % 3 == 1)
                {
                    seen++;
                    record.GetHeaders().Select(header => (header.Key, header.Value?.Length)).ShouldBe([("h", 2), ("n", null)]);
                    reader.Header.Compression.ShouldBe(compression);
                }
            }
        }

        seen.ShouldBe(4);
    });

    [Fact]
    public void Producers_are_known_after_their_batches_were_compacted_and_the_log_was_opened_again() => Turns.Run(async () =>
    {
        var crashed = await _fixture.OpenAsync();
        for (var sequence = 0; sequence < 20; sequence++)
        {
            var builder = new RecordBatchBuilder();
            builder.Append(1000, "same"u8, false, "x"u8, false);
            await crashed.AppendAsync(builder.Build(7, 0, sequence));
        }

        await crashed.CloseSegmentAsync(1000);
        await crashed.CompactAsync(_fixture);
        await using var log = await _fixture.OpenAsync();
        log.CleanedOffset.ShouldBe(crashed.CleanedOffset);
        (await log.RecordsAsync()).ShouldBe([(19, "same", "x")]);
        var again = new RecordBatchBuilder();
        again.Append(1000, "same"u8, false, "x"u8, false);
        (await log.AppendAsync(again.Build(7, 0, 16))).ShouldBe(new ProduceResult(16, -1, 0, true));
        again.Append(1000, "same"u8, false, "x"u8, false);
        (await RefusedAsync(log.AppendAsync(again.Build(7, 0, 21)))).Code.ShouldBe(StreamsErrorCode.OutOfOrderSequence);
    });

    [Fact]
    public void Producers_are_known_when_a_crash_ends_a_compaction_midway() => Turns.Run(async () =>
    {
        _fixture.Options = new StreamsOptions { CompactionReadBytes = 100 };
        var crashed = await _fixture.OpenAsync();
        for (var sequence = 0; sequence < 100; sequence++)
        {
            var builder = new RecordBatchBuilder();
            builder.Append(1000, "same"u8, false, "x"u8, false);
            await crashed.AppendAsync(builder.Build(7, 0, sequence));
        }

        await crashed.CloseSegmentAsync(1000);
        var before = crashed.Offsets.SizeBytes;
        await crashed.MaintainAsync(_fixture.Slots);
        while (crashed.Offsets.SizeBytes == before)
        {
            await Task.Yield();
        }

        crashed.Compacting.IsCompleted.ShouldBeFalse("the first group is replaced, others are not");
        await using var log = await _fixture.OpenAsync();
        var again = new RecordBatchBuilder();
        again.Append(1000, "same"u8, false, "x"u8, false);
        (await log.AppendAsync(again.Build(7, 0, 97))).ShouldBe(new ProduceResult(97, -1, 0, true));
        again.Append(1000, "same"u8, false, "x"u8, false);
        (await log.AppendAsync(again.Build(7, 0, 2))).ShouldBe(new ProduceResult(-1, -1, 0, true), "it was counted although its batch is gone");
        await crashed.Compacting;
    });

    [Fact]
    public void Both_policies_work_together() => Turns.Run(async () =>
    {
        _fixture.Config = Compacted with { CleanupPolicy = CleanupPolicy.CompactAndDelete, RetentionMs = 3_600_000 };
        await using var log = await _fixture.OpenAsync();
        await log.AppendAsync(Keyed(_fixture.Now, ("old", "1"), ("a", "1")));
        await log.CloseSegmentAsync(_fixture.Now);
        _fixture.Time.Advance(TimeSpan.FromMinutes(50));
        await log.AppendAsync(Keyed(_fixture.Now, ("a", "2"), ("b", "1"), ("b", "2")));
        await log.CloseSegmentAsync(_fixture.Now);
        await log.CompactAsync(_fixture);
        (await log.RecordsAsync()).ShouldBe([(0, "old", "1"), (3, "a", "2"), (5, "b", "2")]);
        _fixture.Time.Advance(TimeSpan.FromMinutes(11));
        await log.CompactAsync(_fixture);
        (await log.RecordsAsync()).ShouldBe([(3, "a", "2"), (5, "b", "2")], "the old record's hour is over");
    });

    [Fact]
    public void Small_segments_become_few() => Turns.Run(async () =>
    {
        await using var log = await _fixture.OpenAsync();
        for (var i = 0; i < 60; i++)
        {
            await log.AppendAsync(Keyed(1000, ("same", new string('x', 300))));
        }

        await log.CompactAsync(_fixture);
        await log.CloseSegmentAsync(1000);
        await log.CompactAsync(_fixture);
        await using var raw = await _fixture.Storage.OpenAsync(Id, new Storage.LogOptions());
        raw.Segments.Count.ShouldBeLessThanOrEqualTo(6, "there were more than 30");
    });

    [Fact]
    public void Appends_and_reads_go_on_while_a_log_is_compacted() => Turns.Run(async () =>
    {
        _fixture.Options = new StreamsOptions { CompactionReadBytes = 100 };
        await using var log = await _fixture.OpenAsync();
        for (var i = 0; i < 200; i++)
        {
            await log.AppendAsync(Keyed(1000, ($"k{i % 5}", $"{i}")));
        }

        Exception? failure = null;
        log.CompactionFailed = exception => failure = exception;
        await log.MaintainAsync(_fixture.Slots);
        var appended = 0;
        while (!log.Compacting.IsCompleted)
        {
            await log.AppendAsync(Keyed(1000, ("new", $"{appended++}")));
            (await log.RecordsAsync(200)).Last(record => record.Key == "new").Value.ShouldBe($"{appended - 1}");
            await Task.Yield();
        }

        failure.ShouldBeNull();
        log.CleanedOffset.ShouldBeGreaterThan(150);
        appended.ShouldBeGreaterThan(20, "the compaction must have given way between its reads");
        var records = await log.RecordsAsync();
        records.Count(record => record.Key != "new").ShouldBeLessThan(40);
        for (var key = 0; key < 5; key++)
        {
            records.Last(record => record.Key == $"k{key}").Value.ShouldBe($"{195 + key}");
        }
    });

    [Fact]
    public void A_compaction_that_closing_interrupts_is_made_good_by_the_next_opening() => Turns.Run(async () =>
    {
        _fixture.Options = new StreamsOptions { CompactionReadBytes = 100 };
        var log = await _fixture.OpenAsync();
        for (var i = 0; i < 200; i++)
        {
            await log.AppendAsync(Keyed(1000, ($"k{i % 5}", $"{i}")));
        }

        await log.MaintainAsync(_fixture.Slots);
        await Task.Yield();
        log.Compacting.IsCompleted.ShouldBeFalse();
        await log.DisposeAsync();
        log.Compacting.IsCompletedSuccessfully.ShouldBeTrue();
        await using var again = await _fixture.OpenAsync();
        (await again.RecordsAsync()).Count.ShouldBe(200);
        await again.CompactAsync(_fixture);
        (await again.RecordsAsync()).Count.ShouldBeLessThan(30);
    });

    [Fact]
    public void A_deletion_of_records_under_a_compaction_wins() => Turns.Run(async () =>
    {
        _fixture.Options = new StreamsOptions { CompactionReadBytes = 100 };
        await using var log = await _fixture.OpenAsync();
        for (var i = 0; i < 200; i++)
        {
            await log.AppendAsync(Keyed(1000, ($"k{i % 5}", $"{i}")));
        }

        Exception? failure = null;
        log.CompactionFailed = exception => failure = exception;
        await log.MaintainAsync(_fixture.Slots);
        await Task.Yield();
        (await log.DeleteRecordsAsync(150)).ShouldBe(150);
        await log.Compacting;
        failure.ShouldBeNull();
        (await log.RecordsAsync()).ShouldAllBe(record => record.Offset >= 150);
        await log.CompactAsync(_fixture);
        (await log.RecordsAsync())[^1].ShouldBe((199, "k4", "199"));
    });

    [Fact]
    public void A_full_disk_stops_a_compaction_and_nothing_else() => Turns.Run(async () =>
    {
        await using var log = await _fixture.OpenAsync();
        for (var i = 0; i < 50; i++)
        {
            await log.AppendAsync(Keyed(1000, ($"k{i}", $"{i}"), ("same", "x")));
        }

        _fixture.Storage.CapacityBytes = _fixture.Storage.UsedBytes;
        Exception? failure = null;
        log.CompactionFailed = exception => failure = exception;
        await log.MaintainAsync(_fixture.Slots);
        await log.Compacting;
        (failure as StreamsException)?.Code.ShouldBe(StreamsErrorCode.DiskFull);
        failure.ShouldNotBeNull();
        _fixture.Storage.CapacityBytes = long.MaxValue;
        (await log.RecordsAsync()).Count.ShouldBe(100);
        await log.CompactAsync(_fixture);
        (await log.RecordsAsync()).Count.ShouldBeLessThan(80);
        _fixture.Slots.TryTake().ShouldBeTrue("the slot was given back");
    });

    [Fact]
    public void Only_so_many_partitions_are_compacted_at_a_time() => Turns.Run(async () =>
    {
        _fixture.Slots = new CompactionSlots(new StreamsOptions { CompactionsMax = 1 });
        await using var log = await _fixture.OpenAsync();
        await log.AppendAsync(Keyed(1000, ("a", "1"), ("a", "2")));
        await log.CloseSegmentAsync(1000);
        _fixture.Slots.TryTake().ShouldBeTrue();
        await log.CompactAsync(_fixture);
        (await log.RecordsAsync()).Count.ShouldBe(2, "another partition has the only slot");
        _fixture.Slots.Release();
        await log.CompactAsync(_fixture);
        (await log.RecordsAsync()).Count.ShouldBe(1);
    });
}
