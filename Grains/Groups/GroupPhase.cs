namespace OrleansStreams.Groups;

/// <summary>
/// The states of a group.
/// <code>
///                 a member joins
///      Empty ----------------------> Reconciling &lt;--------------------------.
///        ^                            |    |                                |
///        |   the last member leaves   |    | every member holds its target, | membership, subscription or partition
///        |&lt;---------------------------'    | and nothing else               | count changed; a member rejoined or
///        |                                 v                                | gave up a partition by itself
///        '------------------------------ Stable ----------------------------'
///              the last member leaves
/// </code>
/// A group passes through Reconciling even when the first member gets everything within its own join, so Empty to Stable does not exist.
/// </summary>
internal enum GroupPhase
{
    /// <summary>No members; offsets may be there.</summary>
    Empty,

    /// <summary>Some member waits for a partition or has to give one up.</summary>
    Reconciling,

    /// <summary>Every member holds exactly its target.</summary>
    Stable,
}

/// <summary>The one check of the diagram in <see cref="GroupPhase"/>.</summary>
internal static class GroupPhases
{
    /// <summary>Answers <paramref name="to"/>, or fails when the diagram has no such arrow.</summary>
    public static GroupPhase Transition(GroupPhase from, GroupPhase to)
    {
        var allowed = (from, to) switch
        {
            (GroupPhase.Empty, GroupPhase.Reconciling) => true,
            (GroupPhase.Reconciling, GroupPhase.Stable or GroupPhase.Empty) => true,
            (GroupPhase.Stable, GroupPhase.Reconciling or GroupPhase.Empty) => true,
            _ => from == to,
        };
        return allowed ? to : throw new InvalidOperationException($"A group cannot go from {from} to {to}.");
    }
}
