using OrleansStreams.Storage;

namespace OrleansStreams.Log;

/// <summary>Which records a topic's retention no longer keeps. Whole segments only, oldest first.</summary>
internal static class Retention
{
    /// <summary>The log start offset that retention asks for; the present one when everything stays.</summary>
    /// <remarks>
    /// Kafka's rules, for topics whose cleanup.policy has delete in it. By age a segment goes when its youngest record is too old, the active one
    /// included. Records without a timestamp have no age: they go with a younger segment that goes. By size the oldest go for as long as what
    /// remains still reaches the bound; so the active one goes only when nothing at all is to be kept (retention.bytes=0).
    /// </remarks>
    public static long NewStartOffset(IReadOnlyList<LogSegmentInfo> segments, long startOffset, long durableEndOffset, TopicConfig config, long now)
    {
        var size = 0L;
        for (var i = 0; i < segments.Count; i++)
        {
            size += segments[i].Bytes;
        }

        var newStart = startOffset;
        if ((config.CleanupPolicy & CleanupPolicy.Delete) == 0)
        {
            return newStart;
        }

        for (var i = 0; i < segments.Count; i++)
        {
            var segment = segments[i];
            var isAgeless = segment.MaxTimestamp < 0;
            var isExpired = config.RetentionMs >= 0 && !isAgeless && segment.MaxTimestamp < now - config.RetentionMs;
            var isSurplus = config.RetentionBytes >= 0 && segment.Bytes > 0 && size - segment.Bytes >= config.RetentionBytes;
            size -= segment.Bytes;
            if (isExpired || isSurplus)
            {
                newStart = Math.Max(newStart, Math.Min(segment.EndOffset, durableEndOffset));
            }
            else if (!isAgeless || config.RetentionMs < 0)
            {
                break;
            }
        }

        return newStart;
    }

    /// <summary>When age will next remove something, in ms since the Unix epoch; <see cref="long.MaxValue"/> is never. Size removes nothing while nobody appends.</summary>
    public static long NextExpiryMs(IReadOnlyList<LogSegmentInfo> segments, long startOffset, TopicConfig config)
    {
        if ((config.CleanupPolicy & CleanupPolicy.Delete) == 0 || config.RetentionMs < 0)
        {
            return long.MaxValue;
        }

        for (var i = 0; i < segments.Count; i++)
        {
            // Ageless ones go with the first that has an age.
            if (segments[i].EndOffset > startOffset && segments[i].MaxTimestamp >= 0)
            {
                return Add(segments[i].MaxTimestamp, Add(config.RetentionMs, 1));
            }
        }

        return long.MaxValue;
    }

    /// <summary>The sum of two times in ms, the first not negative; past the end of time it is never.</summary>
    public static long Add(long firstMs, long secondMs) => secondMs > long.MaxValue - firstMs ? long.MaxValue : firstMs + secondMs;
}
