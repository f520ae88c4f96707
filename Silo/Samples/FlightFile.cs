using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;
using CsvHelper;
using CsvHelper.Configuration;
using OrleansStreams.Errors;

namespace OrleansStreams.Silo.Samples;

/// <summary>
/// Reads flights from a file, row by row in memory that does not grow with the file: a JSON array of objects, JSON lines, or CSV with a header
/// line; which one, its first byte tells. Columns: date, delay, distance, origin, destination.
/// </summary>
public static class FlightFile
{
    private const int BufferBytes = 64 * 1024;

    /// <summary>Reads the rows in the file's order.</summary>
    /// <exception cref="StreamsException">InvalidInput: the file is missing or cannot be read, or a row is wrong; the message names file and line.</exception>
    public static IEnumerable<Flight> Read(string path)
    {
        FileStream stream;
        try
        {
            stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, BufferBytes, FileOptions.SequentialScan);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new StreamsException(StreamsErrorCode.InvalidInput, $"cannot read the input file {path}: {error.Message}", inner: error);
        }

        return ReadOpen(path, stream);
    }

    private static IEnumerable<Flight> ReadOpen(string path, FileStream stream)
    {
        using (stream)
        {
            var first = FirstSignificantByte(stream);
            var rows = first switch
            {
                -1 => [],
                '[' => ReadJson(path, stream, isArray: true),
                '{' => ReadJson(path, stream, isArray: false),
                _ => ReadCsv(path, stream),
            };
            foreach (var row in rows)
            {
                yield return row;
            }
        }
    }

    private static int FirstSignificantByte(FileStream stream)
    {
        int next;
        do
        {
            next = stream.ReadByte();
        }
        while (next is ' ' or '\t' or '\r' or '\n' or 0xEF or 0xBB or 0xBF);
        stream.Position = 0;
        return next;
    }

    private static StreamsException Wrong(string path, long line, string what, Exception? inner = null) =>
        new(StreamsErrorCode.InvalidInput, string.Create(CultureInfo.InvariantCulture, $"{path}, line {line}: {what}"), inner: inner);

    /// <summary>Steps through top-level objects; each is parsed only when its closing brace is in the buffer, which grows to the largest object.</summary>
    private static IEnumerable<Flight> ReadJson(string path, FileStream stream, bool isArray)
    {
        var scanner = new JsonObjectScanner(stream, isArray, (line, what, inner) => Wrong(path, line, what, inner));
        while (scanner.Next())
        {
            yield return ParseObject(path, scanner.Line, scanner.Current.Span);
        }
    }

    private static Flight ParseObject(string path, long line, ReadOnlySpan<byte> json)
    {
        try
        {
            var row = JsonSerializer.Deserialize(json, FlightRowJson.Default.FlightRow) ?? throw new FormatException("the row is null");
            return Flight.FromColumns(row.Date, row.Delay, row.Distance, row.Origin, row.Destination);
        }
        catch (JsonException error)
        {
            throw Wrong(path, line, $"not a flight: {ShortMessage(error)}", error);
        }
        catch (FormatException error)
        {
            throw Wrong(path, line, error.Message, error);
        }
    }

    internal static string ShortMessage(JsonException error)
    {
        var end = error.Message.IndexOf(" LineNumber", StringComparison.Ordinal);
        return end < 0 ? error.Message : error.Message[..end];
    }

    private static IEnumerable<Flight> ReadCsv(string path, FileStream stream)
    {
        using var text = new StreamReader(stream);
        // A column that is not there is null; Flight says which ones must be.
        using var csv = new CsvReader(text, new CsvConfiguration(CultureInfo.InvariantCulture) { MissingFieldFound = null, PrepareHeaderForMatch = header => header.Header.Trim().ToUpperInvariant() });
        ReadHeader(path, csv);
        if (!csv.HeaderRecord!.Any(column => string.Equals(column.Trim(), "origin", StringComparison.OrdinalIgnoreCase)))
        {
            throw Wrong(path, 1, "this is neither JSON nor CSV with the columns date,delay,distance,origin,destination");
        }

        while (ReadRow(path, csv, out var flight))
        {
            yield return flight!;
        }
    }

    private static void ReadHeader(string path, CsvReader csv)
    {
        try
        {
            csv.Read();
            csv.ReadHeader();
        }
        catch (CsvHelperException error)
        {
            throw Wrong(path, csv.Parser.RawRow, $"this is neither JSON nor CSV: {error.Message.Split('\n')[0].Trim()}", error);
        }
    }

    private static bool ReadRow(string path, CsvReader csv, out Flight? flight)
    {
        flight = null;
        try
        {
            if (!csv.Read())
            {
                return false;
            }

            flight = Flight.FromColumns(csv.GetField("date"), csv.GetField<int?>("delay"), csv.GetField<int?>("distance"), csv.GetField("origin"), csv.GetField("destination"));
            return true;
        }
        catch (Exception error) when (error is CsvHelperException or FormatException)
        {
            var what = error is FormatException ? error.Message : $"not a flight: {error.Message.Split('\n')[0].Trim()}";
            throw Wrong(path, csv.Parser.RawRow, what, error);
        }
    }
}

/// <summary>A row of a JSON input file.</summary>
internal sealed record FlightRow(
    [property: JsonPropertyName("date")] string? Date,
    [property: JsonPropertyName("delay")] int? Delay,
    [property: JsonPropertyName("distance")] int? Distance,
    [property: JsonPropertyName("origin")] string? Origin,
    [property: JsonPropertyName("destination")] string? Destination);

[JsonSerializable(typeof(FlightRow))]
internal sealed partial class FlightRowJson : JsonSerializerContext;
