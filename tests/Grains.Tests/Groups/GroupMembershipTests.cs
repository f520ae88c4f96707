using OrleansStreams.Clients;
using OrleansStreams.Errors;
using OrleansStreams.Log;
using static OrleansStreams.Groups.GroupFixture;

namespace OrleansStreams.Groups;

/// <summary>What a consumer's membership owes the group for "never two owners" (see <see cref="GroupHeartbeat"/>).</summary>
public sealed class GroupMembershipTests : IDisposable
{
    private readonly ManualTime _time = new();
    private readonly ScriptedGroup _group = new();
    private readonly GroupMembership _membership;

    public GroupMembershipTests()
    {
        var options = new ConsumerOptions { GroupId = "g", SessionTimeoutMs = SessionMs, RequestTimeoutMs = 60_000 };
        _membership = new GroupMembership(_group, "m1", ["a"], options, new ClientRetry(_time, new Random(1)), () => { });
        _membership.Start();
    }

    public void Dispose() => _membership.Dispose();

    [Fact]
    public async Task What_was_assigned_is_named_as_owned_before_the_consumer_has_taken_it()
    {
        (await _group.NextAsync()).Heartbeat.Owned.ShouldBeEmpty();
        _group.Answer(1, Ps("a", 0, 1));
        (await _group.NextAsync()).Heartbeat.Owned.ShouldBe(Ps("a", 0, 1));
        _group.Answer(1, Ps("a", 0));
        (await _group.NextAsync()).Heartbeat.Owned.ShouldBe(Ps("a", 0), "what was revoked before it was taken is given up");
    }

    [Fact]
    public async Task What_the_consumer_is_about_to_take_is_named_as_owned_though_it_is_revoked_meanwhile()
    {
        await _group.NextAsync();
        _group.Answer(1, Ps("a", 0, 1));
        await _group.NextAsync();
        _membership.TakeNews().Assigned.ShouldBe(Ps("a", 0, 1));
        _group.Answer(1, Ps("a", 0));
        (await _group.NextAsync()).Heartbeat.Owned.ShouldBe(Ps("a", 0, 1));
        _membership.SetOwned(Ps("a", 0));
        _group.Answer(1, Ps("a", 0));
        (await _group.NextAsync()).Heartbeat.Owned.ShouldBe(Ps("a", 0));
    }

    [Fact]
    public async Task A_session_without_an_answer_loses_everything_and_joins_anew()
    {
        await _group.NextAsync();
        _group.Answer(1, Ps("a", 0));
        (await _group.NextAsync()).Heartbeat.MemberEpoch.ShouldBe(1);
        _membership.TakeNews().Lost.ShouldBeFalse();

        // The answered heartbeat was sent when the clock stood at the start; the group counts from its arrival, hence later.
        _time.Advance(TimeSpan.FromMilliseconds(SessionMs - 1));
        _membership.HasNews.ShouldBeFalse();
        _time.Advance(TimeSpan.FromMilliseconds(1));
        var join = (await _group.NextAsync()).Heartbeat;
        _membership.TakeNews().Lost.ShouldBeTrue();
        join.MemberEpoch.ShouldBe(0);
        join.Owned.ShouldBeEmpty();
    }

    [Fact]
    public async Task Partitions_taken_after_their_loss_are_not_claimed()
    {
        await _group.NextAsync();
        _group.Answer(1, Ps("a", 0));
        _membership.TakeNews();
        await _group.NextAsync();
        _group.Refuse(Fenced);
        (await _group.NextAsync()).Heartbeat.MemberEpoch.ShouldBe(0);
        _membership.SetOwned(Ps("a", 0));
        _group.Answer(5, []);
        (await _group.NextAsync()).Heartbeat.Owned.ShouldBeEmpty();
    }

    [Fact]
    public async Task News_that_could_not_be_applied_are_there_again()
    {
        await _group.NextAsync();
        _group.Answer(1, Ps("a", 0));
        await _group.NextAsync();
        _membership.TakeNews().Assigned.ShouldBe(Ps("a", 0));
        _membership.HasNews.ShouldBeFalse();
        _membership.KeepNews();
        _membership.HasNews.ShouldBeTrue();
        _membership.TakeNews().Assigned.ShouldBe(Ps("a", 0));
    }

    [Fact]
    public async Task A_failure_stays_until_somebody_makes_another_membership_and_hides_no_loss()
    {
        await _group.NextAsync();
        _group.Answer(1, Ps("a", 0));
        await _group.NextAsync();
        _group.Refuse(Fenced);
        await _group.NextAsync();
        _group.Refuse(new StreamsException(StreamsErrorCode.UnknownTopicOrPartition, "no such topic"));
        await Turns.UntilAsync(() => _membership.HasFailed);
        for (var attempt = 0; attempt < 2; attempt++)
        {
            _membership.HasNews.ShouldBeTrue();
            Should.Throw<StreamsException>(() => _membership.TakeNews()).Code.ShouldBe(StreamsErrorCode.UnknownTopicOrPartition);
            Should.Throw<StreamsException>(() => _membership.EpochForCommit()).Code.ShouldBe(StreamsErrorCode.FencedMemberEpoch);
        }
    }

    [Fact]
    public async Task Nothing_is_committed_with_the_epoch_of_a_new_join_before_the_loss_was_taken()
    {
        await _group.NextAsync();
        _group.Answer(1, Ps("a", 0));
        await _group.NextAsync();
        _membership.TakeNews();
        _membership.EpochForCommit().ShouldBe(1);
        _group.Refuse(Fenced);
        await _group.NextAsync();
        _group.Answer(5, Ps("a", 0));
        await _group.NextAsync();
        Should.Throw<StreamsException>(() => _membership.EpochForCommit()).Code.ShouldBe(StreamsErrorCode.FencedMemberEpoch);
        var (assigned, lost) = _membership.TakeNews();
        assigned.ShouldBe(Ps("a", 0));
        lost.ShouldBeTrue();
        _membership.EpochForCommit().ShouldBe(5);
    }

    [Fact]
    public async Task A_member_leaves_only_when_its_join_has_arrived_lest_the_join_come_after_the_leave()
    {
        await _group.NextAsync();
        var leave = _membership.LeaveAsync(CancellationToken.None);
        await Turns.UntilAsync(() => leave.IsCompleted || _time.ArmedTimers > 0);
        _group.Leaves.ShouldBe(0);
        _group.Answer(1, Ps("a", 0));
        await leave;
        _group.Leaves.ShouldBe(1);
    }

    [Fact]
    public async Task A_member_whose_join_is_never_answered_leaves_after_a_session()
    {
        await _group.NextAsync();
        var leave = _membership.LeaveAsync(CancellationToken.None);
        await Turns.UntilAsync(() => leave.IsCompleted || _time.ArmedTimers > 0);
        _time.Advance(TimeSpan.FromMilliseconds(SessionMs - 1));
        leave.IsCompleted.ShouldBeFalse();
        _time.Advance(TimeSpan.FromMilliseconds(1));
        await leave.WaitAsync(TimeSpan.FromSeconds(30));
        _group.Leaves.ShouldBe(1);
    }

    private static StreamsException Fenced => new(StreamsErrorCode.FencedMemberEpoch, "fenced");
}
