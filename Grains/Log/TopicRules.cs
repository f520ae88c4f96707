using System.Buffers;
using OrleansStreams.Records;
using OrleansStreams.Storage;

namespace OrleansStreams.Log;

/// <summary>What a topic may be called and configured as.</summary>
internal static class TopicRules
{
    public const int NameLengthMax = 249;

    public const long SegmentBytesMin = 1024;
    public const long SegmentBytesMax = 4L * 1024 * 1024 * 1024;
    public const int MessageBytesMax = 64 * 1024 * 1024;

    /// <summary>Keys in a partition's dedup table at most: about 100 bytes each in memory and 40 in each checkpoint.</summary>
    public const int DedupKeysMax = 1_000_000;

    private static readonly SearchValues<char> NameChars = SearchValues.Create("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");

    /// <summary>What the names of all partitions' logs begin with.</summary>
    public const string LogPrefix = "topics/";

    /// <summary>The log of a partition; a topic that is created again has other logs.</summary>
    public static LogId LogIdOf(string topic, string topicId, int partition) =>
        new(string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{LogPrefix}{topic}.{topicId}/{partition}"));

    /// <summary>Whether time alone can give retention or compaction something to do in a partition that nobody writes to.</summary>
    public static bool HasUpkeep(TopicConfig config) => (config.CleanupPolicy & CleanupPolicy.Compact) != 0 || config.RetentionMs >= 0;

    public static void CheckName(string name)
    {
        if (name.Length is 0 or > NameLengthMax || name is "." or ".." || name.AsSpan().ContainsAnyExcept(NameChars))
        {
            var shown = name.Length <= 60 ? name : name[..60] + "...";
            throw Refused(StreamsErrorCode.InvalidTopic, $"'{shown}' is no topic name: take 1 to {NameLengthMax} characters of A-Z, a-z, 0-9, '.', '_' and '-', but not '.' or '..'.");
        }
    }

    public static void CheckPartitionCount(int count, int max)
    {
        if (count < 1 || count > max)
        {
            throw Refused(StreamsErrorCode.InvalidPartitions, $"A topic cannot have {count} partitions: take 1 to {max}.");
        }
    }

    public static void CheckConfig(TopicConfig config)
    {
        ArgumentNullException.ThrowIfNull(config);
        Check(config.RetentionMs >= -1, "retention.ms", config.RetentionMs, "-1 (for ever) or more");
        Check(config.RetentionBytes >= -1, "retention.bytes", config.RetentionBytes, "-1 (no bound) or more");
        Check(config.SegmentBytes is >= SegmentBytesMin and <= SegmentBytesMax, "segment.bytes", config.SegmentBytes, $"{SegmentBytesMin} to {SegmentBytesMax}");
        Check(config.SegmentMs >= 1, "segment.ms", config.SegmentMs, "1 or more");
        Check(config.MaxMessageBytes is > RecordBatchHeader.Size and <= MessageBytesMax, "max.message.bytes", config.MaxMessageBytes, $"{RecordBatchHeader.Size + 1} to {MessageBytesMax}");
        Check(Enum.IsDefined(config.MessageTimestampType), "message.timestamp.type", (long)config.MessageTimestampType, "0 (CreateTime) or 1 (LogAppendTime)");
        Check(Enum.IsDefined(config.CleanupPolicy), "cleanup.policy", (long)config.CleanupPolicy, "1 (delete), 2 (compact) or 3 (compact,delete)");
        Check(config.DeleteRetentionMs >= 0, "delete.retention.ms", config.DeleteRetentionMs, "0 or more");
        Check(config.MinCompactionLagMs >= 0, "min.compaction.lag.ms", config.MinCompactionLagMs, "0 or more");
        Check(
            config.MaxCompactionLagMs >= Math.Max(1, config.MinCompactionLagMs),
            "max.compaction.lag.ms",
            config.MaxCompactionLagMs,
            $"1 or more, and not less than min.compaction.lag.ms, which is {config.MinCompactionLagMs}");
        Check(
            config.MinCleanableDirtyRatio is >= 0 and <= 1,
            "min.cleanable.dirty.ratio",
            config.MinCleanableDirtyRatio.ToString(System.Globalization.CultureInfo.InvariantCulture),
            "0 to 1");
        Check(config.DedupWindowMs >= 0, "dedup.window.ms", config.DedupWindowMs, "0 (off) or more");
        Check(config.DedupKeysMax is >= 1 and <= DedupKeysMax, "dedup.keys.max", config.DedupKeysMax, $"1 to {DedupKeysMax}");
    }

    private static void Check(bool holds, string name, long value, string allowed) =>
        Check(holds, name, value.ToString(System.Globalization.CultureInfo.InvariantCulture), allowed);

    private static void Check(bool holds, string name, string value, string allowed)
    {
        if (!holds)
        {
            throw Refused(StreamsErrorCode.InvalidConfig, $"{name} cannot be {value}: take {allowed}.");
        }
    }

    private static StreamsException Refused(StreamsErrorCode code, string message) => new(code, message, WriteOutcome.NotWritten);
}
