using System.Globalization;
using System.Text.Json;
using OrleansStreams.Log;
using OrleansStreams.Records;

namespace OrleansStreams.Silo.Http.Topics;

/// <summary>A topic's configuration under Kafka's names.</summary>
internal static class TopicConfigText
{
    public const string RetentionMs = "retention.ms";
    public const string RetentionBytes = "retention.bytes";
    public const string SegmentBytes = "segment.bytes";
    public const string MaxMessageBytes = "max.message.bytes";
    public const string MessageTimestampType = "message.timestamp.type";

    public const string CleanupPolicy = "cleanup.policy";
    public const string SegmentMs = "segment.ms";
    public const string DeleteRetentionMs = "delete.retention.ms";
    public const string MinCompactionLagMs = "min.compaction.lag.ms";
    public const string MaxCompactionLagMs = "max.compaction.lag.ms";
    public const string MinCleanableDirtyRatio = "min.cleanable.dirty.ratio";
    public const string DedupWindowMs = "dedup.window.ms";
    public const string DedupKeysMax = "dedup.keys.max";

    private const string Known =
        $"{CleanupPolicy}, {RetentionMs}, {RetentionBytes}, {SegmentBytes}, {SegmentMs}, {MaxMessageBytes}, {MessageTimestampType}, {DeleteRetentionMs}, "
        + $"{MinCompactionLagMs}, {MaxCompactionLagMs}, {MinCleanableDirtyRatio}, {DedupWindowMs} and {DedupKeysMax}";

    public static Dictionary<string, object> Write(TopicConfig config) => new(StringComparer.Ordinal)
    {
        [CleanupPolicy] = config.CleanupPolicy switch
        {
            Log.CleanupPolicy.Delete => "delete",
            Log.CleanupPolicy.Compact => "compact",
            _ => "compact,delete",
        },
        [RetentionMs] = config.RetentionMs,
        [RetentionBytes] = config.RetentionBytes,
        [SegmentBytes] = config.SegmentBytes,
        [SegmentMs] = config.SegmentMs,
        [MaxMessageBytes] = config.MaxMessageBytes,
        [MessageTimestampType] = config.MessageTimestampType.ToString(),
        [DeleteRetentionMs] = config.DeleteRetentionMs,
        [MinCompactionLagMs] = config.MinCompactionLagMs,
        [MaxCompactionLagMs] = config.MaxCompactionLagMs,
        [MinCleanableDirtyRatio] = config.MinCleanableDirtyRatio,
        [DedupWindowMs] = config.DedupWindowMs,
        [DedupKeysMax] = config.DedupKeysMax,
    };

    /// <summary>The configuration with the given values changed; whether the values make sense together is the topic's to judge.</summary>
    public static TopicConfig Apply(TopicConfig config, IReadOnlyDictionary<string, JsonElement>? values)
    {
        foreach (var (name, value) in values ?? new Dictionary<string, JsonElement>())
        {
            config = name switch
            {
                RetentionMs => config with { RetentionMs = Number(name, value, long.MaxValue) },
                RetentionBytes => config with { RetentionBytes = Number(name, value, long.MaxValue) },
                SegmentBytes => config with { SegmentBytes = Number(name, value, long.MaxValue) },
                MaxMessageBytes => config with { MaxMessageBytes = (int)Number(name, value, int.MaxValue) },
                MessageTimestampType => config with { MessageTimestampType = TimestampTypeOf(value) },
                CleanupPolicy => config with { CleanupPolicy = CleanupPolicyOf(value) },
                SegmentMs => config with { SegmentMs = Number(name, value, long.MaxValue) },
                DeleteRetentionMs => config with { DeleteRetentionMs = Number(name, value, long.MaxValue) },
                MinCompactionLagMs => config with { MinCompactionLagMs = Number(name, value, long.MaxValue) },
                MaxCompactionLagMs => config with { MaxCompactionLagMs = Number(name, value, long.MaxValue) },
                MinCleanableDirtyRatio => config with { MinCleanableDirtyRatio = Fraction(name, value) },
                DedupWindowMs => config with { DedupWindowMs = Number(name, value, long.MaxValue) },
                DedupKeysMax => config with { DedupKeysMax = (int)Number(name, value, int.MaxValue) },
                _ => throw Invalid($"There is no topic configuration '{name}'; there are {Known}."),
            };
        }

        return config;
    }

    private static long Number(string name, JsonElement value, long max)
    {
        var text = value.ValueKind == JsonValueKind.String ? value.GetString() : value.GetRawText();
        return long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var number) && number <= max && number >= int.MinValue
            ? number
            : throw Invalid($"{name} is {value.GetRawText()}; give a whole number.");
    }

    private static double Fraction(string name, JsonElement value)
    {
        var text = value.ValueKind == JsonValueKind.String ? value.GetString() : value.GetRawText();
        return double.TryParse(text, NumberStyles.AllowLeadingSign | NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var number)
            ? number
            : throw Invalid($"{name} is {value.GetRawText()}; give a number from 0 to 1.");
    }

    /// <summary>A list as Kafka has it: delete, compact, or both in any order.</summary>
    private static CleanupPolicy CleanupPolicyOf(JsonElement value)
    {
        CleanupPolicy policy = 0;
        foreach (var part in value.ValueKind == JsonValueKind.String ? value.GetString()!.Split(',', StringSplitOptions.TrimEntries) : [string.Empty])
        {
            policy |= part switch
            {
                "delete" => Log.CleanupPolicy.Delete,
                "compact" => Log.CleanupPolicy.Compact,
                _ => throw Invalid($"{CleanupPolicy} is {value.GetRawText()}; give \"delete\", \"compact\" or \"compact,delete\"."),
            };
        }

        return policy;
    }

    private static TimestampType TimestampTypeOf(JsonElement value) =>
        value.ValueKind == JsonValueKind.String && Enum.TryParse<TimestampType>(value.GetString(), out var type) && Enum.IsDefined(type)
            ? type
            : throw Invalid($"{MessageTimestampType} is {value.GetRawText()}; give \"CreateTime\" or \"LogAppendTime\".");

    private static StreamsException Invalid(string message) => new(StreamsErrorCode.InvalidConfig, message, WriteOutcome.NotWritten);
}
