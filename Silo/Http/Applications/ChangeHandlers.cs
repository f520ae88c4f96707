using System.ComponentModel;
using System.Globalization;
using Microsoft.AspNetCore.Mvc;
using Microsoft.Extensions.Options;
using OrleansStreams.Processing;
using OrleansStreams.Silo.Http.Problems;
using OrleansStreams.Silo.Http.Requests;

namespace OrleansStreams.Silo.Http.Applications;

/// <summary>GET /apps/{app}/stores/{store}/changes: a store's rows and then its committed changes as server-sent events.</summary>
internal static class ChangeHandlers
{
    public static void Map(IEndpointRouteBuilder routes) => routes.MapGet("/apps/{app}/stores/{store}/changes", ChangesAsync).WithTags("Applications")
        .WithSummary("A store's rows, then its committed changes, as server-sent events: row, delete, reset (forget a partition's rows, they come anew), current (all rows of a partition have come), end. The id holds the commit of each partition (Last-Event-ID resumes).")
        .Produces<StoreEventBody>(StatusCodes.Status200OK, "text/event-stream").WithProblems(400, 404, 409);

    private static async Task<IResult> ChangesAsync(
        string app,
        string store,
        [FromServices] IGrainFactory grains,
        [FromServices] IOptions<StreamsApiOptions> options,
        [FromServices] TimeProvider time,
        [Description("The only key wanted; all of them when absent.")] string? key,
        [Description("How the key is written: utf8 (the default), base64, int32 or int64.")] string? keyEncoding,
        [FromHeader(Name = "Last-Event-ID")] string? lastEventId)
    {
        var only = key is null ? default(ReadOnlyMemory<byte>?) : StoredBytes.KeyOf(nameof(key), key, keyEncoding);
        var place = await grains.GetGrain<IStreamApplicationGrain>(app).LocateAsync(store, only);
        return new ChangeStream(grains, app, store, only, place, ChangePositions.Parse(lastEventId, place.Application), options.Value, time);
    }
}

/// <summary>The versions in an event's id: <c>application;task:incarnation.commit,task:incarnation.commit</c>. A task that is not in it begins with all its rows.</summary>
internal static class ChangePositions
{
    /// <summary>Reads an id; one of another application, which an alias stood for, says nothing about this one.</summary>
    public static SortedDictionary<string, StoreVersion> Parse(string? text, string application)
    {
        var versions = new SortedDictionary<string, StoreVersion>(StringComparer.Ordinal);
        if (string.IsNullOrEmpty(text))
        {
            return versions;
        }

        var parts = text.Split(';');
        if (parts.Length != 2)
        {
            throw Wrong(text);
        }

        foreach (var part in parts[1].Split(',', StringSplitOptions.RemoveEmptyEntries))
        {
            var fields = part.Split(':', '.');
            if (fields.Length != 3
                || !long.TryParse(fields[1], NumberStyles.None, CultureInfo.InvariantCulture, out var incarnation)
                || !long.TryParse(fields[2], NumberStyles.None, CultureInfo.InvariantCulture, out var commit)
                || !versions.TryAdd(fields[0], new StoreVersion(incarnation, commit)))
            {
                throw Wrong(text);
            }
        }

        if (parts[0] != application)
        {
            versions.Clear();
        }

        return versions;
    }

    public static string Format(string application, SortedDictionary<string, StoreVersion> versions) =>
        $"{application};{string.Join(',', versions.Select(version => string.Create(CultureInfo.InvariantCulture, $"{version.Key}:{version.Value.Incarnation}.{version.Value.Commit}")))}";

    private static StreamsException Wrong(string text) => QueryText.Invalid($"Last-Event-ID is '{text}'; send back the id of the last event, or leave the header out to begin anew.");
}
