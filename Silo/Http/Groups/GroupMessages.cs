using OrleansStreams.Groups;
using OrleansStreams.Log;

namespace OrleansStreams.Silo.Http.Groups;

/// <summary>All groups by id.</summary>
internal sealed record GroupListBody(IReadOnlyList<GroupSummary> Groups);

/// <summary>A group in the list.</summary>
internal sealed record GroupSummary(string Group, string State, int Members, int Generation);

/// <summary>A partition of a topic.</summary>
internal sealed record PartitionRef(string Topic, int Partition)
{
    public static PartitionRef Of(TopicPartition partition) => new(partition.Topic, partition.Partition);
}

/// <summary>A partition that a member says it owns; one without a number is refused, not taken for 0.</summary>
internal sealed record OwnedPartition(string? Topic, int? Partition);

/// <summary>A member as the group sees it: what it owns now and what it shall own.</summary>
internal sealed record GroupMemberBody(
    string MemberId, string ClientId, int MemberEpoch, IReadOnlyList<string> Topics, IReadOnlyList<PartitionRef> Owned, IReadOnlyList<PartitionRef> Target);

/// <summary>How far a group is in a partition. The lag is the number of records up to the end for readers; null when nothing is committed or the topic is gone.</summary>
internal sealed record GroupOffsetBody(
    string Topic, int Partition, long? CommittedOffset, long? LogStartOffset, long? HighWatermark, long? Lag, string? MemberId, string? Metadata);

/// <summary>A group as it is.</summary>
internal sealed record GroupBody(
    string Group, string State, int Generation, string Assignor, IReadOnlyList<GroupMemberBody> Members, IReadOnlyList<GroupOffsetBody> Offsets, long TotalLag);

/// <summary>Moves a group's offsets of a topic, or of one partition: to earliest, latest, offset or timestamp.</summary>
internal sealed record ResetBody(string? Topic, string? To, int? Partition = null, long? Offset = null, System.Text.Json.JsonElement? Timestamp = null);

/// <summary>A member's heartbeat; see IConsumerGroupGrain. memberEpoch 0 joins.</summary>
internal sealed record HeartbeatBody(
    string? MemberId, int? MemberEpoch, IReadOnlyList<string>? Topics, IReadOnlyList<OwnedPartition>? Owned = null, string? ClientId = null,
    int SessionTimeoutMs = HeartbeatBody.SessionTimeoutMsAbsent, AssignorKind Assignor = AssignorKind.Sticky)
{
    public const int SessionTimeoutMsAbsent = 30_000;
}

/// <summary>The group's answer to a heartbeat: what the member may own.</summary>
internal sealed record AssignmentBody(int MemberEpoch, int Generation, IReadOnlyList<PartitionRef> Assigned, int HeartbeatIntervalMs);

/// <summary>A committed offset: the next one to read.</summary>
internal sealed record CommittedOffsetBody(string Topic, int Partition, long Offset, string? Metadata = null);

/// <summary>An offset to commit, the next one to read; nothing but the metadata may be left out.</summary>
internal sealed record CommitEntryBody(string? Topic, int? Partition, long? Offset, string? Metadata = null);

/// <summary>Offsets to commit; without a member they are taken only by a group without members.</summary>
internal sealed record CommitBody(IReadOnlyList<CommitEntryBody>? Offsets, string? MemberId = null, int? MemberEpoch = null);

/// <summary>Committed offsets.</summary>
internal sealed record CommittedOffsetsBody(IReadOnlyList<CommittedOffsetBody> Offsets);
