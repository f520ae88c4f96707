using System.Buffers.Text;
using System.Collections.Immutable;
using System.ComponentModel;
using System.Globalization;
using Microsoft.AspNetCore.Mvc;
using OrleansStreams.Processing;
using OrleansStreams.Silo.Http.Problems;
using OrleansStreams.Silo.Http.Requests;

namespace OrleansStreams.Silo.Http.Applications;

/// <summary>GET /apps/{app}/stores/{store}: committed state by key and window; .../rows: by ranges of keys and windows, a page at a time.</summary>
internal static class StoreHandlers
{
    private const int LimitAbsent = 1_000;
    private const int LimitMax = 10_000;

    public static void Map(IEndpointRouteBuilder routes)
    {
        routes.MapGet("/apps/{app}/stores/{store}", QueryAsync).WithTags("Applications")
            .WithSummary("Reads a store's committed entries for a key, by window start.").Produces<StoreBody>().WithProblems(400, 404, 409, 504);
        routes.MapGet("/apps/{app}/stores/{store}/rows", RowsAsync).WithTags("Applications")
            .WithSummary("Reads a store's committed rows over all partitions, by key bytes and window, a page at a time.").Produces<StoreRowsBody>().WithProblems(400, 404, 409, 504);
    }

    private static async Task<IResult> QueryAsync(
        string app,
        string store,
        [FromServices] IGrainFactory grains,
        [Description("The key.")] string? key,
        [Description("The first window start wanted: ISO 8601 or ms since 1970.")] string? from,
        [Description("The first window start not wanted: ISO 8601 or ms since 1970.")] string? to,
        [Description("The most entries to answer, 1 to 10,000; 1,000 when absent.")] string? limit,
        [Description("How the key is written: utf8 (the default), base64, int32 or int64.")] string? keyEncoding,
        [Description("The continuation that the answer before gave.")] string? continuation,
        [Description("Records that the answer must reflect: topic:partition:offset, as a produce answered; may stand several times.")] string[]? atLeast,
        [Description("How many ms to wait for them, 1 to 25,000; 10,000 when absent.")] string? waitMs)
    {
        var bytes = StoredBytes.KeyOf(nameof(key), key ?? throw QueryText.Invalid("Give key=KEY, the key whose entries you want, or ask /rows for ranges."), keyEncoding);
        var (fromMs, toMs) = Windows(from, to);
        var query = new StateQuery(store, bytes, fromMs, toMs, Limit(limit)) { Continuation = Continuation(continuation), AtLeast = Offsets(atLeast), WaitMs = Wait(waitMs) };
        var result = await grains.GetGrain<IStreamApplicationGrain>(app).QueryAsync(query);
        return Results.Ok(new StoreBody(
            result.Application,
            store,
            key,
            QueryText.Watermark(result.EventTimeWatermark),
            result.CommitOffset,
            [.. result.Entries.Select(entry => StoredBytes.Entry(entry, result.ValueSerde))],
            Text(result.Continuation)));
    }

    private static async Task<IResult> RowsAsync(
        string app,
        string store,
        [FromServices] IGrainFactory grains,
        [Description("The first key wanted.")] string? fromKey,
        [Description("The first key not wanted.")] string? toKey,
        [Description("The first window start wanted: ISO 8601 or ms since 1970.")] string? from,
        [Description("The first window start not wanted: ISO 8601 or ms since 1970.")] string? to,
        [Description("The most rows to answer, 1 to 10,000; 1,000 when absent.")] string? limit,
        [Description("How keys are written: utf8 (the default), base64, int32 or int64.")] string? keyEncoding,
        [Description("The continuation that the page before answered.")] string? continuation,
        [Description("Records that the answer must reflect: topic:partition:offset, as a produce answered; may stand several times.")] string[]? atLeast,
        [Description("How many ms to wait for them, 1 to 25,000; 10,000 when absent.")] string? waitMs)
    {
        var (fromMs, toMs) = Windows(from, to);
        var scan = new StoreScan(store, Bound(nameof(fromKey), fromKey, keyEncoding), Bound(nameof(toKey), toKey, keyEncoding), fromMs, toMs, Limit(limit))
        {
            Continuation = Continuation(continuation),
            AtLeast = Offsets(atLeast),
            WaitMs = Wait(waitMs),
        };
        var result = await grains.GetGrain<IStreamApplicationGrain>(app).ScanAsync(scan);
        return Results.Ok(new StoreRowsBody(
            result.Application,
            store,
            [.. result.Partitions.Select(PartitionBody.Of)],
            [.. result.Rows.Select(row => StoredBytes.Row(row, result.KeySerde, result.ValueSerde))],
            Text(result.Continuation)));
    }

    /// <summary>The range of window starts of a request.</summary>
    internal static (long FromMs, long ToMs) Windows(string? from, string? to)
    {
        var fromMs = string.IsNullOrEmpty(from) ? long.MinValue : QueryText.Time(nameof(from), from);
        var toMs = string.IsNullOrEmpty(to) ? long.MaxValue : QueryText.Time(nameof(to), to);
        return fromMs <= toMs ? (fromMs, toMs) : throw QueryText.Invalid($"from ({from}) lies behind to ({to}); swap them.");
    }

    private static int Limit(string? limit) => QueryText.Int(nameof(limit), limit, LimitAbsent, 1, LimitMax);

    private static int Wait(string? waitMs) => QueryText.Int(nameof(waitMs), waitMs, StateQuery.WaitMsDefault, 1, StateQuery.WaitMsMax);

    private static ReadOnlyMemory<byte> Bound(string name, string? key, string? encoding) => string.IsNullOrEmpty(key) ? default : StoredBytes.KeyOf(name, key, encoding);

    /// <summary>A continuation as an answer has it; null when there is none.</summary>
    internal static string? Text(ReadOnlyMemory<byte> continuation) => continuation.IsEmpty ? null : Base64Url.EncodeToString(continuation.Span);

    /// <summary>The continuation of a request.</summary>
    /// <exception cref="StreamsException">InvalidRequest.</exception>
    internal static ReadOnlyMemory<byte> Continuation(string? text)
    {
        try
        {
            return string.IsNullOrEmpty(text) ? default : Base64Url.DecodeFromChars(text);
        }
        catch (FormatException)
        {
            throw QueryText.Invalid($"continuation is '{text}'; give the one that the page before answered, or leave it out to begin anew.");
        }
    }

    private static ImmutableArray<InputOffset> Offsets(string[]? texts) => [.. (texts ?? []).Select(text =>
    {
        // A topic's name has no colon.
        var parts = text.Split(':');
        return parts.Length == 3
            && int.TryParse(parts[1], NumberStyles.None, CultureInfo.InvariantCulture, out var partition)
            && long.TryParse(parts[2], NumberStyles.None, CultureInfo.InvariantCulture, out var offset)
            ? new InputOffset(parts[0], partition, offset)
            : throw QueryText.Invalid($"atLeast is '{text}'; give topic:partition:offset.");
    })];
}
