using System.Collections.Immutable;
using System.Globalization;

namespace OrleansStreams.Processing.RandomTopologies;

/// <summary>What a step of a random topology adds.</summary>
internal enum StepKind
{
    Filter,
    FilterNot,
    MapValues,
    FlatMapValues,
    FlatMap,
    SelectKey,
    Repartition,
    Through,
    Merge,
    Split,
    ToChosen,
    Process,
    Deduplicate,
    Read,
    Tumbling,
    Hopping,
    Session,
    Sliding,
    CogroupWindows,
    Join,
    LeftJoin,
    OuterJoin,
    LookUp,
    LeftLookUp,
    LookUpGlobal,
    Aggregate,
    AggregateBy,
    ToTable,
    TableFilter,
    TableMapValues,
    TableJoin,
    TableLeftJoin,
    TableOuterJoin,
    ToStream,
    TopN,
    Cogroup,
    TableGroupBy,
    TableSuppress,
    ForeignKeyJoin,
    ForeignKeyLeftJoin,
}

/// <summary>
/// A step on what the steps before it have made. Any numbers mean something, and a step that has nothing to stand on adds nothing: so any list of steps is a topology, which
/// is what lets a failing one shrink.
/// </summary>
/// <param name="Kind">What it adds.</param>
/// <param name="On">Which stream or table it stands on, counted back from the last one.</param>
/// <param name="With">Which other one it takes, counted back.</param>
/// <param name="A">A number of its own, as <paramref name="B"/> and <paramref name="C"/>.</param>
/// <param name="B">See <see cref="Weave"/>.</param>
/// <param name="C">See <see cref="Weave"/>.</param>
internal sealed record Step(StepKind Kind, int On, int With, int A, int B, int C)
{
    public static Step Random(Random random) => new(
        (StepKind)random.Next(Enum.GetValues<StepKind>().Length), Near(random), Near(random), random.Next(1000), random.Next(1000), random.Next(1000));

    public IEnumerable<Step> Shrunk()
    {
        foreach (var simpler in (Step[])[this with { On = 0 }, this with { With = 0 }, this with { A = 0 }, this with { B = 0 }, this with { C = 0 }, this with { A = A / 2 }, this with { B = B / 2 }, this with { C = C / 2 }])
        {
            if (simpler != this)
            {
                yield return simpler;
            }
        }
    }

    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Kind} on {On} with {With} ({A}, {B}, {C})");

    private static int Near(Random random) => random.Next(2) == 0 ? 0 : random.Next(8);
}

/// <summary>A topic that is read. As a stream or as a table: its records of equal keys have an order, that in which they stand here.</summary>
internal sealed record Source(bool IsTable, ImmutableArray<ModelRecord> Records)
{
    public override string ToString() => $"{(IsTable ? "table" : "stream")}: {string.Join(' ', Records)}";
}

/// <summary>A random topology and its input. No record is further behind the largest time before it in its topic than the bound, so none is ever late.</summary>
/// <param name="Bound">The bound of disorder, in ms.</param>
/// <param name="Sources">What is read.</param>
/// <param name="Steps">What is made of it.</param>
/// <param name="World">Seeds partitions, batches, interleavings and crashes.</param>
/// <param name="Worlds">How many of those are tried.</param>
internal sealed record Scenario(int Bound, ImmutableArray<Source> Sources, ImmutableArray<Step> Steps, int World, int Worlds)
{
    // A fault may need its interleaving: a smaller case is tried in more of them, lest it looks as if it had none.
    private const int WorldsOfShrunk = 20;

    public static Scenario Random(int seed)
    {
        var random = new Random(seed);
        var bound = random.Next(3) == 0 ? 0 : random.Next(0, 30);
        return new Scenario(
            bound,
            [.. Enumerable.Range(0, random.Next(1, 4)).Select(number => new Source(number > 0 && random.Next(2) == 0, Records(random, bound, number)))],
            [.. Enumerable.Range(0, random.Next(1, 9)).Select(_ => Step.Random(random))],
            seed,
            2);
    }

    public IEnumerable<Scenario> Shrunk() => Smaller().Select(smaller => smaller with { Worlds = WorldsOfShrunk });

    public override string ToString() =>
        $"bound {Bound}, world {World}\n  {string.Join("\n  ", Sources.Select((source, number) => $"topic-{number} {source}"))}\n  {string.Join("\n  ", Steps)}";

    private IEnumerable<Scenario> Smaller()
    {
        foreach (var steps in Fewer(Steps))
        {
            yield return this with { Steps = steps };
        }

        for (var number = 0; number < Sources.Length; number++)
        {
            foreach (var records in Fewer(Sources[number].Records))
            {
                yield return this with { Sources = Sources.SetItem(number, Sources[number] with { Records = records }) };
            }
        }

        for (var number = 0; number < Steps.Length; number++)
        {
            foreach (var step in Steps[number].Shrunk())
            {
                yield return this with { Steps = Steps.SetItem(number, step) };
            }
        }
    }

    /// <summary>Without a half, a quarter, ... or one of the items.</summary>
    private static IEnumerable<ImmutableArray<T>> Fewer<T>(ImmutableArray<T> items)
    {
        for (var part = (items.Length + 1) / 2; part > 0; part /= 2)
        {
            for (var at = 0; at < items.Length; at += part)
            {
                yield return items.RemoveRange(at, Math.Min(part, items.Length - at));
            }
        }
    }

    private static ImmutableArray<ModelRecord> Records(Random random, int bound, int topic)
    {
        var now = (long)random.Next(-60, 60);
        var keys = random.Next(1, 6);
        return
        [
            .. Enumerable.Range(0, random.Next(0, 40)).Select(number =>
            {
                now += random.Next(25) == 0 ? random.Next(300) : random.Next(8);
                var value = random.Next(12) == 0 ? null : $"{(char)('a' + topic)}{number}";
                return new ModelRecord($"k{random.Next(keys)}", value, now - random.Next(bound + 1));
            }),
        ];
    }
}
