using System.Collections.Immutable;
using System.Text.Json;
using OrleansStreams.Errors;
using OrleansStreams.Log;

namespace OrleansStreams.Groups.Model;

/// <summary>
/// A group, six members and a network, driven by a seed. The faults, and why each must be survived: requests and answers are lost
/// (a silo died, a call timed out), arrive late and twice (a caller repeated a call that was still queued), the group's
/// activation dies before or after its write (a silo died), members crash and restart with their id, time jumps past sessions
/// (a long pause). One fault is left out: commits of one holding of a partition do not overtake each other (a member has one under way
/// and does not repeat it), because a group cannot tell an overtaken commit from its owner's seek back.
/// </summary>
internal sealed class GroupModel
{
    private readonly Random _random;
    private readonly Func<GroupOptions, GroupState, TimeSpan, GroupStateMachine> _create;
    private readonly GroupOptions _options = new();
    private readonly List<ModelRequest> _network = [];
    private readonly Dictionary<string, int> _epochs = [];
    private readonly Dictionary<TopicPartition, int> _holdings = [];
    private readonly Dictionary<(TopicPartition Partition, int Holding), int> _served = [];
    private GroupStateMachine _machine;
    private GroupState _durable = new();

    public GroupModel(int seed, Func<GroupOptions, GroupState, TimeSpan, GroupStateMachine> create)
    {
        _random = new Random(seed);
        _create = create;
        Assignor = _random.Next(3) == 0 ? AssignorKind.Range : AssignorKind.Sticky;
        _machine = create(_options, _durable, Now);
        _machine.SetPartitionCounts(Topics);
        Members = [.. Enumerable.Range(0, 6).Select(i => new ModelMember($"m{i}"))];
        foreach (var member in Members.Take(4))
        {
            member.Start(AllTopics());
        }
    }

    public TimeSpan Now { get; private set; } = TimeSpan.FromSeconds(1);

    public AssignorKind Assignor { get; }

    public SortedDictionary<string, int> Topics { get; } = new(StringComparer.Ordinal) { ["a"] = 4, ["b"] = 3 };

    public ImmutableArray<ModelMember> Members { get; }

    public IEnumerable<ModelMember> Live => Members.Where(m => m.IsAlive);

    /// <summary>How often things happened, so that a test can see that the model does not idle.</summary>
    public SortedDictionary<string, int> Counters { get; } = [];

    public void Step()
    {
        var member = Members[_random.Next(Members.Length)];
        switch (_random.Next(100))
        {
            case < 20: Beat(member); break;
            case < 52: Deliver(); break;
            case < 60: FinishGivingUp(member); break;
            case < 68: (member.Outstanding, member.OutstandingCommit) = (null, null); break;
            case < 86: Commit(member); break;
            case < 90: Advance(TimeSpan.FromMilliseconds(_random.Next(1, 1500))); break;
            case < 91: Advance(TimeSpan.FromSeconds(Chance(50) ? _random.Next(3, 14) : 0)); break;
            case < 94: StartStopOrResubscribe(member); break;
            case < 95: Restart(); break;
            case < 96: GrowTopic(); break;
            case < 97: Reset(); break;
            default: Expire(); break;
        }

        GroupCheckers.CheckOneOwner(this);
    }

    /// <summary>No more faults, the network is empty, everybody alive subscribes to everything: the group must settle.</summary>
    public void Quiet()
    {
        _network.Clear();
        if (!Live.Any())
        {
            Members[0].Start(AllTopics());
        }

        foreach (var member in Live)
        {
            member.Topics = AllTopics();
            member.Outstanding = null;
        }

        for (var round = 0; round < 60; round++)
        {
            foreach (var member in Live)
            {
                foreach (var partition in member.ToGiveUp.ToArray())
                {
                    member.GiveUp(partition);
                }

                Serve(member.Beat(Now, Assignor), lossless: true);
                GroupCheckers.CheckOneOwner(this);
            }

            Advance(TimeSpan.FromMilliseconds(500));
            _machine.Expire(Now);
        }

        GroupCheckers.CheckAllAssigned(this);
        GroupCheckers.CheckBalanced(this);
        _machine.Phase.ShouldBe(GroupPhase.Stable);
    }

    private ImmutableArray<string> AllTopics() => [.. Topics.Keys];

    private bool Chance(int percent) => _random.Next(100) < percent;

    private void Count(string what) => Counters[what] = Counters.GetValueOrDefault(what) + 1;

    private void Advance(TimeSpan time) => Now += time;

    private void Beat(ModelMember member)
    {
        if (member.IsAlive && member.Outstanding is null)
        {
            Send(member.Beat(Now, Assignor));
        }
    }

    private void Commit(ModelMember member)
    {
        if (member.IsOwner(Now) && member.OutstandingCommit is null && member.Owned.Count > 0)
        {
            var partition = member.Owned.ElementAt(_random.Next(member.Owned.Count));
            Send(member.Commit(Now, partition, Chance(10) ? -_random.Next(1, 30) : _random.Next(1, 20)));
        }
    }

    private void FinishGivingUp(ModelMember member)
    {
        // Not while a heartbeat is under way: its answer might assign again what that heartbeat still reported as owned.
        if (member.Outstanding is null && member.Owned.Count > 0)
        {
            if (member.ToGiveUp.Count > 0)
            {
                CommitAndGiveUp(member, member.ToGiveUp.First());
            }
            else if (Chance(30))
            {
                CommitAndGiveUp(member, member.Owned.ElementAt(_random.Next(member.Owned.Count)));
                Count("given up by itself");
            }
        }
    }

    /// <summary>A hasty member: it does not wait for its commit's answer.</summary>
    private void CommitAndGiveUp(ModelMember member, TopicPartition partition)
    {
        if (member.IsOwner(Now) && member.OutstandingCommit is null)
        {
            Send(member.Commit(Now, partition, 1));
        }

        member.GiveUp(partition);
    }

    private void StartStopOrResubscribe(ModelMember member)
    {
        ImmutableArray<string> topics = Chance(60) ? AllTopics() : [AllTopics()[_random.Next(Topics.Count)]];
        if (!member.IsAlive)
        {
            member.Start(topics);
        }
        else if (Chance(40))
        {
            member.Topics = topics;
        }
        else if (Chance(50))
        {
            member.Crash();
        }
        else
        {
            Send(member.Leave(Now));
        }
    }

    private void GrowTopic()
    {
        var topic = AllTopics()[_random.Next(Topics.Count)];
        if (Topics[topic] < 9)
        {
            Topics[topic]++;
            _machine.SetPartitionCounts(Topics);
            Persist();
        }
    }

    private void Expire()
    {
        Count(_machine.Expire(Now).IsEmpty ? "nobody expired" : "expired");
        Persist();
    }

    private void Reset()
    {
        var before = Offsets();
        try
        {
            _machine.Reset([new CommittedOffset(new TopicPartition("a", 0), _random.Next(20))], Now);
            Count("reset");
        }
        catch (StreamsException e) when (e.Code == StreamsErrorCode.NonEmptyGroup)
        {
            GroupCheckers.CheckOffsets(before, _machine.FetchOffsets([]), _ => false, _ => false);
        }

        Persist();
    }

    private void Send(ModelRequest request)
    {
        if (_network.Count >= 40)
        {
            _network.RemoveAt(_random.Next(_network.Count));
        }

        _network.Add(request);
    }

    private void Deliver()
    {
        if (_network.Count == 0)
        {
            return;
        }

        var at = _random.Next(_network.Count);
        var request = _network[at];
        if (!Chance(20))
        {
            _network.RemoveAt(at);
        }

        if (!Chance(5))
        {
            Serve(request, lossless: false);
        }
    }

    private void Serve(ModelRequest request, bool lossless)
    {
        if (request.Commit is not null)
        {
            ServeCommit(request);
            return;
        }

        var before = Offsets();
        try
        {
            GroupAssignment? answer = null;
            if (request.Heartbeat is { } heartbeat)
            {
                answer = _machine.Heartbeat(heartbeat, Now);
            }
            else
            {
                _machine.Leave(request.Leave!);
                Count("left");
            }

            GroupCheckers.CheckOffsets(before, _machine.FetchOffsets([]), _ => false, _ => false);
            if (!lossless && Chance(3))
            {
                Count("activation died before its write");
                Restart();
                return;
            }

            Persist();
            if (answer is not null)
            {
                GroupCheckers.CheckEpoch(_epochs, request.Heartbeat!.MemberId, answer.MemberEpoch);
                if (request.Sender.Outstanding == request && (lossless || !Chance(10)))
                {
                    request.Sender.Take(request, answer, Now, p => Offsets().GetValueOrDefault(p), p => _holdings[p] = _holdings.GetValueOrDefault(p) + 1);
                    Count("answered");
                }
            }
        }
        catch (StreamsException e) when (e.Code is StreamsErrorCode.UnknownMemberId or StreamsErrorCode.FencedMemberEpoch)
        {
            Persist();
            Count(e.Code.ToString());
            if (request.Sender.Outstanding == request)
            {
                request.Sender.Rejoin();
            }
        }
    }

    private void ServeCommit(ModelRequest request)
    {
        var sender = request.Sender;
        var partition = request.Commit!.Offsets[0].Partition;
        if (_served.GetValueOrDefault((partition, request.Holding)) > request.Sequence)
        {
            return;
        }

        _served[(partition, request.Holding)] = request.Sequence;
        var before = Offsets();
        try
        {
            _machine.Commit(request.Commit, Now);
            Count("committed");
        }
        catch (StreamsException e) when (e.Code is StreamsErrorCode.UnknownMemberId or StreamsErrorCode.FencedMemberEpoch or StreamsErrorCode.IllegalGeneration)
        {
            Count($"commit refused: {e.Code}");
        }

        // The right to commit lasts until somebody, be it the same member, begins a new holding.
        bool MayMove(TopicPartition p) => p == partition && _holdings[p] == request.Holding;
        GroupCheckers.CheckOffsets(before, _machine.FetchOffsets([]), MayMove, p => MayMove(p) && request.IsSeek);
        if (Chance(3))
        {
            Count("activation died before its write");
            Restart();
        }

        Persist();
        if (sender.OutstandingCommit == request)
        {
            sender.OutstandingCommit = null;
        }
    }

    private Dictionary<TopicPartition, long> Offsets() => _machine.FetchOffsets([]).ToDictionary(o => o.Partition, o => o.Offset);

    private void Persist() => _durable = _machine.Snapshot();

    /// <summary>A new activation reads what was written last, as a serializer gives it back.</summary>
    private void Restart()
    {
        Count("restarted");
        _machine = _create(_options, JsonSerializer.Deserialize<GroupState>(JsonSerializer.Serialize(_durable))!, Now);
        _machine.SetPartitionCounts(Topics);
        Persist();
    }
}
