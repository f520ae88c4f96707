using OrleansStreams.Records;

namespace OrleansStreams.Log;

public sealed class ProducerStatesTests
{
    private readonly ProducerStates _states = new(max: 3);

    [Fact]
    public void A_producer_that_is_not_known_may_begin_at_any_sequence() => Judge(1, 500).ShouldBe(SequenceVerdict.Next);

    [Fact]
    public void A_batch_that_continues_the_sequence_is_next()
    {
        Add(1, 0, 10, 0);
        Judge(1, 10).ShouldBe(SequenceVerdict.Next);
    }

    [Fact]
    public void A_batch_after_a_gap_is_out_of_order()
    {
        Add(1, 0, 10, 0);
        Judge(1, 11).ShouldBe(SequenceVerdict.OutOfOrder);
    }

    [Fact]
    public void Each_of_the_last_five_batches_is_recognised_with_its_offset()
    {
        for (var i = 0; i < 6; i++)
        {
            Add(1, i * 10, 10, 100 + (i * 10));
        }

        for (var i = 1; i < 6; i++)
        {
            _states.Judge(Header(1, i * 10, 10), out var original).ShouldBe(SequenceVerdict.Duplicate);
            original.BaseOffset.ShouldBe(100 + (i * 10));
        }

        Judge(1, 0, 10).ShouldBe(SequenceVerdict.ForgottenDuplicate);
    }

    [Fact]
    public void A_batch_from_before_the_tracking_began_is_not_taken_for_a_duplicate()
    {
        Add(1, 20, 10, 0);
        Judge(1, 10, 10).ShouldBe(SequenceVerdict.OutOfOrder);
    }

    [Fact]
    public void A_batch_that_was_accepted_only_in_part_is_not_taken_for_a_duplicate()
    {
        Add(1, 0, 10, 0);
        Judge(1, 5, 10).ShouldBe(SequenceVerdict.OutOfOrder);
    }

    [Fact]
    public void Sequences_go_on_with_zero_after_the_largest()
    {
        Add(1, int.MaxValue - 1, 2, 0);
        Judge(1, 0, 5).ShouldBe(SequenceVerdict.Next);
        Add(1, 0, 5, 2);
        Judge(1, 5).ShouldBe(SequenceVerdict.Next);
        Judge(1, int.MaxValue - 1, 2).ShouldBe(SequenceVerdict.Duplicate);
        Judge(1, int.MaxValue, 1).ShouldBe(SequenceVerdict.ForgottenDuplicate);
    }

    [Fact]
    public void A_batch_across_the_wrap_is_followed_by_the_right_sequence()
    {
        Add(1, int.MaxValue - 2, 5, 0);
        Judge(1, 2).ShouldBe(SequenceVerdict.Next);
        Judge(1, int.MaxValue - 2, 5).ShouldBe(SequenceVerdict.Duplicate);
    }

    [Fact]
    public void A_new_epoch_begins_at_zero_and_fences_the_old_one()
    {
        Add(1, 0, 10, 0);
        Judge(1, 10, epoch: 1).ShouldBe(SequenceVerdict.OutOfOrder);
        Judge(1, 0, epoch: 1).ShouldBe(SequenceVerdict.Next);
        Add(1, 0, 1, 10, epoch: 1);
        Judge(1, 10, epoch: 0).ShouldBe(SequenceVerdict.StaleEpoch);
        Judge(1, 0, 10, epoch: 0).ShouldBe(SequenceVerdict.StaleEpoch);
    }

    [Fact]
    public void Past_the_bound_the_producer_that_was_silent_for_longest_is_forgotten()
    {
        Add(1, 0, 1, 0, now: 1);
        Add(2, 0, 1, 1, now: 2);
        Add(3, 0, 1, 2, now: 3);
        Add(1, 1, 1, 3, now: 4);
        Add(4, 0, 1, 4, now: 5);

        _states.Count.ShouldBe(3);
        Judge(1, 0).ShouldBe(SequenceVerdict.Duplicate);
        Judge(2, 0).ShouldBe(SequenceVerdict.Next);
    }

    [Fact]
    public void Silent_producers_expire()
    {
        Add(1, 0, 1, 0, now: 10);
        Add(2, 0, 1, 1, now: 20);
        _states.Expire(before: 20);
        _states.Count.ShouldBe(1);
        Judge(2, 0).ShouldBe(SequenceVerdict.Duplicate);
    }

    [Fact]
    public void A_checkpoint_holds_what_lies_below_its_offset()
    {
        for (var i = 0; i < 7; i++)
        {
            Add(1, i * 10, 10, i * 10);
        }

        Add(2, 0, 10, 70);
        var restored = new ProducerStates(max: 3);
        restored.TryRestore(_states.Serialize(belowOffset: 60)).ShouldBeTrue();

        restored.Count.ShouldBe(1);
        restored.Judge(Header(1, 60, 10), out _).ShouldBe(SequenceVerdict.Next);
        restored.Judge(Header(1, 50, 10), out var original).ShouldBe(SequenceVerdict.Duplicate);
        original.BaseOffset.ShouldBe(50);
        restored.Judge(Header(1, 0, 10), out _).ShouldBe(SequenceVerdict.ForgottenDuplicate);
    }

    [Fact]
    public void A_blob_that_is_no_checkpoint_is_refused_whole()
    {
        Add(1, 0, 10, 0);
        Add(2, 0, 10, 10);
        var blob = _states.Serialize(100);
        for (var length = 0; length < blob.Length; length++)
        {
            var restored = new ProducerStates(max: 3);
            restored.TryRestore(blob.AsSpan(0, length)).ShouldBeFalse();
            restored.Count.ShouldBe(0);
        }
    }

    private static RecordBatchHeader Header(long id, int sequence, int count, short epoch = 0) =>
        new() { ProducerId = id, ProducerEpoch = epoch, BaseSequence = sequence, LastOffsetDelta = count - 1, RecordCount = count };

    private SequenceVerdict Judge(long id, int sequence, int count = 1, short epoch = 0) => _states.Judge(Header(id, sequence, count, epoch), out _);

    private void Add(long id, int sequence, int count, long offset, long now = 0, short epoch = 0) => _states.Add(Header(id, sequence, count, epoch), offset, -1, now);
}
