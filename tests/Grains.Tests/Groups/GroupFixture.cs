using System.Collections.Immutable;
using System.Text.Json;
using OrleansStreams.Errors;
using OrleansStreams.Log;

namespace OrleansStreams.Groups;

/// <summary>A state machine with a hand-driven clock and short ways to say things.</summary>
internal sealed class GroupFixture
{
    public const int SessionMs = 10_000;

    public GroupFixture(GroupOptions? options = null)
    {
        Options = options ?? new GroupOptions();
        Machine = new GroupStateMachine(Options, new GroupState(), Now);
        Machine.SetPartitionCounts(new Dictionary<string, int> { ["a"] = 4, ["b"] = 2 });
    }

    public GroupOptions Options { get; }

    public TimeSpan Now { get; set; } = TimeSpan.FromSeconds(100);

    public GroupStateMachine Machine { get; private set; }

    public static TopicPartition P(string topic, int partition) => new(topic, partition);

    public static ImmutableArray<TopicPartition> Ps(string topic, params int[] partitions) => [.. partitions.Select(p => P(topic, p))];

    public static GroupHeartbeat Beat(string member, int epoch, ImmutableArray<TopicPartition> owned, params string[] topics) => new(
        member, epoch, "client", topics.Length == 0 ? ["a"] : [.. topics], owned, SessionMs, AssignorKind.Sticky);

    public GroupAssignment Join(string member, params string[] topics) => Machine.Heartbeat(Beat(member, 0, [], topics), Now);

    public GroupAssignment Send(string member, int epoch, ImmutableArray<TopicPartition> owned, params string[] topics) =>
        Machine.Heartbeat(Beat(member, epoch, owned, topics), Now);

    public void Commit(string member, int epoch, params (TopicPartition Partition, long Offset)[] offsets) => Machine.Commit(
        new CommitOffsetsRequest(member, epoch, [.. offsets.Select(o => new CommittedOffset(o.Partition, o.Offset))]), Now);

    public long? Committed(TopicPartition partition) => Machine.FetchOffsets([partition]) is [var offset] ? offset.Offset : null;

    public StreamsErrorCode Refused(Action action)
    {
        var before = JsonSerializer.Serialize(Machine.Snapshot());
        var code = Should.Throw<StreamsException>(action).Code;
        JsonSerializer.Serialize(Machine.Snapshot()).ShouldBe(before, "a refused request changes nothing");
        return code;
    }

    public StreamsErrorCode RefusedAfterExpiry(Action action) => Should.Throw<StreamsException>(action).Code;

    /// <summary>Restarts from the state as a storage serializer would give it back.</summary>
    public void Restart() =>
        Machine = new GroupStateMachine(Options, JsonSerializer.Deserialize<GroupState>(JsonSerializer.Serialize(Machine.Snapshot()))!, Now);
}
