using System.ComponentModel;
using Microsoft.AspNetCore.Mvc;
using Microsoft.Extensions.Options;
using OrleansStreams.Log;
using OrleansStreams.Silo.Http.Problems;
using OrleansStreams.Silo.Http.Requests;

namespace OrleansStreams.Silo.Http.Records;

/// <summary>GET /topics/{topic}/tail: every record of every partition as server-sent events, resumable without gap or repeat.</summary>
internal static class TailHandlers
{
    public static void Map(IEndpointRouteBuilder routes) => routes.MapGet("/topics/{topic}/tail", TailAsync).WithTags("Records")
        .WithSummary("Follows all partitions as server-sent events; the id of an event holds the next offset of every partition (Last-Event-ID resumes).")
        .Produces<RecordBody>(StatusCodes.Status200OK, "text/event-stream").WithProblems(400, 404);

    private static async Task<IResult> TailAsync(
        string topic,
        HttpContext http,
        [FromServices] IGrainFactory grains,
        [FromServices] IOptions<StreamsApiOptions> options,
        [FromServices] TimeProvider time,
        [Description("earliest, latest (the default) or timestamp:T.")] string? from,
        [Description("auto (the default), base64 or json.")] string? encoding,
        [FromHeader(Name = "Last-Event-ID")] string? lastEventId)
    {
        var spec = OffsetSpec.Parse(from, OffsetKind.Latest);
        if (spec.Kind == OffsetKind.Offset)
        {
            throw QueryText.Invalid($"from is '{from}'; give earliest, latest or timestamp:T, or resume with the header Last-Event-ID: partition:offset,...");
        }

        var positions = TailPositions.Parse(lastEventId);
        var shown = RecordJsonWriter.EncodingOf(encoding);
        var description = await grains.GetGrain<ITopicGrain>(topic).DescribeAsync();
        if (positions.Keys.FirstOrDefault(number => number >= description.PartitionCount, -1) is var unknown and >= 0)
        {
            throw QueryText.Invalid($"Last-Event-ID names partition {unknown}, but the topic has {description.PartitionCount}; leave the header out to begin anew.");
        }

        // An id names every partition that there was: one that it lacks is newer, and all that it holds came after the disconnect.
        var resumes = positions.Count > 0;
        foreach (var number in Enumerable.Range(0, description.PartitionCount))
        {
            if (!positions.ContainsKey(number))
            {
                positions[number] = resumes ? 0 : await spec.ResolveAsync(grains.GetGrain<IPartitionGrain>(new TopicPartition(topic, number).GrainKey));
            }
        }

        return new TailStream(grains, description, positions, shown, options.Value, time);
    }
}

/// <summary>The positions in an event's id: <c>partition:offset,partition:offset</c>, next offsets to read.</summary>
internal static class TailPositions
{
    public static SortedDictionary<int, long> Parse(string? text)
    {
        var positions = new SortedDictionary<int, long>();
        foreach (var part in (text ?? string.Empty).Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries))
        {
            var colon = part.IndexOf(':', StringComparison.Ordinal);
            if (colon < 0
                || !int.TryParse(part.AsSpan(0, colon), System.Globalization.NumberStyles.None, null, out var partition)
                || !long.TryParse(part.AsSpan(colon + 1), System.Globalization.NumberStyles.None, null, out var offset)
                || !positions.TryAdd(partition, offset))
            {
                throw QueryText.Invalid($"Last-Event-ID is '{text}'; send back the id of the last event, or partition:offset,partition:offset.");
            }
        }

        return positions;
    }

    public static string Format(SortedDictionary<int, long> positions) =>
        string.Join(',', positions.Select(position => string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{position.Key}:{position.Value}")));
}
