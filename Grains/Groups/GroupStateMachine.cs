using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;
using OrleansStreams.Log;

namespace OrleansStreams.Groups;

/// <summary>
/// A consumer group without a host: members, epochs, assignment, reconciliation (after the manner of KIP-848) and committed offsets.
/// Time comes in as the time since some fixed origin of a monotonic clock. A refused request changes nothing (sessions that had run
/// out are removed all the same). Not thread-safe: one caller at a time.
/// </summary>
/// <remarks>
/// <para><b>Never two owners.</b> A partition that was granted to a member is <i>held</i> by it until the member gave it up, left or
/// lost its session. Only a partition that nobody holds is granted. A member's <c>Owned</c> list never acquires anything; it only gives up.</para>
/// <para><b>Epochs order what members say.</b> Each grant raises the member's epoch, and each held partition remembers the epoch that
/// granted it. A heartbeat or commit sent with epoch <c>e</c> was sent by someone who has seen no grant later than <c>e</c>, so it speaks only about
/// partitions granted at <c>e</c> or before. That makes messages that are late, repeated or out of order harmless: an old heartbeat
/// without partition p cannot give up a p that was granted since, an old commit cannot move the offset of a p that was lost and regained since.
/// Epochs come from one counter of the group, so no epoch is ever given twice, not even to a member id that left and came back.</para>
/// <para><b>Lost answers.</b> When an answer that raised the epoch is lost, the member can only repeat itself with the epoch before. That is
/// accepted, and answered with what was answered before, as long as it claims to own nothing that it had not reported: it hasn't
/// seen the answer, so it cannot own more; if it does, it is not that member. Refusing it would turn each lost answer into a rejoin and a rebalance.</para>
/// <para><b>Joining again</b> with the same id fences the incarnation before (its epochs are void at once). What that one held stays reserved for
/// the id until the new incarnation's next heartbeat, which shows that the answer has arrived: a late copy of the first join must not free
/// partitions that its sender owns by now.</para>
/// <para><b>What members must do</b>: have one heartbeat under way at a time and ignore answers to ones they gave up waiting for; count as
/// owned what an answer assigned, from that moment until they report it gone; and drop everything when no heartbeat was answered for a session timeout,
/// counted from when the last answered one was <i>sent</i>. The group counts from when it arrives, hence later.</para>
/// </remarks>
[SuppressMessage("Performance", "CA1852", Justification = "Not sealed: tests plant faults in it by overriding its protected members.")]
internal class GroupStateMachine
{
    private readonly GroupOptions _options;
    private readonly SortedDictionary<string, GroupMember> _members = new(StringComparer.Ordinal);
    private readonly Dictionary<TopicPartition, GroupMember> _holders = [];
    private readonly Dictionary<string, int> _partitionCounts = new(StringComparer.Ordinal);
    private readonly SortedDictionary<TopicPartition, CommittedOffset> _offsets = [];
    private readonly long _activations;
    private int _lastEpoch;

    /// <summary>Begins where <paramref name="state"/> ended (a new one is an empty group).</summary>
    /// <param name="options">The limits.</param>
    /// <param name="state">What <see cref="Snapshot"/> gave.</param>
    /// <param name="now">The time. Restored sessions run from now, and longer by the activation lease: a predecessor that doesn't know yet that it
    /// was replaced may have answered members until then.</param>
    public GroupStateMachine(GroupOptions options, GroupState state, TimeSpan now)
    {
        _options = options;
        _lastEpoch = state.LastEpoch;
        _activations = state.Activations;
        Generation = state.Generation;
        Assignor = state.Assignor;
        foreach (var topic in state.Topics)
        {
            _partitionCounts[topic.Topic] = topic.Partitions;
        }

        foreach (var offset in state.Offsets)
        {
            var partition = new TopicPartition(offset.Topic, offset.Partition);
            _offsets[partition] = new CommittedOffset(partition, offset.Offset, offset.Metadata);
        }

        foreach (var stored in state.Members)
        {
            Restore(stored, now);
        }

        Settle();
        Version = 0;
    }

    /// <summary>The state, see the diagram there.</summary>
    public GroupPhase Phase { get; private set; }

    /// <summary>Raised whenever membership, a subscription or a partition count changes.</summary>
    public int Generation { get; private set; }

    /// <summary>The assignor in force: that of the first member, until the group is empty.</summary>
    public AssignorKind Assignor { get; private set; }

    /// <summary>Raised with each change that must be durable before an answer that rests on it is given.</summary>
    public long Version { get; private set; }

    /// <summary>The number of members.</summary>
    public int MemberCount => _members.Count;

    /// <summary>Whether the group exists: it had a member or has an offset.</summary>
    public bool Exists => Generation > 0 || _offsets.Count > 0;

    /// <summary>The longest session timeout of a member.</summary>
    public TimeSpan LongestSession => _members.Count == 0 ? TimeSpan.Zero : _members.Values.Max(m => m.SessionTimeout);

    /// <summary>The topics that members subscribe to, in ordinal order.</summary>
    public ImmutableArray<string> SubscribedTopics => [.. _members.Values.SelectMany(m => m.Topics).Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal)];

    /// <summary>Makes the next write happen although nothing changed (to prove that this activation still may write).</summary>
    public void Touch() => Version++;

    /// <summary>The topics of a heartbeat whose partition counts must be told before it: those that are new in the member's subscription.</summary>
    public ImmutableArray<string> TopicsToLookUp(GroupHeartbeat heartbeat) =>
        heartbeat.MemberEpoch != 0 && _members.TryGetValue(heartbeat.MemberId, out var member)
            ? [.. heartbeat.Topics.Where(t => !member.Topics.Contains(t)).Distinct(StringComparer.Ordinal)]
            : [.. heartbeat.Topics.Distinct(StringComparer.Ordinal)];

    /// <summary>Tells partition counts; 0 for a topic that is gone.</summary>
    public void SetPartitionCounts(IEnumerable<KeyValuePair<string, int>> counts)
    {
        var changed = false;
        foreach (var (topic, count) in counts)
        {
            if (!_partitionCounts.TryGetValue(topic, out var known) || known != count)
            {
                _partitionCounts[topic] = count;
                changed |= _members.Values.Any(m => m.Topics.Contains(topic));
            }
        }

        if (changed)
        {
            NewGeneration();
            Settle();
        }
    }

    /// <summary>Removes the members whose session ran out; answers their ids.</summary>
    public ImmutableArray<string> Expire(TimeSpan now)
    {
        ImmutableArray<string> expired = [.. _members.Values.Where(m => m.Deadline <= now).Select(m => m.MemberId)];
        Remove(expired);
        return expired;
    }

    /// <summary>A member's heartbeat.</summary>
    /// <exception cref="StreamsException">As <see cref="IConsumerGroupGrain.HeartbeatAsync"/>.</exception>
    public GroupAssignment Heartbeat(GroupHeartbeat heartbeat, TimeSpan now)
    {
        GroupRequests.Check(heartbeat, _options);
        Expire(now);
        var known = _members.TryGetValue(heartbeat.MemberId, out var member);
        if (heartbeat.MemberEpoch != 0 && !known)
        {
            throw GroupErrors.UnknownMember(heartbeat.MemberId);
        }

        var topics = heartbeat.Topics.ToImmutableSortedSet(StringComparer.Ordinal);
        foreach (var topic in topics)
        {
            if (!_partitionCounts.ContainsKey(topic))
            {
                throw GroupErrors.UnknownTopic(topic);
            }
        }

        if (heartbeat.MemberEpoch == 0)
        {
            member = Join(heartbeat, topics, member);
        }
        else if (heartbeat.MemberEpoch == member!.Epoch)
        {
            Reconcile(member, heartbeat, topics);
        }
        else if (heartbeat.MemberEpoch == member.PreviousEpoch && heartbeat.Owned.All(member.Reported.Contains))
        {
            TakeGivenUp(member, heartbeat);
        }
        else
        {
            throw GroupErrors.Fenced(heartbeat.MemberId, heartbeat.MemberEpoch, member.Epoch);
        }

        var session = TimeSpan.FromMilliseconds(heartbeat.SessionTimeoutMs);
        if (member.SessionTimeout != session || member.ClientId != heartbeat.ClientId)
        {
            member.SessionTimeout = session;
            member.ClientId = heartbeat.ClientId;
            Version++;
        }

        member.Deadline = now + session;
        Settle();
        return Answer(member);
    }

    /// <summary>Removes a member; false when it is not one.</summary>
    public bool Leave(string memberId)
    {
        GroupRequests.CheckMemberId(memberId, _options);
        var known = _members.ContainsKey(memberId);
        if (known)
        {
            Remove([memberId]);
        }

        return known;
    }

    /// <summary>Commits offsets, all or nothing.</summary>
    /// <exception cref="StreamsException">As <see cref="IConsumerGroupGrain.CommitOffsetsAsync"/>.</exception>
    public void Commit(CommitOffsetsRequest request, TimeSpan now)
    {
        GroupRequests.Check(request, _options);
        Expire(now);
        Authorize(request);
        SetOffsets(request.Offsets);
    }

    /// <summary>Sets offsets by force; refused while there are members.</summary>
    public void Reset(ImmutableArray<CommittedOffset> offsets, TimeSpan now)
    {
        GroupRequests.CheckOffsets(offsets, _options);
        RequireEmpty(now);
        SetOffsets(offsets);
    }

    /// <summary>Refuses with NonEmptyGroup while there are members.</summary>
    public void RequireEmpty(TimeSpan now)
    {
        Expire(now);
        if (_members.Count > 0)
        {
            throw GroupErrors.NonEmpty(_members.Count);
        }
    }

    /// <summary>The committed offsets of some partitions, or all when none is named, in order.</summary>
    public ImmutableArray<CommittedOffset> FetchOffsets(ImmutableArray<TopicPartition> partitions)
    {
        if (partitions.IsDefaultOrEmpty)
        {
            return [.. _offsets.Values];
        }

        var found = ImmutableArray.CreateBuilder<CommittedOffset>(partitions.Length);
        foreach (var partition in partitions.Distinct().Order())
        {
            if (_offsets.TryGetValue(partition, out var offset))
            {
                found.Add(offset);
            }
        }

        return found.ToImmutable();
    }

    /// <summary>The group as it is.</summary>
    public GroupDescription Describe(string groupId) => new(
        groupId,
        Phase.ToString(),
        Generation,
        Assignor,
        [.. _members.Values.Select(m => new GroupMemberDescription(m.MemberId, m.ClientId, m.Epoch, [.. m.Topics], [.. m.Held.Keys], [.. m.Target]))],
        [.. _offsets.Values]);

    /// <summary>Everything that a restart must know. A new object each time: it may be serialized while the group goes on.</summary>
    public GroupState Snapshot() => new()
    {
        Generation = Generation,
        LastEpoch = _lastEpoch,
        Assignor = Assignor,
        Activations = _activations,
        Members = [.. _members.Values.Select(m => m.ToStored())],
        Topics = [.. SubscribedTopics.Select(t => new StoredTopic { Topic = t, Partitions = _partitionCounts[t] })],
        Offsets =
        [
            .. _offsets.Values.Select(o => new StoredOffset
            {
                Topic = o.Partition.Topic, Partition = o.Partition.Partition, Offset = o.Offset, Metadata = o.Metadata,
            }),
        ],
    };

    /// <summary>The next member epoch: larger than every one before.</summary>
    protected virtual int NextEpoch(GroupMember member) => ++_lastEpoch;

    /// <summary>Whether a message sent with <paramref name="epoch"/> can know of a partition granted at <paramref name="grantEpoch"/>.</summary>
    protected virtual bool SpeaksFor(int epoch, int grantEpoch) => grantEpoch <= epoch;

    /// <summary>Whether a partition taken from a member's target stays held by it until the member gave it up.</summary>
    protected virtual bool AwaitsGivingUp(GroupMember member, TopicPartition partition) => true;

    /// <summary>Asks the assignor.</summary>
    protected virtual ImmutableSortedDictionary<string, ImmutableSortedSet<TopicPartition>> ComputeTargets() => PartitionAssignors.Assign(
        Assignor, _members.Values.Select(m => new AssignorMember(m.MemberId, m.Topics, m.Target)), _partitionCounts);

    /// <summary>Refuses a commit that its sender has no right to.</summary>
    protected virtual void Authorize(CommitOffsetsRequest request)
    {
        if (request.MemberId.Length == 0 && _members.Count == 0)
        {
            return;
        }

        if (!_members.TryGetValue(request.MemberId, out var member))
        {
            throw GroupErrors.UnknownMember(request.MemberId);
        }

        // A commit may cross with the answer that raised the epoch, so the one before is good too, for what was held under it already.
        if (request.MemberEpoch != member.Epoch && (request.MemberEpoch != member.PreviousEpoch || request.MemberEpoch == GroupMember.None))
        {
            throw GroupErrors.Fenced(request.MemberId, request.MemberEpoch, member.Epoch);
        }

        foreach (var offset in request.Offsets)
        {
            if (!member.Held.TryGetValue(offset.Partition, out var grantEpoch) || !SpeaksFor(request.MemberEpoch, grantEpoch))
            {
                throw GroupErrors.NotOwned(request.MemberId, offset.Partition, request.MemberEpoch);
            }
        }
    }

    private GroupMember Join(GroupHeartbeat heartbeat, ImmutableSortedSet<string> topics, GroupMember? member)
    {
        if (member is null)
        {
            if (_members.Count >= _options.MembersMax)
            {
                throw GroupErrors.Invalid($"The group has {_members.Count} members, which is the most it may have. Raise GroupOptions.MembersMax or use fewer consumers.");
            }

            if (_members.Count == 0)
            {
                Assignor = heartbeat.Assignor;
            }

            member = new GroupMember(heartbeat.MemberId);
            _members.Add(member.MemberId, member);
        }

        member.Epoch = NextEpoch(member);
        member.PreviousEpoch = GroupMember.None;
        member.Reported = [];
        foreach (var partition in member.Held.Keys.ToArray())
        {
            // Reserved: the new incarnation's first heartbeat decides on it.
            member.Hold(partition, member.Epoch);
        }

        Version++;
        Subscribe(member, topics);
        foreach (var partition in Grantable(member))
        {
            Grant(member, partition);
        }

        return member;
    }

    private void Reconcile(GroupMember member, GroupHeartbeat heartbeat, ImmutableSortedSet<string> topics)
    {
        TakeGivenUp(member, heartbeat);
        var subscribed = Subscribe(member, topics);
        var granted = Grantable(member);
        if (!subscribed && granted.Count == 0)
        {
            return;
        }

        member.PreviousEpoch = member.Epoch;
        member.Epoch = NextEpoch(member);
        member.Reported = [.. heartbeat.Owned];
        foreach (var partition in granted)
        {
            Grant(member, partition);
        }

        Version++;
    }

    private void TakeGivenUp(GroupMember member, GroupHeartbeat heartbeat)
    {
        if (member.Held.Count == 0)
        {
            return;
        }

        var owned = heartbeat.Owned.ToHashSet();
        foreach (var (partition, grantEpoch) in member.Held.ToArray())
        {
            if (!owned.Contains(partition) && SpeaksFor(heartbeat.MemberEpoch, grantEpoch))
            {
                Release(member, partition);
            }
        }
    }

    private bool Subscribe(GroupMember member, ImmutableSortedSet<string> topics)
    {
        if (member.Topics.SetEquals(topics))
        {
            return false;
        }

        member.Topics = topics;
        NewGeneration();
        return true;
    }

    private List<TopicPartition> Grantable(GroupMember member) =>
        member.IsSettled ? [] : [.. member.Target.Where(p => !_holders.ContainsKey(p))];

    private void Grant(GroupMember member, TopicPartition partition)
    {
        if (!_holders.TryAdd(partition, member))
        {
            throw new InvalidOperationException($"Partition {partition} is granted to '{member.MemberId}' but held by '{_holders[partition].MemberId}'.");
        }

        member.Hold(partition, member.Epoch);
        Version++;
    }

    private void Release(GroupMember member, TopicPartition partition)
    {
        if (!_holders.Remove(partition, out var holder) || holder != member)
        {
            throw new InvalidOperationException($"Partition {partition} is given up by '{member.MemberId}' but held by '{holder?.MemberId ?? "nobody"}'.");
        }

        member.GiveUp(partition);
        Version++;
    }

    private void Remove(ImmutableArray<string> memberIds)
    {
        if (memberIds.IsEmpty)
        {
            return;
        }

        foreach (var memberId in memberIds)
        {
            var member = _members[memberId];
            foreach (var partition in member.Held.Keys.ToArray())
            {
                Release(member, partition);
            }

            _members.Remove(memberId);
        }

        NewGeneration();
        Settle();
    }

    private void NewGeneration()
    {
        Generation++;
        Version++;
        var targets = ComputeTargets();
        foreach (var member in _members.Values)
        {
            member.Target = targets[member.MemberId];
            foreach (var partition in member.Held.Keys.ToArray())
            {
                if (!member.Target.Contains(partition) && !AwaitsGivingUp(member, partition))
                {
                    Release(member, partition);
                }
            }
        }

        Phase = GroupPhases.Transition(Phase, _members.Count == 0 ? GroupPhase.Empty : GroupPhase.Reconciling);
    }

    private void Settle()
    {
        if (_members.Count > 0)
        {
            Phase = GroupPhases.Transition(Phase, _members.Values.All(m => m.IsSettled) ? GroupPhase.Stable : GroupPhase.Reconciling);
        }
    }

    private GroupAssignment Answer(GroupMember member)
    {
        var interval = member.IsSettled ? _options.HeartbeatInterval : _options.ReconcileInterval;
        var third = member.SessionTimeout / 3;
        return new GroupAssignment(member.Epoch, Generation, member.Assigned, (int)Math.Max(1, (interval < third ? interval : third).TotalMilliseconds));
    }

    private void SetOffsets(ImmutableArray<CommittedOffset> offsets)
    {
        foreach (var offset in offsets)
        {
            if (!_offsets.TryGetValue(offset.Partition, out var known) || known != offset)
            {
                _offsets[offset.Partition] = offset;
                Version++;
            }
        }
    }

    private void Restore(StoredMember stored, TimeSpan now)
    {
        var member = GroupMember.FromStored(stored);
        member.Deadline = now + member.SessionTimeout + _options.ActivationLease;
        foreach (var partition in member.Held.Keys)
        {
            if (!_holders.TryAdd(partition, member))
            {
                throw new StreamsException(
                    StreamsErrorCode.CorruptLog, $"The stored group state gives partition {partition} to '{member.MemberId}' and '{_holders[partition].MemberId}'. Delete the group.");
            }
        }

        _members.Add(member.MemberId, member);
        Phase = GroupPhases.Transition(Phase, GroupPhase.Reconciling);
    }
}
