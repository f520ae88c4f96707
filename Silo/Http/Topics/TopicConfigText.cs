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

    private const string Known = $"{RetentionMs}, {RetentionBytes}, {SegmentBytes}, {MaxMessageBytes}, {MessageTimestampType}";

    public static Dictionary<string, object> Write(TopicConfig config) => new(StringComparer.Ordinal)
    {
        [RetentionMs] = config.RetentionMs,
        [RetentionBytes] = config.RetentionBytes,
        [SegmentBytes] = config.SegmentBytes,
        [MaxMessageBytes] = config.MaxMessageBytes,
        [MessageTimestampType] = config.MessageTimestampType.ToString(),
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

    private static TimestampType TimestampTypeOf(JsonElement value) =>
        value.ValueKind == JsonValueKind.String && Enum.TryParse<TimestampType>(value.GetString(), out var type) && Enum.IsDefined(type)
            ? type
            : throw Invalid($"{MessageTimestampType} is {value.GetRawText()}; give \"CreateTime\" or \"LogAppendTime\".");

    private static StreamsException Invalid(string message) => new(StreamsErrorCode.InvalidConfig, message, WriteOutcome.NotWritten);
}
