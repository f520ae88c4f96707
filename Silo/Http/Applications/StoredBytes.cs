using System.Globalization;
using System.Text;
using System.Text.Json;
using OrleansStreams.Processing;
using OrleansStreams.Records;
using OrleansStreams.Silo.Http.Requests;

namespace OrleansStreams.Silo.Http.Applications;

/// <summary>Keys and values of stores between bytes and what people write and read.</summary>
internal static class StoredBytes
{
    private static readonly UTF8Encoding s_strict = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    /// <summary>The bytes of a key that a request gives.</summary>
    /// <exception cref="StreamsException">InvalidRequest.</exception>
    public static ReadOnlyMemory<byte> KeyOf(string name, string key, string? encoding)
    {
        switch (encoding)
        {
            case null or "" or "utf8":
                return Encoding.UTF8.GetBytes(key);
            case "base64":
                var bytes = new byte[key.Length];
                return Convert.TryFromBase64String(key, bytes, out var written)
                    ? bytes.AsMemory(0, written)
                    : throw QueryText.Invalid($"{name} is not base64; encode the bytes or leave keyEncoding out.");
            case "int32":
                return int.TryParse(key, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var small) ? Bytes(Serdes.Int32, small) : throw NoNumber(name, key);
            case "int64":
                return long.TryParse(key, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var number) ? Bytes(Serdes.Int64, number) : throw NoNumber(name, key);
            default:
                throw QueryText.Invalid($"keyEncoding is '{encoding}'; there are utf8, base64, int32 and int64.");
        }
    }

    /// <summary>A row as a body.</summary>
    public static StoreRowBody Row(StoreRow row, string? keySerde, string? valueSerde)
    {
        var (key, keyEncoding) = Key(row.Key, keySerde);
        var (start, end) = Window(row.WindowStartMs, row.WindowEndMs);
        return Shown(row.Value, valueSerde) is { } value
            ? new StoreRowBody(key, keyEncoding, start, end, value, row.IsFinal)
            : new StoreRowBody(key, keyEncoding, start, end, Convert.ToBase64String(row.Value.Span), row.IsFinal, "base64");
    }

    /// <summary>An entry as a body.</summary>
    public static StoreEntryBody Entry(StateEntry entry, string? serde)
    {
        var (start, end) = Window(entry.WindowStartMs, entry.WindowEndMs);
        return Shown(entry.Value, serde) is { } value
            ? new StoreEntryBody(start, end, value, entry.IsFinal)
            : new StoreEntryBody(start, end, Convert.ToBase64String(entry.Value.Span), entry.IsFinal, "base64");
    }

    /// <summary>The value as its store's serde means it; where only the user's own program knows that, as JSON if it is JSON. Null for bytes.</summary>
    public static object? Shown(ReadOnlyMemory<byte> value, string? serde)
    {
        try
        {
            return serde switch
            {
                "int32" => Serdes.Int32.Deserialize(value.Span),
                "int64" => Serdes.Int64.Deserialize(value.Span),
                "utf8" => Serdes.Utf8.Deserialize(value.Span),
                "bytes" => null,
                _ => JsonSerializer.Deserialize<JsonElement>(value.Span),
            };
        }
        catch (Exception error) when (error is JsonException or StreamsException)
        {
            return null;
        }
    }

    /// <summary>A key as its store's serde means it; where only the user's own program knows that, as text if it is text.</summary>
    public static (object Key, string? Encoding) Key(ReadOnlyMemory<byte> key, string? serde)
    {
        if (serde is "int32" or "int64" && Shown(key, serde) is { } number)
        {
            return (number, null);
        }

        try
        {
            var text = s_strict.GetString(key.Span);
            return serde == "utf8" || !text.Any(char.IsControl) ? (text, null) : (Convert.ToBase64String(key.Span), "base64");
        }
        catch (DecoderFallbackException)
        {
            return (Convert.ToBase64String(key.Span), "base64");
        }
    }

    private static (string? Start, string? End) Window(long start, long end) => start == -1 && end == -1 ? (null, null) : (QueryText.Iso(start), QueryText.Iso(end));

    private static ReadOnlyMemory<byte> Bytes<T>(ISerde<T> serde, T value)
    {
        var bytes = new System.Buffers.ArrayBufferWriter<byte>();
        serde.Serialize(value, bytes);
        return bytes.WrittenMemory;
    }

    private static StreamsException NoNumber(string name, string key) => QueryText.Invalid($"{name} is '{key}', which is no such number; give one, or another keyEncoding.");
}
