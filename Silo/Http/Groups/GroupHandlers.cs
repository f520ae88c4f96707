using System.Collections.Immutable;
using System.Text.Json;
using Microsoft.AspNetCore.Mvc;
using Microsoft.Extensions.Options;
using OrleansStreams.Groups;
using OrleansStreams.Log;
using OrleansStreams.Silo.Http.Problems;
using OrleansStreams.Silo.Http.Requests;

namespace OrleansStreams.Silo.Http.Groups;

/// <summary>/groups: list, describe with lag, delete, reset.</summary>
internal static class GroupHandlers
{
    public static void Map(IEndpointRouteBuilder routes)
    {
        var groups = routes.MapGroup("/groups").WithTags("Groups");
        groups.MapGet("/", ListAsync).WithSummary("Lists the consumer groups.").Produces<GroupListBody>();
        groups.MapGet("/{group}", DescribeAsync).WithSummary("Describes a group: members, committed offsets, lag.").Produces<GroupBody>().WithProblems(404);
        groups.MapDelete("/{group}", DeleteAsync).WithSummary("Deletes a group without members and its offsets.")
            .Produces(StatusCodes.Status204NoContent).WithProblems(404, 409);
        groups.MapPost("/{group}/reset", ResetAsync).WithSummary("Sets a group's offsets; the group must have no members.")
            .Accepts<ResetBody>("application/json").Produces<CommittedOffsetsBody>().WithProblems(400, 404, 409, 416);
    }

    private static async Task<IResult> ListAsync([FromServices] IGrainFactory grains)
    {
        var ids = await grains.GetGrain<IGroupDirectoryGrain>(IGroupDirectoryGrain.Key).ListAsync();
        var groups = await BoundedCalls.AllAsync(ids, id => SummaryAsync(grains, id));
        return Results.Ok(new GroupListBody([.. groups.OfType<GroupSummary>()]));
    }

    /// <summary>The group, or null when it was deleted since it was listed.</summary>
    private static async Task<GroupSummary?> SummaryAsync(IGrainFactory grains, string id)
    {
        try
        {
            var group = await grains.GetGrain<IConsumerGroupGrain>(id).DescribeAsync();
            return new GroupSummary(id, group.State, group.Members.Length, group.Generation);
        }
        catch (StreamsException exception) when (exception.Code == StreamsErrorCode.GroupIdNotFound)
        {
            return null;
        }
    }

    private static async Task<IResult> DescribeAsync(string group, [FromServices] IGrainFactory grains)
    {
        var description = await grains.GetGrain<IConsumerGroupGrain>(group).DescribeAsync();
        var committed = description.Offsets.ToDictionary(offset => offset.Partition);
        var owners = description.Members.SelectMany(member => member.Owned.Select(partition => (partition, member.MemberId)))
            .DistinctBy(owner => owner.partition).ToDictionary(owner => owner.partition, owner => owner.MemberId);
        var offsets = await BoundedCalls.AllAsync(
            [.. committed.Keys.Union(owners.Keys).Order()],
            partition => LagAsync(grains, partition, committed.GetValueOrDefault(partition), owners.GetValueOrDefault(partition)));
        return Results.Ok(new GroupBody(
            description.GroupId,
            description.State,
            description.Generation,
            description.Assignor == AssignorKind.Range ? "range" : "sticky",
            [.. description.Members.Select(Member)],
            offsets,
            offsets.Sum(offset => offset.Lag ?? 0)));
    }

    private static GroupMemberBody Member(GroupMemberDescription member) => new(
        member.MemberId,
        member.ClientId,
        member.MemberEpoch,
        member.Topics,
        [.. member.Owned.Select(PartitionRef.Of)],
        [.. member.Target.Select(PartitionRef.Of)]);

    private static async Task<GroupOffsetBody> LagAsync(IGrainFactory grains, TopicPartition partition, CommittedOffset? committed, string? memberId)
    {
        try
        {
            var log = await grains.GetGrain<IPartitionGrain>(partition.GrainKey).GetOffsetsAsync();
            var lag = committed is null ? (long?)null : Math.Max(0, log.HighWatermark - Math.Max(committed.Offset, log.LogStartOffset));
            return new GroupOffsetBody(
                partition.Topic, partition.Partition, committed?.Offset, log.LogStartOffset, log.HighWatermark, lag, memberId, committed?.Metadata);
        }
        catch (StreamsException exception) when (exception.Code == StreamsErrorCode.UnknownTopicOrPartition)
        {
            return new GroupOffsetBody(partition.Topic, partition.Partition, committed?.Offset, null, null, null, memberId, committed?.Metadata);
        }
    }

    private static async Task<IResult> DeleteAsync(string group, [FromServices] IGrainFactory grains)
    {
        await grains.GetGrain<IConsumerGroupGrain>(group).DeleteAsync();
        return Results.NoContent();
    }

    private static async Task<IResult> ResetAsync(string group, HttpContext http, [FromServices] IGrainFactory grains, [FromServices] IOptions<StreamsApiOptions> options)
    {
        var body = await RequestBody.ReadAsync<ResetBody>(http, options.Value.MaxBodyBytes);
        if (string.IsNullOrWhiteSpace(body.Topic))
        {
            throw QueryText.Invalid("The body has no topic; send {\"topic\": \"my-topic\", \"to\": \"earliest\"}.");
        }

        var spec = SpecOf(body);
        var topic = await grains.GetGrain<ITopicGrain>(body.Topic).DescribeAsync();
        if (body.Partition is { } one && (one < 0 || one >= topic.PartitionCount))
        {
            throw new StreamsException(
                StreamsErrorCode.UnknownTopicOrPartition, $"Topic '{topic.Name}' has no partition {one}; its partitions are 0 to {topic.PartitionCount - 1}.", WriteOutcome.NotWritten);
        }

        var numbers = body.Partition is { } number ? [number] : Enumerable.Range(0, topic.PartitionCount).ToArray();
        var offsets = await BoundedCalls.AllAsync(numbers, partition => TargetAsync(grains, new TopicPartition(topic.Name, partition), spec));
        await grains.GetGrain<IConsumerGroupGrain>(group).ResetOffsetsAsync([.. offsets]);
        return Results.Ok(new CommittedOffsetsBody([.. offsets.Select(GroupMemberHandlers.Body)]));
    }

    private static OffsetSpec SpecOf(ResetBody body) => body.To switch
    {
        "earliest" => new OffsetSpec(OffsetKind.Earliest, 0),
        "latest" => new OffsetSpec(OffsetKind.Latest, 0),
        "offset" when body.Offset is { } offset && body.Partition is not null => new OffsetSpec(OffsetKind.Offset, offset),
        "offset" => throw QueryText.Invalid("To reset to an offset, send offset and partition; offsets of different partitions have nothing in common."),
        "timestamp" when body.Timestamp is { ValueKind: JsonValueKind.Number or JsonValueKind.String } time =>
            new OffsetSpec(OffsetKind.Timestamp, QueryText.Time("timestamp", time.ToString())),
        "timestamp" => throw QueryText.Invalid("To reset to a timestamp, send timestamp: ms since 1970 or ISO 8601."),
        _ => throw QueryText.Invalid($"to is '{body.To}'; there are earliest, latest, offset and timestamp."),
    };

    private static async Task<CommittedOffset> TargetAsync(IGrainFactory grains, TopicPartition partition, OffsetSpec spec)
    {
        var grain = grains.GetGrain<IPartitionGrain>(partition.GrainKey);
        var target = await spec.ResolveAsync(grain);
        var log = await grain.GetOffsetsAsync();
        return target >= log.LogStartOffset && target <= log.HighWatermark
            ? new CommittedOffset(partition, target)
            : throw new StreamsException(
                StreamsErrorCode.OffsetOutOfRange,
                $"Offset {target} is not in {partition}, which holds {log.LogStartOffset} to {log.HighWatermark}; nothing was reset.",
                WriteOutcome.NotWritten);
    }
}
