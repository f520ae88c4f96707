using OrleansStreams.Log;

namespace OrleansStreams.Groups.Model;

/// <summary>An invariant does not hold.</summary>
internal sealed class InvariantBrokenException(string checker, string message) : Exception($"{checker}: {message}")
{
    public string Checker { get; } = checker;
}

/// <summary>The named checkers of the model. Each has a mutant in <see cref="GroupMutants"/> that it must catch.</summary>
internal static class GroupCheckers
{
    public const string OneOwner = "At most one owner per partition";
    public const string EpochsForward = "Epochs never go backward";
    public const string OffsetsForward = "Committed offsets move back by the owner's own wish or a reset only";
    public const string AllAssigned = "Eventually every partition has an owner";
    public const string Balanced = "Eventually the assignment is balanced";

    /// <summary>What the members believe themselves, by their own clocks and leases, not what the group thinks of them.</summary>
    public static void CheckOneOwner(GroupModel model)
    {
        var owners = new Dictionary<TopicPartition, ModelMember>();
        foreach (var member in model.Members)
        {
            foreach (var partition in member.Owned.Where(_ => member.IsOwner(model.Now)))
            {
                if (!owners.TryAdd(partition, member))
                {
                    throw new InvariantBrokenException(OneOwner, $"{partition} is owned by {owners[partition].Id} and by {member.Id}");
                }
            }
        }
    }

    /// <summary>Of each answer that was made durable, whether or not it arrived.</summary>
    public static void CheckEpoch(Dictionary<string, int> epochs, string memberId, int epoch)
    {
        if (epochs.TryGetValue(memberId, out var before) && epoch < before)
        {
            throw new InvariantBrokenException(EpochsForward, $"{memberId} was told {before} and then {epoch}");
        }

        epochs[memberId] = epoch;
    }

    /// <summary>After each request: only this request may have moved an offset back, and only with right.</summary>
    public static void CheckOffsets(
        Dictionary<TopicPartition, long> before, IEnumerable<CommittedOffset> after, Func<TopicPartition, bool> mayMove, Func<TopicPartition, bool> mayMoveBack)
    {
        var now = after.ToDictionary(o => o.Partition, o => o.Offset);
        foreach (var (partition, offset) in before)
        {
            if (!now.TryGetValue(partition, out var current))
            {
                throw new InvariantBrokenException(OffsetsForward, $"the offset {offset} of {partition} is lost");
            }

            if (current < offset && !mayMoveBack(partition))
            {
                throw new InvariantBrokenException(OffsetsForward, $"{partition} went from {offset} back to {current}");
            }
        }

        foreach (var (partition, offset) in now)
        {
            if ((!before.TryGetValue(partition, out var known) || known != offset) && !mayMove(partition))
            {
                throw new InvariantBrokenException(OffsetsForward, $"{partition} was moved to {offset} by somebody without a right to it");
            }
        }
    }

    /// <summary>After quiet time.</summary>
    public static void CheckAllAssigned(GroupModel model)
    {
        foreach (var topic in model.Live.SelectMany(m => m.Topics).Distinct())
        {
            for (var p = 0; p < model.Topics[topic]; p++)
            {
                var partition = new TopicPartition(topic, p);
                var owners = model.Live.Where(m => m.IsOwner(model.Now) && m.Owned.Contains(partition)).ToArray();
                if (owners.Length != 1 || !owners[0].Topics.Contains(topic))
                {
                    throw new InvariantBrokenException(AllAssigned, $"{partition} has {owners.Length} owners among the subscribed");
                }
            }
        }
    }

    /// <summary>After quiet time with equal subscriptions: within 1 for sticky, within 1 per topic for range.</summary>
    public static void CheckBalanced(GroupModel model)
    {
        var loads = model.Live.Select(m => m.Owned.Count).ToArray();
        var allowed = model.Assignor == AssignorKind.Sticky ? 1 : model.Topics.Count;
        if (loads.Max() - loads.Min() > allowed)
        {
            throw new InvariantBrokenException(Balanced, $"the members own {string.Join(", ", loads)} partitions");
        }
    }
}
