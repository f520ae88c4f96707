using FsCheck;
using FsCheck.Fluent;
using OrleansStreams.Silo.Hosting.Placement;

namespace OrleansStreams.Silo.Tests.Hosting.Placement;

/// <summary>Where grains are placed and which of them move.</summary>
public sealed class SpreadPlanTests
{
    private static readonly string[] Kinds = ["partition", "streamtask", "consumergroup"];

    [Theory]
    [InlineData("orders/12", "orders/", 12)]
    [InlineData("flights/0_3", "flights/0_", 3)]
    [InlineData("orders-2026", "orders-2026", 0)]
    [InlineData("orders_7", "orders_7", 0)]
    [InlineData("2026", "2026", 0)]
    [InlineData("orders/99999999999", "orders/99999999999", 0)]
    [InlineData("", "", 0)]
    public void A_key_is_the_group_that_its_grain_belongs_to_and_its_number_there(string key, string group, int number) =>
        GrainSpread.Parse(key).ShouldBe((group, number));

    [Theory]
    [InlineData(12, 3)]
    [InlineData(13, 4)]
    [InlineData(2, 5)]
    [InlineData(100, 1)]
    public void The_partitions_of_a_topic_are_even_over_the_silos_when_they_are_first_placed(int partitions, int silos)
    {
        foreach (var topic in (string[])["orders", "payments", "a/b", "7"])
        {
            var counts = new int[silos];
            for (var partition = 0; partition < partitions; partition++)
            {
                counts[GrainSpread.SiloOf($"{topic}/{partition}", silos)]++;
            }

            counts.ShouldAllBe(count => count == partitions / silos || count == (partitions / silos) + 1, topic);
        }
    }

    [Fact]
    public void Topics_of_one_partition_dont_all_go_to_the_same_silo() =>
        Enumerable.Range(0, 300).GroupBy(topic => GrainSpread.SiloOf($"topic-{topic}/0", 3)).ShouldAllBe(silo => silo.Count() > 70);

    [Fact]
    public void A_fourth_silo_gets_its_share_and_nothing_else_moves()
    {
        var grains = Topic("orders", 12, partition => partition % 3);
        var moves = SpreadPlan.Of(grains, 4);
        moves.Count.ShouldBe(3);
        moves.ShouldAllBe(move => move.To == 3);
        moves.Select(move => move.Grain.Silo).Order().ShouldBe([0, 1, 2]);
    }

    [Fact]
    public void What_moves_is_of_the_topic_that_the_silo_has_most_of()
    {
        var grains = Topic("large", 4, _ => 0).Concat(Topic("small", 2, partition => partition)).ToArray();
        var moves = SpreadPlan.Of(grains, 2);
        moves.Select(move => (move.Grain.Key, move.To)).ShouldBe([("large/3", 1), ("large/2", 1)]);
    }

    [Fact]
    public void What_a_leaving_silo_holds_goes_to_those_that_stay_and_each_topic_stays_spread()
    {
        var grains = Topic("a", 6, partition => (partition % 3) - 1).Concat(Topic("b", 6, partition => (partition % 3) - 1)).ToArray();
        var moves = SpreadPlan.Of(grains, 2);
        moves.ShouldAllBe(move => move.Grain.Silo == SpreadPlan.Leaving);
        var after = After(grains, moves);
        foreach (var topic in (string[])["a/", "b/"])
        {
            Enumerable.Range(0, 2).Select(silo => after.Count(grain => grain.Silo == silo && grain.Key.StartsWith(topic, StringComparison.Ordinal))).ShouldBe([3, 3]);
        }
    }

    [Fact]
    public void Without_a_silo_that_stays_nothing_moves() => SpreadPlan.Of(Topic("orders", 3, _ => SpreadPlan.Leaving), 0).ShouldBeEmpty();

    [Fact]
    public void After_any_plan_each_kind_is_even_with_as_few_moves_as_possible_and_the_next_plan_is_empty() => Check.One(Config.QuickThrowOnFailure.WithMaxTest(300), Prop.ForAll(Cases(), one =>
    {
        var moves = SpreadPlan.Of(one.Grains, one.Silos);
        moves.Select(move => (move.Grain.Kind, move.Grain.Key)).ShouldBeUnique();
        moves.ShouldAllBe(move => move.To != move.Grain.Silo && move.To >= 0 && move.To < one.Silos);
        var after = After(one.Grains, moves);
        foreach (var kind in Kinds)
        {
            var before = one.Grains.Where(grain => grain.Kind == kind).ToArray();
            var counts = Counts(after, kind, one.Silos);
            counts.Sum().ShouldBe(before.Length);
            (counts.Max() - counts.Min()).ShouldBeLessThanOrEqualTo(1);
            moves.Count(move => move.Grain.Kind == kind).ShouldBe(FewestMoves(before, one.Silos));
        }

        SpreadPlan.Of(after, one.Silos).ShouldBeEmpty();
    }));

    [Fact]
    public void A_plan_depends_on_what_is_where_and_not_on_the_order_in_which_it_is_told() => Check.One(Config.QuickThrowOnFailure, Prop.ForAll(Cases(), one =>
    {
        SpreadPlan.Of(Enumerable.Reverse(one.Grains), one.Silos).ShouldBe(SpreadPlan.Of(one.Grains, one.Silos));
    }));

    private static PlacedGrain[] Topic(string topic, int partitions, Func<int, int> siloOf) =>
        [.. Enumerable.Range(0, partitions).Select(partition => new PlacedGrain("partition", $"{topic}/{partition}", siloOf(partition)))];

    private static PlacedGrain[] After(PlacedGrain[] grains, List<GrainMove> moves) =>
        [.. grains.Select(grain => moves.Where(move => move.Grain == grain).Select(move => grain with { Silo = move.To }).DefaultIfEmpty(grain).Single())];

    private static int[] Counts(PlacedGrain[] grains, string kind, int silos) =>
        [.. Enumerable.Range(0, silos).Select(silo => grains.Count(grain => grain.Kind == kind && grain.Silo == silo))];

    /// <summary>Tries every choice of the silos that keep one more; what leaves a silo for that is a move, and so is all that leaving silos hold.</summary>
    private static int FewestMoves(PlacedGrain[] grains, int silos)
    {
        var counts = Enumerable.Range(0, silos).Select(silo => grains.Count(grain => grain.Silo == silo)).ToArray();
        var (least, more) = Math.DivRem(grains.Length, silos);
        return grains.Count(grain => grain.Silo == SpreadPlan.Leaving) + Enumerable.Range(0, 1 << silos).Where(choice => int.PopCount(choice) == more)
            .Min(choice => counts.Select((count, silo) => Math.Max(0, count - least - ((choice >> silo) & 1))).Sum());
    }

    private static Arbitrary<Case> Cases() => Arb.From(
        from silos in Gen.Choose(1, 6)
        from count in Gen.Choose(0, 40)
        from grains in Gen.ListOf(
            from kind in Gen.Elements(Kinds)
            from topic in Gen.Choose(0, 4)
            from number in Gen.Choose(0, 20)
            from silo in Gen.Choose(SpreadPlan.Leaving, silos - 1)
            select new PlacedGrain(kind, $"t{topic}/{number}", silo), count)
        select new Case([.. grains.DistinctBy(grain => (grain.Kind, grain.Key))], silos));

    private sealed record Case(PlacedGrain[] Grains, int Silos)
    {
        public override string ToString() => $"{Silos} silos: {string.Join(", ", Grains)}";
    }
}
