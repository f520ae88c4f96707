using System.Text.Json;
using OrleansStreams.ClientApp.Commands;

namespace OrleansStreams.ClientApp.Records;

/// <summary>A record as the HTTP API takes it, with the line that it came from.</summary>
internal readonly record struct OutgoingRecord(long Line, byte[] Json)
{
    private static readonly string[] Fields = ["key", "value", "headers", "partition", "timestamp", "keyEncoding", "valueEncoding", "offset"];

    /// <summary>A line of the form key:value; a line without the separator is a value without a key.</summary>
    public static OutgoingRecord FromText(long line, string text, string separator, int? partition)
    {
        var at = text.IndexOf(separator, StringComparison.Ordinal);
        using var buffer = new MemoryStream();
        using (var writer = new Utf8JsonWriter(buffer))
        {
            writer.WriteStartObject();
            if (at >= 0)
            {
                writer.WriteString("key"u8, text.AsSpan(0, at));
                writer.WriteString("value"u8, text.AsSpan(at + separator.Length));
            }
            else
            {
                writer.WriteString("value"u8, text);
            }

            if (partition is { } number)
            {
                writer.WriteNumber("partition"u8, number);
            }

            writer.WriteEndObject();
        }

        return new OutgoingRecord(line, buffer.ToArray());
    }

    /// <summary>A line that is a JSON object with a value, and perhaps key, headers and so on; the server judges the fields' values.</summary>
    public static OutgoingRecord FromJson(long line, string text)
    {
        try
        {
            using var document = JsonDocument.Parse(text);
            if (document.RootElement.ValueKind != JsonValueKind.Object)
            {
                throw new CommandFailedException($"line {line}: a record is a JSON object such as {{\"key\": \"a\", \"value\": \"1\"}}.");
            }

            if (!document.RootElement.TryGetProperty("value", out _))
            {
                throw new CommandFailedException($"line {line}: the record has no value; write one, or null for a tombstone.");
            }

            foreach (var field in document.RootElement.EnumerateObject())
            {
                if (!Fields.Contains(field.Name))
                {
                    throw new CommandFailedException($"line {line}: a record has no field '{field.Name}'; it has {string.Join(", ", Fields[..^1])}.");
                }
            }

            using var buffer = new MemoryStream();
            using (var writer = new Utf8JsonWriter(buffer))
            {
                document.RootElement.WriteTo(writer);
            }

            return new OutgoingRecord(line, buffer.ToArray());
        }
        catch (JsonException exception)
        {
            throw new CommandFailedException($"line {line} is not valid JSON: {exception.Message}");
        }
        catch (InvalidOperationException)
        {
            // So the JSON library tells of lone surrogates.
            throw new CommandFailedException($"line {line} holds text that is not valid Unicode; send bytes with \"valueEncoding\": \"base64\".");
        }
    }
}
