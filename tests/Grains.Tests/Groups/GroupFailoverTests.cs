using Microsoft.Extensions.DependencyInjection;
using OrleansStreams.Errors;
using OrleansStreams.Groups.Model;
using OrleansStreams.Hosts;
using OrleansStreams.Log;
using OrleansStreams.Log.Compaction;
using OrleansStreams.Storage;
using static OrleansStreams.Groups.GroupFixture;
using static OrleansStreams.Log.LogFixture;

namespace OrleansStreams.Groups;

/// <summary>Crashes between and during calls, and activations that were replaced without knowing it.</summary>
public sealed class GroupFailoverTests
{
    private static readonly Dictionary<string, int> Topics = new() { ["a"] = 4, ["b"] = 3 };

    [Fact]
    public async Task An_activation_that_was_replaced_cannot_commit_and_stops_answering_before_its_successor_expires_anybody()
    {
        var time = new ManualTime();
        await using var storage = new MemoryLogStorage();
        var states = new GatedStateStore();

        // Two clusters over one storage, each with an activation of its own: what Orleans may do for a moment when it loses sight of a silo.
        await using var old = await ClusterAsync(time, storage, states);
        await using var successor = await ClusterAsync(time, storage, states);
        await old.Grains.GetGrain<ITopicGrain>("a").CreateAsync(4, TopicConfig.Default);
        var oldGroup = old.Grains.GetGrain<IConsumerGroupGrain>("g");
        var newGroup = successor.Grains.GetGrain<IConsumerGroupGrain>("g");
        var first = await oldGroup.HeartbeatAsync(Beat("m1", 0, []));

        var second = await newGroup.HeartbeatAsync(Beat("m2", 0, []));
        second.Assigned.ShouldBeEmpty();
        time.Advance(TimeSpan.FromSeconds(4.9));
        (await oldGroup.HeartbeatAsync(Beat("m1", first.MemberEpoch, first.Assigned))).Assigned.Length.ShouldBe(4, "it cannot know better yet");
        var lastAnswered = time.GetUtcNow();

        time.Advance(TimeSpan.FromSeconds(0.2));
        (await RefusedAsync(oldGroup.HeartbeatAsync(Beat("m1", first.MemberEpoch, first.Assigned)))).Code.ShouldBe(StreamsErrorCode.StorageError);
        for (var lease = lastAnswered.AddMilliseconds(SessionMs); time.GetUtcNow() < lease; time.Advance(TimeSpan.FromSeconds(1)))
        {
            second = await newGroup.HeartbeatAsync(Beat("m2", second.MemberEpoch, []));
            second.Assigned.ShouldBeEmpty("m1 may rightly think that it owns everything until its session ends");
        }

        time.Advance(TimeSpan.FromSeconds(1));
        (await newGroup.HeartbeatAsync(Beat("m2", second.MemberEpoch, []))).Assigned.Length.ShouldBe(4);
    }

    [Fact]
    public async Task A_commit_through_a_replaced_activation_is_refused_and_changes_nothing()
    {
        var time = new ManualTime();
        await using var storage = new MemoryLogStorage();
        var states = new GatedStateStore();
        await using var old = await ClusterAsync(time, storage, states);
        await using var successor = await ClusterAsync(time, storage, states);
        await old.Grains.GetGrain<ITopicGrain>("a").CreateAsync(4, TopicConfig.Default);
        var oldGroup = old.Grains.GetGrain<IConsumerGroupGrain>("g");
        var newGroup = successor.Grains.GetGrain<IConsumerGroupGrain>("g");
        var first = await oldGroup.HeartbeatAsync(Beat("m1", 0, []));

        await newGroup.CommitOffsetsAsync(new CommitOffsetsRequest("m1", first.MemberEpoch, [new CommittedOffset(P("a", 0), 20)]));
        (await RefusedAsync(oldGroup.CommitOffsetsAsync(new CommitOffsetsRequest("m1", first.MemberEpoch, [new CommittedOffset(P("a", 0), 10)])))).Code
            .ShouldBe(StreamsErrorCode.StorageError);
        (await newGroup.FetchOffsetsAsync([])).ShouldBe([new CommittedOffset(P("a", 0), 20)]);
        (await ClusterFixture.EventuallyAsync(() => oldGroup.FetchOffsetsAsync([]))).ShouldBe([new CommittedOffset(P("a", 0), 20)]);
    }

    /// <summary>The interleaving of a crash with the call under way is the machine's, so a seed gives the same plan, not the same run.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    [InlineData(5)]
    public async Task Crashes_of_silos_and_failed_writes_give_no_second_owner_and_lose_no_acknowledged_commit(int seed)
    {
        var random = new Random(seed);
        var time = new ManualTime();
        await using var cluster = await ClusterFixture.StartAsync(silos: 3, time: time);
        foreach (var (topic, partitions) in Topics)
        {
            await cluster.Topic(topic).CreateAsync(partitions, TopicConfig.Default);
        }

        var world = new FailoverWorld(cluster, time, random);
        for (var step = 0; step < 400; step++)
        {
            await world.StepAsync();
        }

        await world.QuietAsync();
        world.Acknowledged.ShouldBeGreaterThan(20);
        world.Crashes.ShouldBeGreaterThan(10);
        world.FailedWrites.ShouldBeGreaterThan(5);
    }

    private static Task<GrainCluster> ClusterAsync(TimeProvider time, ILogStorage storage, GatedStateStore states) => GrainCluster.StartAsync(
        new GrainClusterSetup(states, services => services
            .AddSingleton<ILogStorage>(new SharedLogStorage(storage)).AddSingleton(new StreamsOptions()).AddSingleton<CompactionSlots>().AddSingleton<PartitionMaintenance>())
        {
            Time = time,
        });

    private sealed class FailoverWorld
    {
        private readonly ClusterFixture _cluster;
        private readonly ManualTime _time;
        private readonly Random _random;
        private readonly ModelMember[] _members = [.. Enumerable.Range(0, 4).Select(i => new ModelMember($"m{i}"))];
        private readonly Dictionary<TopicPartition, int> _holdings = [];

        // Per partition what may be stored: the last acknowledged offset, and those whose outcome is unknown since.
        private readonly Dictionary<TopicPartition, HashSet<long>> _possible = [];
        private bool _failNextWrite;

        public FailoverWorld(ClusterFixture cluster, ManualTime time, Random random)
        {
            _cluster = cluster;
            _time = time;
            _random = random;
            cluster.States.BeforeWrite = _ =>
            {
                var fails = _failNextWrite;
                _failNextWrite = false;
                FailedWrites += fails ? 1 : 0;
                return fails ? Task.FromException(new IOException("disk gone")) : Task.CompletedTask;
            };
        }

        public int Acknowledged { get; private set; }

        public int Crashes { get; private set; }

        public int FailedWrites { get; private set; }

        private TimeSpan Now => _time.GetUtcNow() - DateTimeOffset.UnixEpoch;

        private IConsumerGroupGrain Group => _cluster.Grains.GetGrain<IConsumerGroupGrain>("g");

        public async Task StepAsync()
        {
            var member = _members[_random.Next(_members.Length)];
            switch (_random.Next(100))
            {
                case < 45: await BeatAsync(member); break;
                case < 75: await CommitAsync(member); break;
                case < 80: _time.Advance(TimeSpan.FromMilliseconds(_random.Next(1, 2500))); break;
                case < 88: await CrashOneAsync(); break;
                case < 93: _failNextWrite = true; break;
                case < 96: member.Crash(); break;
                default: await CheckOffsetsAsync(); break;
            }

            GroupCheckers.CheckOneOwner(_members, Now);
        }

        public async Task QuietAsync()
        {
            _failNextWrite = false;
            for (var round = 0; round < 30; round++)
            {
                foreach (var member in _members)
                {
                    await BeatAsync(member);
                    GroupCheckers.CheckOneOwner(_members, Now);
                }

                _time.Advance(TimeSpan.FromSeconds(1));
            }

            GroupCheckers.CheckAllAssigned(_members, Topics, Now);
            GroupCheckers.CheckBalanced(_members, AssignorKind.Sticky, Topics.Count);
            await CheckOffsetsAsync();
        }

        private Task CrashOneAsync()
        {
            Crashes++;
            return _cluster.CrashOneAsync(_random);
        }

        private async Task BeatAsync(ModelMember member)
        {
            if (!member.IsAlive)
            {
                member.Start([.. Topics.Keys]);
            }

            foreach (var partition in member.ToGiveUp.ToArray())
            {
                member.GiveUp(partition);
            }

            var request = member.Beat(Now, AssignorKind.Sticky);
            if (await CallAsync(member, Group.HeartbeatAsync(request.Heartbeat!)) is { } answer)
            {
                var offsets = (await ClusterFixture.EventuallyAsync(() => Group.FetchOffsetsAsync([]))).ToDictionary(o => o.Partition, o => o.Offset);
                member.Take(request, answer, Now, p => offsets.GetValueOrDefault(p), p => _holdings[p] = _holdings.GetValueOrDefault(p) + 1);
            }
        }

        private async Task CommitAsync(ModelMember member)
        {
            if (!member.IsOwner(Now) || member.Owned.Count == 0)
            {
                return;
            }

            var commit = member.Commit(Now, member.Owned.ElementAt(_random.Next(member.Owned.Count)), _random.Next(1, 20)).Commit!;
            member.OutstandingCommit = null;
            var (partition, offset) = (commit.Offsets[0].Partition, commit.Offsets[0].Offset);
            if (!_possible.TryGetValue(partition, out var possible))
            {
                _possible.Add(partition, possible = [0]);
            }

            possible.Add(offset);
            if (await CallAsync(member, Committed()) == "committed")
            {
                Acknowledged++;
                possible.RemoveWhere(o => o != offset);
            }

            async Task<string> Committed()
            {
                await Group.CommitOffsetsAsync(commit);
                return "committed";
            }
        }

        /// <summary>A call, maybe with a crash under it; null when it failed or nobody knows.</summary>
        private async Task<T?> CallAsync<T>(ModelMember member, Task<T> call)
            where T : class
        {
            if (_random.Next(20) == 0)
            {
                await CrashOneAsync();
            }

            try
            {
                return await call;
            }
            catch (Exception e) when (e is Orleans.Runtime.OrleansException or StreamsException { IsRetriable: true })
            {
                member.Outstanding = null;
                return null;
            }
            catch (StreamsException e) when (e.Code is StreamsErrorCode.UnknownMemberId or StreamsErrorCode.FencedMemberEpoch or StreamsErrorCode.IllegalGeneration)
            {
                member.Rejoin();
                return null;
            }
        }

        private async Task CheckOffsetsAsync()
        {
            var stored = (await ClusterFixture.EventuallyAsync(() => Group.FetchOffsetsAsync([]))).ToDictionary(o => o.Partition, o => o.Offset);
            foreach (var (partition, possible) in _possible)
            {
                possible.ShouldContain(stored.GetValueOrDefault(partition), $"{partition}: an acknowledged commit is lost or a refused one was kept");
            }
        }
    }
}
