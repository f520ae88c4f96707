using System.ComponentModel;
using System.Text;
using System.Text.Json;
using Microsoft.AspNetCore.Mvc;
using OrleansStreams.Processing;
using OrleansStreams.Records;
using OrleansStreams.Silo.Http.Problems;
using OrleansStreams.Silo.Http.Requests;

namespace OrleansStreams.Silo.Http.Applications;

/// <summary>GET /apps/{app}/stores/{store}: committed state by key and window.</summary>
internal static class StoreHandlers
{
    private const int LimitAbsent = 1_000;
    private const int LimitMax = 10_000;

    public static void Map(IEndpointRouteBuilder routes) => routes.MapGet("/apps/{app}/stores/{store}", QueryAsync).WithTags("Applications")
        .WithSummary("Reads a store's committed entries for a key, by window start.").Produces<StoreBody>().WithProblems(400, 404, 409);

    private static async Task<IResult> QueryAsync(
        string app,
        string store,
        [FromServices] IGrainFactory grains,
        [Description("The key.")] string? key,
        [Description("The first window start wanted: ISO 8601 or ms since 1970.")] string? from,
        [Description("The first window start not wanted: ISO 8601 or ms since 1970.")] string? to,
        [Description("The most entries to answer, 1 to 10,000; 1,000 when absent.")] string? limit,
        [Description("How the key is written: utf8 (the default) or base64.")] string? keyEncoding)
    {
        var bytes = KeyOf(key ?? throw QueryText.Invalid("Give key=KEY, the key whose entries you want."), keyEncoding);
        var fromMs = string.IsNullOrEmpty(from) ? long.MinValue : QueryText.Time(nameof(from), from);
        var toMs = string.IsNullOrEmpty(to) ? long.MaxValue : QueryText.Time(nameof(to), to);
        if (fromMs > toMs)
        {
            throw QueryText.Invalid($"from ({from}) lies behind to ({to}); swap them.");
        }

        var query = new StateQuery(store, bytes, fromMs, toMs, QueryText.Int(nameof(limit), limit, LimitAbsent, 1, LimitMax));
        var result = await grains.GetGrain<IStreamApplicationGrain>(app).QueryAsync(query);
        return Results.Ok(new StoreBody(
            app, store, key, QueryText.Watermark(result.EventTimeWatermark), result.CommitOffset, [.. result.Entries.Select(entry => Entry(entry, result.ValueSerde))]));
    }

    private static ReadOnlyMemory<byte> KeyOf(string key, string? encoding)
    {
        switch (encoding)
        {
            case null or "" or "utf8":
                return Encoding.UTF8.GetBytes(key);
            case "base64":
                var bytes = new byte[key.Length];
                return Convert.TryFromBase64String(key, bytes, out var written)
                    ? bytes.AsMemory(0, written)
                    : throw QueryText.Invalid("key is not base64; encode the bytes or leave keyEncoding out.");
            default:
                throw QueryText.Invalid($"keyEncoding is '{encoding}'; there are utf8 and base64.");
        }
    }

    private static StoreEntryBody Entry(StateEntry entry, string? serde)
    {
        var plain = entry is { WindowStartMs: -1, WindowEndMs: -1 };
        var start = plain ? null : QueryText.Iso(entry.WindowStartMs);
        var end = plain ? null : QueryText.Iso(entry.WindowEndMs);
        return Shown(entry.Value, serde) is { } value
            ? new StoreEntryBody(start, end, value, entry.IsFinal)
            : new StoreEntryBody(start, end, Convert.ToBase64String(entry.Value.Span), entry.IsFinal, "base64");
    }

    /// <summary>The value as its store's serde means it; where only the user's own program knows that, as JSON if it is JSON. Null for bytes.</summary>
    private static object? Shown(ReadOnlyMemory<byte> value, string? serde)
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
}
