using System.Buffers;
using OrleansStreams.Records;
using OrleansStreams.Storage;

namespace OrleansStreams.Log;

/// <summary>What a topic may be called and configured as.</summary>
internal static class TopicRules
{
    public const int NameLengthMax = 249;

    private const long SegmentBytesMin = 1024;
    private const long SegmentBytesMax = 4L * 1024 * 1024 * 1024;
    private const int MessageBytesMax = 64 * 1024 * 1024;

    private static readonly SearchValues<char> NameChars = SearchValues.Create("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");

    /// <summary>The log of a partition; a topic that is created again has other logs.</summary>
    public static LogId LogIdOf(string topic, string topicId, int partition) =>
        new(string.Create(System.Globalization.CultureInfo.InvariantCulture, $"topics/{topic}.{topicId}/{partition}"));

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
        Check(config.MaxMessageBytes is > RecordBatchHeader.Size and <= MessageBytesMax, "max.message.bytes", config.MaxMessageBytes, $"{RecordBatchHeader.Size + 1} to {MessageBytesMax}");
        Check(Enum.IsDefined(config.MessageTimestampType), "message.timestamp.type", (long)config.MessageTimestampType, "0 (CreateTime) or 1 (LogAppendTime)");
    }

    private static void Check(bool holds, string name, long value, string allowed)
    {
        if (!holds)
        {
            throw Refused(StreamsErrorCode.InvalidConfig, $"{name} cannot be {value}: take {allowed}.");
        }
    }

    private static StreamsException Refused(StreamsErrorCode code, string message) => new(code, message, WriteOutcome.NotWritten);
}
