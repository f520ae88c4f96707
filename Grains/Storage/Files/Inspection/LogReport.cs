using OrleansStreams.Records;

namespace OrleansStreams.Storage.Files.Inspection;

/// <summary>What stands in a log, as <see cref="LogInspector"/> found it.</summary>
public sealed record LogReport
{
    /// <summary>The log.</summary>
    public required LogId Id { get; init; }

    /// <summary>Its folder.</summary>
    public required string Folder { get; init; }

    /// <summary>The leader epoch of its last opener; 0 when that could not be read.</summary>
    public int LeaderEpoch { get; init; }

    /// <summary>The first offset that can be read.</summary>
    public long StartOffset { get; init; }

    /// <summary>The offset after the last good batch.</summary>
    public long EndOffset { get; init; }

    /// <summary>Where the checkpoint stands, or null.</summary>
    public long? CheckpointOffset { get; init; }

    /// <summary>The segments, the oldest first.</summary>
    public required IReadOnlyList<SegmentReport> Segments { get; init; }

    /// <summary>What the next opening would do to the log: cut a torn tail, make an index anew. No damage: a crash leaves that behind.</summary>
    public required IReadOnlyList<string> Recovery { get; init; }

    /// <summary>Damage: bytes that were acknowledged and are wrong or missing.</summary>
    public required IReadOnlyList<string> Problems { get; init; }
}

/// <summary>A segment.</summary>
/// <param name="BaseOffset">Its first offset, which is its name.</param>
/// <param name="EndOffset">The offset after its last good batch.</param>
/// <param name="Bytes">Its size.</param>
/// <param name="Batches">Its good batches.</param>
/// <param name="Records">The records in them.</param>
/// <param name="MaxTimestamp">The largest timestamp, ms since the Unix epoch; -1 without batches.</param>
/// <param name="IndexEntries">The entries of its index.</param>
public readonly record struct SegmentReport(long BaseOffset, long EndOffset, long Bytes, long Batches, long Records, long MaxTimestamp, int IndexEntries);

/// <summary>A batch.</summary>
/// <param name="SegmentBaseOffset">The segment that holds it.</param>
/// <param name="Position">Its first byte there.</param>
/// <param name="Header">Its header.</param>
public readonly record struct BatchReport(long SegmentBaseOffset, long Position, RecordBatchHeader Header);
