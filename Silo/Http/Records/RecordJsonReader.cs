using System.Text;
using System.Text.Json;
using OrleansStreams.Records;
using OrleansStreams.Silo.Http.Requests;

namespace OrleansStreams.Silo.Http.Records;

/// <summary>
/// Reads records from JSON: <c>{"key", "value", "headers", "partition", "timestamp", "keyEncoding", "valueEncoding"}</c>, all optional but the
/// value. Encodings: utf8 (a string), base64 (a string), json (any value, kept as its text). Without one a string is utf8 and anything else json.
/// </summary>
internal static class RecordJsonReader
{
    private const string Fields = "key, value, headers, partition, timestamp, keyEncoding, valueEncoding";

    /// <summary>Reads one record.</summary>
    /// <param name="json">The record.</param>
    /// <param name="place">Where it stands, for messages.</param>
    /// <exception cref="StreamsException">InvalidRequest or InvalidTimestamp: it is no record, or holds text that is not valid Unicode.</exception>
    public static RecordItem Read(JsonElement json, string place)
    {
        try
        {
            return ReadFields(json, place);
        }
        catch (InvalidOperationException error)
        {
            // So the JSON library tells of bytes that are no UTF-8, and of lone surrogates, where a name or a raw value holds them.
            throw new StreamsException(StreamsErrorCode.InvalidRequest, $"{place} holds text that is not valid Unicode; send bytes as base64.", WriteOutcome.NotWritten, error);
        }
    }

    private static RecordItem ReadFields(JsonElement json, string place)
    {
        if (json.ValueKind != JsonValueKind.Object)
        {
            throw QueryText.Invalid($"{place} is {KindOf(json)}; a record is an object with {Fields}.");
        }

        JsonElement key = default, value = default, headers = default;
        string? keyEncoding = null, valueEncoding = null;
        int? partition = null;
        long? timestamp = null;
        foreach (var field in json.EnumerateObject())
        {
            switch (field.Name)
            {
                case "key": key = field.Value; break;
                case "value": value = field.Value; break;
                case "headers": headers = field.Value; break;
                case "keyEncoding": keyEncoding = Text(field.Value, $"{place}.keyEncoding"); break;
                case "valueEncoding": valueEncoding = Text(field.Value, $"{place}.valueEncoding"); break;
                case "partition": partition = PartitionOf(field.Value, $"{place}.partition"); break;
                case "timestamp": timestamp = TimestampOf(field.Value, $"{place}.timestamp"); break;

                // What a fetch answers can be sent back as it is.
                case "offset": break;
                default: throw QueryText.Invalid($"{place} has a field '{field.Name}'; a record has {Fields}.");
            }
        }

        if (value.ValueKind == JsonValueKind.Undefined)
        {
            throw QueryText.Invalid($"{place} has no value; send one, or null for a tombstone.");
        }

        return new RecordItem(Bytes(key, keyEncoding, $"{place}.key"), Bytes(value, valueEncoding, $"{place}.value"), Headers(headers, place), partition, timestamp);
    }

    private static byte[]? Bytes(JsonElement json, string? encoding, string place)
    {
        if (json.ValueKind == JsonValueKind.Undefined || (json.ValueKind == JsonValueKind.Null && encoding != "json"))
        {
            return null;
        }

        switch (encoding ?? (json.ValueKind == JsonValueKind.String ? "utf8" : "json"))
        {
            case "utf8":
                return Encoding.UTF8.GetBytes(Text(json, place));
            case "base64":
                return json.ValueKind == JsonValueKind.String && json.TryGetBytesFromBase64(out var bytes)
                    ? bytes
                    : throw QueryText.Invalid($"{place} is not base64; encode the bytes or leave the encoding out.");
            case "json":
                return Encoding.UTF8.GetBytes(json.GetRawText());
            default:
                throw QueryText.Invalid($"The encoding of {place} is '{encoding}'; there are utf8, base64 and json.");
        }
    }

    /// <summary>Headers as an object of strings, or as an array of {key, value, encoding} for repeated names and bytes.</summary>
    private static List<RecordHeader> Headers(JsonElement json, string place)
    {
        var headers = new List<RecordHeader>();
        switch (json.ValueKind)
        {
            case JsonValueKind.Undefined or JsonValueKind.Null:
                break;
            case JsonValueKind.Object:
                foreach (var header in json.EnumerateObject())
                {
                    headers.Add(Header(header.Name, Bytes(header.Value, null, $"{place}.headers.{header.Name}")));
                }

                break;
            case JsonValueKind.Array:
                foreach (var header in json.EnumerateArray())
                {
                    headers.Add(Header(header, $"{place}.headers[{headers.Count}]"));
                }

                break;
            default:
                throw QueryText.Invalid($"{place}.headers is {KindOf(json)}; give an object of strings or an array of objects with key, value and encoding.");
        }

        return headers;
    }

    private static RecordHeader Header(JsonElement json, string place)
    {
        if (json.ValueKind != JsonValueKind.Object || !json.TryGetProperty("key", out var key))
        {
            throw QueryText.Invalid($"{place} has no key; a header is an object with key, value and encoding.");
        }

        json.TryGetProperty("value", out var value);
        var encoding = json.TryGetProperty("encoding", out var named) ? Text(named, $"{place}.encoding") : null;
        return Header(Text(key, $"{place}.key"), Bytes(value, encoding, $"{place}.value"));
    }

    // Spelled out, because a null array would silently become empty memory instead of none.
    private static RecordHeader Header(string key, byte[]? value) => new(key, value is null ? null : (ReadOnlyMemory<byte>?)value);

    private static int PartitionOf(JsonElement json, string place) => json.ValueKind == JsonValueKind.Number && json.TryGetInt32(out var partition) && partition >= 0
        ? partition
        : throw QueryText.Invalid($"{place} is {json.GetRawText()}; give a partition number from 0 on, or leave it out to let the key decide.");

    private static long? TimestampOf(JsonElement json, string place) => json.ValueKind switch
    {
        JsonValueKind.Null => null,
        JsonValueKind.Number when json.TryGetInt64(out var ms) && ms >= 0 => ms,
        JsonValueKind.String => QueryText.Time(place, json.GetString()!),
        _ => throw new StreamsException(
            StreamsErrorCode.InvalidTimestamp, $"{place} is {json.GetRawText()}; give milliseconds since 1970 or ISO 8601, such as \"2001-01-01T00:00:00Z\".", WriteOutcome.NotWritten),
    };

    private static string Text(JsonElement json, string place)
    {
        if (json.ValueKind != JsonValueKind.String)
        {
            throw QueryText.Invalid($"{place} is {KindOf(json)}; give a string.");
        }

        try
        {
            return json.GetString()!;
        }
        catch (InvalidOperationException)
        {
            // A lone surrogate escape is legal JSON and no text.
            throw QueryText.Invalid($"{place} is not valid Unicode; send bytes as base64.");
        }
    }

    private static string KindOf(JsonElement json) => json.ValueKind switch
    {
        JsonValueKind.Object => "an object",
        JsonValueKind.Array => "an array",
        JsonValueKind.String => "a string",
        JsonValueKind.Number => "a number",
        JsonValueKind.Null => "null",
        _ => "a boolean",
    };
}
