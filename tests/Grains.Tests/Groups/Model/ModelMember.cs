using System.Collections.Immutable;
using OrleansStreams.Log;

namespace OrleansStreams.Groups.Model;

/// <summary>A request under way, or a late copy of one.</summary>
internal sealed record ModelRequest(ModelMember Sender, int Incarnation, TimeSpan SentAt)
{
    public GroupHeartbeat? Heartbeat { get; init; }

    public CommitOffsetsRequest? Commit { get; init; }

    public string? Leave { get; init; }

    /// <summary>For a commit: whether it seeks back on purpose.</summary>
    public bool IsSeek { get; init; }

    /// <summary>For a commit: which holding of the partition, counted over all members, it belongs to, and its place among the commits of that holding.</summary>
    public int Holding { get; init; }

    public int Sequence { get; init; }
}

/// <summary>A member as a correct client behaves (see the rules in <see cref="GroupStateMachine"/>).</summary>
internal sealed class ModelMember(string id)
{
    public const int SessionMs = 10_000;

    private readonly SortedDictionary<TopicPartition, int> _holdings = [];
    private readonly SortedDictionary<TopicPartition, long> _positions = [];
    private readonly HashSet<TopicPartition> _sought = [];
    private TimeSpan _leaseUntil;
    private int _lives;
    private int _sequence;

    public string Id { get; private set; } = id;

    public bool IsAlive { get; private set; }

    /// <summary>Counts joins: what was sent before the last one is a zombie's.</summary>
    public int Incarnation { get; private set; }

    public int Epoch { get; private set; }

    public ImmutableArray<string> Topics { get; set; } = [];

    public SortedSet<TopicPartition> Owned { get; } = [];

    public SortedSet<TopicPartition> ToGiveUp { get; } = [];

    public ModelRequest? Outstanding { get; set; }

    public ModelRequest? OutstandingCommit { get; set; }

    public bool IsOwner(TimeSpan now) => IsAlive && Epoch > 0 && now < _leaseUntil;

    public void Start(ImmutableArray<string> topics)
    {
        IsAlive = true;
        Topics = topics;
        Rejoin();
    }

    public void Crash()
    {
        IsAlive = false;
        Rejoin();
    }

    /// <summary>Leaves for good: a member id is unique for the member's life, so the next start has another.</summary>
    public ModelRequest Leave(TimeSpan now)
    {
        var request = new ModelRequest(this, Incarnation, now) { Leave = Id };
        Crash();
        Id = $"{Id.Split('.')[0]}.{++_lives}";
        return request;
    }

    public ModelRequest Beat(TimeSpan now, AssignorKind assignor)
    {
        if (Epoch > 0 && now >= _leaseUntil)
        {
            Rejoin();
        }

        Outstanding = new ModelRequest(this, Incarnation, now) { Heartbeat = new GroupHeartbeat(Id, Epoch, "model", Topics, [.. Owned], SessionMs, assignor) };
        return Outstanding;
    }

    public ModelRequest Commit(TimeSpan now, TopicPartition partition, long step)
    {
        if (step < 0)
        {
            _sought.Add(partition);
        }

        _positions[partition] = Math.Max(0, _positions[partition] + step);
        OutstandingCommit = new ModelRequest(this, Incarnation, now)
        {
            Commit = new CommitOffsetsRequest(Id, Epoch, [new CommittedOffset(partition, _positions[partition])]),
            IsSeek = _sought.Contains(partition),
            Holding = _holdings[partition],
            Sequence = ++_sequence,
        };
        return OutstandingCommit;
    }

    public void GiveUp(TopicPartition partition)
    {
        Owned.Remove(partition);
        ToGiveUp.Remove(partition);
        _sought.Remove(partition);
    }

    public void Take(ModelRequest request, GroupAssignment answer, TimeSpan now, Func<TopicPartition, long> committed, Func<TopicPartition, int> newHolding)
    {
        Outstanding = null;
        var lease = request.SentAt + TimeSpan.FromMilliseconds(SessionMs);
        if (now >= lease)
        {
            Rejoin();
            return;
        }

        Epoch = answer.MemberEpoch;
        _leaseUntil = lease;
        ToGiveUp.Clear();
        ToGiveUp.UnionWith(Owned.Except(answer.Assigned));
        foreach (var partition in answer.Assigned.Where(Owned.Add))
        {
            _holdings[partition] = newHolding(partition);
            _positions[partition] = committed(partition);
        }
    }

    public void Rejoin()
    {
        Incarnation++;
        Epoch = 0;
        Owned.Clear();
        ToGiveUp.Clear();
        _sought.Clear();
        Outstanding = null;
        OutstandingCommit = null;
    }
}
