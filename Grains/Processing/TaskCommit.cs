using OrleansStreams.Log;
using OrleansStreams.Processing.Sources;

namespace OrleansStreams.Processing;

/// <summary>A task that copies a global table's changes to those who join it.</summary>
/// <param name="Task">Its name.</param>
/// <param name="Source">The partition of the table's topic that it reads.</param>
internal sealed record TableWriterTask(string Task, TopicPartition Source);

/// <summary>What a task has done, as of one moment.</summary>
internal sealed record TaskProgress(
    long Watermark, long RecordsIn, long RecordsOut, long LateRecords, long Commits, long StateEntries, FilePosition? File, bool IsCompleted, long[] Positions)
{
    public long SkippedRecords { get; init; }

    public long DeadLetters { get; init; }

    public string? LastTakenOut { get; init; }

    public long NewestEventTime { get; init; } = long.MinValue;

    public long StateBytes { get; init; }
}

/// <summary>A commit to be made durable.</summary>
/// <param name="Entry">The journal entry, in the engine's own buffer: valid until the next commit is made.</param>
/// <param name="Outbox">To be delivered when the entry is durable.</param>
/// <param name="BeginsSnapshot">A restore can begin with this entry once the snapshot has ended.</param>
/// <param name="EndsSnapshot">The entries before the snapshot's beginning are not needed any more.</param>
internal sealed record TaskCommit(ByteBuffer Entry, IReadOnlyList<OutboxItem> Outbox, bool BeginsSnapshot, bool EndsSnapshot)
{
    /// <summary>Dead letters that their topic would not take. Their records count as skipped, and not as dead letters.</summary>
    public int DroppedLetters { get; init; }

    /// <summary>Why the last of them was dropped.</summary>
    public string? LastDroppedLetter { get; init; }
}

/// <summary>The engine's state besides stores, watermarks and sequences.</summary>
internal sealed class TaskState(int inputs)
{
    public long[] Positions { get; } = new long[inputs];

    /// <summary>Per input the offset behind what may be processed once this is durable, and is never read again then: for who processes at most once. 0 without a claim.</summary>
    public long[] Claims { get; } = new long[inputs];

    public FilePosition? File { get; set; }

    public long DeadLetters { get; set; }

    public long RecordsIn { get; set; }

    public long Commit { get; set; }
}
