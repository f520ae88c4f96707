using System.ComponentModel;
using System.Text.Json;
using Microsoft.AspNetCore.Mvc;
using Microsoft.Extensions.Options;
using OrleansStreams.Clients;
using OrleansStreams.Records;
using OrleansStreams.Silo.Http.Problems;
using OrleansStreams.Silo.Http.Requests;

namespace OrleansStreams.Silo.Http.Records;

/// <summary>POST /topics/{topic}/records: one record, a batch, or a stream of JSON lines.</summary>
internal static class ProduceHandlers
{
    private const string LinesType = "application/x-ndjson";

    public static void Map(IEndpointRouteBuilder routes) => routes.MapPost("/topics/{topic}/records", ProduceAsync).WithTags("Records")
        .WithSummary("Appends one record, a batch {\"records\": [...]}, or a stream of records (application/x-ndjson, a record a line).")
        .Accepts<RecordBody>("application/json", LinesType)
        .Produces<DeliveryBody[]>().Produces<DeliveryBody[]>(StatusCodes.Status202Accepted).WithProblems(400, 404, 413, 429, 503);

    private static async Task<IResult> ProduceAsync(
        string topic,
        HttpContext http,
        [FromServices] SharedProducers producers,
        [FromServices] IOptions<StreamsApiOptions> options,
        [Description("all (the default: answered when durable) or none (answered at once; may be lost).")] string? acks)
    {
        var wanted = acks switch
        {
            null or "" or "all" => Acks.All,
            "none" => Acks.None,
            _ => throw QueryText.Invalid($"acks is '{acks}'; there are all and none."),
        };
        if (http.Request.ContentType is { } type && type.StartsWith(LinesType, StringComparison.OrdinalIgnoreCase))
        {
            return Results.Ok(await new LineProduction(http, producers, options.Value, topic, wanted).RunAsync());
        }

        var items = Parse(await RequestBody.ReadBytesAsync(http, options.Value.MaxBodyBytes), options.Value.MaxBatchRecords);
        var deliveries = await SendAsync(producers, topic, wanted, items, http.RequestAborted);
        return Results.Json(deliveries, statusCode: wanted == Acks.None ? StatusCodes.Status202Accepted : StatusCodes.Status200OK);
    }

    private static List<RecordItem> Parse(ReadOnlyMemory<byte> body, int maxRecords)
    {
        JsonDocument document;
        try
        {
            document = JsonDocument.Parse(body);
        }
        catch (JsonException exception)
        {
            throw RequestBody.Invalid(exception);
        }

        using (document)
        {
            var root = document.RootElement;
            if (!TryGetRecords(root, out var records))
            {
                return [RecordJsonReader.Read(root, "The record")];
            }

            if (records.ValueKind != JsonValueKind.Array || records.GetArrayLength() == 0)
            {
                throw QueryText.Invalid("records is not an array with at least one record in it; send {\"records\": [{\"key\": ..., \"value\": ...}]}.");
            }

            if (records.GetArrayLength() > maxRecords)
            {
                throw new StreamsException(
                    StreamsErrorCode.RecordTooLarge,
                    $"The batch has {records.GetArrayLength()} records, {maxRecords} are the most; send several batches, or stream them as {LinesType}.",
                    WriteOutcome.NotWritten);
            }

            var items = new List<RecordItem>(records.GetArrayLength());
            foreach (var record in records.EnumerateArray())
            {
                items.Add(Indexed(items.Count, () => RecordJsonReader.Read(record, $"records[{items.Count}]")));
            }

            return items;
        }
    }

    private static bool TryGetRecords(JsonElement root, out JsonElement records)
    {
        records = default;
        try
        {
            return root.ValueKind == JsonValueKind.Object && root.TryGetProperty("records", out records);
        }
        catch (InvalidOperationException)
        {
            // A name that is not valid Unicode; whoever reads the body as one record says so.
            return false;
        }
    }

    private static async Task<List<DeliveryBody>> SendAsync(
        SharedProducers producers, string topic, Acks acks, List<RecordItem> items, CancellationToken cancellation)
    {
        await using var lease = await producers.RentAsync(topic, acks);

        // What can be refused is refused before the first record is sent.
        for (var i = 0; i < items.Count; i++)
        {
            var item = items[i];
            Indexed(i, () => Check(lease, item));
        }

        var pending = new List<PendingDelivery>(items.Count);
        var deliveries = new List<DeliveryBody>(items.Count);
        (int Index, StreamsException Error)? failure = null;
        try
        {
            foreach (var item in items)
            {
                pending.Add(await lease.Producer.EnqueueAsync(RecordOf(lease, item), cancellation));
            }
        }
        catch (StreamsException exception)
        {
            failure = (pending.Count, exception);
        }

        for (var i = 0; i < pending.Count; i++)
        {
            try
            {
                deliveries.Add(Body(await pending[i]));
            }
            catch (StreamsException exception)
            {
                failure = failure is { } other && other.Index < i ? failure : (i, exception);
            }
        }

        return failure is { } failed
            ? throw new RequestFailedException(failed.Error, new Dictionary<string, object?> { ["index"] = failed.Index, ["delivered"] = deliveries.Count })
            : deliveries;
    }

    /// <summary>Refuses what the partition would refuse, so that nothing of the request is written.</summary>
    internal static RecordItem Check(SharedProducers.Lease lease, in RecordItem item)
    {
        if (item.Partition >= lease.Topic.PartitionCount)
        {
            throw new StreamsException(
                StreamsErrorCode.UnknownTopicOrPartition,
                $"Topic '{lease.Topic.Name}' has no partition {item.Partition}; its partitions are 0 to {lease.Topic.PartitionCount - 1}.",
                WriteOutcome.NotWritten);
        }

        var bytes = RecordBatchHeader.Size + (long)RecordBatchBuilder.MaxRecordBytes(item.Key?.Length ?? 0, item.Value?.Length ?? 0, item.Headers);
        return bytes <= lease.Topic.Config.MaxMessageBytes
            ? item
            : throw new StreamsException(
                StreamsErrorCode.RecordTooLarge,
                $"The record needs up to {bytes} bytes, its headers included; topic '{lease.Topic.Name}' takes {lease.Topic.Config.MaxMessageBytes}; "
                + "make it smaller or raise the topic's max.message.bytes.",
                WriteOutcome.NotWritten);
    }

    internal static ProducerRecord<byte[], byte[]> RecordOf(SharedProducers.Lease lease, in RecordItem item) => new(lease.Topic.Name, item.Key, item.Value)
    {
        Partition = item.Partition,
        Timestamp = item.Timestamp,
        Headers = item.Headers.Count == 0 ? null : item.Headers,
    };

    internal static DeliveryBody Body(RecordMetadata metadata) => 
        new(metadata.Partition.Partition, metadata.Offset, metadata.Timestamp) { Duplicate = metadata.IsDuplicate };

    private static RecordItem Indexed(int index, Func<RecordItem> step)
    {
        try
        {
            return step();
        }
        catch (StreamsException exception)
        {
            throw new RequestFailedException(exception, new Dictionary<string, object?> { ["index"] = index, ["delivered"] = 0 });
        }
    }
}
