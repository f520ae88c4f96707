using System.Collections.Immutable;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using Orleans.Placement;
using OrleansStreams.Log;

namespace OrleansStreams.Groups;

/// <summary>
/// A consumer group: the shell around <see cref="GroupStateMachine"/>. Each call lets the machine decide within one turn, waits until what
/// the answer rests on is durable, and answers.
/// </summary>
/// <remarks>
/// <para><b>What a restart knows.</b> Members, epochs, holdings and targets are persisted together with the offsets, rather than held back for a session
/// timeout after activation: members go on heartbeating and committing with the epochs they have, no rejoin and no pause follows
/// a failover, and the storage's conditional write (etag) fences an activation that was replaced without knowing it, which waiting alone
/// would not. It costs one small write per step of a rebalance; a heartbeat that changes nothing writes nothing.</para>
/// <para><b>Two activations.</b> Orleans promises one activation only eventually. An activation that finds members writes first, so that its
/// predecessor's writes fail from then on. A predecessor could still answer heartbeats, which need no write, and keep a member alive that its
/// successor expires. So answers need a successful write younger than <see cref="GroupOptions.ActivationLease"/> (one is made when there is none), and restored
/// sessions run longer by that lease.</para>
/// <para>Reentrant, so that commits arriving while a write runs can share the next one; all changes happen synchronously in the machine.</para>
/// </remarks>
[Reentrant]
[RandomPlacement]
internal sealed class ConsumerGroupGrain : Grain, IConsumerGroupGrain
{
    private readonly IPersistentState<GroupState> _stored;
    private readonly TimeProvider _time;
    private readonly GroupOptions _options;
    private readonly ILogger<ConsumerGroupGrain> _logger;
    private readonly long _origin;
    private GroupStateMachine _machine = null!;
    private GroupStateWriter _writer = null!;
    private IGrainTimer? _timer;
    private TimeSpan _topicsRefreshedAt;
    private bool _listed;
    private Task _deletion = Task.CompletedTask;
    private Exception? _failure;

    public ConsumerGroupGrain(
        [PersistentState("group", "streams")] IPersistentState<GroupState> stored,
        TimeProvider time,
        IOptions<GroupOptions> options,
        ILogger<ConsumerGroupGrain> logger)
    {
        _stored = stored;
        _time = time;
        _options = options.Value;
        _logger = logger;
        _origin = time.GetTimestamp();
    }

    private string GroupId => this.GetPrimaryKeyString();

    /// <inheritdoc/>
    public override async Task OnActivateAsync(CancellationToken cancellationToken)
    {
        if (_stored.State.Members.Count > 0)
        {
            await FencePredecessorAsync();
        }

        // Only now: restored sessions run from after the write that fenced the predecessor.
        Begin(_stored.State);
    }

    /// <inheritdoc/>
    public async Task<GroupAssignment> HeartbeatAsync(GroupHeartbeat heartbeat)
    {
        GroupRequests.Check(heartbeat, _options);
        var counts = await DescribeTopicsAsync(_machine.TopicsToLookUp(heartbeat), throwWhenGone: true);
        await ReadyAsync();
        var generation = _machine.Generation;
        var answer = Change(() =>
        {
            _machine.SetPartitionCounts(counts);
            return _machine.Heartbeat(heartbeat, Now());
        });
        if (_machine.Generation != generation)
        {
            _logger.GenerationRaised(GroupId, _machine.Generation, heartbeat.MemberId, _machine.MemberCount);
        }

        await AcknowledgeAsync();
        return answer;
    }

    /// <inheritdoc/>
    public async Task LeaveAsync(string memberId)
    {
        await ReadyAsync();
        if (Change(() => _machine.Leave(memberId)))
        {
            _logger.MemberLeft(GroupId, memberId);
        }

        await AcknowledgeAsync();
    }

    /// <inheritdoc/>
    public async Task CommitOffsetsAsync(CommitOffsetsRequest request)
    {
        GroupRequests.Check(request, _options);
        if (request.MemberId.Length == 0)
        {
            // A member's partitions were assigned, so they exist; a standalone consumer may name anything.
            await RequirePartitionsAsync(request.Offsets);
        }

        await ReadyAsync();
        Change(() =>
        {
            _machine.Commit(request, Now());
            return true;
        });
        await AcknowledgeAsync();
    }

    /// <inheritdoc/>
    public async Task<ImmutableArray<CommittedOffset>> FetchOffsetsAsync(ImmutableArray<TopicPartition> partitions)
    {
        await ReadyAsync();
        var offsets = _machine.FetchOffsets(partitions);
        await AcknowledgeAsync();
        return offsets;
    }

    /// <inheritdoc/>
    public async Task<GroupDescription> DescribeAsync()
    {
        await ReadyAsync();
        Change(() => _machine.Expire(Now()));
        if (!_machine.Exists)
        {
            throw GroupErrors.NotFound(GroupId);
        }

        var description = _machine.Describe(GroupId);
        await AcknowledgeAsync();
        return description;
    }

    /// <inheritdoc/>
    public async Task ResetOffsetsAsync(ImmutableArray<CommittedOffset> offsets)
    {
        GroupRequests.CheckOffsets(offsets, _options);
        await RequirePartitionsAsync(offsets);
        await ReadyAsync();
        Change(() =>
        {
            _machine.Reset(offsets, Now());
            return true;
        });
        await AcknowledgeAsync();
    }

    /// <inheritdoc/>
    public async Task DeleteAsync()
    {
        await ReadyAsync();
        if (!_machine.Exists)
        {
            // A crash between the two steps of a deletion leaves the name in the list.
            await Directory.RemoveAsync(GroupId);
            throw GroupErrors.NotFound(GroupId);
        }

        Change(() =>
        {
            _machine.RequireEmpty(Now());
            return true;
        });
        _deletion = EraseAsync();
        await _deletion;
        _logger.GroupDeleted(GroupId);
    }

    private IGroupDirectoryGrain Directory => GrainFactory.GetGrain<IGroupDirectoryGrain>(IGroupDirectoryGrain.Key);

    private TimeSpan Now() => _time.GetElapsedTime(_origin);

    // Never cancelled with the activation: a write whose outcome is unknown would fence nobody for certain.
    private async Task FencePredecessorAsync()
    {
        _stored.State.Activations++;
        try
        {
            await _stored.WriteStateAsync();
        }
        catch (Exception e)
        {
            throw GroupErrors.Restarting(GroupId, e);
        }
    }

    private void Begin(GroupState state)
    {
        _machine = new GroupStateMachine(_options, state, Now());
        _writer = new GroupStateWriter(_stored, _machine, Now);
        _listed = false;
        _topicsRefreshedAt = Now();
        FollowMembers();
    }

    /// <summary>Waits for a deletion under way; fails when this activation is done for; makes the next write happen when the proof of being the only activation is too old.</summary>
    private async Task ReadyAsync()
    {
        while (!_deletion.IsCompleted)
        {
            await _deletion;
        }

        if (_failure is not null)
        {
            throw GroupErrors.Restarting(GroupId, _failure);
        }

        if (_machine.Exists && !(Now() - _writer.LastProof <= _options.ActivationLease))
        {
            _machine.Touch();
        }
    }

    private T Change<T>(Func<T> change)
    {
        try
        {
            return change();
        }
        catch (Exception e) when (e is not StreamsException)
        {
            // A broken invariant: what is in memory must not be written or answered from.
            Fail(e);
            throw;
        }
        finally
        {
            FollowMembers();
        }
    }

    /// <summary>Waits until everything that was decided is durable and, once per activation, the group is listed.</summary>
    private async Task AcknowledgeAsync()
    {
        try
        {
            await _writer.DurableAsync();
        }
        catch (Exception e)
        {
            Fail(e);
            throw GroupErrors.WriteFailed(GroupId, e);
        }

        // After the write: a name in the list always had a group. Before the answer: an acknowledged group is always listed.
        if (!_listed && _machine.Exists)
        {
            var machine = _machine;
            await Directory.AddAsync(GroupId);

            // The group may have been deleted meanwhile, and the next one of this name must be listed anew.
            _listed |= machine == _machine;
        }
    }

    private void Fail(Exception cause)
    {
        if (_failure is null)
        {
            _failure = cause;
            _logger.ActivationFailed(cause, GroupId);
            _timer?.Dispose();
            _timer = null;
            DeactivateOnIdle();
        }
    }

    private async Task EraseAsync()
    {
        try
        {
            await _writer.DurableAsync();
            await _stored.ClearStateAsync();
        }
        catch (Exception e)
        {
            Fail(e);
            throw GroupErrors.WriteFailed(GroupId, e);
        }

        Begin(new GroupState());
        await Directory.RemoveAsync(GroupId);
    }

    /// <summary>A timer and a stay in memory as long as there are members: an empty group costs nothing.</summary>
    private void FollowMembers()
    {
        if (_failure is not null)
        {
            return;
        }

        if (_machine.MemberCount == 0)
        {
            _timer?.Dispose();
            _timer = null;
        }
        else if (_timer is null)
        {
            _timer = this.RegisterGrainTimer(static (grain, _) => grain.TickAsync(), this, new GrainTimerCreationOptions(_options.TickInterval, _options.TickInterval));
            DelayDeactivation(_machine.LongestSession + _options.ActivationLease);
        }
    }

    private async Task TickAsync()
    {
        if (_failure is not null || !_deletion.IsCompleted)
        {
            return;
        }

        try
        {
            var now = Now();
            foreach (var memberId in Change(() => _machine.Expire(now)))
            {
                _logger.SessionExpired(GroupId, memberId);
            }

            if (_machine.MemberCount > 0)
            {
                DelayDeactivation(_machine.LongestSession + _options.ActivationLease);
                if (now - _topicsRefreshedAt >= _options.TopicRefreshInterval)
                {
                    _topicsRefreshedAt = now;
                    var counts = await DescribeTopicsAsync(_machine.SubscribedTopics, throwWhenGone: false);
                    Change(() =>
                    {
                        _machine.SetPartitionCounts(counts);
                        return true;
                    });
                }
            }

            await AcknowledgeAsync();
        }
        catch (Exception e)
        {
            // The next tick tries again; a failed write has ended the activation already.
            _logger.TickFailed(e, GroupId);
        }
    }

    private async Task<Dictionary<string, int>> DescribeTopicsAsync(ImmutableArray<string> topics, bool throwWhenGone)
    {
        var counts = new Dictionary<string, int>(StringComparer.Ordinal);
        if (topics.FirstOrDefault(string.IsNullOrWhiteSpace) is { } blank)
        {
            // No key of a grain.
            throw GroupErrors.UnknownTopic(blank);
        }

        foreach (var (topic, description) in topics.Select(t => (t, GrainFactory.GetGrain<ITopicGrain>(t).DescribeAsync())).ToArray())
        {
            try
            {
                counts[topic] = (await description).PartitionCount;
            }
            catch (StreamsException e) when (e.Code is StreamsErrorCode.UnknownTopicOrPartition or StreamsErrorCode.InvalidTopic)
            {
                counts[topic] = throwWhenGone ? throw GroupErrors.UnknownTopic(topic) : 0;
            }
        }

        return counts;
    }

    private async Task RequirePartitionsAsync(ImmutableArray<CommittedOffset> offsets)
    {
        var counts = await DescribeTopicsAsync([.. offsets.Select(o => o.Partition.Topic).Distinct(StringComparer.Ordinal)], throwWhenGone: true);
        foreach (var offset in offsets)
        {
            if (offset.Partition.Partition >= counts[offset.Partition.Topic])
            {
                throw GroupErrors.UnknownPartition(offset.Partition);
            }
        }
    }
}
