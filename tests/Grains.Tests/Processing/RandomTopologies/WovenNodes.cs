using OrleansStreams.Topologies;

namespace OrleansStreams.Processing.RandomTopologies;

/// <summary>A stream of a random topology: its description, and what the model knows of it.</summary>
/// <param name="Stream">The description.</param>
/// <param name="Known">The model's.</param>
/// <param name="KeepsKey">Whether equal keys lie in one task as they are.</param>
/// <param name="Place">Where its tasks are.</param>
internal sealed record WovenStream(KStream<string, string> Stream, Known Known, bool KeepsKey, Partitioning Place)
{
    /// <summary>Whether a step stands on it; what has none behind it is written to a topic.</summary>
    public bool IsUsed { get; set; }

    /// <summary>The step that has made it; null for a source.</summary>
    public StepKind? Maker { get; set; }

    /// <summary>Whether nothing of it comes before the streams that are read are read (<see cref="Weave.HeldBack"/>).</summary>
    public bool IsHeld { get; init; }

    public Exact Exact => (Exact)Known;
}

/// <summary>A table of a random topology.</summary>
/// <param name="Table">The description.</param>
/// <param name="Known">The model's.</param>
/// <param name="Place">Where its tasks are.</param>
internal sealed record WovenTable(KTable<string, string> Table, KnownTable Known, Partitioning Place)
{
    public bool IsUsed { get; set; }

    /// <summary>The step that has made it; null for a source.</summary>
    public StepKind? Maker { get; set; }

    /// <summary>Whether it follows from tables that are read alone, without regard to time: it is what it will be before a stream that is held back begins.</summary>
    public bool IsSettled { get; init; }
}

/// <summary>The partitions of the topics that meet in a sub-topology; null while those may still have any number.</summary>
internal sealed class Partitioning(int? count)
{
    private Partitioning? _metBy;
    private int? _count = count;

    public int? Count => Root._count;

    private Partitioning Root => _metBy?.Root ?? this;

    /// <summary>Lets two meet, unless their numbers differ.</summary>
    public bool TryMeet(Partitioning other)
    {
        var (own, others) = (Root, other.Root);
        if (own._count is not null && others._count is not null && own._count != others._count)
        {
            return false;
        }

        if (own != others)
        {
            own._count ??= others._count;
            others._metBy = own;
        }

        return true;
    }
}
