using OrleansStreams.Storage;

namespace OrleansStreams.Log.Compaction;

/// <summary>
/// What of a log may be compacted now, by Kafka's rules: closed segments only, nothing younger than min.compaction.lag.ms, and only when enough of it
/// was never compacted (min.cleanable.dirty.ratio) or something of it has waited too long (max.compaction.lag.ms).
/// </summary>
/// <param name="DirtyOffset">Where the part begins that was never compacted.</param>
/// <param name="EndOffset">Where what may be compacted ends: a segment's end.</param>
/// <param name="CleanBytes">Bytes before the dirty part.</param>
/// <param name="DirtyBytes">Bytes of the dirty part up to the end.</param>
internal readonly record struct CompactionRange(long DirtyOffset, long EndOffset, long CleanBytes, long DirtyBytes)
{
    public double DirtyRatio => DirtyBytes == 0 ? 0 : (double)DirtyBytes / (CleanBytes + DirtyBytes);

    /// <summary>The range for a log whose compaction has come to <paramref name="cleanedOffset"/>, which lies on a segment's bound or inside of one.</summary>
    public static CompactionRange Of(IReadOnlyList<LogSegmentInfo> segments, long startOffset, long cleanedOffset, TopicConfig config, long now)
    {
        var dirty = Math.Max(startOffset, cleanedOffset);
        var end = dirty;
        var (cleanBytes, dirtyBytes) = (0L, 0L);
        var youngest = config.MinCompactionLagMs == 0 ? long.MaxValue : now - config.MinCompactionLagMs;
        for (var i = 0; i < segments.Count - 1; i++)
        {
            var segment = segments[i];
            if (segment.EndOffset <= dirty)
            {
                cleanBytes += segment.Bytes;
                continue;
            }

            if (segment.MaxTimestamp > youngest)
            {
                break;
            }

            dirtyBytes += segment.Bytes;
            end = segment.EndOffset;
        }

        return new CompactionRange(dirty, end, cleanBytes, dirtyBytes);
    }

    /// <summary>When <see cref="IsDue"/> will hold if nobody appends, in ms since the Unix epoch (not after now: it does already); <see cref="long.MaxValue"/> is never.</summary>
    /// <param name="segments">The log's segments.</param>
    /// <param name="all">The range that no lag shortens.</param>
    /// <param name="config">The topic's configuration.</param>
    /// <param name="firstDirtyTimestamp">The timestamp of the first record of the dirty part; -1 when unknown.</param>
    public static long NextDueMs(IReadOnlyList<LogSegmentInfo> segments, in CompactionRange all, TopicConfig config, long firstDirtyTimestamp)
    {
        var byLag = firstDirtyTimestamp < 0 ? long.MaxValue : Retention.Add(firstDirtyTimestamp, Retention.Add(config.MaxCompactionLagMs, 1));
        var range = all with { EndOffset = all.DirtyOffset, DirtyBytes = 0 };
        var ripeMs = 0L;
        for (var i = 0; i < segments.Count - 1; i++)
        {
            if (segments[i].EndOffset <= all.DirtyOffset)
            {
                continue;
            }

            // A segment waits for the ones before it.
            ripeMs = config.MinCompactionLagMs == 0 ? ripeMs : Math.Max(ripeMs, Retention.Add(config.MinCompactionLagMs, segments[i].MaxTimestamp));
            if (range.EndOffset == range.DirtyOffset)
            {
                byLag = Math.Max(byLag, ripeMs);
            }

            range = range with { EndOffset = segments[i].EndOffset, DirtyBytes = range.DirtyBytes + segments[i].Bytes };
            if (range.DirtyRatio > config.MinCleanableDirtyRatio)
            {
                return Math.Min(ripeMs, byLag);
            }
        }

        return byLag;
    }

    /// <summary>Whether it is time.</summary>
    /// <param name="config">The topic's configuration.</param>
    /// <param name="firstDirtyTimestamp">The timestamp of the first record of the dirty part.</param>
    /// <param name="now">The time.</param>
    public bool IsDue(TopicConfig config, long firstDirtyTimestamp, long now) =>
        EndOffset > DirtyOffset &&
        (DirtyRatio > config.MinCleanableDirtyRatio || (firstDirtyTimestamp >= 0 && now - firstDirtyTimestamp > config.MaxCompactionLagMs));
}
