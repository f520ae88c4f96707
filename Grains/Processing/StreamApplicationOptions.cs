using OrleansStreams.Topologies;

namespace OrleansStreams.Processing;

/// <summary>What an application's results are worth after a crash. It may be changed from start to start.</summary>
public enum ProcessingGuarantee
{
    /// <summary>Results are those of one pass over the input, each once, whatever crashed: they are journaled with the state and the positions before they are sent.</summary>
    ExactlyOnce,

    /// <summary>
    /// Every record is processed; after a crash the last ones are processed again and their results stand in the output twice. Results are sent before the state and positions that
    /// they belong to are journaled, and need no room in the journal.
    /// </summary>
    AtLeastOnce,

    /// <summary>
    /// No record is processed twice; after a crash the last ones that were read are lost, with their results and their part of the state. Positions are journaled before records are
    /// processed. For sources that are topics.
    /// </summary>
    AtMostOnce,
}

/// <summary>What one application does otherwise than the silo's <see cref="ProcessingOptions"/> say. The same must be registered in every silo.</summary>
public sealed record StreamApplicationOptions
{
    /// <summary>What its results are worth after a crash; null for <see cref="ProcessingOptions.Guarantee"/>.</summary>
    public ProcessingGuarantee? Guarantee { get; init; }

    /// <summary>How long its tasks collect changes before they commit them; null for <see cref="ProcessingOptions.CommitInterval"/>.</summary>
    public TimeSpan? CommitInterval { get; init; }

    /// <summary>The memory, in bytes, that the state of one of its tasks may take; null for <see cref="ProcessingOptions.StateBytesMax"/>.</summary>
    public long? StateBytesMax { get; init; }

    /// <summary>The silo's options with those of the application.</summary>
    internal ProcessingOptions Over(ProcessingOptions silo) => silo with
    {
        Guarantee = Guarantee ?? silo.Guarantee,
        CommitInterval = CommitInterval ?? silo.CommitInterval,
        StateBytesMax = StateBytesMax ?? silo.StateBytesMax,
    };

    /// <exception cref="StreamsException">InvalidConfig for a value that cannot be used.</exception>
    internal void Check(string application)
    {
        if (CommitInterval < TimeSpan.Zero || CommitInterval > ProcessingOptions.CommitIntervalMax)
        {
            throw Topology.Invalid($"Application '{application}' cannot commit every {CommitInterval}: give 0 to 1 hour.");
        }

        if (StateBytesMax <= 0)
        {
            throw Topology.Invalid($"Application '{application}' cannot have a state of at most {StateBytesMax} bytes: give 1 or more, or null for the silo's bound.");
        }

        if (Guarantee is { } guarantee && !Enum.IsDefined(guarantee))
        {
            throw Topology.Invalid($"Application '{application}' has no guarantee that is known ({guarantee}): choose ExactlyOnce, AtLeastOnce or AtMostOnce.");
        }
    }
}
