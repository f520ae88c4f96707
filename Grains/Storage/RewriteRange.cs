using System.Globalization;
using OrleansStreams.Records;

namespace OrleansStreams.Storage;

/// <summary>What every implementation of <see cref="ILogRewrite"/> checks in the same words: a range of whole closed segments, covered densely.</summary>
internal sealed class RewriteRange
{
    private readonly LogId _id;

    /// <summary>Takes a range, which must consist of whole segments of <paramref name="segments"/> before the last, active one.</summary>
    public RewriteRange(LogId id, long fromOffset, long endOffset, IReadOnlyList<LogSegmentInfo> segments)
    {
        if (Find(segments, fromOffset, endOffset) is null)
        {
            throw new InvalidOperationException($"Log {id} has no whole closed segments from offset {fromOffset} to {endOffset}: take the bounds from Segments.");
        }

        _id = id;
        FromOffset = NextOffset = fromOffset;
        EndOffset = endOffset;
    }

    public long FromOffset { get; }

    public long EndOffset { get; }

    public long NextOffset { get; private set; }

    /// <summary>The segments (first index, count) that make up a range, or null when they are not there or no longer.</summary>
    public static (int Index, int Count)? Find(IReadOnlyList<LogSegmentInfo> segments, long fromOffset, long endOffset)
    {
        for (var i = 0; i < segments.Count - 1; i++)
        {
            if (segments[i].BaseOffset != fromOffset)
            {
                continue;
            }

            for (var j = i; j < segments.Count - 1; j++)
            {
                if (segments[j].EndOffset == endOffset && endOffset > fromOffset)
                {
                    return (i, j - i + 1);
                }
            }
        }

        return null;
    }

    /// <summary>Checks batches, all before any counts.</summary>
    public void Add(ReadOnlySpan<byte> batches)
    {
        var next = NextOffset;
        while (!batches.IsEmpty)
        {
            if (batches.Length < RecordBatchHeader.Size)
            {
                throw Incomplete();
            }

            var header = RecordBatchHeader.Read(batches);
            if (!StoredBatch.IsHeader(header) || header.TotalBytes > batches.Length)
            {
                throw Incomplete();
            }

            if (header.BaseOffset != next || header.NextOffset > EndOffset)
            {
                throw new InvalidOperationException(string.Create(
                    CultureInfo.InvariantCulture,
                    $"The rewrite of log {_id} up to offset {EndOffset} goes on at {next}; a batch from {header.BaseOffset} to {header.NextOffset} does not fit there."));
            }

            next = header.NextOffset;
            batches = batches[header.TotalBytes..];
        }

        NextOffset = next;
    }

    /// <summary>Refuses a commit with a hole at the end.</summary>
    public void CheckComplete()
    {
        if (NextOffset != EndOffset)
        {
            throw new InvalidOperationException($"The rewrite of log {_id} has reached offset {NextOffset} of {EndOffset}: add the rest before committing.");
        }
    }

    private StreamsException Incomplete() => new(
        StreamsErrorCode.CorruptBatch,
        $"What the rewrite of log {_id} was given behind offset {NextOffset} is no complete record batch (magic 2). Validate batches before adding them.",
        WriteOutcome.NotWritten);
}
