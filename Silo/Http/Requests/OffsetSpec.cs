using System.Globalization;
using OrleansStreams.Log;

namespace OrleansStreams.Silo.Http.Requests;

/// <summary>Where to begin reading.</summary>
internal enum OffsetKind
{
    Earliest,
    Latest,
    Offset,
    Timestamp,
}

/// <summary>Where to begin reading: a number, <c>earliest</c>, <c>latest</c> or <c>timestamp:T</c>.</summary>
internal readonly record struct OffsetSpec(OffsetKind Kind, long Value)
{
    private const string TimestampPrefix = "timestamp:";

    public static OffsetSpec Parse(string? text, OffsetKind absent)
    {
        if (string.IsNullOrEmpty(text))
        {
            return new OffsetSpec(absent, 0);
        }

        if (text == "earliest")
        {
            return new OffsetSpec(OffsetKind.Earliest, 0);
        }

        if (text == "latest")
        {
            return new OffsetSpec(OffsetKind.Latest, 0);
        }

        if (text.StartsWith(TimestampPrefix, StringComparison.Ordinal))
        {
            return new OffsetSpec(OffsetKind.Timestamp, QueryText.Time("timestamp", text[TimestampPrefix.Length..]));
        }

        if (!long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var offset))
        {
            throw QueryText.Invalid($"offset is '{text}'; give a number, earliest, latest or timestamp:T (ms since 1970 or ISO 8601).");
        }

        return offset >= 0
            ? new OffsetSpec(OffsetKind.Offset, offset)
            : throw new StreamsException(StreamsErrorCode.OffsetOutOfRange, $"offset is {offset}; offsets begin at 0. Use earliest or latest for the ends of the log.");
    }

    /// <summary>The offset that this means in a partition now.</summary>
    public async Task<long> ResolveAsync(IPartitionGrain partition) => Kind switch
    {
        OffsetKind.Offset => Value,
        OffsetKind.Timestamp => (await partition.OffsetForTimestampAsync(Value)).Offset,
        OffsetKind.Earliest => (await partition.GetOffsetsAsync()).LogStartOffset,
        _ => (await partition.GetOffsetsAsync()).HighWatermark,
    };
}
