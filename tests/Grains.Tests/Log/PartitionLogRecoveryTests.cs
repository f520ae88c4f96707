using OrleansStreams.Errors;
using static OrleansStreams.Log.LogFixture;

namespace OrleansStreams.Log;

public sealed class PartitionLogRecoveryTests
{
    private readonly LogFixture _fixture = new();

    [Fact]
    public void Producers_are_known_after_a_clean_close() => Turns.Run(async () =>
    {
        await using (var log = await _fixture.OpenAsync())
        {
            await log.AppendAsync(Sequenced(7, 0, 3));
        }

        await using var again = await _fixture.OpenAsync();
        (await again.AppendAsync(Sequenced(7, 0, 3))).ShouldBe(new ProduceResult(0, -1, 0, true));
        (await RefusedAsync(again.AppendAsync(Sequenced(7, 4)))).Code.ShouldBe(StreamsErrorCode.OutOfOrderSequence);
        (await again.AppendAsync(Sequenced(7, 3))).BaseOffset.ShouldBe(3);
    });

    [Fact]
    public void Producers_are_known_after_a_crash_without_a_checkpoint() => Turns.Run(async () =>
    {
        var crashed = await _fixture.OpenAsync();
        for (var sequence = 0; sequence < 8; sequence++)
        {
            await crashed.AppendAsync(Sequenced(7, sequence));
        }

        await using var again = await _fixture.OpenAsync();
        (await again.AppendAsync(Sequenced(7, 7))).ShouldBe(new ProduceResult(7, -1, 0, true));
        (await again.AppendAsync(Sequenced(7, 0))).ShouldBe(new ProduceResult(-1, -1, 0, true));
        (await again.AppendAsync(Sequenced(7, 8))).BaseOffset.ShouldBe(8);
    });

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Producers_are_known_after_a_crash_although_their_records_were_deleted(bool byRetention) => Turns.Run(async () =>
    {
        _fixture.Config = TopicConfig.Default with { SegmentBytes = 1024, RetentionBytes = byRetention ? 1024 : -1 };
        var crashed = await _fixture.OpenAsync();
        for (var sequence = 0; sequence < 40; sequence++)
        {
            await crashed.AppendAsync(Sequenced(sequence < 30 ? 7 : 8, sequence % 30));
        }

        if (byRetention)
        {
            await crashed.MaintainAsync(_fixture.Slots);
        }
        else
        {
            await crashed.DeleteRecordsAsync(-1);
        }

        await using var again = await _fixture.OpenAsync();
        (await again.AppendAsync(Sequenced(7, 29))).ShouldSatisfyAllConditions(result => result.IsDuplicate.ShouldBeTrue(), result => result.LogStartOffset.ShouldBeGreaterThan(20));
        (await again.AppendAsync(Sequenced(8, 9))).IsDuplicate.ShouldBeTrue();
        (await again.AppendAsync(Sequenced(7, 30))).BaseOffset.ShouldBe(40);
    });

    [Fact]
    public void A_checkpoint_taken_while_appends_are_under_way_and_the_log_after_it_give_the_same_producers() => Turns.Run(async () =>
    {
        _fixture.Options = new StreamsOptions { CheckpointIntervalBytes = 200 };
        var crashed = await _fixture.OpenAsync();
        var sequence = 0;
        for (var round = 0; round < 10; round++)
        {
            _fixture.HoldWrites();
            var appends = Enumerable.Range(0, 7).Select(_ => crashed.AppendAsync(Sequenced(7, sequence++))).ToArray();
            _fixture.ReleaseWrites();
            await Task.WhenAll(appends);
        }

        await using var again = await _fixture.OpenAsync();
        for (var remembered = sequence - 5; remembered < sequence; remembered++)
        {
            (await again.AppendAsync(Sequenced(7, remembered))).ShouldBe(new ProduceResult(remembered, -1, 0, true));
        }

        (await RefusedAsync(again.AppendAsync(Sequenced(7, sequence + 1)))).Code.ShouldBe(StreamsErrorCode.OutOfOrderSequence);
        (await again.AppendAsync(Sequenced(7, sequence))).BaseOffset.ShouldBe(sequence);
    });

    [Fact]
    public void What_was_written_but_not_acknowledged_is_recognised_when_it_is_sent_again() => Turns.Run(async () =>
    {
        var crashed = await _fixture.OpenAsync();
        _fixture.Storage.AfterWrite = _ => throw new InvalidOperationException("power cut");
        (await RefusedAsync(crashed.AppendAsync(Sequenced(7, 0)))).Outcome.ShouldBe(WriteOutcome.Unknown);
        _fixture.Storage.AfterWrite = null;

        await using var again = await _fixture.OpenAsync();
        (await again.AppendAsync(Sequenced(7, 0))).ShouldBe(new ProduceResult(0, -1, 0, true));
        (await ReadAllAsync(again)).ShouldBe([(0, "7:0")]);
    });

    [Fact]
    public void Every_opening_has_a_larger_leader_epoch() => Turns.Run(async () =>
    {
        var epoch = -1;
        for (var i = 0; i < 3; i++)
        {
            await using var log = await _fixture.OpenAsync();
            log.Offsets.LeaderEpoch.ShouldBeGreaterThan(epoch);
            epoch = log.Offsets.LeaderEpoch;
        }
    });

    [Fact]
    public void A_damaged_checkpoint_is_passed_over() => Turns.Run(async () =>
    {
        await using (var log = await _fixture.OpenAsync())
        {
            await log.AppendAsync(Sequenced(7, 0));
        }

        await using (var raw = await _fixture.Storage.OpenAsync(Id, new Storage.LogOptions()))
        {
            await raw.WriteCheckpointAsync("rubbish, but long enough to be read"u8.ToArray(), 1);
        }

        await using var again = await _fixture.OpenAsync();
        (await again.AppendAsync(Sequenced(7, 0))).IsDuplicate.ShouldBeTrue();
    });
}
