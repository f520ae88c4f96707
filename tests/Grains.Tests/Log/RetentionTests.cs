using OrleansStreams.Log.Compaction;
using OrleansStreams.Storage;
using static OrleansStreams.Log.LogFixture;

namespace OrleansStreams.Log;

public sealed class RetentionTests
{
    private static readonly LogSegmentInfo[] Segments = [new(0, 10, 100, 1000), new(10, 20, 100, 3000), new(20, 30, 100, 2000)];

    [Theory]
    [InlineData(-1, -1, 0)]
    [InlineData(5000, -1, 0)]
    [InlineData(3999, -1, 10)]
    [InlineData(2500, -1, 10)]
    [InlineData(1999, -1, 30)]
    [InlineData(-1, 300, 0)]
    [InlineData(-1, 200, 10)]
    [InlineData(-1, 101, 10)]
    [InlineData(-1, 100, 20)]
    [InlineData(-1, 1, 20)]
    [InlineData(-1, 0, 30)]
    public void Whole_segments_go_by_age_and_by_size(long retentionMs, long retentionBytes, long expected) =>
        Retention.NewStartOffset(Segments, 0, 30, new TopicConfig { RetentionMs = retentionMs, RetentionBytes = retentionBytes }, now: 5000).ShouldBe(expected);

    [Fact]
    public void Records_without_a_timestamp_have_no_age() =>
        Retention.NewStartOffset([new(0, 10, 100, -1)], 0, 10, new TopicConfig { RetentionMs = 0 }, now: 5000).ShouldBe(0);

    [Fact]
    public void Nothing_that_is_not_durable_goes() =>
        Retention.NewStartOffset([new(0, 10, 100, 1000)], 0, 7, new TopicConfig { RetentionMs = 0 }, now: 5000).ShouldBe(7);

    [Fact]
    public void A_partition_forgets_what_is_too_old_and_keeps_its_offsets() => Turns.Run(async () =>
    {
        var fixture = new LogFixture { Config = new TopicConfig { RetentionMs = 60_000, SegmentBytes = 1024 } };
        await using var log = await fixture.OpenAsync();
        await log.AppendAsync(BatchAt(fixture.Time.GetUtcNow().ToUnixTimeMilliseconds(), "old"));
        await log.MaintainAsync(fixture.Slots);
        log.Offsets.LogStartOffset.ShouldBe(0);
        fixture.Time.Advance(TimeSpan.FromSeconds(61));
        await log.MaintainAsync(fixture.Slots);
        log.Offsets.LogStartOffset.ShouldBe(1);
        fixture.Storage.UsedBytes.ShouldBe(0);
        (await log.AppendAsync(Batch("new"))).BaseOffset.ShouldBe(1);
    });

    [Fact]
    public void Age_removes_something_at_the_time_that_was_foretold_and_not_before()
    {
        var random = new Random(1);
        var foretold = 0;
        for (var i = 0; i < 4000; i++)
        {
            var (segments, start) = SomeSegments(random);
            var config = new TopicConfig { RetentionMs = random.Next(-1, 50) };
            var due = Retention.NextExpiryMs(segments, start, config);
            if (due == long.MaxValue)
            {
                Retention.NewStartOffset(segments, start, segments[^1].EndOffset, config, now: 1_000_000).ShouldBe(start);
                continue;
            }

            foretold++;
            Retention.NewStartOffset(segments, start, segments[^1].EndOffset, config, due - 1).ShouldBe(start);
            Retention.NewStartOffset(segments, start, segments[^1].EndOffset, config, due).ShouldBeGreaterThan(start);
        }

        foretold.ShouldBeGreaterThan(500);
        Retention.NextExpiryMs(Segments, 0, new TopicConfig { RetentionMs = long.MaxValue }).ShouldBe(long.MaxValue);
        Retention.NextExpiryMs(Segments, 0, new TopicConfig { RetentionMs = 1, CleanupPolicy = CleanupPolicy.Compact }).ShouldBe(long.MaxValue);
    }

    [Fact]
    public void A_compaction_is_due_at_the_time_that_was_foretold_and_not_before()
    {
        var random = new Random(2);
        var foretold = 0;
        for (var i = 0; i < 4000; i++)
        {
            var (segments, start) = SomeSegments(random);
            var lag = random.Next(2) * random.Next(60);
            var config = new TopicConfig
            {
                CleanupPolicy = CleanupPolicy.Compact, MinCompactionLagMs = lag, MinCleanableDirtyRatio = random.Next(5) / 4.0,
                MaxCompactionLagMs = random.Next(2) == 0 ? long.MaxValue : lag + 1 + random.Next(80),
            };
            var cleaned = segments[random.Next(segments.Length)].BaseOffset;
            var first = segments.First(segment => segment.EndOffset > Math.Max(start, cleaned)).MaxTimestamp;
            var all = CompactionRange.Of(segments, start, cleaned, config with { MinCompactionLagMs = 0 }, now: 0);
            var due = all.EndOffset <= all.DirtyOffset ? long.MaxValue : CompactionRange.NextDueMs(segments, all, config, first);
            IsDue(due == long.MaxValue ? 1_000_000 : due).ShouldBe(due != long.MaxValue, $"case {i}");
            if (due is > 0 and < long.MaxValue)
            {
                foretold++;
                IsDue(due - 1).ShouldBeFalse($"case {i}");
            }

            bool IsDue(long now) => CompactionRange.Of(segments, start, cleaned, config, now).IsDue(config, first, now);
        }

        foretold.ShouldBeGreaterThan(500);
    }

    private static (LogSegmentInfo[] Segments, long Start) SomeSegments(Random random)
    {
        var segments = new LogSegmentInfo[1 + random.Next(5)];
        for (var i = 0; i < segments.Length; i++)
        {
            segments[i] = new LogSegmentInfo(10 * i, (10 * i) + 10, 1 + random.Next(100), random.Next(4) == 0 ? -1 : random.Next(100, 200));
        }

        return (segments, random.Next(10));
    }

    [Fact]
    public void Segments_without_a_timestamp_go_with_a_younger_one_that_goes_and_stay_with_one_that_stays()
    {
        LogSegmentInfo[] segments = [new(0, 10, 100, -1), new(10, 20, 100, 1000), new(20, 30, 100, -1), new(30, 40, 100, 4000)];
        Retention.NewStartOffset(segments, 0, 40, new TopicConfig { RetentionMs = 2000 }, now: 5000).ShouldBe(20);
        Retention.NewStartOffset(segments, 0, 40, new TopicConfig { RetentionMs = 4500 }, now: 5000).ShouldBe(0);
    }

    [Fact]
    public void A_topic_that_is_only_compacted_keeps_its_age_and_size()
    {
        var config = new TopicConfig { RetentionMs = 0, RetentionBytes = 0, CleanupPolicy = CleanupPolicy.Compact };
        Retention.NewStartOffset(Segments, 0, 30, config, now: 5000).ShouldBe(0);
        Retention.NewStartOffset(Segments, 0, 30, config with { CleanupPolicy = CleanupPolicy.CompactAndDelete }, now: 5000).ShouldBe(30);
    }

    [Fact]
    public void A_segment_ends_by_age_and_then_goes_by_size() => Turns.Run(async () =>
    {
        var fixture = new LogFixture { Config = new TopicConfig { RetentionMs = -1, RetentionBytes = 1, SegmentMs = 60_000 } };
        await using var log = await fixture.OpenAsync();
        await log.AppendAsync(BatchAt(1000, "an old record in a young segment"));
        await log.MaintainAsync(fixture.Slots);
        fixture.Time.Advance(TimeSpan.FromSeconds(59));
        await log.MaintainAsync(fixture.Slots);
        await log.AppendAsync(Batch("same segment"));
        log.Offsets.LogStartOffset.ShouldBe(0);
        fixture.Time.Advance(TimeSpan.FromSeconds(1));
        await log.MaintainAsync(fixture.Slots);
        await log.AppendAsync(Batch("next segment"));
        await log.MaintainAsync(fixture.Slots);
        log.Offsets.LogStartOffset.ShouldBe(2);
        (await ReadAllAsync(log)).ShouldBe([(2, "next segment")]);
    });

    [Fact]
    public void The_age_of_a_segment_outlives_the_opening_of_its_log() => Turns.Run(async () =>
    {
        var fixture = new LogFixture { Config = new TopicConfig { SegmentMs = 60_000, RetentionMs = -1 } };
        await using (var first = await fixture.OpenAsync())
        {
            await first.AppendAsync(BatchAt(fixture.Now, "a"));
        }

        fixture.Time.Advance(TimeSpan.FromSeconds(61));
        await using (var log = await fixture.OpenAsync())
        {
            await log.MaintainAsync(fixture.Slots);
        }

        await using var raw = await fixture.Storage.OpenAsync(Id, new LogOptions());
        raw.Segments.Select(segment => segment.EndOffset).ShouldBe([1, 1]);
    });
}
