using System.Collections.Immutable;
using OrleansStreams.Log;

namespace OrleansStreams.Groups;

/// <summary>A member in the state machine's memory.</summary>
internal sealed class GroupMember(string memberId)
{
    /// <summary>No epoch.</summary>
    public const int None = -1;

    private ImmutableArray<TopicPartition> _assigned;
    private ImmutableSortedSet<TopicPartition> _target = [];

    public string MemberId { get; } = memberId;

    public string ClientId { get; set; } = "";

    public int Epoch { get; set; }

    /// <summary>The epoch that <see cref="Epoch"/> followed, as long as the member may not have seen the change; <see cref="None"/> after a join.</summary>
    public int PreviousEpoch { get; set; } = None;

    /// <summary>What the heartbeat that raised the epoch reported as owned.</summary>
    public ImmutableSortedSet<TopicPartition> Reported { get; set; } = [];

    public ImmutableSortedSet<string> Topics { get; set; } = [];

    public TimeSpan SessionTimeout { get; set; }

    /// <summary>When the session ends unless a heartbeat comes.</summary>
    public TimeSpan Deadline { get; set; }

    /// <summary>What the member may own or may still think it owns, each with the member epoch whose answer granted it.</summary>
    public SortedDictionary<TopicPartition, int> Held { get; } = [];

    /// <summary>What the member should own.</summary>
    public ImmutableSortedSet<TopicPartition> Target
    {
        get => _target;
        set
        {
            _target = value;
            _assigned = default;
        }
    }

    /// <summary>What the member is told that it may own: held and wanted. Cached, because every heartbeat asks and few change it.</summary>
    public ImmutableArray<TopicPartition> Assigned
    {
        get
        {
            if (_assigned.IsDefault)
            {
                _assigned = [.. Held.Keys.Where(Target.Contains)];
            }

            return _assigned;
        }
    }

    /// <summary>Whether the member holds its target and nothing else.</summary>
    public bool IsSettled => Held.Count == Target.Count && Assigned.Length == Target.Count;

    public void Hold(TopicPartition partition, int epoch)
    {
        Held[partition] = epoch;
        _assigned = default;
    }

    public void GiveUp(TopicPartition partition)
    {
        Held.Remove(partition);
        _assigned = default;
    }

    public static GroupMember FromStored(StoredMember stored)
    {
        var member = new GroupMember(stored.MemberId)
        {
            ClientId = stored.ClientId,
            Epoch = stored.Epoch,
            PreviousEpoch = stored.PreviousEpoch,
            SessionTimeout = TimeSpan.FromMilliseconds(stored.SessionTimeoutMs),
            Topics = stored.Topics.ToImmutableSortedSet(StringComparer.Ordinal),
            Target = [.. stored.Target.Select(p => p.ToPartition())],
            Reported = [.. stored.Reported.Select(p => p.ToPartition())],
        };
        foreach (var held in stored.Held)
        {
            member.Hold(held.ToPartition(), held.GrantEpoch);
        }

        return member;
    }

    public StoredMember ToStored() => new()
    {
        MemberId = MemberId,
        ClientId = ClientId,
        Epoch = Epoch,
        PreviousEpoch = PreviousEpoch,
        SessionTimeoutMs = (int)SessionTimeout.TotalMilliseconds,
        Topics = [.. Topics],
        Held = [.. Held.Select(h => StoredPartition.Of(h.Key, h.Value))],
        Target = [.. Target.Select(p => StoredPartition.Of(p))],
        Reported = [.. Reported.Select(p => StoredPartition.Of(p))],
    };
}
