using OrleansStreams.Errors;
using static OrleansStreams.Log.LogFixture;

namespace OrleansStreams.Log;

public sealed class PartitionLogReadTests
{
    private readonly LogFixture _fixture = new();

    [Theory]
    [InlineData(-1)]
    [InlineData(long.MinValue)]
    [InlineData(3)]
    [InlineData(long.MaxValue)]
    public void A_fetch_outside_of_the_log_is_refused_with_offset_out_of_range(long offset) => Turns.Run(async () =>
    {
        await using var log = await _fixture.OpenAsync();
        await log.AppendAsync(Batch("a", "b"));
        (await RefusedAsync(log.FetchAsync(new FetchRequest(offset, 1000, 1, 1000), default))).Code.ShouldBe(StreamsErrorCode.OffsetOutOfRange);
    });

    [Fact]
    public void A_fetch_of_no_bytes_is_refused() => Turns.Run(async () =>
    {
        await using var log = await _fixture.OpenAsync();
        (await RefusedAsync(log.FetchAsync(new FetchRequest(0, 0, 1, 1000), default))).Code.ShouldBe(StreamsErrorCode.InvalidRequest);
    });

    [Fact]
    public void A_fetch_below_the_log_start_offset_is_refused_with_offset_out_of_range() => Turns.Run(async () =>
    {
        await using var log = await _fixture.OpenAsync();
        await log.AppendAsync(Batch("a"));
        await log.AppendAsync(Batch("b"));
        (await log.DeleteRecordsAsync(1)).ShouldBe(1);
        (await RefusedAsync(log.FetchAsync(new FetchRequest(0, 1000, 1, 0), default))).Code.ShouldBe(StreamsErrorCode.OffsetOutOfRange);
        (await log.FetchAsync(new FetchRequest(1, 1000, 1, 0), default)).LogStartOffset.ShouldBe(1);
    });

    [Fact]
    public void A_long_poll_is_answered_by_the_next_commit() => Turns.Run(async () =>
    {
        await using var log = await _fixture.OpenAsync();
        await log.AppendAsync(Batch("a"));
        var poll = log.FetchAsync(new FetchRequest(1, 1000, 1, 10_000), default);
        _fixture.HoldWrites();
        var append = log.AppendAsync(Batch("b"));
        await Turns.Settle();
        poll.IsCompleted.ShouldBeFalse();
        _fixture.ReleaseWrites();
        await append;
        var answer = await poll;
        answer.NextOffset.ShouldBe(2);
        answer.HighWatermark.ShouldBe(2);
        _fixture.Time.ArmedTimers.ShouldBe(0);
    });

    [Fact]
    public void A_long_poll_waits_for_its_minimum_of_bytes() => Turns.Run(async () =>
    {
        await using var log = await _fixture.OpenAsync();
        await log.AppendAsync(Batch("a"));
        var one = Batch("a").Length;
        var poll = log.FetchAsync(new FetchRequest(0, 10_000, 3 * one, 10_000), default);
        await log.AppendAsync(Batch("b"));
        await Turns.Settle();
        poll.IsCompleted.ShouldBeFalse();
        await log.AppendAsync(Batch("c"));
        (await poll).NextOffset.ShouldBe(3);
    });

    [Fact]
    public void A_long_poll_answers_what_there_is_when_its_time_is_over() => Turns.Run(async () =>
    {
        await using var log = await _fixture.OpenAsync();
        await log.AppendAsync(Batch("a"));
        var poll = log.FetchAsync(new FetchRequest(0, 10_000, 10_000, 500), default);
        await Turns.Settle();
        _fixture.Time.Advance(TimeSpan.FromMilliseconds(499));
        await Turns.Settle();
        poll.IsCompleted.ShouldBeFalse();
        _fixture.Time.Advance(TimeSpan.FromMilliseconds(1));
        (await poll).NextOffset.ShouldBe(1);
    });

    [Fact]
    public void A_long_poll_is_answered_empty_when_nothing_came() => Turns.Run(async () =>
    {
        await using var log = await _fixture.OpenAsync();
        var poll = log.FetchAsync(new FetchRequest(0, 10_000, 1, int.MaxValue), default);
        await Turns.Settle();
        _fixture.Time.Advance(_fixture.Options.FetchWaitMax);
        var answer = await poll;
        answer.Batches.IsEmpty.ShouldBeTrue();
        answer.NextOffset.ShouldBe(0);
    });

    [Fact]
    public void A_cancelled_long_poll_ends_and_leaves_nothing_behind() => Turns.Run(async () =>
    {
        await using var log = await _fixture.OpenAsync();
        using var cancellation = new CancellationTokenSource();
        var poll = log.FetchAsync(new FetchRequest(0, 1000, 1, 10_000), cancellation.Token);
        await cancellation.CancelAsync();
        await Should.ThrowAsync<OperationCanceledException>(() => poll);
        _fixture.Time.ArmedTimers.ShouldBe(0);
        await log.AppendAsync(Batch("a"));
    });

    [Fact]
    public void Long_polls_that_are_ended_answer_what_there_is_and_later_ones_wait_again() => Turns.Run(async () =>
    {
        await using var log = await _fixture.OpenAsync();
        await log.AppendAsync(Batch("a"));
        var empty = log.FetchAsync(new FetchRequest(1, 1000, 1, 10_000), default);
        var tooLittle = log.FetchAsync(new FetchRequest(0, 1000, 900, 10_000), default);
        _fixture.HoldWrites();
        var append = log.AppendAsync(Batch("b"));
        await Turns.Settle();
        log.EndLongPolls();
        var answer = await empty;
        answer.NextOffset.ShouldBe(1);
        answer.Batches.IsEmpty.ShouldBeTrue();
        (await tooLittle).NextOffset.ShouldBe(1);
        append.IsCompleted.ShouldBeFalse("an append under way is no long poll");
        var later = log.FetchAsync(new FetchRequest(1, 1000, 1, 10_000), default);
        await Turns.Settle();
        later.IsCompleted.ShouldBeFalse();
        _fixture.ReleaseWrites();
        await append;
        (await later).NextOffset.ShouldBe(2);
        _fixture.Time.ArmedTimers.ShouldBe(0);
    });

    [Fact]
    public void Closing_sends_long_polls_away() => Turns.Run(async () =>
    {
        var log = await _fixture.OpenAsync();
        var poll = log.FetchAsync(new FetchRequest(0, 1000, 1, 10_000), default);
        await log.DisposeAsync();
        (await RefusedAsync(poll)).Code.ShouldBe(StreamsErrorCode.NotLeader);
    });

    [Fact]
    public void A_fetch_at_an_offset_that_is_not_durable_yet_waits_for_it() => Turns.Run(async () =>
    {
        await using var log = await _fixture.OpenAsync();
        _fixture.HoldWrites();
        var append = log.AppendAsync(Batch("a", "b"));
        var poll = log.FetchAsync(new FetchRequest(1, 1000, 1, 10_000), default);
        await Turns.Settle();
        poll.IsCompleted.ShouldBeFalse();
        _fixture.ReleaseWrites();
        await append;
        (await poll).NextOffset.ShouldBe(2);
    });

    [Fact]
    public void An_offset_is_found_by_timestamp_to_the_record() => Turns.Run(async () =>
    {
        await using var log = await _fixture.OpenAsync();
        var builder = new Records.RecordBatchBuilder();
        foreach (var timestamp in new long[] { 100, 300, 200, 400 })
        {
            builder.Append(timestamp, default, true, default, true);
        }

        await log.AppendAsync(builder.Build());
        await log.AppendAsync(BatchAt(250, "old"));
        await log.AppendAsync(BatchAt(500, "new"));

        (await log.OffsetForTimestampAsync(0)).ShouldBe(new TimestampOffset(0, 100));
        (await log.OffsetForTimestampAsync(101)).ShouldBe(new TimestampOffset(1, 300));
        (await log.OffsetForTimestampAsync(301)).ShouldBe(new TimestampOffset(3, 400));
        (await log.OffsetForTimestampAsync(401)).ShouldBe(new TimestampOffset(5, 500));
        (await log.OffsetForTimestampAsync(501)).ShouldBe(new TimestampOffset(6, -1));
    });

    [Fact]
    public void An_offset_by_timestamp_is_never_below_the_log_start() => Turns.Run(async () =>
    {
        await using var log = await _fixture.OpenAsync();
        var builder = new Records.RecordBatchBuilder();
        foreach (var timestamp in new long[] { 300, 100, 200 })
        {
            builder.Append(timestamp, default, true, default, true);
        }

        await log.AppendAsync(builder.Build());
        await log.AppendAsync(BatchAt(350, "next"));
        await log.DeleteRecordsAsync(1);
        (await log.OffsetForTimestampAsync(150)).ShouldBe(new TimestampOffset(2, 200));
        (await log.OffsetForTimestampAsync(250)).ShouldBe(new TimestampOffset(3, 350));
    });

    [Fact]
    public void Records_are_deleted_up_to_the_high_watermark_and_not_beyond() => Turns.Run(async () =>
    {
        await using var log = await _fixture.OpenAsync();
        await log.AppendAsync(Batch("a", "b", "c"));
        foreach (var offset in new long[] { 4, -2, long.MaxValue })
        {
            (await RefusedAsync(log.DeleteRecordsAsync(offset))).Code.ShouldBe(StreamsErrorCode.OffsetOutOfRange);
        }

        (await log.DeleteRecordsAsync(2)).ShouldBe(2);
        (await log.DeleteRecordsAsync(1)).ShouldBe(2);
        (await log.DeleteRecordsAsync(-1)).ShouldBe(3);
        (await log.AppendAsync(Batch("d"))).BaseOffset.ShouldBe(3);
    });
}
