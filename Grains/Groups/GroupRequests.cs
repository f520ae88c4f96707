using System.Collections.Immutable;

namespace OrleansStreams.Groups;

/// <summary>What a request must be before a group looks at it.</summary>
internal static class GroupRequests
{
    public static void Check(GroupHeartbeat heartbeat, GroupOptions options)
    {
        CheckMemberId(heartbeat.MemberId, options);
        if (heartbeat.ClientId is null || heartbeat.ClientId.Length > options.NameLengthMax)
        {
            throw GroupErrors.Invalid($"A client id is a text of at most {options.NameLengthMax} characters.");
        }

        if (heartbeat.MemberEpoch < 0)
        {
            throw GroupErrors.Invalid($"Member epoch {heartbeat.MemberEpoch} is negative; send 0 to join, else the epoch last answered.");
        }

        if (heartbeat.Topics.IsDefaultOrEmpty || heartbeat.Topics.Length > options.TopicsMax || heartbeat.Topics.Any(string.IsNullOrEmpty))
        {
            throw GroupErrors.Invalid($"A subscription is 1 to {options.TopicsMax} topic names.");
        }

        if (heartbeat.Owned.IsDefault || heartbeat.Owned.Any(p => string.IsNullOrEmpty(p.Topic)))
        {
            throw GroupErrors.Invalid("The list of owned partitions is missing or holds one without a topic; send an empty list when nothing is owned.");
        }

        if (heartbeat.MemberEpoch == 0 && heartbeat.Owned.Length > 0)
        {
            throw GroupErrors.Invalid("A joining member owns nothing; give up all partitions before joining.");
        }

        if (!Enum.IsDefined(heartbeat.Assignor))
        {
            throw GroupErrors.Invalid($"Assignor {(int)heartbeat.Assignor} is not known; ask for Range or Sticky.");
        }

        var session = TimeSpan.FromMilliseconds(heartbeat.SessionTimeoutMs);
        if (session < options.SessionTimeoutMin || session > options.SessionTimeoutMax)
        {
            throw GroupErrors.Session(session, options);
        }
    }

    public static void CheckMemberId(string memberId, GroupOptions options)
    {
        if (string.IsNullOrEmpty(memberId) || memberId.Length > options.NameLengthMax)
        {
            throw GroupErrors.Invalid($"A member id is a text of 1 to {options.NameLengthMax} characters.");
        }
    }

    public static void Check(CommitOffsetsRequest request, GroupOptions options)
    {
        if (request.MemberId is null)
        {
            throw GroupErrors.Invalid("The member id is missing; a standalone consumer sends an empty one and epoch -1.");
        }

        if (request.MemberId.Length == 0 && request.MemberEpoch != -1)
        {
            throw GroupErrors.Invalid("A commit without a member id is a standalone consumer's and has epoch -1.");
        }

        CheckOffsets(request.Offsets, options);
    }

    public static void CheckOffsets(ImmutableArray<CommittedOffset> offsets, GroupOptions options)
    {
        if (offsets.IsDefault)
        {
            throw GroupErrors.Invalid("The list of offsets is missing.");
        }

        var seen = new HashSet<Log.TopicPartition>();
        foreach (var offset in offsets)
        {
            if (offset is null || string.IsNullOrEmpty(offset.Partition.Topic) || offset.Partition.Partition < 0)
            {
                throw GroupErrors.Invalid("An offset names no partition.");
            }

            if (offset.Offset < 0)
            {
                throw GroupErrors.Invalid($"Offset {offset.Offset} for {offset.Partition} is negative.");
            }

            if (offset.Metadata?.Length > options.OffsetMetadataMax)
            {
                throw GroupErrors.Invalid($"The metadata for {offset.Partition} has {offset.Metadata.Length} characters; at most {options.OffsetMetadataMax} are kept.");
            }

            if (!seen.Add(offset.Partition))
            {
                throw GroupErrors.Invalid($"Partition {offset.Partition} is named twice in one commit.");
            }
        }
    }
}
