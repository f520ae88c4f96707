using OrleansStreams.Processing.Journal;

namespace OrleansStreams.Processing.Windows;

/// <summary>A task's state: journaled by change, restored by applying the same changes.</summary>
internal interface IStateStore
{
    string Name { get; }

    long Entries { get; }

    bool HasChanges { get; }

    /// <summary>Writes what has changed since the last call, and forgets that it has.</summary>
    void WriteChanges(EntryWriter writer);

    /// <summary>Writes everything, in the form of changes to an empty store.</summary>
    void WriteAll(EntryWriter writer);

    /// <summary>Applies changes that were written.</summary>
    void Apply(ref EntryReader reader);

    /// <summary>Forgets everything.</summary>
    void Clear();

    /// <summary>The entries of a key, by window start.</summary>
    List<StateEntry> Query(ReadOnlySpan<byte> key, long fromMs, long toMs, int limit);
}
