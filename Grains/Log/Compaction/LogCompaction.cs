using OrleansStreams.Records;
using OrleansStreams.Storage;

namespace OrleansStreams.Log.Compaction;

/// <summary>
/// Compacts a log as Kafka's cleaner does: notes the latest offset of each key in the part that was never compacted, then rewrites everything up to there,
/// group of segments by group, without the records that a noted one supersedes. Where the keys don't fit into the table's bytes it takes several
/// passes. Between two reads other turns of the partition run. Safe to end anywhere: each group is replaced atomically, and how far compaction has
/// come only saves work.
/// </summary>
internal sealed class LogCompaction(ILog log, StreamsOptions options)
{
    // Larger batches gain nothing; the topic's limit holds too.
    private const int BatchBytesMax = 128 * 1024;

    /// <summary>Below this offset every key was compacted at least once.</summary>
    public long CleanedOffset { get; set; }

    /// <summary>Compacts what may be compacted, if it is time.</summary>
    /// <param name="config">The topic's configuration.</param>
    /// <param name="now">The time in ms since the Unix epoch.</param>
    /// <param name="secureAsync">Makes a checkpoint durable that holds for all records below an offset, which compaction may then take away.</param>
    /// <param name="stopping">Ends it between two reads.</param>
    /// <returns>Whether anything was compacted.</returns>
    public async Task<bool> RunAsync(TopicConfig config, long now, Func<long, ValueTask> secureAsync, CancellationToken stopping)
    {
        if (CleanedOffset > log.DurableEndOffset)
        {
            CleanedOffset = 0;
        }

        var range = CompactionRange.Of(log.Segments, log.StartOffset, CleanedOffset, config, now);
        if (range.EndOffset <= range.DirtyOffset || !range.IsDue(config, await FirstTimestampAsync(range.DirtyOffset, stopping), now))
        {
            return false;
        }

        await secureAsync(range.EndOffset);
        while (CleanedOffset < range.EndOffset)
        {
            var from = Math.Max(CleanedOffset, log.StartOffset);
            var map = new KeyOffsetMap(options.CompactionMapBytes, range.EndOffset - from);
            var mapEnd = await FillAsync(map, from, range.EndOffset, stopping);
            foreach (var group in Groups(log.Segments, mapEnd, config.SegmentBytes))
            {
                await RewriteAsync(group, new CompactionPass(map, mapEnd, now), config, stopping);
            }

            CleanedOffset = mapEnd;
        }

        await secureAsync(log.DurableEndOffset);
        return true;
    }

    /// <summary>When <see cref="RunAsync"/> will have something to do if nobody appends, in ms since the Unix epoch; <see cref="long.MaxValue"/> is never.</summary>
    public async Task<long> NextDueAsync(TopicConfig config)
    {
        // Without the lags: what may be compacted some day.
        var range = CompactionRange.Of(log.Segments, log.StartOffset, CleanedOffset, config with { MinCompactionLagMs = 0 }, now: 0);
        if (range.EndOffset <= range.DirtyOffset)
        {
            return long.MaxValue;
        }

        var first = config.MaxCompactionLagMs == long.MaxValue ? -1 : await FirstTimestampAsync(range.DirtyOffset, CancellationToken.None);
        return CompactionRange.NextDueMs(log.Segments, range, config, first);
    }

    /// <summary>
    /// Closed segments that begin below an offset, neighbours together as long as they fill no more than one segment: so that segments which became
    /// small become few.
    /// </summary>
    internal static List<SegmentGroup> Groups(IReadOnlyList<LogSegmentInfo> segments, long mapEnd, long segmentBytes)
    {
        var groups = new List<SegmentGroup>();
        var bytes = 0L;
        for (var i = 0; i < segments.Count - 1 && segments[i].BaseOffset < mapEnd; i++)
        {
            var segment = segments[i];
            if (groups.Count > 0 && bytes + segment.Bytes <= segmentBytes)
            {
                groups[^1] = groups[^1] with { End = segment.EndOffset, Segments = groups[^1].Segments + 1 };
                bytes += segment.Bytes;
            }
            else
            {
                groups.Add(new SegmentGroup(segment.BaseOffset, segment.EndOffset, 1));
                bytes = segment.Bytes;
            }
        }

        return groups;
    }

    private async Task<long> FirstTimestampAsync(long offset, CancellationToken stopping)
    {
        var read = await log.ReadAsync(offset, 1, stopping);
        return read.Batches.IsEmpty ? -1 : RecordBatchHeader.Read(read.Batches.Span).MaxTimestamp;
    }

    /// <summary>Notes keys until the end or until the table is full; returns the offset up to which all are noted.</summary>
    private async Task<long> FillAsync(KeyOffsetMap map, long from, long end, CancellationToken stopping)
    {
        var offset = from;
        while (offset < end)
        {
            var read = await ReadAsync(offset, stopping);
            for (var batches = read.Batches; !batches.IsEmpty && offset < end;)
            {
                var header = RecordBatchHeader.Read(batches.Span);
                var noted = Note(map, batches[..header.TotalBytes], offset);
                if (noted < header.NextOffset)
                {
                    // A batch counts as a whole, unless the table cannot hold even one.
                    return header.BaseOffset > from ? header.BaseOffset : noted;
                }

                offset = header.NextOffset;
                batches = batches[header.TotalBytes..];
            }
        }

        return offset;
    }

    /// <summary>Notes a batch's keys from an offset on; returns the offset up to which they are noted.</summary>
    private static long Note(KeyOffsetMap map, ReadOnlyMemory<byte> batch, long from)
    {
        var records = new RawRecords(batch);
        try
        {
            while (records.TryRead(out var record))
            {
                if (record.Offset >= from && !record.KeyIsNull && CompactedBatches.NameOf(record, records.Header.IsControl) is { } name && !map.TryPut(name, record.Offset))
                {
                    return record.Offset;
                }
            }
        }
        catch (StreamsException)
        {
            // Records are checked when they come into a compacted topic; what came before cannot be read by anybody, and stays as it is.
        }

        return records.Header.NextOffset;
    }

    private async Task RewriteAsync(SegmentGroup group, CompactionPass pass, TopicConfig config, CancellationToken stopping)
    {
        await using var rewrite = await log.BeginRewriteAsync(group.From, group.End, stopping);
        var compacted = new CompactedBatches(pass, config.DeleteRetentionMs, group.From, Math.Min(BatchBytesMax, config.MaxMessageBytes));
        for (var offset = Math.Max(group.From, log.StartOffset); offset < group.End;)
        {
            var read = await ReadAsync(offset, stopping);
            for (var batches = read.Batches; !batches.IsEmpty && offset < group.End;)
            {
                var header = RecordBatchHeader.Read(batches.Span);
                compacted.Add(batches[..header.TotalBytes]);
                offset = header.NextOffset;
                batches = batches[header.TotalBytes..];
            }

            await rewrite.AppendAsync(compacted.Take());
        }

        compacted.Finish(group.End);
        await rewrite.AppendAsync(compacted.Take());

        // One segment that loses nothing stays as it is.
        if ((compacted.HasChanges || group.Segments > 1) && await rewrite.CommitAsync(stopping))
        {
            LogMeter.CompactedRecords.Add(compacted.RecordsRemoved);
        }
    }

    private async Task<LogRead> ReadAsync(long offset, CancellationToken stopping)
    {
        // The turn ends here whether storage answers at once or not.
        await Task.Yield();
        stopping.ThrowIfCancellationRequested();
        var read = await log.ReadAsync(offset, options.CompactionReadBytes, stopping);
        return read.Batches.IsEmpty
            ? throw new StreamsException(StreamsErrorCode.OffsetOutOfRange, $"The log {log.Id} ended at offset {offset} while it was compacted.")
            : read;
    }
}

/// <summary>Neighbouring segments that are rewritten together.</summary>
/// <param name="From">Where the first begins.</param>
/// <param name="End">Where the last ends.</param>
/// <param name="Segments">How many there are.</param>
internal readonly record struct SegmentGroup(long From, long End, int Segments);

/// <summary>What one pass knows.</summary>
/// <param name="Map">The latest offsets of keys.</param>
/// <param name="MapEndOffset">Records from here on are not in the map, and not judged.</param>
/// <param name="Now">The time of the pass in ms since the Unix epoch.</param>
internal sealed record CompactionPass(KeyOffsetMap Map, long MapEndOffset, long Now);
