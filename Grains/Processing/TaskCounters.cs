using OrleansStreams.Processing.Journal;

namespace OrleansStreams.Processing;

/// <summary>What a task has counted since its journal began; part of every commit.</summary>
internal sealed class TaskCounters
{
    public long RecordsIn { get; set; }

    public long RecordsOut { get; set; }

    public long Late { get; set; }

    /// <summary>Records without a key that met an operator that groups.</summary>
    public long Skipped { get; set; }

    public long Commits { get; set; }

    public void Write(EntryWriter writer)
    {
        writer.Long(RecordsIn);
        writer.Long(RecordsOut);
        writer.Long(Late);
        writer.Long(Skipped);
        writer.Long(Commits);
    }

    public void Read(ref EntryReader reader)
    {
        RecordsIn = reader.Long();
        RecordsOut = reader.Long();
        Late = reader.Long();
        Skipped = reader.Long();
        Commits = reader.Long();
    }
}
