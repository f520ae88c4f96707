using System.Collections.Immutable;
using OrleansStreams.Log;

namespace OrleansStreams.Groups.Model;

/// <summary>Planted bugs, each of a kind that a careless change could bring in.</summary>
internal static class GroupMutants
{
    /// <summary>Gives a partition on as soon as its owner is to lose it, without waiting until it gave it up.</summary>
    internal sealed class RevokesWithoutWaiting(GroupOptions o, GroupState s, TimeSpan n) : GroupStateMachine(o, s, n)
    {
        protected override bool AwaitsGivingUp(GroupMember member, TopicPartition partition) => false;
    }

    /// <summary>Lets old heartbeats and commits speak about partitions that were granted since.</summary>
    internal sealed class BelievesOldMessages(GroupOptions o, GroupState s, TimeSpan n) : GroupStateMachine(o, s, n)
    {
        protected override bool SpeaksFor(int epoch, int grantEpoch) => true;
    }

    /// <summary>Counts epochs per membership in place of per group.</summary>
    internal sealed class CountsEpochsPerMembership(GroupOptions o, GroupState s, TimeSpan n) : GroupStateMachine(o, s, n)
    {
        protected override int NextEpoch(GroupMember member) => member.Epoch + 1;
    }

    /// <summary>Takes commits from anybody.</summary>
    internal sealed class TakesAnyCommit(GroupOptions o, GroupState s, TimeSpan n) : GroupStateMachine(o, s, n)
    {
        protected override void Authorize(CommitOffsetsRequest request)
        {
        }
    }

    /// <summary>Forgets a partition of each topic.</summary>
    internal sealed class ForgetsPartitions(GroupOptions o, GroupState s, TimeSpan n) : GroupStateMachine(o, s, n)
    {
        protected override ImmutableSortedDictionary<string, ImmutableSortedSet<TopicPartition>> ComputeTargets() =>
            base.ComputeTargets().ToImmutableSortedDictionary(t => t.Key, t => t.Value.Remove(new TopicPartition("b", 0)), StringComparer.Ordinal);
    }

    /// <summary>Gives everything to one member.</summary>
    internal sealed class FavoursOne(GroupOptions o, GroupState s, TimeSpan n) : GroupStateMachine(o, s, n)
    {
        protected override ImmutableSortedDictionary<string, ImmutableSortedSet<TopicPartition>> ComputeTargets()
        {
            var targets = base.ComputeTargets();
            ImmutableSortedSet<TopicPartition> all = [.. targets.Values.SelectMany(t => t)];
            return targets.Select((t, i) => KeyValuePair.Create(t.Key, i == 0 ? all : [])).ToImmutableSortedDictionary(StringComparer.Ordinal);
        }
    }
}
