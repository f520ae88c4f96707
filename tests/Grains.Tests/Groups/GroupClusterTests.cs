using System.Collections.Immutable;
using System.Text.Json;
using EmbeddedOrleans.Storage;
using OrleansStreams.Errors;
using OrleansStreams.Log;
using static OrleansStreams.Groups.GroupFixture;
using static OrleansStreams.Log.LogFixture;

namespace OrleansStreams.Groups;

/// <summary>Group grains on their host. The clock stands still unless a test moves it.</summary>
public sealed class GroupClusterTests : IAsyncLifetime
{
    private readonly ManualTime _time = new();
    private ClusterFixture _cluster = null!;
    private int _groupWrites;

    private IConsumerGroupGrain Group => _cluster.Grains.GetGrain<IConsumerGroupGrain>("g");

    private IGroupDirectoryGrain Directory => _cluster.Grains.GetGrain<IGroupDirectoryGrain>(IGroupDirectoryGrain.Key);

    public async Task InitializeAsync()
    {
        _cluster = await ClusterFixture.StartAsync(silos: 2, time: _time, countsTurns: true);
        _cluster.States.BeforeWrite = address =>
        {
            _groupWrites += address.StateName == "group" ? 1 : 0;
            return Task.CompletedTask;
        };
        await _cluster.Topic("a").CreateAsync(4, TopicConfig.Default);
        await _cluster.Topic("b").CreateAsync(2, TopicConfig.Default);
    }

    public Task DisposeAsync() => _cluster.DisposeAsync().AsTask();

    [Fact]
    public async Task A_group_is_described_and_listed_from_its_first_join_on()
    {
        (await RefusedAsync(Group.DescribeAsync())).Code.ShouldBe(StreamsErrorCode.GroupIdNotFound);
        var joined = await JoinAsync("m1", "a", "b");
        joined.Assigned.ShouldBe([.. Ps("a", 0, 1, 2, 3), .. Ps("b", 0, 1)]);
        await CommitAsync("m1", joined.MemberEpoch, 0, 12);

        var group = await Group.DescribeAsync();
        group.State.ShouldBe("Stable");
        group.GroupId.ShouldBe("g");
        group.Members.ShouldHaveSingleItem().Owned.ShouldBe(joined.Assigned);
        group.Offsets.ShouldBe([new CommittedOffset(P("a", 0), 12)]);
        (await Directory.ListAsync()).ShouldBe(["g"]);
    }

    [Fact]
    public async Task A_subscription_to_an_unknown_topic_is_refused_and_makes_no_group()
    {
        var refused = await RefusedAsync(JoinAsync("m1", "a", "nowhere"));
        refused.Code.ShouldBe(StreamsErrorCode.UnknownTopicOrPartition);
        refused.Message.ShouldContain("nowhere");
        (await RefusedAsync(Group.DescribeAsync())).Code.ShouldBe(StreamsErrorCode.GroupIdNotFound);
        (await Directory.ListAsync()).ShouldBeEmpty();
    }

    [Fact]
    public async Task Heartbeats_that_change_nothing_write_nothing_but_the_proof_once_per_lease()
    {
        var joined = await JoinAsync("m1");
        var writes = _groupWrites;
        for (var i = 0; i < 100; i++)
        {
            (await BeatAsync("m1", joined)).MemberEpoch.ShouldBe(joined.MemberEpoch);
        }

        _groupWrites.ShouldBe(writes);
        _time.Advance(TimeSpan.FromSeconds(5.5));
        await BeatAsync("m1", joined);
        await BeatAsync("m1", joined);
        _groupWrites.ShouldBe(writes + 1);
    }

    [Fact]
    public async Task Commits_queued_behind_a_write_share_the_next_one()
    {
        var joined = await JoinAsync("m1");
        var writes = _groupWrites;
        var began = new TaskCompletionSource();
        var gate = new TaskCompletionSource();
        _cluster.States.BeforeWrite = address =>
        {
            Interlocked.Increment(ref _groupWrites);
            began.TrySetResult();
            return gate.Task;
        };
        var first = CommitAsync("m1", joined.MemberEpoch, 0, 1);
        await began.Task;
        var waiting = Enumerable.Range(2, 100).Select(o => CommitAsync("m1", joined.MemberEpoch, 0, o)).ToArray();

        // All of them have arrived: one that came after the gate opened would need a third write.
        await _cluster.IdleAsync();
        var fetched = Group.FetchOffsetsAsync([P("a", 0)]);
        await _cluster.IdleAsync();
        waiting.ShouldAllBe(t => !t.IsCompleted);
        fetched.IsCompleted.ShouldBeFalse("an offset that may still be lost is not shown");
        gate.SetResult();
        await Task.WhenAll([first, .. waiting]);
        _groupWrites.ShouldBe(writes + 2);

        // Between silos, calls may overtake each other: any of them may be the last.
        var last = (await fetched)[0].Offset;
        last.ShouldBeInRange(2, 101);
        (await Group.FetchOffsetsAsync([P("a", 0)]))[0].Offset.ShouldBe(last);
    }

    [Fact]
    public async Task After_a_crash_members_go_on_with_their_epochs_and_nobody_else_gets_what_they_hold()
    {
        var first = await JoinAsync("m1");
        var second = await JoinAsync("m2");
        await CommitAsync("m1", first.MemberEpoch, 3, 30);
        await _cluster.RestartAsync(silos: 2);

        (await BeatAsync("m2", second)).Assigned.ShouldBeEmpty("m1 was not asked yet");
        await CommitAsync("m1", first.MemberEpoch, 3, 31);
        var told = await BeatAsync("m1", first);
        told.Assigned.Length.ShouldBe(2);
        await _cluster.RestartAsync(silos: 2);
        (await BeatAsync("m2", second)).Assigned.ShouldBeEmpty();
        await BeatAsync("m1", told);
        await _cluster.RestartAsync(silos: 2);
        (await BeatAsync("m2", second)).Assigned.Length.ShouldBe(2);
        (await Group.FetchOffsetsAsync([])).ShouldBe([new CommittedOffset(P("a", 3), 31)]);
    }

    [Fact]
    public async Task A_failed_write_is_told_as_unknown_and_the_next_activation_goes_on_from_what_is_stored()
    {
        var joined = await JoinAsync("m1");
        await CommitAsync("m1", joined.MemberEpoch, 0, 10);
        _cluster.States.BeforeWrite = _ => Task.FromException(new IOException("disk gone"));
        var refused = await RefusedAsync(CommitAsync("m1", joined.MemberEpoch, 0, 20));
        refused.Code.ShouldBe(StreamsErrorCode.StorageError);
        refused.Outcome.ShouldBe(WriteOutcome.Unknown);
        refused.IsRetriable.ShouldBeTrue();
        _cluster.States.BeforeWrite = null;
        (await ClusterFixture.EventuallyAsync(() => Group.FetchOffsetsAsync([]))).ShouldBe([new CommittedOffset(P("a", 0), 10)]);
        await CommitAsync("m1", joined.MemberEpoch, 0, 20);
        (await Group.FetchOffsetsAsync([])).ShouldBe([new CommittedOffset(P("a", 0), 20)]);
    }

    [Fact]
    public async Task A_silent_member_is_removed_by_the_groups_own_timer()
    {
        await JoinAsync("m1");
        await UntilAsync("the session expires", async () => (await StoredAsync()).Members.Count == 0, TimeSpan.FromMilliseconds(500));
        (await Group.DescribeAsync()).State.ShouldBe("Empty");
    }

    [Fact]
    public async Task New_partitions_are_found_and_assigned_while_members_do_nothing_but_heartbeat()
    {
        var answer = await JoinAsync("m1");
        await _cluster.Topic("a").IncreasePartitionsAsync(6);
        await UntilAsync(
            "the new partitions arrive",
            async () => (answer = await BeatAsync("m1", answer)).Assigned.Length == 6,
            TimeSpan.FromMilliseconds(500));
        answer.Generation.ShouldBe(2);
    }

    [Fact]
    public async Task The_partitions_of_a_deleted_topic_are_taken_back()
    {
        var answer = await JoinAsync("m1", "a", "b");
        await _cluster.Topic("b").DeleteAsync();
        await UntilAsync(
            "the partitions go",
            async () => (answer = await BeatAsync("m1", answer, "a", "b")).Assigned.Length == 4,
            TimeSpan.FromMilliseconds(500));
    }

    [Fact]
    public async Task A_group_with_members_stays_in_memory_longer_than_idle_grains()
    {
        await Group.HeartbeatAsync(Beat("m1", 0, []) with { SessionTimeoutMs = 30 * 60 * 1000 });
        _time.Advance(TimeSpan.FromMinutes(25));
        await _cluster.IdleAsync();
        await Group.DescribeAsync();
        (await StoredAsync()).Activations.ShouldBe(0, "each activation that finds members counts itself");
    }

    [Fact]
    public async Task A_group_is_deleted_with_its_offsets_when_it_is_empty()
    {
        (await RefusedAsync(Group.DeleteAsync())).Code.ShouldBe(StreamsErrorCode.GroupIdNotFound);
        var joined = await JoinAsync("m1");
        await CommitAsync("m1", joined.MemberEpoch, 0, 1);
        (await RefusedAsync(Group.DeleteAsync())).Code.ShouldBe(StreamsErrorCode.NonEmptyGroup);
        (await RefusedAsync(Group.ResetOffsetsAsync([new CommittedOffset(P("a", 0), 0)]))).Code.ShouldBe(StreamsErrorCode.NonEmptyGroup);
        await Group.LeaveAsync("m1");
        await Group.LeaveAsync("m1");
        await Group.DeleteAsync();
        (await Directory.ListAsync()).ShouldBeEmpty();
        (await Group.FetchOffsetsAsync([])).ShouldBeEmpty();
        (await RefusedAsync(Group.DescribeAsync())).Code.ShouldBe(StreamsErrorCode.GroupIdNotFound);
        await JoinAsync("m1");
        (await Directory.ListAsync()).ShouldBe(["g"]);
    }

    [Fact]
    public async Task Joins_during_a_deletion_wait_for_it_and_survive_it()
    {
        var joined = await JoinAsync("m1");
        await CommitAsync("m1", joined.MemberEpoch, 0, 1);
        await Group.LeaveAsync("m1");
        var deletion = Group.DeleteAsync();
        var joins = Enumerable.Range(0, 20).Select(i => JoinAsync($"n{i}")).ToArray();
        await Task.WhenAll(joins);
        await deletion.ContinueWith(_ => { }, TaskScheduler.Default);
        var group = await Group.DescribeAsync();
        group.Members.Length.ShouldBe(20);
        (deletion.IsCompletedSuccessfully ? group.Offsets.IsEmpty : group.Offsets.Length == 1).ShouldBeTrue("deleted wholly or not at all");
        await _cluster.RestartAsync();
        (await Group.DescribeAsync()).Members.Length.ShouldBe(20);
        (await Directory.ListAsync()).ShouldBe(["g"]);
    }

    [Fact]
    public async Task Standalone_commits_and_resets_name_partitions_that_exist()
    {
        await Group.CommitOffsetsAsync(new CommitOffsetsRequest("", -1, [new CommittedOffset(P("a", 3), 5)]));
        (await RefusedAsync(Group.CommitOffsetsAsync(new CommitOffsetsRequest("", -1, [new CommittedOffset(P("a", 4), 5)])))).Code
            .ShouldBe(StreamsErrorCode.UnknownTopicOrPartition);
        (await RefusedAsync(Group.ResetOffsetsAsync([new CommittedOffset(P("nowhere", 0), 5)]))).Code.ShouldBe(StreamsErrorCode.UnknownTopicOrPartition);
        await Group.ResetOffsetsAsync([new CommittedOffset(P("a", 3), 2)]);
        await _cluster.RestartAsync();
        (await Group.FetchOffsetsAsync([])).ShouldBe([new CommittedOffset(P("a", 3), 2)]);
        (await Directory.ListAsync()).ShouldBe(["g"]);
    }

    [Fact]
    public async Task Malformed_requests_are_refused_before_anything_is_asked()
    {
        (await RefusedAsync(Group.HeartbeatAsync(Beat("", 0, [])))).Code.ShouldBe(StreamsErrorCode.InvalidRequest);
        (await RefusedAsync(Group.HeartbeatAsync(Beat("m1", 0, []) with { SessionTimeoutMs = 1 }))).Code.ShouldBe(StreamsErrorCode.InvalidSessionTimeout);
        (await RefusedAsync(Group.LeaveAsync(""))).Code.ShouldBe(StreamsErrorCode.InvalidRequest);
        (await RefusedAsync(Group.CommitOffsetsAsync(new CommitOffsetsRequest(null!, -1, [])))).Code.ShouldBe(StreamsErrorCode.InvalidRequest);
        (await RefusedAsync(Group.ResetOffsetsAsync(default))).Code.ShouldBe(StreamsErrorCode.InvalidRequest);
        _groupWrites.ShouldBe(0);
    }

    private Task<GroupAssignment> JoinAsync(string member, params string[] topics) => Group.HeartbeatAsync(Beat(member, 0, [], topics));

    private Task<GroupAssignment> BeatAsync(string member, GroupAssignment last, params string[] topics) =>
        Group.HeartbeatAsync(Beat(member, last.MemberEpoch, last.Assigned, topics));

    private Task CommitAsync(string member, int epoch, int partition, long offset) =>
        Group.CommitOffsetsAsync(new CommitOffsetsRequest(member, epoch, [new CommittedOffset(P("a", partition), offset)]));

    private async Task<GroupState> StoredAsync()
    {
        var stored = await _cluster.States.ReadAsync(_cluster.States.Addresses.Single(a => a.StateName == "group"));
        return JsonSerializer.Deserialize<GroupState>(stored!.Json.Span)!;
    }

    /// <summary>Moves the clock step by step until something is so, and lets every turn end before the next step: a clock that runs ahead of the turns
    /// would let their calls time out.</summary>
    private async Task UntilAsync(string what, Func<Task<bool>> isSo, TimeSpan step)
    {
        for (var i = 0; i < 100; i++)
        {
            if (await isSo())
            {
                return;
            }

            _time.Advance(step);
            await _cluster.IdleAsync();
        }

        Assert.Fail($"Never came: {what}.");
    }
}
