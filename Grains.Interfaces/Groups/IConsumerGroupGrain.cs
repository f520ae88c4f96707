using System.Collections.Immutable;
using OrleansStreams.Log;

namespace OrleansStreams.Groups;

/// <summary>How partitions are spread over members.</summary>
[GenerateSerializer]
[Alias("streams.assignor")]
public enum AssignorKind
{
    /// <summary>Per topic, contiguous ranges in order of member id.</summary>
    Range,

    /// <summary>Balanced over all topics, moving as few partitions as possible.</summary>
    Sticky,
}

/// <summary>
/// A member's heartbeat, which also joins, changes the subscription and acknowledges revocation (server-side assignment after the
/// manner of KIP-848): the member says what it owns, the group answers what it may own.
/// </summary>
/// <remarks>
/// That a partition never has two owners rests on members that: have one heartbeat under way at a time and ignore answers to those they gave up
/// waiting for; count as owned what an answer assigned, from that moment on, and list it in <c>Owned</c> until it is given up; own nothing any more
/// once a session timeout has passed since they <i>sent</i> the last heartbeat that was answered; send commits of one partition one after the other.
/// </remarks>
/// <param name="MemberId">Chosen by the member, unique for its life.</param>
/// <param name="MemberEpoch">0 to join, else the last epoch that the group answered.</param>
/// <param name="ClientId">A name for people.</param>
/// <param name="Topics">The subscription.</param>
/// <param name="Owned">The partitions that the member owns now; a partition left out is given up, with its offsets committed before.</param>
/// <param name="SessionTimeoutMs">Ms without a heartbeat after which the member is removed.</param>
/// <param name="Assignor">The assignor wanted; the first member's holds for the group until it is empty.</param>
[GenerateSerializer]
[Immutable]
[Alias("streams.group-heartbeat")]
public sealed record GroupHeartbeat(
    [property: Id(0)] string MemberId, [property: Id(1)] int MemberEpoch, [property: Id(2)] string ClientId,
    [property: Id(3)] ImmutableArray<string> Topics, [property: Id(4)] ImmutableArray<TopicPartition> Owned,
    [property: Id(5)] int SessionTimeoutMs, [property: Id(6)] AssignorKind Assignor);

/// <summary>The group's answer to a heartbeat.</summary>
/// <param name="MemberEpoch">The epoch to send from now on; commits are fenced by it.</param>
/// <param name="Generation">The group's generation: raised whenever membership, subscription or partition counts change.</param>
/// <param name="Assigned">The partitions that the member may own now. What it owns beyond this it must give up, and say so in the next heartbeat.</param>
/// <param name="HeartbeatIntervalMs">Ms until the next heartbeat is due.</param>
[GenerateSerializer]
[Immutable]
[Alias("streams.group-assignment")]
public sealed record GroupAssignment(
    [property: Id(0)] int MemberEpoch, [property: Id(1)] int Generation, [property: Id(2)] ImmutableArray<TopicPartition> Assigned,
    [property: Id(3)] int HeartbeatIntervalMs);

/// <summary>A committed offset: the next offset to read.</summary>
/// <param name="Partition">The partition.</param>
/// <param name="Offset">The next offset to read.</param>
/// <param name="Metadata">A text of the member's own.</param>
[GenerateSerializer]
[Immutable]
[Alias("streams.committed-offset")]
public sealed record CommittedOffset([property: Id(0)] TopicPartition Partition, [property: Id(1)] long Offset, [property: Id(2)] string? Metadata = null);

/// <summary>Offsets to commit. A member sends its id and epoch; a standalone consumer (assigned partitions) sends an empty id and epoch -1, which only an empty group accepts.</summary>
/// <param name="MemberId">The member, or empty.</param>
/// <param name="MemberEpoch">Its epoch, or -1.</param>
/// <param name="Offsets">The offsets.</param>
[GenerateSerializer]
[Immutable]
[Alias("streams.commit-offsets")]
public sealed record CommitOffsetsRequest(
    [property: Id(0)] string MemberId, [property: Id(1)] int MemberEpoch, [property: Id(2)] ImmutableArray<CommittedOffset> Offsets);

/// <summary>A member as the group sees it.</summary>
[GenerateSerializer]
[Immutable]
[Alias("streams.group-member")]
public sealed record GroupMemberDescription(
    [property: Id(0)] string MemberId, [property: Id(1)] string ClientId, [property: Id(2)] int MemberEpoch,
    [property: Id(3)] ImmutableArray<string> Topics, [property: Id(4)] ImmutableArray<TopicPartition> Owned, [property: Id(5)] ImmutableArray<TopicPartition> Target);

/// <summary>A group as it is.</summary>
/// <param name="GroupId">Its id.</param>
/// <param name="State">Empty, Reconciling or Stable.</param>
/// <param name="Generation">The generation.</param>
/// <param name="Assignor">The assignor in force.</param>
/// <param name="Members">The members by id.</param>
/// <param name="Offsets">The committed offsets by partition.</param>
[GenerateSerializer]
[Immutable]
[Alias("streams.group-description")]
public sealed record GroupDescription(
    [property: Id(0)] string GroupId, [property: Id(1)] string State, [property: Id(2)] int Generation, [property: Id(3)] AssignorKind Assignor,
    [property: Id(4)] ImmutableArray<GroupMemberDescription> Members, [property: Id(5)] ImmutableArray<CommittedOffset> Offsets);

/// <summary>One consumer group; the key is the group id.</summary>
[Alias("streams.IConsumerGroupGrain")]
public interface IConsumerGroupGrain : IGrainWithStringKey
{
    /// <summary>Joins, keeps alive, reconciles.</summary>
    /// <exception cref="StreamsException">UnknownMemberId (removed: rejoin with epoch 0), FencedMemberEpoch (rejoin with epoch 0), InvalidSessionTimeout, UnknownTopicOrPartition,
    /// InvalidRequest; StorageError and CoordinatorNotAvailable (repeat the same heartbeat).</exception>
    [Alias("HeartbeatAsync")]
    Task<GroupAssignment> HeartbeatAsync(GroupHeartbeat heartbeat);

    /// <summary>Leaves at once; its partitions are free for others. No error when it is not a member.</summary>
    [Alias("LeaveAsync")]
    Task LeaveAsync(string memberId);

    /// <summary>Commits offsets durably; all or nothing. A member's commit for a partition it does not own, or with a stale epoch, is refused; an offset below the committed one by a member is refused unless the member owns the partition (a seek back is the owner's right), so that a zombie never moves one.</summary>
    /// <exception cref="StreamsException">UnknownMemberId, FencedMemberEpoch, IllegalGeneration (the member does not own the partition), InvalidRequest;
    /// UnknownTopicOrPartition (standalone consumers); StorageError and CoordinatorNotAvailable (retriable; whether it was written is unknown for the first).</exception>
    [Alias("CommitOffsetsAsync")]
    Task CommitOffsetsAsync(CommitOffsetsRequest request);

    /// <summary>The committed offsets of the partitions asked for (all when empty); those without one are left out.</summary>
    [Alias("FetchOffsetsAsync")]
    Task<ImmutableArray<CommittedOffset>> FetchOffsetsAsync(ImmutableArray<TopicPartition> partitions);

    /// <summary>Describes the group.</summary>
    /// <exception cref="StreamsException">GroupIdNotFound.</exception>
    [Alias("DescribeAsync")]
    Task<GroupDescription> DescribeAsync();

    /// <summary>Sets offsets by force; the group must have no members.</summary>
    /// <exception cref="StreamsException">NonEmptyGroup, UnknownTopicOrPartition, InvalidRequest.</exception>
    [Alias("ResetOffsetsAsync")]
    Task ResetOffsetsAsync(ImmutableArray<CommittedOffset> offsets);

    /// <summary>Deletes the group and its offsets; it must have no members.</summary>
    /// <exception cref="StreamsException">GroupIdNotFound, NonEmptyGroup.</exception>
    [Alias("DeleteAsync")]
    Task DeleteAsync();
}

/// <summary>The list of groups; its key is <see cref="Key"/>.</summary>
[Alias("streams.IGroupDirectoryGrain")]
public interface IGroupDirectoryGrain : IGrainWithStringKey
{
    /// <summary>The one key.</summary>
    const string Key = "groups";

    /// <summary>All group ids in ordinal order.</summary>
    [Alias("ListAsync")]
    Task<ImmutableArray<string>> ListAsync();

    /// <summary>Adds an id; called by group grains only.</summary>
    [Alias("AddAsync")]
    Task AddAsync(string groupId);

    /// <summary>Removes an id; called by group grains only.</summary>
    [Alias("RemoveAsync")]
    Task RemoveAsync(string groupId);
}
