using System.Collections.Immutable;
using FsCheck;
using FsCheck.Fluent;
using OrleansStreams.Log;
using static OrleansStreams.Groups.GroupFixture;

namespace OrleansStreams.Groups;

public sealed class PartitionAssignorTests
{
    private static readonly string[] Topics = ["t0", "t1", "t2"];

    /// <summary>1 to 12 members with subscriptions (bit masks, never empty) and three topics of 0 to 9 partitions.</summary>
    private static readonly Gen<(int[] Masks, int[] Counts)> Groups =
        from size in Gen.Choose(1, 12)
        from masks in Gen.ArrayOf(Gen.Choose(1, 7), size)
        from counts in Gen.ArrayOf(Gen.Choose(0, 9), 3)
        select (masks, counts);

    [Fact]
    public void Every_partition_goes_to_exactly_one_member_that_is_subscribed_to_it() => Check(Groups, g =>
    {
        foreach (var kind in Enum.GetValues<AssignorKind>())
        {
            var members = Members(g.Masks);
            var target = PartitionAssignors.Assign(kind, members, Counts(g.Counts));
            foreach (var (id, partitions) in target)
            {
                var topics = members.Single(m => m.MemberId == id).Topics;
                partitions.Where(p => !topics.Contains(p.Topic)).ShouldBeEmpty();
            }

            var expected = Topics.Where(t => members.Any(m => m.Topics.Contains(t)))
                .SelectMany(t => Enumerable.Range(0, Counts(g.Counts)[t]).Select(p => P(t, p)));
            target.Values.SelectMany(p => p).Order().ShouldBe(expected, $"{kind}: each once");
        }
    });

    [Fact]
    public void The_target_depends_on_neither_the_order_of_members_nor_of_topics() => Check(Groups, g =>
    {
        foreach (var kind in Enum.GetValues<AssignorKind>())
        {
            var members = Members(g.Masks);
            var one = PartitionAssignors.Assign(kind, members, Counts(g.Counts));
            var other = PartitionAssignors.Assign(
                kind, members.Reverse().Select(m => m with { Topics = m.Topics.Reverse().ToArray() }), Counts(g.Counts).Reverse().ToDictionary());
            Text(other).ShouldBe(Text(one));
        }
    });

    [Fact]
    public void Sticky_loads_differ_by_one_at_most_when_subscriptions_are_equal() => Check(Groups, g =>
    {
        var target = PartitionAssignors.Assign(AssignorKind.Sticky, Members([.. g.Masks.Select(_ => 7)]), Counts(g.Counts));
        Spread(target).ShouldBeLessThanOrEqualTo(1);
    });

    [Fact]
    public void Sticky_leaves_no_single_move_that_would_help_whatever_the_subscriptions() => Check(Groups, g =>
    {
        var members = Members(g.Masks);
        var target = PartitionAssignors.Assign(AssignorKind.Sticky, members, Counts(g.Counts));
        foreach (var (from, partitions) in target)
        {
            foreach (var partition in partitions)
            {
                members.Where(m => m.Topics.Contains(partition.Topic) && target[m.MemberId].Count < partitions.Count - 1)
                    .ShouldBeEmpty($"{partition} would better leave {from}");
            }
        }
    });

    [Fact]
    public void Sticky_changes_nothing_when_nothing_changed() => Check(Groups, g =>
    {
        var before = PartitionAssignors.Assign(AssignorKind.Sticky, Members(g.Masks), Counts(g.Counts));
        var after = PartitionAssignors.Assign(AssignorKind.Sticky, Members(g.Masks, before), Counts(g.Counts));
        Text(after).ShouldBe(Text(before));
    });

    [Fact]
    public void Sticky_moves_only_the_newcomers_share_on_a_join() => Check(Groups, g =>
    {
        int[] masks = [.. g.Masks.Select(_ => 7)];
        var before = PartitionAssignors.Assign(AssignorKind.Sticky, Members(masks), Counts(g.Counts));
        var after = PartitionAssignors.Assign(AssignorKind.Sticky, Members([.. masks, 7], before), Counts(g.Counts));
        var newcomer = Id(masks.Length);
        foreach (var (id, partitions) in before)
        {
            after[id].ShouldBeSubsetOf(partitions, "the others only give");
        }

        after[newcomer].Count.ShouldBe(g.Counts.Sum() / (masks.Length + 1), "as few as balance allows");
        Spread(after).ShouldBeLessThanOrEqualTo(1);
    });

    [Fact]
    public void Sticky_moves_only_the_leavers_partitions_on_a_leave() => Check(Groups.Where(g => g.Masks.Length > 1), g =>
    {
        int[] masks = [.. g.Masks.Select(_ => 7)];
        var before = PartitionAssignors.Assign(AssignorKind.Sticky, Members(masks), Counts(g.Counts));
        var after = PartitionAssignors.Assign(AssignorKind.Sticky, Members(masks, before).Skip(1), Counts(g.Counts));
        foreach (var (id, partitions) in after)
        {
            before[id].ShouldBeSubsetOf(partitions, "the others only take");
        }

        Spread(after).ShouldBeLessThanOrEqualTo(1);
    });

    [Fact]
    public void Sticky_gives_up_what_is_gone()
    {
        AssignorMember[] members = [new("m0", ["t0"], Ps("t0", 0, 1, 2)), new("m1", ["t1"], [P("t0", 3), P("t1", 0), P("t1", 9)])];
        var target = PartitionAssignors.Assign(AssignorKind.Sticky, members, new Dictionary<string, int> { ["t0"] = 2, ["t1"] = 1 });
        target["m0"].ShouldBe(Ps("t0", 0, 1));
        target["m1"].ShouldBe(Ps("t1", 0));
    }

    [Fact]
    public void Ranges_are_contiguous_and_the_first_members_get_one_more()
    {
        var target = PartitionAssignors.Assign(
            AssignorKind.Range, Members([7, 7, 6]), new Dictionary<string, int> { ["t0"] = 3, ["t1"] = 7, ["t2"] = 2 });
        target["m00"].ShouldBe([.. Ps("t0", 0, 1), .. Ps("t1", 0, 1, 2), .. Ps("t2", 0)]);
        target["m01"].ShouldBe([.. Ps("t0", 2), .. Ps("t1", 3, 4), .. Ps("t2", 1)]);
        target["m02"].ShouldBe([.. Ps("t1", 5, 6)]);
    }

    private static void Check<T>(Gen<T> gen, Action<T> property) =>
        FsCheck.Check.One(PropertyRuns.Of(300), Prop.ForAll(Arb.From(gen), property));

    private static AssignorMember[] Members(int[] masks, ImmutableSortedDictionary<string, ImmutableSortedSet<TopicPartition>>? current = null) =>
        [.. masks.Select((mask, i) => new AssignorMember(
            Id(i), Topics.Where((_, t) => (mask >> t & 1) == 1).ToArray(), current?.GetValueOrDefault(Id(i)) ?? []))];

    private static string Id(int member) => $"m{member:d2}";

    private static Dictionary<string, int> Counts(int[] counts) => Topics.Select((t, i) => (t, counts[i])).ToDictionary(c => c.t, c => c.Item2);

    private static int Spread(ImmutableSortedDictionary<string, ImmutableSortedSet<TopicPartition>> target) =>
        target.Values.Max(p => p.Count) - target.Values.Min(p => p.Count);

    private static string Text(ImmutableSortedDictionary<string, ImmutableSortedSet<TopicPartition>> target) =>
        string.Join("; ", target.Select(t => $"{t.Key}: {string.Join(' ', t.Value)}"));
}
