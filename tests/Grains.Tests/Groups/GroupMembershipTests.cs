using System.Collections.Immutable;
using OrleansStreams.Clients;
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
        _group.Refuse(new Errors.StreamsException(Errors.StreamsErrorCode.FencedMemberEpoch, "fenced"));
        (await _group.NextAsync()).Heartbeat.MemberEpoch.ShouldBe(0);
        _membership.SetOwned(Ps("a", 0));
        _group.Answer(5, []);
        (await _group.NextAsync()).Heartbeat.Owned.ShouldBeEmpty();
    }

    /// <summary>A group whose answers a test gives by hand.</summary>
    private sealed class ScriptedGroup : IConsumerGroupGrain
    {
        private readonly System.Threading.Channels.Channel<Call> _calls = System.Threading.Channels.Channel.CreateUnbounded<Call>();
        private Call? _last;

        public async Task<Call> NextAsync() => _last = await _calls.Reader.ReadAsync().AsTask().WaitAsync(TimeSpan.FromSeconds(30));

        /// <summary>Answers, and wants the next heartbeat at once: no clock is needed for it.</summary>
        public void Answer(int epoch, ImmutableArray<TopicPartition> assigned) => _last!.Promise.SetResult(new GroupAssignment(epoch, 1, assigned, 0));

        public void Refuse(Exception e) => _last!.Promise.SetException(e);

        public Task<GroupAssignment> HeartbeatAsync(GroupHeartbeat heartbeat)
        {
            var call = new Call(heartbeat, new TaskCompletionSource<GroupAssignment>(TaskCreationOptions.RunContinuationsAsynchronously));
            _calls.Writer.TryWrite(call);
            return call.Promise.Task;
        }

        public Task LeaveAsync(string memberId) => Task.CompletedTask;

        public Task CommitOffsetsAsync(CommitOffsetsRequest request) => throw new NotSupportedException("no test commits");

        public Task<ImmutableArray<CommittedOffset>> FetchOffsetsAsync(ImmutableArray<TopicPartition> partitions) => throw new NotSupportedException("no test fetches");

        public Task<GroupDescription> DescribeAsync() => throw new NotSupportedException("no test describes");

        public Task ResetOffsetsAsync(ImmutableArray<CommittedOffset> offsets) => throw new NotSupportedException("no test resets");

        public Task DeleteAsync() => throw new NotSupportedException("no test deletes");

        internal sealed record Call(GroupHeartbeat Heartbeat, TaskCompletionSource<GroupAssignment> Promise);
    }
}
