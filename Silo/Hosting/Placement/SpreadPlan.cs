namespace OrleansStreams.Silo.Hosting.Placement;

/// <summary>A grain that is active somewhere.</summary>
/// <param name="Kind">What it is; each kind is spread by itself, because a task costs something else than a partition.</param>
/// <param name="Key">Its key, as in <see cref="GrainSpread.Parse"/>.</param>
/// <param name="Silo">The number of its silo, or <see cref="SpreadPlan.Leaving"/>.</param>
internal readonly record struct PlacedGrain(string Kind, string Key, int Silo);

/// <summary>A grain that is to go to the silo of a number.</summary>
internal readonly record struct GrainMove(PlacedGrain Grain, int To);

/// <summary>
/// Which grains must move for every silo to have the same number of each kind, but for one more here and there (the number divided by the silos, rounded down or
/// up). No plan moves fewer: the silos that have the most are those that keep one more. Which grains of a silo go, and where to, follows what they belong to: one of the
/// topic that the silo has most of goes where that topic has least, so that single topics stay spread too. The same input gives the same plan, in any order.
/// </summary>
internal static class SpreadPlan
{
    /// <summary>In place of a silo's number: on a silo that must give up everything.</summary>
    public const int Leaving = -1;

    /// <summary>The moves, in the order in which they do most good.</summary>
    /// <param name="grains">Every active grain, each once.</param>
    /// <param name="silos">How many silos stay; they are numbered from 0.</param>
    public static List<GrainMove> Of(IEnumerable<PlacedGrain> grains, int silos)
    {
        var moves = new List<GrainMove>();
        if (silos == 0)
        {
            return moves;
        }

        // So that the spare ones of all kinds don't meet on the same silo.
        var spares = new int[silos];
        foreach (var kind in grains.GroupBy(grain => grain.Kind, StringComparer.Ordinal).OrderBy(kind => kind.Key, StringComparer.Ordinal))
        {
            new KindPlan([.. kind], silos, spares).AddTo(moves);
        }

        return moves;
    }

    /// <summary>One kind: who has too many or too few, and what each silo has of each topic.</summary>
    private sealed class KindPlan
    {
        private readonly int[] surplus;
        private readonly Dictionary<string, int>[] groups;
        private readonly SortedSet<(string Group, int Number, string Key)>[] held;
        private readonly List<PlacedGrain> leaving;
        private readonly string kind;

        public KindPlan(PlacedGrain[] grains, int silos, int[] spares)
        {
            kind = grains[0].Kind;
            groups = [.. Enumerable.Range(0, silos).Select(_ => new Dictionary<string, int>(StringComparer.Ordinal))];
            held = [.. Enumerable.Range(0, silos).Select(_ => new SortedSet<(string Group, int Number, string Key)>(ByName.Instance))];
            leaving = [.. grains.Where(grain => grain.Silo == Leaving).OrderBy(grain => grain.Key, StringComparer.Ordinal)];
            foreach (var grain in grains.Where(grain => grain.Silo != Leaving))
            {
                Hold(grain.Silo, grain.Key);
            }

            var (least, more) = Math.DivRem(grains.Length, silos);
            surplus = [.. held.Select(keys => keys.Count - least)];
            foreach (var silo in Enumerable.Range(0, silos).OrderByDescending(silo => held[silo].Count).ThenBy(silo => spares[silo]).ThenBy(silo => silo).Take(more))
            {
                surplus[silo]--;
                spares[silo]++;
            }
        }

        public void AddTo(List<GrainMove> moves)
        {
            foreach (var grain in leaving)
            {
                var to = ReceiverOf(GrainSpread.Parse(grain.Key).Group);
                moves.Add(new GrainMove(grain, to));
                Hold(to, grain.Key);
                surplus[to]++;
            }

            while (surplus.Max() is > 0 and var most)
            {
                var from = Array.IndexOf(surplus, most);
                var (group, to) = MostCrowded(from);
                var last = held[from].GetViewBetween((group, 0, string.Empty), (group, int.MaxValue, "\uffff")).Max;
                moves.Add(new GrainMove(new PlacedGrain(kind, last.Key, from), to));
                held[from].Remove(last);
                groups[from][group]--;
                Hold(to, last.Key);
                surplus[from]--;
                surplus[to]++;
            }
        }

        private void Hold(int silo, string key)
        {
            var (group, number) = GrainSpread.Parse(key);
            if (held[silo].Add((group, number, key)))
            {
                groups[silo][group] = groups[silo].GetValueOrDefault(group) + 1;
            }
        }

        /// <summary>Of the silos that have too few, the one with the least of a group; then the one that lacks most.</summary>
        private int ReceiverOf(string group) => Enumerable.Range(0, surplus.Length).Where(silo => surplus[silo] < 0)
            .OrderBy(silo => groups[silo].GetValueOrDefault(group)).ThenBy(silo => surplus[silo]).ThenBy(silo => silo).First();

        /// <summary>The group of which a silo has most in comparison with a silo that has too few, and that silo.</summary>
        private (string Group, int To) MostCrowded(int from) => groups[from].Where(group => group.Value > 0)
            .Select(group => (Group: group.Key, Count: group.Value, To: ReceiverOf(group.Key)))
            .OrderByDescending(one => one.Count - groups[one.To].GetValueOrDefault(one.Group)).ThenBy(one => one.Group, StringComparer.Ordinal)
            .Select(one => (one.Group, one.To)).First();
    }

    private sealed class ByName : IComparer<(string Group, int Number, string Key)>
    {
        public static readonly ByName Instance = new();

        public int Compare((string Group, int Number, string Key) x, (string Group, int Number, string Key) y)
        {
            var group = string.CompareOrdinal(x.Group, y.Group);
            var number = group != 0 ? group : x.Number.CompareTo(y.Number);
            return number != 0 ? number : string.CompareOrdinal(x.Key, y.Key);
        }
    }
}
