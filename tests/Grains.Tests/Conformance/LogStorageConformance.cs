using OrleansStreams.Errors;
using OrleansStreams.Records;
using OrleansStreams.Storage;
using OrleansStreams.Tests.Storage;

namespace OrleansStreams.Tests.Conformance;

/// <summary>Every promise of <see cref="ILogStorage"/>, run on every implementation.</summary>
public abstract partial class LogStorageConformance
{
    protected static LogId Id { get; } = new("topics/t.1/0");

    /// <summary>Small segments and index intervals, so that a short test meets many of them.</summary>
    protected static LogOptions Small { get; } = new() { SegmentBytes = 2000, IndexIntervalBytes = 300 };

    /// <summary>Runs of the model test; fewer where each operation is a round trip.</summary>
    protected virtual int ModelSeeds => 40;

    protected abstract ValueTask<ILogStorage> CreateAsync();

    /// <summary>The same data after a graceful end of the storage, in a new one where the implementation has such a thing.</summary>
    protected abstract ValueTask<ILogStorage> RestartAsync(ILogStorage storage);

    [Fact]
    public async Task A_new_log_is_empty_and_begins_at_offset_0_with_leader_epoch_1()
    {
        await using var storage = await CreateAsync();
        await using var log = await storage.OpenAsync(Id, Small);
        (log.Id, log.LeaderEpoch, log.StartOffset, log.DurableEndOffset, log.NextOffset, log.SizeBytes).ShouldBe((Id, 1, 0L, 0L, 0L, 0L));
        log.Checkpoint.ShouldBeNull();
        log.Segments.ShouldBe([new LogSegmentInfo(0, 0, 0, -1)]);
        (await log.ReadAsync(0, 1000)).ShouldBe(new LogRead(default, 0));
        (await log.FindBatchByTimestampAsync(0)).ShouldBeNull();
    }

    [Fact]
    public async Task Appended_batches_are_read_back_with_dense_offsets_and_the_leader_epoch_stamped()
    {
        await using var storage = await CreateAsync();
        await using var log = await storage.OpenAsync(Id, Small);
        byte[][] batches = [TestBatches.Of("a", 3), TestBatches.Of("b"), TestBatches.Of("c", 5)];
        await log.AppendAsync(batches[0], batches[1]);
        await log.AppendAsync(batches[2]);
        log.DurableEndOffset.ShouldBe(9);
        log.NextOffset.ShouldBe(9);
        log.SizeBytes.ShouldBe(batches.Sum(batch => batch.Length));
        (await log.ReadAllAsync()).ShouldBe([
            TestBatches.Stamped(batches[0], 0, 1), TestBatches.Stamped(batches[1], 3, 1), TestBatches.Stamped(batches[2], 4, 1)]);
    }

    [Fact]
    public async Task The_callers_memory_is_not_written_and_may_be_changed_once_the_call_returned()
    {
        await using var storage = await CreateAsync();
        await using var log = await storage.OpenAsync(Id, Small);
        await log.AppendAsync(TestBatches.Of("first"));
        var batch = TestBatches.Of("mine", 2);
        var before = batch.ToArray();
        var append = log.AppendAsync(batch);
        batch.ShouldBe(before);
        Array.Fill(batch, (byte)0xEE);
        await append;
        (await log.ReadAllAsync())[1].ShouldBe(TestBatches.Stamped(before, 1, 1));
    }

    [Fact]
    public async Task A_log_append_time_is_stamped_with_a_right_checksum()
    {
        await using var storage = await CreateAsync();
        await using var log = await storage.OpenAsync(Id, Small);
        await log.AppendAsync(0, [TestBatches.Of("a", 2, timestamp: 5), TestBatches.Of("b", 2, timestamp: 9)], logAppendTime: 777);
        foreach (var batch in await log.ReadAllAsync())
        {
            var header = RecordBatchHeader.Read(batch);
            (header.MaxTimestamp, header.TimestampType).ShouldBe((777, TimestampType.LogAppendTime));
        }

        (await log.FindBatchByTimestampAsync(777)).ShouldBe(0);
        (await log.FindBatchByTimestampAsync(778)).ShouldBeNull();
    }

    [Fact]
    public async Task An_append_at_another_offset_than_the_next_is_a_bug_of_the_caller_and_changes_nothing()
    {
        await using var storage = await CreateAsync();
        await using var log = await storage.OpenAsync(Id, Small);
        await log.AppendAsync(TestBatches.Of("a"));
        await Should.ThrowAsync<InvalidOperationException>(async () => await log.AppendAsync(0, [TestBatches.Of("b")]));
        await Should.ThrowAsync<InvalidOperationException>(async () => await log.AppendAsync(2, [TestBatches.Of("b")]));
        await log.AppendAsync(1, [TestBatches.Of("c")]);
        (await log.ReadAllAsync()).Count.ShouldBe(2);
    }

    [Fact]
    public async Task An_incomplete_batch_is_refused_and_nothing_of_its_append_is_written()
    {
        await using var storage = await CreateAsync();
        await using var log = await storage.OpenAsync(Id, Small);
        var good = TestBatches.Of("good");
        var badMagic = TestBatches.Of("bad");
        badMagic[16] = 1;
        foreach (var bad in new[] { [], new byte[10], good[..^1], [.. good, 0], badMagic })
        {
            var refused = await Should.ThrowAsync<StreamsException>(async () => await log.AppendAsync(good, bad));
            (refused.Code, refused.Outcome).ShouldBe((StreamsErrorCode.CorruptBatch, WriteOutcome.NotWritten));
        }

        log.NextOffset.ShouldBe(0);
        await log.AppendAsync(good);
        (await log.ReadAllAsync()).ShouldBe([TestBatches.Stamped(good, 0, 1)]);
    }

    [Fact]
    public async Task Many_appends_under_way_become_durable_in_order()
    {
        await using var storage = await CreateAsync();
        await using var log = await storage.OpenAsync(Id, Small);
        var batches = Enumerable.Range(0, 500).Select(i => TestBatches.Of($"n{i}", 1 + (i % 3))).ToArray();
        var appends = new List<Task>();
        foreach (var batch in batches)
        {
            var end = log.NextOffset + RecordBatchHeader.Read(batch).RecordCount;
            appends.Add(Watch(log.AppendAsync(batch).AsTask(), end));
        }

        await Task.WhenAll(appends);
        log.DurableEndOffset.ShouldBe(log.NextOffset);
        var read = await log.ReadAllAsync();
        var offset = 0L;
        for (var i = 0; i < batches.Length; i++)
        {
            read[i].ShouldBe(TestBatches.Stamped(batches[i], offset, 1));
            offset += RecordBatchHeader.Read(batches[i]).RecordCount;
        }

        async Task Watch(Task append, long end)
        {
            await append;
            log.DurableEndOffset.ShouldBeGreaterThanOrEqualTo(end);
        }
    }

    [Fact]
    public async Task A_read_begins_with_the_batch_that_holds_the_offset()
    {
        await using var storage = await CreateAsync();
        await using var log = await storage.OpenAsync(Id, Small);
        for (var i = 0; i < 100; i++)
        {
            await log.AppendAsync(TestBatches.Of($"n{i}", 3));
        }

        for (var offset = 0; offset < 300; offset++)
        {
            var read = await log.ReadAsync(offset, 1);
            var batch = TestBatches.Split(read.Batches).ShouldHaveSingleItem();
            RecordBatchHeader.Read(batch).BaseOffset.ShouldBe(offset / 3 * 3);
            read.NextOffset.ShouldBe((offset / 3 * 3) + 3);
        }
    }

    [Fact]
    public async Task A_read_gives_at_least_one_batch_and_more_only_within_the_bytes_asked_for()
    {
        await using var storage = await CreateAsync();
        await using var log = await storage.OpenAsync(Id, new LogOptions());
        var batch = TestBatches.Of("a", valueBytes: 100);
        await log.AppendAsync(batch, batch, batch, batch);
        foreach (var (maxBytes, batches) in new[] { (0, 1), (1, 1), (batch.Length, 1), ((batch.Length * 2) - 1, 1), (batch.Length * 2, 2), (batch.Length * 3, 3), (int.MaxValue, 4) })
        {
            TestBatches.Split((await log.ReadAsync(0, maxBytes)).Batches).Count.ShouldBe(batches);
        }
    }

    [Fact]
    public async Task A_batch_larger_than_segment_and_buffers_is_stored_and_read_whole()
    {
        await using var storage = await CreateAsync();
        await using var log = await storage.OpenAsync(Id, Small);
        var large = TestBatches.Of("large", 3, valueBytes: 1_000_000);
        await log.AppendAsync(TestBatches.Of("a"));
        await log.AppendAsync(large);
        await log.AppendAsync(TestBatches.Of("z"));
        TestBatches.Split((await log.ReadAsync(2, 10)).Batches).ShouldHaveSingleItem().ShouldBe(TestBatches.Stamped(large, 1, 1));
        await log.DisposeAsync();
        await using var again = await storage.OpenAsync(Id, Small);
        TestBatches.Split((await again.ReadAsync(2, 10)).Batches).ShouldHaveSingleItem().ShouldBe(TestBatches.Stamped(large, 1, 1));
        (await again.ReadAllAsync()).Count.ShouldBe(3);
    }

    [Fact]
    public async Task What_was_read_stays_unchanged_whatever_happens_to_the_log()
    {
        await using var storage = await CreateAsync();
        var log = await storage.OpenAsync(Id, Small);
        await log.AppendAsync(TestBatches.Of("a"), TestBatches.Of("b"));
        var read = await log.ReadAsync(0, 1000);
        var before = read.Batches.ToArray();
        for (var i = 0; i < 200; i++)
        {
            await log.AppendAsync(TestBatches.Of("x", valueBytes: 20_000));
        }

        await log.TruncatePrefixAsync(log.DurableEndOffset);
        await log.DisposeAsync();
        await storage.DeleteAsync(Id);
        read.Batches.ToArray().ShouldBe(before);
    }

    [Fact]
    public async Task A_read_outside_the_log_is_refused_with_offset_out_of_range()
    {
        await using var storage = await CreateAsync();
        await using var log = await storage.OpenAsync(Id, Small);
        await log.AppendAsync(TestBatches.Of("a", 10));
        await log.AppendAsync(TestBatches.Of("b", 10));
        await log.TruncatePrefixAsync(12);
        foreach (var offset in new[] { -1L, 0, 11, 21, long.MaxValue, long.MinValue })
        {
            (await Should.ThrowAsync<StreamsException>(async () => await log.ReadAsync(offset, 100))).Code.ShouldBe(StreamsErrorCode.OffsetOutOfRange);
        }

        (await log.ReadAsync(20, 100)).Batches.IsEmpty.ShouldBeTrue();
        RecordBatchHeader.Read((await log.ReadAsync(12, 100)).Batches.Span).BaseOffset.ShouldBe(10);
    }

    [Fact]
    public async Task Everything_acknowledged_is_there_when_the_log_is_opened_again_with_a_larger_epoch()
    {
        var storage = await CreateAsync();
        var log = await storage.OpenAsync(Id, Small);
        for (var i = 0; i < 50; i++)
        {
            await log.AppendAsync(TestBatches.Of($"n{i}", 2));
        }

        await log.WriteCheckpointAsync(new byte[] { 1, 2, 3 }, 60);
        var before = await log.ReadAllAsync();
        var segments = log.Segments;
        await log.DisposeAsync();
        storage = await RestartAsync(storage);
        await using (storage)
        {
            await using var again = await storage.OpenAsync(Id, Small);
            (again.LeaderEpoch, again.StartOffset, again.DurableEndOffset, again.NextOffset).ShouldBe((2, 0L, 100L, 100L));
            (await again.ReadAllAsync()).ShouldBe(before);
            again.Segments.ShouldBe(segments);
            again.Checkpoint!.Offset.ShouldBe(60);
            again.Checkpoint.Blob.ToArray().ShouldBe([1, 2, 3]);
            await again.AppendAsync(TestBatches.Of("new"));
            RecordBatchHeader.Read((await again.ReadAsync(100, 100)).Batches.Span).LeaderEpoch.ShouldBe(2);
        }
    }

    [Fact]
    public async Task A_newer_opener_fences_the_older_one()
    {
        await using var storage = await CreateAsync();
        var stale = await storage.OpenAsync(Id, Small);
        await stale.AppendAsync(TestBatches.Of("old"));
        await using var log = await storage.OpenAsync(Id, Small);
        log.LeaderEpoch.ShouldBeGreaterThan(stale.LeaderEpoch);
        await ShouldBeFencedAsync(stale);
        await log.AppendAsync(TestBatches.Of("new"));
        await stale.DisposeAsync();
        await log.AppendAsync(TestBatches.Of("newer"));
        (await log.ReadAllAsync()).Count.ShouldBe(3);
    }

    [Fact]
    public async Task A_deleted_log_fences_its_opener_and_leaves_nothing_behind()
    {
        await using var storage = await CreateAsync();
        var stale = await storage.OpenAsync(Id, Small);
        await stale.AppendAsync(TestBatches.Of("old"));
        await stale.WriteCheckpointAsync(new byte[] { 1 }, 1);
        await stale.TruncatePrefixAsync(1);
        await storage.DeleteAsync(Id);
        await storage.DeleteAsync(Id);
        (await storage.ListAsync(string.Empty)).ShouldBeEmpty();
        await ShouldBeFencedAsync(stale);
        await stale.DisposeAsync();
        await using var log = await storage.OpenAsync(Id, Small);
        (log.StartOffset, log.NextOffset, log.Checkpoint).ShouldBe((0L, 0L, null));
        await log.AppendAsync(TestBatches.Of("new"));
        (await log.ReadAllAsync()).Count.ShouldBe(1);
    }

    [Fact]
    public async Task A_closed_log_refuses_everything_and_can_be_closed_twice()
    {
        await using var storage = await CreateAsync();
        var log = await storage.OpenAsync(Id, Small);
        var append = log.AppendAsync(TestBatches.Of("a"));
        await log.DisposeAsync();
        append.IsCompleted.ShouldBeTrue("disposing waits for the appends under way");
        await append;
        await log.DisposeAsync();
        foreach (var use in Uses(log))
        {
            (await Should.ThrowAsync<StreamsException>(use)).Code.ShouldBe(StreamsErrorCode.Closed);
        }
    }

    [Fact]
    public async Task Logs_are_listed_by_prefix_in_ordinal_order_and_a_log_may_lie_below_another()
    {
        await using var storage = await CreateAsync();
        string[] names = ["b/2", "a", "a/1", "a/10", "a/1/x", "B", "a/" + new string('l', 300) + "/0", new string('m', 300), "a/epoch", "a/checkpoint"];
        foreach (var name in names)
        {
            await using var log = await storage.OpenAsync(new LogId(name), Small);
            await log.AppendAsync(TestBatches.Of(name[..1]));
        }

        (await storage.ListAsync(string.Empty)).Select(id => id.Path).ShouldBe(names.Order(StringComparer.Ordinal));
        (await storage.ListAsync("a/1")).Select(id => id.Path).ShouldBe(["a/1", "a/1/x", "a/10"]);
        (await storage.ListAsync("zz")).ShouldBeEmpty();
        await storage.DeleteAsync(new LogId("a/1"));
        (await storage.ListAsync("a/1")).Select(id => id.Path).ShouldBe(["a/1/x", "a/10"]);
        await using var below = await storage.OpenAsync(new LogId("a/1/x"), Small);
        below.DurableEndOffset.ShouldBe(1);
    }

    [Fact]
    public async Task Segments_are_rolled_by_size_and_cover_the_log_without_gaps()
    {
        await using var storage = await CreateAsync();
        await using var log = await storage.OpenAsync(Id, Small);
        for (var i = 0; i < 60; i++)
        {
            await log.AppendAsync(TestBatches.Of($"n{i}", 2, timestamp: 1000 + i));
        }

        var segments = log.Segments;
        segments.Count.ShouldBeGreaterThan(2);
        segments[0].BaseOffset.ShouldBe(0);
        segments[^1].EndOffset.ShouldBe(120);
        segments.Sum(segment => segment.Bytes).ShouldBe(log.SizeBytes);
        for (var i = 0; i < segments.Count; i++)
        {
            segments[i].Bytes.ShouldBeInRange(1, Small.SegmentBytes);
            segments[i].MaxTimestamp.ShouldBe(1000 + ((segments[i].EndOffset - 1) / 2));
            if (i > 0)
            {
                segments[i].BaseOffset.ShouldBe(segments[i - 1].EndOffset);
            }
        }
    }

    [Fact]
    public async Task Truncating_raises_the_start_for_good_and_frees_whole_segments()
    {
        var storage = await CreateAsync();
        var log = await storage.OpenAsync(Id, Small);
        for (var i = 0; i < 60; i++)
        {
            await log.AppendAsync(TestBatches.Of($"n{i}", 2));
        }

        var segments = log.Segments;
        await log.TruncatePrefixAsync(segments[1].BaseOffset + 1);
        log.StartOffset.ShouldBe(segments[1].BaseOffset + 1);
        log.Segments[0].ShouldBe(segments[1]);
        log.SizeBytes.ShouldBe(segments.Skip(1).Sum(segment => segment.Bytes));
        await log.TruncatePrefixAsync(3);
        log.StartOffset.ShouldBe(segments[1].BaseOffset + 1, "it is never lowered");
        await Should.ThrowAsync<InvalidOperationException>(async () => await log.TruncatePrefixAsync(121));
        await log.DisposeAsync();
        storage = await RestartAsync(storage);
        await using (storage)
        {
            await using var again = await storage.OpenAsync(Id, Small);
            again.StartOffset.ShouldBe(segments[1].BaseOffset + 1);
            again.Segments[0].ShouldBe(segments[1]);
            (await again.ReadAllAsync()).Count.ShouldBe((int)(120 - segments[1].BaseOffset) / 2);
        }
    }

    [Fact]
    public async Task Truncating_everything_frees_everything_and_the_log_goes_on_at_its_offset()
    {
        var storage = await CreateAsync();
        var log = await storage.OpenAsync(Id, Small);
        await log.AppendAsync(TestBatches.Of("a", 5), TestBatches.Of("b", 5));
        await log.TruncatePrefixAsync(10);
        (log.StartOffset, log.DurableEndOffset, log.SizeBytes).ShouldBe((10, 10, 0));
        log.Segments.ShouldBe([new LogSegmentInfo(10, 10, 0, -1)]);
        (await log.FindBatchByTimestampAsync(0)).ShouldBeNull();
        await log.DisposeAsync();
        storage = await RestartAsync(storage);
        await using (storage)
        {
            await using var again = await storage.OpenAsync(Id, Small);
            (again.StartOffset, again.NextOffset).ShouldBe((10, 10));
            var batch = TestBatches.Of("c");
            await again.AppendAsync(batch);
            (await again.ReadAllAsync()).ShouldBe([TestBatches.Stamped(batch, 10, 2)]);
        }
    }

    [Fact]
    public async Task A_checkpoint_is_replaced_as_a_whole_and_must_not_lie_above_the_durable_end()
    {
        await using var storage = await CreateAsync();
        await using var log = await storage.OpenAsync(Id, Small);
        await log.AppendAsync(TestBatches.Of("a", 5));
        var blob = new byte[] { 1, 2, 3 };
        var write = log.WriteCheckpointAsync(blob, 2);
        blob[0] = 9;
        await write;
        log.Checkpoint!.Blob.ToArray().ShouldBe([1, 2, 3]);
        await log.WriteCheckpointAsync(ReadOnlyMemory<byte>.Empty, 5);
        log.Checkpoint!.Offset.ShouldBe(5);
        log.Checkpoint.Blob.Length.ShouldBe(0);
        await Should.ThrowAsync<InvalidOperationException>(async () => await log.WriteCheckpointAsync(blob, 6));
    }

    [Fact]
    public async Task The_first_batch_with_a_timestamp_at_or_above_is_found_even_out_of_order()
    {
        await using var storage = await CreateAsync();
        var log = await storage.OpenAsync(Id, Small);
        long[] times = [.. Enumerable.Range(0, 80).Select(i => 1000L + (i * 10) + (i % 7 == 3 ? 200 : 0) - (i % 5 == 1 ? 150 : 0))];
        foreach (var time in times)
        {
            await log.AppendAsync(TestBatches.Of("t", 2, timestamp: time));
        }

        await Check(log, 0);
        await log.TruncatePrefixAsync(33);
        await Check(log, 16);
        await log.DisposeAsync();
        log = await storage.OpenAsync(Id, Small);
        await Check(log, 16);
        await log.DisposeAsync();

        async Task Check(ILog log, int first)
        {
            for (var time = 800L; time < 2100; time += 5)
            {
                var expected = Enumerable.Range(first, times.Length - first).Where(i => times[i] >= time).Select(i => (long?)i * 2).FirstOrDefault();
                (await log.FindBatchByTimestampAsync(time)).ShouldBe(expected, $"timestamp {time}");
            }
        }
    }

    [Fact]
    public async Task Reads_at_the_same_time_as_appends_truncations_and_rolls_see_only_whole_dense_batches()
    {
        await using var storage = await CreateAsync();
        await using var log = await storage.OpenAsync(Id, Small);
        var isDone = false;
        var readers = Enumerable.Range(0, 3).Select(reader => Task.Run(async () =>
        {
            var offset = 0L;
            while (!Volatile.Read(ref isDone) || offset < log.DurableEndOffset)
            {
                try
                {
                    var read = await log.ReadAsync(offset, 100 * (reader + 1));
                    read.NextOffset.ShouldBeLessThanOrEqualTo(log.DurableEndOffset);
                    foreach (var batch in TestBatches.Split(read.Batches))
                    {
                        RecordBatchHeader.Read(batch).BaseOffset.ShouldBe(offset);
                        offset++;
                    }

                    await Task.Yield();
                }
                catch (StreamsException exception) when (exception.Code == StreamsErrorCode.OffsetOutOfRange)
                {
                    offset = log.StartOffset;
                }
            }
        })).ToList();
        for (var i = 0; i < 600; i++)
        {
            await log.AppendAsync(TestBatches.Of($"n{i}"));
            if (i % 50 == 49)
            {
                await log.TruncatePrefixAsync(i - 20);
            }
        }

        Volatile.Write(ref isDone, true);
        await Task.WhenAll(readers).WaitAsync(TimeSpan.FromSeconds(60));
    }

    [Fact]
    public async Task Any_sequence_of_operations_agrees_with_a_naive_model()
    {
        for (var seed = 1; seed <= ModelSeeds; seed++)
        {
            var storage = await CreateAsync();
            try
            {
                storage = await new LogModelRun(seed, RestartAsync).RunAsync(storage, new LogId($"model/{seed}"), 120);
            }
            catch (Exception exception)
            {
                throw new InvalidOperationException($"Seed {seed}: {exception.Message}", exception);
            }
            finally
            {
                await storage.DisposeAsync();
            }
        }
    }

    protected static IEnumerable<Func<Task>> Uses(ILog log) =>
    [
        async () => await log.AppendAsync(log.NextOffset, [TestBatches.Of("x")]),
        async () => await log.ReadAsync(log.DurableEndOffset, 100),
        async () => await log.FindBatchByTimestampAsync(0),
        async () => await log.TruncatePrefixAsync(log.DurableEndOffset),
        async () => await log.WriteCheckpointAsync(new byte[1], log.DurableEndOffset),
        async () => await log.RollAsync(),
        async () => await log.BeginRewriteAsync(log.Segments[0].BaseOffset, log.Segments[0].EndOffset),
    ];

    private static async Task ShouldBeFencedAsync(ILog stale)
    {
        foreach (var use in Uses(stale))
        {
            var refused = await Should.ThrowAsync<StreamsException>(use);
            refused.Code.ShouldBe(StreamsErrorCode.FencedLeaderEpoch);
            refused.Outcome.ShouldBeOneOf(WriteOutcome.NotWritten, WriteOutcome.NotAWrite);
        }
    }
}
