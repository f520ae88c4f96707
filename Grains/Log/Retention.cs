using OrleansStreams.Storage;

namespace OrleansStreams.Log;

/// <summary>Which records a topic's retention no longer keeps. Whole segments only, oldest first.</summary>
internal static class Retention
{
    /// <summary>The log start offset that retention asks for; the present one when everything stays.</summary>
    /// <remarks>
    /// By age a segment goes when its youngest record is too old, the active one included (records without a timestamp have no age). By size the
    /// oldest go for as long as what remains still reaches the bound, never the active one.
    /// </remarks>
    public static long NewStartOffset(IReadOnlyList<LogSegmentInfo> segments, long startOffset, long durableEndOffset, TopicConfig config, long now)
    {
        var size = 0L;
        for (var i = 0; i < segments.Count; i++)
        {
            size += segments[i].Bytes;
        }

        var newStart = startOffset;
        for (var i = 0; i < segments.Count; i++)
        {
            var segment = segments[i];
            var isActive = i == segments.Count - 1;
            var isExpired = config.RetentionMs >= 0 && segment.MaxTimestamp >= 0 && segment.MaxTimestamp < now - config.RetentionMs;
            var isSurplus = config.RetentionBytes >= 0 && !isActive && size - segment.Bytes >= config.RetentionBytes;
            if (!isExpired && !isSurplus)
            {
                break;
            }

            size -= segment.Bytes;
            newStart = Math.Max(newStart, Math.Min(segment.EndOffset, durableEndOffset));
        }

        return newStart;
    }
}
