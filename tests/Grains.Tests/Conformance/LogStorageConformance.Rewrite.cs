using OrleansStreams.Errors;
using OrleansStreams.Records;
using OrleansStreams.Storage;
using OrleansStreams.Tests.Storage;

namespace OrleansStreams.Tests.Conformance;

/// <content>Ending segments, and replacing the batches of closed ones.</content>
public abstract partial class LogStorageConformance
{
    [Fact]
    public async Task Rolling_closes_the_active_segment_and_does_nothing_when_it_is_empty()
    {
        var storage = await CreateAsync();
        var log = await storage.OpenAsync(Id, Small);
        await log.RollAsync();
        log.Segments.ShouldBe([new LogSegmentInfo(0, 0, 0, -1)]);
        var batch = TestBatches.Of("a", 3);
        await log.AppendAsync(batch);
        await log.RollAsync();
        await log.RollAsync();
        LogSegmentInfo[] rolled = [new LogSegmentInfo(0, 3, batch.Length, 1000), new LogSegmentInfo(3, 3, 0, -1)];
        log.Segments.ShouldBe(rolled);
        log.NextOffset.ShouldBe(3);
        await log.DisposeAsync();
        storage = await RestartAsync(storage);
        await using (storage)
        {
            await using var again = await storage.OpenAsync(Id, Small);
            again.Segments[0].ShouldBe(rolled[0]);
            await again.AppendAsync(TestBatches.Of("b"));
            (await again.ReadAllAsync()).Count.ShouldBe(2);
        }
    }

    [Fact]
    public async Task A_committed_rewrite_replaces_its_segments_at_once_and_for_good()
    {
        var storage = await CreateAsync();
        var log = await FilledAsync(storage);
        var before = await log.ReadAllAsync();
        var segments = log.Segments;
        var (from, end) = (segments[1].BaseOffset, segments[2].EndOffset);
        var held = await log.ReadAsync(from, 1_000_000);
        var heldBytes = held.Batches.ToArray();
        byte[][] replacement =
        [
            TestBatches.Sparse(from, from + 3, 1, 1001, from + 1),
            TestBatches.Sparse(from + 3, end - 2, 1, -1),
            TestBatches.Sparse(end - 2, end, 1, 1002, end - 2, end - 1),
        ];
        await using (var rewrite = await log.BeginRewriteAsync(from, end))
        {
            (rewrite.FromOffset, rewrite.EndOffset, rewrite.NextOffset).ShouldBe((from, end, from));
            await rewrite.AppendAsync(replacement[0].Concat(replacement[1]).ToArray());
            rewrite.NextOffset.ShouldBe(end - 2);
            (await log.ReadAllAsync()).ShouldBe(before, "nothing is replaced before the commit");
            await rewrite.AppendAsync(replacement[2]);
            await log.AppendAsync(TestBatches.Of("meanwhile"));
            (await rewrite.CommitAsync()).ShouldBeTrue();
        }

        var expected = await Check(log);
        held.Batches.ToArray().ShouldBe(heldBytes, "readers keep what they hold");
        await log.DisposeAsync();
        storage = await RestartAsync(storage);
        await using (storage)
        {
            await using var again = await storage.OpenAsync(Id, Small);
            (await Check(again)).ShouldBe(expected);
            await again.AppendAsync(TestBatches.Of("later"));
            (await again.ReadAllAsync(120)).Count.ShouldBe(2);
        }

        async Task<List<byte[]>> Check(ILog log)
        {
            var after = await log.ReadAllAsync();
            after.Where(batch => BaseOffsetOf(batch) >= from && BaseOffsetOf(batch) < end).ShouldBe(replacement);
            after.Where(batch => BaseOffsetOf(batch) < from).ShouldBe(before.Where(batch => BaseOffsetOf(batch) < from));
            after.Where(batch => BaseOffsetOf(batch) >= end && BaseOffsetOf(batch) < 120).ShouldBe(before.Where(batch => BaseOffsetOf(batch) >= end));
            var replaced = log.Segments.Where(segment => segment.BaseOffset >= from && segment.EndOffset <= end).ToList();
            (replaced[0].BaseOffset, replaced[^1].EndOffset).ShouldBe((from, end));
            replaced.Sum(segment => segment.Bytes).ShouldBe(replacement.Sum(batch => batch.Length));
            replaced.Max(segment => segment.MaxTimestamp).ShouldBe(1002);
            log.SizeBytes.ShouldBe(log.Segments.Sum(segment => segment.Bytes));
            (await log.FindBatchByTimestampAsync(1000 + ((from - 2) / 2) + 1)).ShouldNotBeNull();
            for (var offset = from; offset < end; offset++)
            {
                var holding = RecordBatchHeader.Read((await log.ReadAsync(offset, 1)).Batches.Span);
                offset.ShouldBeInRange(holding.BaseOffset, holding.LastOffset);
            }

            return after;
        }
    }

    [Fact]
    public async Task Batches_of_a_rewrite_are_found_by_timestamp_and_empty_ones_never()
    {
        await using var storage = await CreateAsync();
        await using var log = await FilledAsync(storage);
        var end = log.Segments[0].EndOffset;
        await using (var rewrite = await log.BeginRewriteAsync(0, end))
        {
            await rewrite.AppendAsync(TestBatches.Sparse(0, 4, 1, -1));
            await rewrite.AppendAsync(TestBatches.Sparse(4, end, 1, 1003, 6));
            await rewrite.CommitAsync();
        }

        (await log.FindBatchByTimestampAsync(0)).ShouldBe(4);
        (await log.FindBatchByTimestampAsync(1003)).ShouldBe(4);
        (await log.FindBatchByTimestampAsync(1004)).ShouldBe(end, "the first batch of the next segment has a later time");
    }

    [Fact]
    public async Task A_rewrite_that_is_disposed_or_left_behind_changes_nothing_and_another_may_begin()
    {
        var storage = await CreateAsync();
        var log = await FilledAsync(storage);
        var before = await log.ReadAllAsync();
        var segments = log.Segments;
        await using (var dropped = await log.BeginRewriteAsync(0, segments[0].EndOffset))
        {
            await dropped.AppendAsync(TestBatches.Sparse(0, segments[0].EndOffset, 1, -1));
            await Should.ThrowAsync<InvalidOperationException>(async () => await log.BeginRewriteAsync(0, segments[0].EndOffset));
        }

        (await log.ReadAllAsync()).ShouldBe(before);
        log.Segments.ShouldBe(segments);
        var left = await log.BeginRewriteAsync(0, segments[1].EndOffset);
        await left.AppendAsync(TestBatches.Sparse(0, segments[1].EndOffset, 1, -1));
        await log.DisposeAsync();
        (await Should.ThrowAsync<StreamsException>(async () => await left.CommitAsync())).Code.ShouldBe(StreamsErrorCode.Closed);
        storage = await RestartAsync(storage);
        await left.DisposeAsync();
        await using (storage)
        {
            await using var again = await storage.OpenAsync(Id, Small);
            (await again.ReadAllAsync()).ShouldBe(before);
            again.Segments.ShouldBe(segments);
            await using var rewrite = await again.BeginRewriteAsync(0, segments[0].EndOffset);
            await rewrite.AppendAsync(TestBatches.Sparse(0, segments[0].EndOffset, 1, -1));
            (await rewrite.CommitAsync()).ShouldBeTrue();
            await Should.ThrowAsync<ObjectDisposedException>(async () => await rewrite.CommitAsync());
            (await again.ReadAllAsync()).Count.ShouldBe(before.Count(batch => BaseOffsetOf(batch) >= segments[0].EndOffset) + 1);
        }
    }

    [Fact]
    public async Task A_fenced_log_rewrites_nothing()
    {
        await using var storage = await CreateAsync();
        var stale = await FilledAsync(storage);
        var before = await stale.ReadAllAsync();
        var end = stale.Segments[0].EndOffset;
        var rewrite = await stale.BeginRewriteAsync(0, end);
        await rewrite.AppendAsync(TestBatches.Sparse(0, end, 1, -1));
        await using var log = await storage.OpenAsync(Id, Small);
        await using var mine = await log.BeginRewriteAsync(0, end);
        foreach (var use in new Func<Task>[] { async () => await rewrite.CommitAsync(), async () => await rewrite.AppendAsync(TestBatches.Sparse(0, end, 1, -1)) })
        {
            (await Should.ThrowAsync<StreamsException>(use)).Code.ShouldBe(StreamsErrorCode.FencedLeaderEpoch);
        }

        await rewrite.DisposeAsync();
        await stale.DisposeAsync();
        (await log.ReadAllAsync()).ShouldBe(before);
        await mine.AppendAsync(TestBatches.Sparse(0, end, 1, -1));
        (await mine.CommitAsync()).ShouldBeTrue("the stale one must not have touched it");
        RecordBatchHeader.Read((await log.ReadAsync(0, 1)).Batches.Span).RecordCount.ShouldBe(0);
    }

    [Fact]
    public async Task A_range_that_is_not_whole_closed_segments_or_not_covered_is_a_bug_of_the_caller()
    {
        await using var storage = await CreateAsync();
        await using var log = await FilledAsync(storage);
        var segments = log.Segments;
        foreach (var (from, end) in new[]
        {
            (0, segments[0].EndOffset - 1), (1, segments[0].EndOffset), (0, 0L), (segments[1].BaseOffset, segments[0].EndOffset),
            (segments[^1].BaseOffset, segments[^1].EndOffset), (0, segments[^1].EndOffset), (0, 100_000), (-1, segments[0].EndOffset),
        })
        {
            await Should.ThrowAsync<InvalidOperationException>(async () => await log.BeginRewriteAsync(from, end), $"{from} to {end}");
        }

        var whole = segments[0].EndOffset;
        await using var rewrite = await log.BeginRewriteAsync(0, whole);
        await Should.ThrowAsync<InvalidOperationException>(async () => await rewrite.CommitAsync());
        await Should.ThrowAsync<InvalidOperationException>(async () => await rewrite.AppendAsync(TestBatches.Sparse(1, whole, 1, -1)));
        await Should.ThrowAsync<InvalidOperationException>(async () => await rewrite.AppendAsync(TestBatches.Sparse(0, whole + 1, 1, -1)));
        (await Should.ThrowAsync<StreamsException>(async () => await rewrite.AppendAsync(TestBatches.Sparse(0, whole, 1, -1).AsMemory(0, 40)))).Code
            .ShouldBe(StreamsErrorCode.CorruptBatch);
        rewrite.NextOffset.ShouldBe(0);
        await rewrite.AppendAsync(TestBatches.Sparse(0, whole, 1, -1));
        (await rewrite.CommitAsync()).ShouldBeTrue();
    }

    [Fact]
    public async Task A_truncation_meanwhile_wins_over_the_rewrite_and_one_inside_the_first_segment_does_not_matter()
    {
        await using var storage = await CreateAsync();
        await using var log = await FilledAsync(storage);
        var segments = log.Segments;
        await using (var inside = await log.BeginRewriteAsync(0, segments[1].EndOffset))
        {
            await inside.AppendAsync(TestBatches.Sparse(0, segments[1].EndOffset, 1, 5, 4));
            await log.TruncatePrefixAsync(2);
            (await inside.CommitAsync()).ShouldBeTrue();
        }

        (log.StartOffset, log.Segments[0].EndOffset).ShouldBe((2, segments[1].EndOffset));
        RecordBatchHeader.Read((await log.ReadAsync(3, 1)).Batches.Span).BaseOffset.ShouldBe(0);
        await using var late = await log.BeginRewriteAsync(0, segments[2].EndOffset);
        await late.AppendAsync(TestBatches.Sparse(0, segments[2].EndOffset, 1, -1));
        await log.TruncatePrefixAsync(segments[2].BaseOffset);
        var after = await log.ReadAllAsync();
        (await late.CommitAsync()).ShouldBeFalse();
        (await log.ReadAllAsync()).ShouldBe(after);
        log.StartOffset.ShouldBe(segments[2].BaseOffset);
    }

    [Fact]
    public async Task Readers_and_appends_go_on_while_segments_are_rewritten_again_and_again()
    {
        await using var storage = await CreateAsync();
        await using var log = await storage.OpenAsync(Id, Small);
        var isDone = false;
        var readers = Enumerable.Range(0, 3).Select(reader => Task.Run(async () =>
        {
            while (!Volatile.Read(ref isDone))
            {
                for (var offset = 0L; offset < log.DurableEndOffset;)
                {
                    var read = await log.ReadAsync(offset, 100 * (reader + 1));
                    foreach (var batch in TestBatches.Split(read.Batches))
                    {
                        var header = RecordBatchHeader.Read(batch);
                        offset.ShouldBeInRange(header.BaseOffset, header.LastOffset);
                        offset = header.NextOffset;
                    }

                    read.NextOffset.ShouldBe(offset);
                    await Task.Yield();
                }
            }
        })).ToList();
        for (var round = 0; round < 25; round++)
        {
            for (var i = 0; i < 20; i++)
            {
                await log.AppendAsync(TestBatches.Of($"r{round}-{i}", 2));
            }

            await log.RollAsync();
            var segments = log.Segments;
            var end = segments[^2].EndOffset;
            var from = segments[round % 2 == 0 ? 0 : segments.Count / 2].BaseOffset;
            if (from < end)
            {
                await using var rewrite = await log.BeginRewriteAsync(from, end);
                await rewrite.AppendAsync(TestBatches.Sparse(from, end, 1, 7, from, end - 1));
                var append = log.AppendAsync(TestBatches.Of("meanwhile"));
                (await rewrite.CommitAsync()).ShouldBeTrue();
                await append;
            }
        }

        Volatile.Write(ref isDone, true);
        await Task.WhenAll(readers).WaitAsync(TimeSpan.FromSeconds(60));
    }

    /// <summary>60 batches of two records in several segments, times rising from 1000.</summary>
    private static async Task<ILog> FilledAsync(ILogStorage storage)
    {
        var log = await storage.OpenAsync(Id, Small);
        for (var i = 0; i < 60; i++)
        {
            await log.AppendAsync(TestBatches.Of($"n{i}", 2, timestamp: 1000 + i, valueBytes: 40));
        }

        log.Segments.Count.ShouldBeGreaterThan(3);
        return log;
    }

    private static long BaseOffsetOf(byte[] batch) => RecordBatchHeader.Read(batch).BaseOffset;
}
