using System.ComponentModel;
using Microsoft.AspNetCore.Mvc;
using Microsoft.Extensions.Options;
using OrleansStreams.Groups;
using OrleansStreams.Log;
using OrleansStreams.Silo.Http.Problems;
using OrleansStreams.Silo.Http.Requests;

namespace OrleansStreams.Silo.Http.Groups;

/// <summary>Group membership over HTTP, thin over the group grain: heartbeat, commit, committed offsets, leave.</summary>
internal static class GroupMemberHandlers
{
    public static void Map(IEndpointRouteBuilder routes)
    {
        var groups = routes.MapGroup("/groups/{group}").WithTags("Groups");
        groups.MapPost("/heartbeat", HeartbeatAsync).WithSummary("Joins a group, stays in it, acknowledges what was revoked.")
            .Accepts<HeartbeatBody>("application/json").Produces<AssignmentBody>().WithProblems(400, 404, 409);
        groups.MapPost("/offsets", CommitAsync).WithSummary("Commits offsets, all or none.").Accepts<CommitBody>("application/json")
            .Produces(StatusCodes.Status204NoContent).WithProblems(400, 409);
        groups.MapGet("/offsets", OffsetsAsync).WithSummary("The committed offsets.").Produces<CommittedOffsetsBody>().WithProblems(400);
        groups.MapDelete("/members/{member}", LeaveAsync).WithSummary("Leaves the group at once.").Produces(StatusCodes.Status204NoContent);
    }

    public static CommittedOffsetBody Body(CommittedOffset offset) => new(offset.Partition.Topic, offset.Partition.Partition, offset.Offset, offset.Metadata);

    private static async Task<IResult> HeartbeatAsync(
        string group, HttpContext http, [FromServices] IGrainFactory grains, [FromServices] IOptions<StreamsApiOptions> options)
    {
        var body = await RequestBody.ReadAsync<HeartbeatBody>(http, options.Value.MaxBodyBytes);
        if (string.IsNullOrEmpty(body.MemberId) || body.MemberEpoch is not { } memberEpoch)
        {
            throw QueryText.Invalid("A heartbeat has a memberId and a memberEpoch: 0 to join, then the one of the last answer.");
        }

        if (body.Topics is not { Count: > 0 } || body.Topics.Any(string.IsNullOrWhiteSpace) || body.Owned?.Any(IsIncomplete) == true)
        {
            throw QueryText.Invalid("A heartbeat has at least one of topics, and owned partitions with a topic and a partition number.");
        }

        var answer = await grains.GetGrain<IConsumerGroupGrain>(group).HeartbeatAsync(new GroupHeartbeat(
            body.MemberId,
            memberEpoch,
            body.ClientId ?? "http",
            [.. body.Topics],
            [.. (body.Owned ?? []).Select(owned => new TopicPartition(owned.Topic!, owned.Partition!.Value))],
            body.SessionTimeoutMs,
            body.Assignor));
        return Results.Ok(new AssignmentBody(answer.MemberEpoch, answer.Generation, [.. answer.Assigned.Select(PartitionRef.Of)], answer.HeartbeatIntervalMs));
    }

    private static async Task<IResult> CommitAsync(string group, HttpContext http, [FromServices] IGrainFactory grains, [FromServices] IOptions<StreamsApiOptions> options)
    {
        var body = await RequestBody.ReadAsync<CommitBody>(http, options.Value.MaxBodyBytes);
        if (body.Offsets is not { Count: > 0 } || body.Offsets.Any(offset => offset is null || string.IsNullOrWhiteSpace(offset.Topic) || offset.Partition is null || offset.Offset is null))
        {
            throw QueryText.Invalid("A commit has offsets, each with topic, partition and offset. Nothing was committed.");
        }

        if (body.Offsets.FirstOrDefault(offset => offset.Offset < 0 || offset.Partition < 0) is { } negative)
        {
            throw new StreamsException(
                StreamsErrorCode.OffsetOutOfRange,
                $"Offset {negative.Offset} of {negative.Topic}-{negative.Partition} is not one; offsets and partitions begin at 0. Nothing was committed.",
                WriteOutcome.NotWritten);
        }

        await grains.GetGrain<IConsumerGroupGrain>(group).CommitOffsetsAsync(new CommitOffsetsRequest(
            body.MemberId ?? string.Empty,
            body.MemberEpoch ?? -1,
            [.. body.Offsets.Select(offset => new CommittedOffset(new TopicPartition(offset.Topic!, offset.Partition!.Value), offset.Offset!.Value, offset.Metadata))]));
        return Results.NoContent();
    }

    private static async Task<IResult> OffsetsAsync(string group, [FromServices] IGrainFactory grains, [Description("Only this topic's offsets.")] string? topic)
    {
        var offsets = await grains.GetGrain<IConsumerGroupGrain>(group).FetchOffsetsAsync([]);
        return Results.Ok(new CommittedOffsetsBody(
            [.. offsets.Where(offset => string.IsNullOrEmpty(topic) || offset.Partition.Topic == topic).OrderBy(offset => offset.Partition).Select(Body)]));
    }

    private static async Task<IResult> LeaveAsync(string group, string member, [FromServices] IGrainFactory grains)
    {
        await grains.GetGrain<IConsumerGroupGrain>(group).LeaveAsync(member);
        return Results.NoContent();
    }

    private static bool IsIncomplete(OwnedPartition? partition) => partition is not { Partition: >= 0 } || string.IsNullOrWhiteSpace(partition.Topic);
}
