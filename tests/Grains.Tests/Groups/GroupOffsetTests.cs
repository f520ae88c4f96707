using System.Collections.Immutable;
using OrleansStreams.Errors;
using OrleansStreams.Log;
using static OrleansStreams.Groups.GroupFixture;

namespace OrleansStreams.Groups;

public sealed class GroupOffsetTests
{
    private readonly GroupFixture _group = new();

    [Fact]
    public void The_owner_commits_forward_and_may_seek_back()
    {
        var first = _group.Join("m1");
        _group.Commit("m1", first.MemberEpoch, (P("a", 0), 10), (P("a", 1), 20));
        _group.Commit("m1", first.MemberEpoch, (P("a", 0), 4));
        _group.Machine.FetchOffsets([]).Select(o => (o.Partition, o.Offset)).ShouldBe([(P("a", 0), 4), (P("a", 1), 20)]);
        _group.Machine.FetchOffsets(Ps("a", 3, 1, 1)).Select(o => o.Offset).ShouldBe([20]);
    }

    [Fact]
    public void A_commit_is_all_or_nothing()
    {
        var first = _group.Join("m1");
        var second = _group.Join("m2");
        var told = _group.Send("m1", first.MemberEpoch, first.Assigned);
        _group.Send("m1", told.MemberEpoch, told.Assigned);
        var granted = _group.Send("m2", second.MemberEpoch, []);
        _group.Refused(() => _group.Commit("m1", told.MemberEpoch, (told.Assigned[0], 1), (granted.Assigned[0], 1))).ShouldBe(StreamsErrorCode.IllegalGeneration);
        _group.Committed(told.Assigned[0]).ShouldBeNull();
    }

    [Fact]
    public void A_member_commits_what_it_must_give_up_until_it_has()
    {
        var first = _group.Join("m1");
        _group.Join("m2");
        var told = _group.Send("m1", first.MemberEpoch, first.Assigned);
        var revoked = first.Assigned.Except(told.Assigned).First();
        _group.Commit("m1", first.MemberEpoch, (revoked, 33));
        _group.Send("m1", told.MemberEpoch, told.Assigned);
        _group.Refused(() => _group.Commit("m1", told.MemberEpoch, (revoked, 34))).ShouldBe(StreamsErrorCode.IllegalGeneration);
        _group.Committed(revoked).ShouldBe(33);
    }

    [Fact]
    public void A_commit_that_crosses_with_a_raised_epoch_is_good_for_what_was_held_before()
    {
        var first = _group.Join("m1");
        var raised = _group.Send("m1", first.MemberEpoch, first.Assigned, "a", "b");
        _group.Commit("m1", first.MemberEpoch, (P("a", 0), 5));
        _group.Committed(P("a", 0)).ShouldBe(5);
        _group.Refused(() => _group.Commit("m1", first.MemberEpoch, (P("b", 0), 5))).ShouldBe(StreamsErrorCode.IllegalGeneration);
        _group.Commit("m1", raised.MemberEpoch, (P("b", 0), 5));
    }

    [Fact]
    public void A_late_commit_of_a_partition_that_was_lost_and_regained_is_refused()
    {
        var first = _group.Join("m1");
        var raised = _group.Send("m1", first.MemberEpoch, Ps("a", 1, 2, 3));
        raised.Assigned.ShouldContain(P("a", 0));
        _group.Commit("m1", raised.MemberEpoch, (P("a", 0), 50));
        _group.Refused(() => _group.Commit("m1", first.MemberEpoch, (P("a", 0), 10))).ShouldBe(StreamsErrorCode.IllegalGeneration);
        _group.Committed(P("a", 0)).ShouldBe(50);
    }

    [Fact]
    public void Zombies_and_strangers_move_no_offset()
    {
        var first = _group.Join("m1");
        _group.Commit("m1", first.MemberEpoch, (P("a", 0), 10));
        var again = _group.Join("m1");
        _group.Refused(() => _group.Commit("m1", first.MemberEpoch, (P("a", 0), 11))).ShouldBe(StreamsErrorCode.FencedMemberEpoch);
        _group.Refused(() => _group.Commit("m1", again.MemberEpoch + 1, (P("a", 0), 11))).ShouldBe(StreamsErrorCode.FencedMemberEpoch);
        _group.Refused(() => _group.Commit("m1", -1, (P("a", 0), 11))).ShouldBe(StreamsErrorCode.FencedMemberEpoch);
        _group.Refused(() => _group.Commit("m9", 1, (P("a", 0), 11))).ShouldBe(StreamsErrorCode.UnknownMemberId);
        _group.Machine.Leave("m1");
        _group.Refused(() => _group.Commit("m1", again.MemberEpoch, (P("a", 0), 11))).ShouldBe(StreamsErrorCode.UnknownMemberId);
        _group.Committed(P("a", 0)).ShouldBe(10);
    }

    [Fact]
    public void A_standalone_consumer_commits_only_while_the_group_is_empty()
    {
        _group.Commit("", -1, (P("z", 7), 3));
        _group.Committed(P("z", 7)).ShouldBe(3);
        _group.Machine.Exists.ShouldBeTrue();
        _group.Join("m1");
        _group.Refused(() => _group.Commit("", -1, (P("z", 7), 4))).ShouldBe(StreamsErrorCode.UnknownMemberId);
        _group.Refused(() => _group.Commit("", 3, (P("z", 7), 4))).ShouldBe(StreamsErrorCode.InvalidRequest);
    }

    [Fact]
    public void A_reset_needs_an_empty_group()
    {
        var first = _group.Join("m1");
        _group.Commit("m1", first.MemberEpoch, (P("a", 0), 10));
        _group.Refused(() => _group.Machine.Reset([new CommittedOffset(P("a", 0), 0)], _group.Now)).ShouldBe(StreamsErrorCode.NonEmptyGroup);
        _group.Refused(() => _group.Machine.RequireEmpty(_group.Now)).ShouldBe(StreamsErrorCode.NonEmptyGroup);
        _group.Now += TimeSpan.FromSeconds(11);
        _group.Machine.Reset([new CommittedOffset(P("a", 0), 0)], _group.Now);
        _group.Committed(P("a", 0)).ShouldBe(0);
    }

    [Fact]
    public void Malformed_commits_are_refused_and_change_nothing()
    {
        var epoch = _group.Join("m1").MemberEpoch;
        Refuse(default).ShouldBe(StreamsErrorCode.InvalidRequest);
        Refuse([null!]).ShouldBe(StreamsErrorCode.InvalidRequest);
        Refuse([new(P("a", 0), -1)]).ShouldBe(StreamsErrorCode.InvalidRequest);
        Refuse([new(P("", 0), 1)]).ShouldBe(StreamsErrorCode.InvalidRequest);
        Refuse([new(P("a", -1), 1)]).ShouldBe(StreamsErrorCode.InvalidRequest);
        Refuse([new(P("a", 0), 1), new(P("a", 0), 2)]).ShouldBe(StreamsErrorCode.InvalidRequest);
        Refuse([new(P("a", 0), 1, new string('x', 4097))]).ShouldBe(StreamsErrorCode.InvalidRequest);

        StreamsErrorCode Refuse(ImmutableArray<CommittedOffset> offsets) =>
            _group.Refused(() => _group.Machine.Commit(new CommitOffsetsRequest("m1", epoch, offsets), _group.Now));
    }

    [Fact]
    public void A_commit_that_changes_nothing_needs_no_write()
    {
        var epoch = _group.Join("m1").MemberEpoch;
        _group.Commit("m1", epoch, (P("a", 0), 10));
        var version = _group.Machine.Version;
        _group.Commit("m1", epoch, (P("a", 0), 10));
        _group.Machine.Version.ShouldBe(version);
    }
}
