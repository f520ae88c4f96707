using System.ComponentModel;
using Microsoft.AspNetCore.Mvc;
using Microsoft.Extensions.Options;
using OrleansStreams.Log;
using OrleansStreams.Silo.Http.Problems;
using OrleansStreams.Silo.Http.Requests;

namespace OrleansStreams.Silo.Http.Topics;

/// <summary>/topics: list, create, describe, change, delete; deletion of old records.</summary>
internal static class TopicHandlers
{
    private const int AlterAttemptsMax = 20;

    public static void Map(IEndpointRouteBuilder routes)
    {
        var topics = routes.MapGroup("/topics").WithTags("Topics");
        topics.MapGet("/", ListAsync).WithSummary("Lists the topics.").Produces<TopicListBody>();
        topics.MapPost("/", CreateAsync).WithSummary("Creates a topic.").Accepts<CreateTopicBody>("application/json")
            .Produces<TopicBody>(StatusCodes.Status201Created).WithProblems(400, 409);
        topics.MapGet("/{topic}", DescribeAsync).WithSummary("Describes a topic with the offsets of its partitions.").Produces<TopicBody>().WithProblems(404);
        topics.MapPatch("/{topic}", AlterAsync).WithSummary("Raises the number of partitions, changes configuration, or both.")
            .Accepts<AlterTopicBody>("application/json").Produces<TopicBody>().WithProblems(400, 404);
        topics.MapDelete("/{topic}", DeleteAsync).WithSummary("Deletes a topic and its records.").Produces(StatusCodes.Status204NoContent).WithProblems(404);
        topics.MapDelete("/{topic}/partitions/{partition}/records", DeleteRecordsAsync).WithSummary("Deletes a partition's records below an offset.")
            .Produces<DeletedRecordsBody>().WithProblems(400, 404, 416);
    }

    private static async Task<IResult> ListAsync([FromServices] IGrainFactory grains)
    {
        var names = await grains.GetGrain<ITopicDirectoryGrain>(ITopicDirectoryGrain.Key).ListAsync();
        var topics = await BoundedCalls.AllAsync(names, name => SummaryAsync(grains, name));
        return Results.Ok(new TopicListBody([.. topics.OfType<TopicSummary>()]));
    }

    /// <summary>The topic, or null when it was deleted since it was listed.</summary>
    private static async Task<TopicSummary?> SummaryAsync(IGrainFactory grains, string name)
    {
        try
        {
            var topic = await grains.GetGrain<ITopicGrain>(name).DescribeAsync();
            return new TopicSummary(topic.Name, topic.TopicId, topic.PartitionCount);
        }
        catch (StreamsException exception) when (exception.Code == StreamsErrorCode.UnknownTopicOrPartition)
        {
            return null;
        }
    }

    private static async Task<IResult> CreateAsync(HttpContext http, [FromServices] IGrainFactory grains, [FromServices] IOptions<StreamsApiOptions> options)
    {
        var body = await RequestBody.ReadAsync<CreateTopicBody>(http, options.Value.MaxBodyBytes);
        if (string.IsNullOrWhiteSpace(body.Name))
        {
            throw new StreamsException(StreamsErrorCode.InvalidTopic, "The body has no name; send {\"name\": \"my-topic\", \"partitions\": 4}.", WriteOutcome.NotWritten);
        }

        var topic = await grains.GetGrain<ITopicGrain>(body.Name).CreateAsync(body.Partitions ?? 1, TopicConfigText.Apply(TopicConfig.Default, body.Config));
        return Results.Created($"/topics/{Uri.EscapeDataString(topic.Name)}", await WithOffsetsAsync(grains, topic));
    }

    private static async Task<IResult> DescribeAsync(string topic, [FromServices] IGrainFactory grains) =>
        Results.Ok(await WithOffsetsAsync(grains, await grains.GetGrain<ITopicGrain>(topic).DescribeAsync()));

    private static async Task<IResult> AlterAsync(
        string topic, HttpContext http, [FromServices] IGrainFactory grains, [FromServices] IOptions<StreamsApiOptions> options)
    {
        var body = await RequestBody.ReadAsync<AlterTopicBody>(http, options.Value.MaxBodyBytes);
        if (body.Partitions is null && body.Config is null)
        {
            throw QueryText.Invalid("The body changes nothing; send partitions, config or both.");
        }

        var grain = grains.GetGrain<ITopicGrain>(topic);
        for (var attempt = 0; attempt < AlterAttemptsMax; attempt++)
        {
            var before = await grain.DescribeAsync();
            var config = body.Config is null ? null : TopicConfigText.Apply(before.Config, body.Config);
            if (await grain.AlterAsync(new TopicAlteration(body.Partitions, config, config is null ? null : before.Config)) is { } after)
            {
                return Results.Ok(await WithOffsetsAsync(grains, after));
            }

            // Somebody has changed other values since: theirs stay, and these are put on top.
        }

        throw new StreamsException(StreamsErrorCode.CoordinatorNotAvailable, $"Many change topic '{topic}' at once; nothing of this change was made. Try again.", WriteOutcome.NotWritten);
    }

    private static async Task<IResult> DeleteAsync(string topic, [FromServices] IGrainFactory grains)
    {
        await grains.GetGrain<ITopicGrain>(topic).DeleteAsync();
        return Results.NoContent();
    }

    private static async Task<IResult> DeleteRecordsAsync(
        string topic, string partition, [Description("The first offset to keep, or latest to delete all records.")] string? before, [FromServices] IGrainFactory grains)
    {
        var spec = OffsetSpec.Parse(before ?? throw QueryText.Invalid("Give before=OFFSET, the first offset to keep, or before=latest."), OffsetKind.Offset);
        var key = new TopicPartition(topic, QueryText.Partition(partition));
        var grain = grains.GetGrain<IPartitionGrain>(key.GrainKey);
        var start = await grain.DeleteRecordsAsync(await spec.ResolveAsync(grain));
        return Results.Ok(new DeletedRecordsBody(topic, key.Partition, start));
    }

    private static async Task<TopicBody> WithOffsetsAsync(IGrainFactory grains, TopicDescription topic)
    {
        var partitions = await BoundedCalls.AllAsync(
            [.. Enumerable.Range(0, topic.PartitionCount)],
            async number =>
            {
                var offsets = await grains.GetGrain<IPartitionGrain>(new TopicPartition(topic.Name, number).GrainKey).GetOffsetsAsync();
                return new PartitionBody(number, offsets.LogStartOffset, offsets.HighWatermark, offsets.LogEndOffset, offsets.SizeBytes, offsets.LeaderEpoch);
            });
        return new TopicBody(topic.Name, topic.TopicId, TopicConfigText.Write(topic.Config), partitions);
    }
}
