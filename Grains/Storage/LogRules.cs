using OrleansStreams.Records;

namespace OrleansStreams.Storage;

/// <summary>The rules of <see cref="ILogStorage"/> that every implementation checks in the same words.</summary>
internal static class LogRules
{
    private const int SegmentsMax = 8;
    private const int SegmentLengthMax = 300;

    /// <summary>Refuses a name that is not one.</summary>
    public static void CheckName(LogId id)
    {
        var segments = (id.Path ?? string.Empty).Split('/');
        if (segments.Length > SegmentsMax || !Array.TrueForAll(segments, IsSegment))
        {
            throw new ArgumentException(
                $"'{id.Path}' is no log name: use 1 to {SegmentsMax} segments separated by '/', each 1 to {SegmentLengthMax} of A-Z a-z 0-9 . _ - and none of them '.' or '..'.",
                nameof(id));
        }
    }

    /// <summary>Refuses batches that could not be told apart again in the log; the first and the last offset must follow on.</summary>
    public static void CheckAppend(LogId id, long baseOffset, long nextOffset, IReadOnlyList<ReadOnlyMemory<byte>> batches)
    {
        if (baseOffset != nextOffset)
        {
            throw new InvalidOperationException($"Log {id} goes on at offset {nextOffset}, not at {baseOffset}: append at NextOffset.");
        }

        for (var i = 0; i < batches.Count; i++)
        {
            var batch = batches[i].Span;
            if (!StoredBatch.IsComplete(batch))
            {
                throw new StreamsException(
                    StreamsErrorCode.CorruptBatch,
                    $"Batch {i} of an append to log {id} is no complete record batch (magic 2, {batch.Length} bytes). Validate batches before appending them.",
                    WriteOutcome.NotWritten);
            }
        }
    }

    /// <summary>Refuses an offset that cannot be read.</summary>
    public static void CheckRead(LogId id, long offset, long startOffset, long endOffset)
    {
        if (offset < startOffset || offset > endOffset)
        {
            throw OffsetOutOfRange(id, offset, startOffset, endOffset);
        }
    }

    /// <summary>Refuses an offset above the durable end for a checkpoint or truncation: a bug of the caller.</summary>
    public static void CheckNotAboveEnd(LogId id, long offset, long endOffset)
    {
        if (offset < 0 || offset > endOffset)
        {
            throw new InvalidOperationException($"Offset {offset} of log {id} is not between 0 and the durable end {endOffset}.");
        }
    }

    public static StreamsException OffsetOutOfRange(LogId id, long offset, long startOffset, long endOffset) => new(
        StreamsErrorCode.OffsetOutOfRange,
        $"Offset {offset} of log {id} is outside [{startOffset}, {endOffset}]. Start again from the log's start or end.");

    public static StreamsException Fenced(LogId id, int leaderEpoch, WriteOutcome outcome = WriteOutcome.NotWritten) => new(
        StreamsErrorCode.FencedLeaderEpoch,
        $"Log {id} was opened by a newer leader or deleted; leader epoch {leaderEpoch} may not use it any more. Open it again or ask its new leader.",
        outcome);

    public static StreamsException Closed(LogId id) => new(
        StreamsErrorCode.Closed, $"Log {id} is closed. Open it again.", WriteOutcome.NotWritten);

    public static StreamsException Failed(LogId id, WriteOutcome outcome, Exception? cause) => new(
        StreamsErrorCode.StorageError,
        $"Log {id} could not be written or read{(cause is null ? string.Empty : $" ({cause.Message})")}. Check the disk, then open the log again: what is stored is found then.",
        outcome,
        cause);

    public static StreamsException DiskFull(LogId id, Exception? cause) => new(
        StreamsErrorCode.DiskFull, $"There is no room on the disk for log {id}; nothing of the request was kept. Free space and try again.", WriteOutcome.NotWritten, cause);

    public static StreamsException Corrupt(LogId id, string what) => new(
        StreamsErrorCode.CorruptLog, $"Log {id} is damaged: {what}. Nothing was changed. Restore it from a copy, or delete it to go on without its records.");

    private static bool IsSegment(string segment) =>
        segment.Length is > 0 and <= SegmentLengthMax && segment is not ("." or "..") &&
        segment.AsSpan().IndexOfAnyExcept(NameCharacters) < 0;

    private static readonly System.Buffers.SearchValues<char> NameCharacters =
        System.Buffers.SearchValues.Create("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");
}

/// <summary>What storage checks of a batch: it is opaque but for its header and CRC.</summary>
internal static class StoredBatch
{
    /// <summary>Whether <paramref name="batch"/> is exactly one batch by its header.</summary>
    public static bool IsComplete(ReadOnlySpan<byte> batch) =>
        batch.Length >= RecordBatchHeader.Size && IsHeader(RecordBatchHeader.Read(batch)) && RecordBatchHeader.Read(batch).TotalBytes == batch.Length;

    /// <summary>Whether a header can be one: the magic, a length that holds a header, offsets that go forward.</summary>
    public static bool IsHeader(in RecordBatchHeader header) =>
        header.Magic == 2 && header.BatchLength >= RecordBatchHeader.Size - RecordBatchHeader.LeaderEpochAt &&
        header.BatchLength <= int.MaxValue - RecordBatchHeader.LeaderEpochAt && header.LastOffsetDelta >= 0;

    /// <summary>Whether a whole batch's CRC is right.</summary>
    public static bool HasRightCrc(ReadOnlySpan<byte> batch, in RecordBatchHeader header) =>
        Crc32C.Compute(batch[RecordBatchHeader.AttributesAt..header.TotalBytes]) == header.Crc;
}
