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
    [InlineData(-1, 0, 20)]
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
        await log.MaintainAsync();
        log.Offsets.LogStartOffset.ShouldBe(0);
        fixture.Time.Advance(TimeSpan.FromSeconds(61));
        await log.MaintainAsync();
        log.Offsets.LogStartOffset.ShouldBe(1);
        fixture.Storage.UsedBytes.ShouldBe(0);
        (await log.AppendAsync(Batch("new"))).BaseOffset.ShouldBe(1);
    });
}
