using System.Collections.Immutable;
using OrleansStreams.Log;

namespace OrleansStreams.Groups;

/// <summary>What an assignor knows of a member.</summary>
/// <param name="MemberId">Its id.</param>
/// <param name="Topics">Its subscription.</param>
/// <param name="Current">Its target so far.</param>
internal sealed record AssignorMember(string MemberId, IReadOnlyCollection<string> Topics, IReadOnlyCollection<TopicPartition> Current);

/// <summary>
/// The assignors: pure functions from members and partition counts to a target per member. Members and topics are taken in ordinal
/// order whatever order they come in, so that the same input gives the same target on every silo.
/// </summary>
internal static class PartitionAssignors
{
    /// <summary>Computes the target: every partition of a subscribed topic goes to exactly one member subscribed to it.</summary>
    public static ImmutableSortedDictionary<string, ImmutableSortedSet<TopicPartition>> Assign(
        AssignorKind kind, IEnumerable<AssignorMember> members, IReadOnlyDictionary<string, int> partitionCounts)
    {
        var ordered = members.OrderBy(m => m.MemberId, StringComparer.Ordinal).ToArray();
        var topics = new SortedDictionary<string, (int Partitions, List<int> Subscribers)>(StringComparer.Ordinal);
        for (var i = 0; i < ordered.Length; i++)
        {
            foreach (var topic in ordered[i].Topics)
            {
                if (topics.TryGetValue(topic, out var row))
                {
                    row.Subscribers.Add(i);
                }
                else if (partitionCounts.TryGetValue(topic, out var count) && count > 0)
                {
                    topics.Add(topic, (count, [i]));
                }
            }
        }

        var assigned = kind == AssignorKind.Range ? AssignRanges(ordered.Length, topics) : new StickyAssignment(ordered, topics).Assign();
        var target = ImmutableSortedDictionary.CreateBuilder<string, ImmutableSortedSet<TopicPartition>>(StringComparer.Ordinal);
        for (var i = 0; i < ordered.Length; i++)
        {
            target.Add(ordered[i].MemberId, assigned[i].ToImmutableSortedSet());
        }

        return target.ToImmutable();
    }

    /// <summary>Per topic, contiguous ranges in order of member id, the first ones longer by one: the same partition numbers of co-partitioned topics meet at one member.</summary>
    private static List<TopicPartition>[] AssignRanges(int memberCount, SortedDictionary<string, (int Partitions, List<int> Subscribers)> topics)
    {
        var assigned = NewLists(memberCount);
        foreach (var (topic, (partitions, subscribers)) in topics)
        {
            var (share, longer) = Math.DivRem(partitions, subscribers.Count);
            var next = 0;
            for (var s = 0; s < subscribers.Count; s++)
            {
                var end = next + share + (s < longer ? 1 : 0);
                for (; next < end; next++)
                {
                    assigned[subscribers[s]].Add(new TopicPartition(topic, next));
                }
            }
        }

        return assigned;
    }

    internal static List<TopicPartition>[] NewLists(int count)
    {
        var lists = new List<TopicPartition>[count];
        for (var i = 0; i < count; i++)
        {
            lists[i] = [];
        }

        return lists;
    }
}
