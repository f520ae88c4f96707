using System.Globalization;

namespace OrleansStreams.Silo.Http.Requests;

/// <summary>Reads the text of query and route values; a wrong one is refused with what it should be.</summary>
internal static class QueryText
{
    public static int Int(string name, string? text, int absent, int min, int max)
    {
        if (string.IsNullOrEmpty(text))
        {
            return absent;
        }

        return int.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var value) && value >= min && value <= max
            ? value
            : throw Invalid($"{name} is '{text}'; give a whole number from {min} to {max}.");
    }

    public static int Partition(string? text) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var value)
            ? value
            : throw Invalid($"partition is '{text}'; give a partition number from 0 on.");

    /// <summary>A point in time: ms since the Unix epoch or ISO 8601, read as UTC when it names no zone.</summary>
    public static long Time(string name, string text)
    {
        if (long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var ms))
        {
            return ms;
        }

        return DateTimeOffset.TryParse(text, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal | DateTimeStyles.AdjustToUniversal, out var time)
            ? time.ToUnixTimeMilliseconds()
            : throw Invalid($"{name} is '{text}'; give milliseconds since 1970 or ISO 8601, such as 2001-01-01T00:00:00Z.");
    }

    /// <summary>Ms since the Unix epoch as ISO 8601, or null for what has no date.</summary>
    public static string? Iso(long ms)
    {
        if (ms < DateTimeOffset.MinValue.ToUnixTimeMilliseconds() || ms > DateTimeOffset.MaxValue.ToUnixTimeMilliseconds())
        {
            return null;
        }

        var time = DateTimeOffset.FromUnixTimeMilliseconds(ms).UtcDateTime;
        return time.ToString(time.Millisecond == 0 ? "yyyy-MM-dd'T'HH:mm:ss'Z'" : "yyyy-MM-dd'T'HH:mm:ss.fff'Z'", CultureInfo.InvariantCulture);
    }

    /// <summary>An event-time watermark: null before the first event, "end" after the end of the input.</summary>
    public static string? Watermark(long ms) => ms == long.MaxValue ? "end" : Iso(ms);

    public static StreamsException Invalid(string message) => new(StreamsErrorCode.InvalidRequest, message, WriteOutcome.NotWritten);
}
