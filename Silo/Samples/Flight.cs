using System.Buffers.Text;
using System.Globalization;
using System.Text;
using System.Text.Json.Serialization;
using OrleansStreams.Errors;

namespace OrleansStreams.Silo.Samples;

/// <summary>One flight of the sample.</summary>
/// <param name="Scheduled">Scheduled departure, ms since the Unix epoch; the event time.</param>
/// <param name="Delay">Delay in minutes; negative when early.</param>
/// <param name="Distance">Miles.</param>
/// <param name="Origin">Origin airport; the key.</param>
/// <param name="Destination">Destination airport.</param>
public sealed record Flight(
    [property: JsonPropertyName("scheduled")] long Scheduled,
    [property: JsonPropertyName("delay")] int Delay,
    [property: JsonPropertyName("distance")] int Distance,
    [property: JsonPropertyName("origin")] string Origin,
    [property: JsonPropertyName("destination")] string Destination)
{
    /// <summary>When the flight's record arrives: scheduled time plus delay, ms since the Unix epoch.</summary>
    [JsonIgnore]
    public long Arrival => Scheduled + (Delay * 60_000L);

    /// <summary>
    /// Makes a flight of the five columns of an input row.
    /// </summary>
    /// <param name="date">Scheduled departure as <c>yyyy/MM/dd HH:mm</c> or ISO 8601, read as UTC.</param>
    /// <param name="delay">Minutes.</param>
    /// <param name="distance">Miles.</param>
    /// <param name="origin">Origin airport.</param>
    /// <param name="destination">Destination airport.</param>
    /// <exception cref="FormatException">A column is missing or cannot be read; the message names it.</exception>
    public static Flight FromColumns(string? date, int? delay, int? distance, string? origin, string? destination)
    {
        const DateTimeStyles AsUtc = DateTimeStyles.AssumeUniversal | DateTimeStyles.AdjustToUniversal;
        if (!DateTime.TryParseExact(date, "yyyy/MM/dd HH:mm", CultureInfo.InvariantCulture, AsUtc, out var scheduled) &&
            !DateTime.TryParseExact(date, "yyyy-MM-ddTHH:mm:ssZ", CultureInfo.InvariantCulture, AsUtc, out scheduled))
        {
            throw new FormatException($"'date' is '{date}'; write it as 2001/01/31 23:59 or 2001-01-31T23:59:00Z");
        }

        if (string.IsNullOrEmpty(origin))
        {
            throw new FormatException("'origin' is missing");
        }

        return new Flight(
            new DateTimeOffset(scheduled).ToUnixTimeMilliseconds(),
            delay ?? throw new FormatException("'delay' is missing"),
            distance ?? 0,
            string.Intern(origin),
            string.Intern(destination ?? string.Empty));
    }

    /// <summary>Writes the flight as a line of an arrivals file (see <see cref="ArrivalOrder"/>): scheduled,delay,distance,origin,destination.</summary>
    public void WriteLine(StringBuilder line) =>
        line.Append(CultureInfo.InvariantCulture, $"{Scheduled},{Delay},{Distance},{Escape(Origin)},{Escape(Destination)}\n");

    /// <summary>Reads a line of an arrivals file.</summary>
    /// <exception cref="StreamsException">InvalidInput.</exception>
    public static Flight ParseLine(ReadOnlySpan<byte> line)
    {
        if (Utf8Parser.TryParse(line, out long scheduled, out var used) && Next(ref line, used) &&
            Utf8Parser.TryParse(line, out int delay, out used) && Next(ref line, used) &&
            Utf8Parser.TryParse(line, out int distance, out used) && Next(ref line, used))
        {
            var comma = line.IndexOf((byte)',');
            if (comma > 0)
            {
                return new Flight(scheduled, delay, distance, Unescape(line[..comma]), Unescape(line[(comma + 1)..]));
            }
        }

        throw new StreamsException(StreamsErrorCode.InvalidInput, "an arrivals line must be scheduled,delay,distance,origin,destination; start again with an empty data folder");
    }

    private static bool Next(ref ReadOnlySpan<byte> line, int used)
    {
        if (used >= line.Length || line[used] != ',')
        {
            return false;
        }

        line = line[(used + 1)..];
        return true;
    }

    // Airports are plain codes; an input file may hold anything, and a comma or line break must not break a line.
    private static string Escape(string text) => text.AsSpan().IndexOfAny("%,\n\r") < 0
        ? text
        : text.Replace("%", "%25", StringComparison.Ordinal).Replace(",", "%2C", StringComparison.Ordinal)
            .Replace("\n", "%0A", StringComparison.Ordinal).Replace("\r", "%0D", StringComparison.Ordinal);

    private static string Unescape(ReadOnlySpan<byte> text)
    {
        var plain = Encoding.UTF8.GetString(text);
        return plain.Contains('%', StringComparison.Ordinal) ? Uri.UnescapeDataString(plain) : string.Intern(plain);
    }
}
