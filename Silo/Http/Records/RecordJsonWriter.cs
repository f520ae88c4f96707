using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Unicode;
using OrleansStreams.Records;
using OrleansStreams.Silo.Http.Requests;

namespace OrleansStreams.Silo.Http.Records;

/// <summary>How values are shown.</summary>
internal enum ValueEncoding
{
    /// <summary>A string where the bytes are UTF-8, else base64.</summary>
    Auto,

    /// <summary>Always base64.</summary>
    Base64,

    /// <summary>As JSON where the bytes are JSON, else like <see cref="Auto"/>.</summary>
    Json,
}

/// <summary>Writes records as JSON in the form that <see cref="RecordJsonReader"/> reads.</summary>
internal static class RecordJsonWriter
{
    /// <summary>Quotes and letters as they are: the answers are never part of a web page, and people read them.</summary>
    public static readonly JsonWriterOptions WriterOptions = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    public static ValueEncoding EncodingOf(string? text) => text switch
    {
        null or "" or "auto" => ValueEncoding.Auto,
        "base64" => ValueEncoding.Base64,
        "json" => ValueEncoding.Json,
        _ => throw QueryText.Invalid($"encoding is '{text}'; there are auto, base64 and json."),
    };

    /// <summary>One record as an object.</summary>
    public static void WriteRecord(Utf8JsonWriter writer, int partition, in RecordView record, ValueEncoding encoding)
    {
        writer.WriteStartObject();
        writer.WriteNumber("partition"u8, partition);
        writer.WriteNumber("offset"u8, record.Offset);
        writer.WriteNumber("timestamp"u8, record.Timestamp);
        WriteField(writer, "key", "keyEncoding", record.Key, record.KeyIsNull, encoding);
        WriteField(writer, "value", "valueEncoding", record.Value, record.ValueIsNull, encoding);
        if (record.HeaderCount > 0)
        {
            WriteHeaders(writer, record.GetHeaders());
        }

        writer.WriteEndObject();
    }

    /// <summary>A value and, unless it is a plain string or null, its encoding.</summary>
    public static void WriteField(Utf8JsonWriter writer, string name, string encodingName, ReadOnlySpan<byte> bytes, bool isNull, ValueEncoding encoding)
    {
        if (isNull)
        {
            writer.WriteNull(name);
            return;
        }

        if (encoding == ValueEncoding.Json && IsJson(bytes))
        {
            writer.WritePropertyName(name);
            writer.WriteRawValue(bytes, skipInputValidation: true);
            writer.WriteString(encodingName, "json"u8);
        }
        else if (encoding != ValueEncoding.Base64 && Utf8.IsValid(bytes))
        {
            writer.WriteString(name, bytes);
        }
        else
        {
            writer.WriteBase64String(name, bytes);
            writer.WriteString(encodingName, "base64"u8);
        }
    }

    private static void WriteHeaders(Utf8JsonWriter writer, RecordHeader[] headers)
    {
        writer.WriteStartArray("headers"u8);
        foreach (var header in headers)
        {
            writer.WriteStartObject();
            writer.WriteString("key"u8, header.Key);
            WriteField(writer, "value", "encoding", header.Value.GetValueOrDefault().Span, header.Value is null, ValueEncoding.Auto);
            writer.WriteEndObject();
        }

        writer.WriteEndArray();
    }

    private static bool IsJson(ReadOnlySpan<byte> bytes)
    {
        // A raw line break inside would break the lines that an event stream is made of.
        if (bytes.IsEmpty || bytes.ContainsAny((byte)'\n', (byte)'\r'))
        {
            return false;
        }

        var reader = new Utf8JsonReader(bytes);
        try
        {
            // Strings are only checked for being UTF-8 when they are read, hence the second condition.
            return reader.Read() && reader.TrySkip() && !reader.Read() && Utf8.IsValid(bytes);
        }
        catch (JsonException)
        {
            return false;
        }
    }
}
