using System.Collections.Immutable;
using OrleansStreams.Errors;
using OrleansStreams.Log;
using static OrleansStreams.Groups.GroupFixture;

namespace OrleansStreams.Groups;

public sealed class GroupStateMachineTests
{
    private readonly GroupFixture _group = new();

    [Fact]
    public void The_first_member_gets_every_partition_at_once()
    {
        _group.Machine.Phase.ShouldBe(GroupPhase.Empty);
        var answer = _group.Join("m1");
        answer.Assigned.ShouldBe(Ps("a", 0, 1, 2, 3));
        answer.Generation.ShouldBe(1);
        answer.MemberEpoch.ShouldBePositive();
        answer.HeartbeatIntervalMs.ShouldBe(1000);
        _group.Machine.Phase.ShouldBe(GroupPhase.Stable);
    }

    [Fact]
    public void A_partition_moves_only_after_its_owner_reported_that_it_gave_it_up()
    {
        var first = _group.Join("m1");
        var second = _group.Join("m2");
        second.Assigned.ShouldBeEmpty();
        second.HeartbeatIntervalMs.ShouldBe(200, "a member that waits asks more often");
        _group.Machine.Phase.ShouldBe(GroupPhase.Reconciling);

        var told = _group.Send("m1", first.MemberEpoch, first.Assigned);
        told.Assigned.Length.ShouldBe(2);
        told.MemberEpoch.ShouldBe(first.MemberEpoch, "a revocation leaves the epoch: the last commits must still get through");
        _group.Send("m2", second.MemberEpoch, []).Assigned.ShouldBeEmpty();

        _group.Send("m1", told.MemberEpoch, told.Assigned).Assigned.ShouldBe(told.Assigned);
        var granted = _group.Send("m2", second.MemberEpoch, []);
        granted.Assigned.Length.ShouldBe(2);
        granted.Assigned.Intersect(told.Assigned).ShouldBeEmpty();
        granted.MemberEpoch.ShouldBeGreaterThan(second.MemberEpoch);
        _group.Machine.Phase.ShouldBe(GroupPhase.Stable);
    }

    [Fact]
    public void A_leaving_members_partitions_are_free_at_once()
    {
        _group.Join("m1");
        var second = _group.Join("m2");
        _group.Machine.Leave("m1").ShouldBeTrue();
        _group.Send("m2", second.MemberEpoch, []).Assigned.ShouldBe(Ps("a", 0, 1, 2, 3));
        _group.Machine.Leave("m1").ShouldBeFalse();
        _group.Machine.Leave("m2").ShouldBeTrue();
        _group.Machine.Phase.ShouldBe(GroupPhase.Empty);
    }

    [Fact]
    public void A_silent_members_partitions_are_free_when_its_session_ends_and_not_before()
    {
        _group.Join("m1");
        _group.Now += TimeSpan.FromSeconds(5);
        var second = _group.Join("m2");
        _group.Now += TimeSpan.FromMilliseconds(4999);
        _group.Machine.Expire(_group.Now).ShouldBeEmpty();
        _group.Send("m2", second.MemberEpoch, []).Assigned.ShouldBeEmpty();
        _group.Now += TimeSpan.FromMilliseconds(1);
        _group.Machine.Expire(_group.Now).ShouldBe(["m1"]);
        _group.Send("m2", second.MemberEpoch, []).Assigned.Length.ShouldBe(4);
    }

    [Fact]
    public void An_expired_member_is_unknown_even_when_nothing_looked_for_expired_sessions_yet()
    {
        var first = _group.Join("m1");
        _group.Now += TimeSpan.FromSeconds(10);
        _group.RefusedAfterExpiry(() => _group.Commit("m1", first.MemberEpoch, (P("a", 0), 5))).ShouldBe(StreamsErrorCode.UnknownMemberId);
        _group.RefusedAfterExpiry(() => _group.Send("m1", first.MemberEpoch, first.Assigned)).ShouldBe(StreamsErrorCode.UnknownMemberId);
    }

    [Fact]
    public void Strangers_are_unknown_and_wrong_epochs_are_fenced()
    {
        var first = _group.Join("m1");
        _group.Refused(() => _group.Send("m2", 1, [])).ShouldBe(StreamsErrorCode.UnknownMemberId);
        _group.Refused(() => _group.Send("m1", first.MemberEpoch + 1, [])).ShouldBe(StreamsErrorCode.FencedMemberEpoch);
        var again = _group.Join("m1");
        _group.Refused(() => _group.Send("m1", first.MemberEpoch, first.Assigned)).ShouldBe(StreamsErrorCode.FencedMemberEpoch);
        again.MemberEpoch.ShouldBeGreaterThan(first.MemberEpoch);
    }

    [Fact]
    public void A_rejoin_fences_the_older_incarnation_and_keeps_its_partitions_for_the_id_until_the_next_heartbeat()
    {
        var old = _group.Join("m1");
        var second = _group.Join("m2");
        var again = _group.Join("m1");
        again.Assigned.Length.ShouldBe(2);
        _group.Refused(() => _group.Commit("m1", old.MemberEpoch, (again.Assigned[0], 7))).ShouldBe(StreamsErrorCode.FencedMemberEpoch);
        _group.Send("m2", second.MemberEpoch, []).Assigned.ShouldBeEmpty("the join may be a late copy, its sender may own everything");
        _group.Send("m1", again.MemberEpoch, again.Assigned);
        _group.Send("m2", second.MemberEpoch, []).Assigned.Length.ShouldBe(2);
    }

    [Fact]
    public void A_rejoin_with_the_same_subscription_leaves_the_generation()
    {
        _group.Join("m1");
        var generation = _group.Machine.Generation;
        _group.Join("m1").Generation.ShouldBe(generation);
        _group.Join("m1", "a", "b").Generation.ShouldBe(generation + 1);
    }

    [Fact]
    public void A_lost_answer_is_survived_by_repeating_the_heartbeat_any_number_of_times()
    {
        _group.Join("m1");
        var joined = _group.Join("m2");
        _group.Machine.Leave("m1");
        var lost = _group.Send("m2", joined.MemberEpoch, []);
        lost.MemberEpoch.ShouldBeGreaterThan(joined.MemberEpoch);
        for (var i = 0; i < 3; i++)
        {
            var repeated = _group.Send("m2", joined.MemberEpoch, []);
            repeated.MemberEpoch.ShouldBe(lost.MemberEpoch);
            repeated.Assigned.ShouldBe(lost.Assigned);
        }

        _group.Send("m2", lost.MemberEpoch, lost.Assigned).Assigned.ShouldBe(lost.Assigned);
    }

    [Fact]
    public void The_epoch_before_with_more_than_was_reported_is_fenced()
    {
        _group.Join("m1");
        var joined = _group.Join("m2");
        _group.Machine.Leave("m1");
        _group.Send("m2", joined.MemberEpoch, []);
        _group.Refused(() => _group.Send("m2", joined.MemberEpoch, Ps("a", 0))).ShouldBe(StreamsErrorCode.FencedMemberEpoch);
    }

    [Fact]
    public void A_late_copy_of_a_heartbeat_does_not_give_up_what_was_granted_since()
    {
        var first = _group.Join("m1");
        var joined = _group.Join("m2");
        var told = _group.Send("m1", first.MemberEpoch, first.Assigned);
        _group.Send("m1", told.MemberEpoch, told.Assigned);
        var granted = _group.Send("m2", joined.MemberEpoch, []);

        // m3 takes one of m2's, and then m2's old heartbeat, which owned nothing, comes once more.
        var third = _group.Join("m3");
        _group.Send("m2", joined.MemberEpoch, []);
        var left = _group.Send("m3", third.MemberEpoch, []).Assigned;
        left.Intersect(granted.Assigned).ShouldBeEmpty();
        left.Intersect(told.Assigned).ShouldBeEmpty();
    }

    [Fact]
    public void A_wanted_partition_that_a_member_gave_up_comes_back_under_a_new_epoch()
    {
        var first = _group.Join("m1");
        var again = _group.Send("m1", first.MemberEpoch, Ps("a", 0, 1, 2));
        again.Assigned.Length.ShouldBe(4);
        again.MemberEpoch.ShouldBeGreaterThan(first.MemberEpoch);
        again.Generation.ShouldBe(first.Generation);
    }

    [Fact]
    public void Claims_to_own_what_one_does_not_hold_get_nothing()
    {
        var first = _group.Join("m1");
        var second = _group.Join("m2");
        _group.Send("m2", second.MemberEpoch, Ps("a", 0, 1)).Assigned.ShouldBeEmpty();
        _group.Send("m1", first.MemberEpoch, first.Assigned).Assigned.Length.ShouldBe(2);
        _group.Refused(() => _group.Commit("m2", second.MemberEpoch, (P("a", 0), 1))).ShouldBe(StreamsErrorCode.IllegalGeneration);
    }

    [Fact]
    public void A_heartbeat_that_changes_nothing_needs_no_write()
    {
        var first = _group.Join("m1");
        var version = _group.Machine.Version;
        _group.Now += TimeSpan.FromSeconds(3);
        _group.Send("m1", first.MemberEpoch, first.Assigned).ShouldBe(first with { Assigned = _group.Send("m1", first.MemberEpoch, first.Assigned).Assigned });
        _group.Machine.Version.ShouldBe(version);
    }

    [Fact]
    public void The_generation_rises_with_membership_subscription_and_partition_count()
    {
        var first = _group.Join("m1");
        first.Generation.ShouldBe(1);
        var more = _group.Send("m1", first.MemberEpoch, first.Assigned, "a", "b");
        more.Generation.ShouldBe(2);
        more.Assigned.Length.ShouldBe(6);
        _group.Machine.SetPartitionCounts(new Dictionary<string, int> { ["a"] = 4, ["b"] = 2 });
        _group.Machine.Generation.ShouldBe(2);
        _group.Machine.SetPartitionCounts(new Dictionary<string, int> { ["b"] = 3 });
        _group.Machine.Generation.ShouldBe(3);
        _group.Send("m1", more.MemberEpoch, more.Assigned, "a", "b").Assigned.ShouldContain(P("b", 2));
        _group.Join("m2").Generation.ShouldBe(4);
        _group.Machine.Leave("m2");
        _group.Machine.Generation.ShouldBe(5);
    }

    [Fact]
    public void The_partitions_of_a_deleted_topic_are_taken_back()
    {
        var first = _group.Join("m1", "a", "b");
        _group.Machine.SetPartitionCounts(new Dictionary<string, int> { ["b"] = 0 });
        var told = _group.Send("m1", first.MemberEpoch, first.Assigned, "a", "b");
        told.Assigned.ShouldBe(Ps("a", 0, 1, 2, 3));
        _group.Send("m1", told.MemberEpoch, told.Assigned, "a", "b");
        _group.Machine.Phase.ShouldBe(GroupPhase.Stable);
    }

    [Fact]
    public void The_first_members_assignor_holds_until_the_group_is_empty()
    {
        _group.Machine.Heartbeat(Beat("m1", 0, []) with { Assignor = AssignorKind.Range }, _group.Now);
        _group.Join("m2");
        _group.Machine.Assignor.ShouldBe(AssignorKind.Range);
        _group.Machine.Leave("m1");
        _group.Machine.Leave("m2");
        _group.Join("m2");
        _group.Machine.Assignor.ShouldBe(AssignorKind.Sticky);
    }

    [Fact]
    public void Malformed_heartbeats_are_refused_and_change_nothing()
    {
        _group.Join("m1");
        Refuse(Beat("", 0, [])).ShouldBe(StreamsErrorCode.InvalidRequest);
        Refuse(Beat(new string('x', 257), 0, [])).ShouldBe(StreamsErrorCode.InvalidRequest);
        Refuse(Beat("m2", -1, [])).ShouldBe(StreamsErrorCode.InvalidRequest);
        Refuse(Beat("m2", 0, Ps("a", 0))).ShouldBe(StreamsErrorCode.InvalidRequest);
        Refuse(Beat("m2", 0, default)).ShouldBe(StreamsErrorCode.InvalidRequest);
        Refuse(Beat("m2", 0, []) with { Topics = default }).ShouldBe(StreamsErrorCode.InvalidRequest);
        Refuse(Beat("m2", 0, []) with { Topics = [] }).ShouldBe(StreamsErrorCode.InvalidRequest);
        Refuse(Beat("m2", 0, [], "a", "")).ShouldBe(StreamsErrorCode.InvalidRequest);
        Refuse(Beat("m2", 0, []) with { ClientId = null! }).ShouldBe(StreamsErrorCode.InvalidRequest);
        Refuse(Beat("m2", 0, []) with { Assignor = (AssignorKind)9 }).ShouldBe(StreamsErrorCode.InvalidRequest);
        Refuse(Beat("m2", 0, []) with { SessionTimeoutMs = 5999 }).ShouldBe(StreamsErrorCode.InvalidSessionTimeout);
        Refuse(Beat("m2", 0, []) with { SessionTimeoutMs = 1_800_001 }).ShouldBe(StreamsErrorCode.InvalidSessionTimeout);
        Refuse(Beat("m2", 0, []) with { SessionTimeoutMs = -1 }).ShouldBe(StreamsErrorCode.InvalidSessionTimeout);
        Refuse(Beat("m2", 0, [], "nowhere")).ShouldBe(StreamsErrorCode.UnknownTopicOrPartition);

        StreamsErrorCode Refuse(GroupHeartbeat heartbeat) => _group.Refused(() => _group.Machine.Heartbeat(heartbeat, _group.Now));
    }

    [Fact]
    public void A_full_group_refuses_newcomers_but_not_its_members()
    {
        var group = new GroupFixture(new GroupOptions { MembersMax = 1 });
        group.Join("m1");
        group.Refused(() => group.Join("m2")).ShouldBe(StreamsErrorCode.InvalidRequest);
        group.Join("m1").Assigned.Length.ShouldBe(4);
    }

    [Fact]
    public void A_restart_forgets_nothing_that_decides_who_owns_what()
    {
        var first = _group.Join("m1");
        var second = _group.Join("m2");
        _group.Commit("m1", first.MemberEpoch, (P("a", 0), 17));
        var before = _group.Machine.Describe("g");
        _group.Restart();
        var after = _group.Machine.Describe("g");
        after.State.ShouldBe("Reconciling");
        System.Text.Json.JsonSerializer.Serialize(after).ShouldBe(System.Text.Json.JsonSerializer.Serialize(before));
        _group.Send("m2", second.MemberEpoch, []).Assigned.ShouldBeEmpty("m1 may still think that it owns everything");
        var told = _group.Send("m1", first.MemberEpoch, first.Assigned);
        _group.Restart();
        _group.Send("m1", told.MemberEpoch, told.Assigned);
        _group.Restart();
        var granted = _group.Send("m2", second.MemberEpoch, []);
        granted.Assigned.Length.ShouldBe(2);
        _group.Restart();
        _group.Send("m2", second.MemberEpoch, []).Assigned.ShouldBe(granted.Assigned, "an answer that was lost together with the silo");
        _group.Committed(P("a", 0)).ShouldBe(17);
    }

    [Fact]
    public void After_a_restart_sessions_run_anew_and_longer_by_the_activation_lease()
    {
        _group.Join("m1");
        _group.Now += TimeSpan.FromSeconds(9);
        _group.Restart();
        _group.Now += TimeSpan.FromSeconds(14.9);
        _group.Machine.Expire(_group.Now).ShouldBeEmpty();
        _group.Now += TimeSpan.FromSeconds(0.1);
        _group.Machine.Expire(_group.Now).ShouldBe(["m1"]);
    }

    [Fact]
    public void A_stored_state_with_two_owners_is_refused()
    {
        _group.Join("m1");
        var state = _group.Machine.Snapshot();
        state.Members.Add(new StoredMember { MemberId = "m2", Held = [new StoredPartition { Topic = "a", Partition = 1 }] });
        Should.Throw<StreamsException>(() => new GroupStateMachine(_group.Options, state, _group.Now)).Code.ShouldBe(StreamsErrorCode.CorruptLog);
    }

    [Fact]
    public void The_state_diagram_has_no_other_arrows()
    {
        Should.Throw<InvalidOperationException>(() => GroupPhases.Transition(GroupPhase.Empty, GroupPhase.Stable));
        GroupPhases.Transition(GroupPhase.Empty, GroupPhase.Reconciling).ShouldBe(GroupPhase.Reconciling);
        GroupPhases.Transition(GroupPhase.Reconciling, GroupPhase.Stable).ShouldBe(GroupPhase.Stable);
        GroupPhases.Transition(GroupPhase.Stable, GroupPhase.Empty).ShouldBe(GroupPhase.Empty);
    }
}
