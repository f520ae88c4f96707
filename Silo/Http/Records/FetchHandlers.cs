using System.Buffers;
using System.ComponentModel;
using System.Text.Json;
using Microsoft.AspNetCore.Mvc;
using Microsoft.Extensions.Options;
using OrleansStreams.Log;
using OrleansStreams.Silo.Http.Problems;
using OrleansStreams.Silo.Http.Requests;

namespace OrleansStreams.Silo.Http.Records;

/// <summary>GET /topics/{topic}/records: a page of one partition, with long poll.</summary>
internal static class FetchHandlers
{
    private const int LimitAbsent = 100;

    public static void Map(IEndpointRouteBuilder routes) => routes.MapGet("/topics/{topic}/records", FetchAsync).WithTags("Records")
        .WithSummary("Reads records of a partition from an offset on; nextOffset is where to go on.").Produces<FetchBody>().WithProblems(400, 404, 416);

    private static async Task<IResult> FetchAsync(
        string topic,
        HttpContext http,
        [FromServices] IGrainFactory grains,
        [FromServices] IOptions<StreamsApiOptions> options,
        [Description("The partition's number; GET /topics/{topic}/tail reads all of them.")] string? partition,
        [Description("A number, earliest (the default), latest or timestamp:T, T in ms since 1970 or ISO 8601.")] string? offset,
        [Description("The most records to answer, 100 when absent.")] string? limit,
        [Description("The ms to wait when there is nothing yet, 0 when absent.")] string? maxWaitMs,
        [Description("auto (UTF-8 strings, else base64; the default), base64 or json.")] string? encoding)
    {
        var bounds = options.Value;
        var key = new TopicPartition(topic, QueryText.Partition(
            partition ?? throw QueryText.Invalid($"Give partition=N; GET /topics/{topic}/tail reads all partitions.")));
        var spec = OffsetSpec.Parse(offset, OffsetKind.Earliest);
        var wanted = QueryText.Int(nameof(limit), limit, LimitAbsent, 1, bounds.MaxFetchRecords);
        var wait = QueryText.Int(nameof(maxWaitMs), maxWaitMs, 0, 0, bounds.MaxWaitMs);
        var shown = RecordJsonWriter.EncodingOf(encoding);
        using var stopping = StoppingToken(http);
        var grain = grains.GetGrain<IPartitionGrain>(key.GrainKey);
        var start = await spec.ResolveAsync(grain);

        var buffer = new ArrayBufferWriter<byte>(16 * 1024);
        await using var writer = new Utf8JsonWriter(buffer, RecordJsonWriter.WriterOptions);
        writer.WriteStartObject();
        writer.WriteString("topic"u8, topic);
        writer.WriteNumber("partition"u8, key.Partition);
        writer.WriteStartArray("records"u8);
        var (next, last) = await WriteRecordsAsync(grain, writer, new Page(key.Partition, start, wanted, bounds.MaxFetchBytes, wait, shown), stopping.Token);
        writer.WriteEndArray();
        writer.WriteNumber("nextOffset"u8, next);
        writer.WriteNumber("highWatermark"u8, last.HighWatermark);
        writer.WriteNumber("logStartOffset"u8, last.LogStartOffset);
        writer.WriteEndObject();
        await writer.FlushAsync(CancellationToken.None);
        return Results.Bytes(buffer.WrittenMemory, "application/json; charset=utf-8");
    }

    /// <summary>A token that ends long polls when the server stops or the client leaves.</summary>
    internal static CancellationTokenSource StoppingToken(HttpContext http) => CancellationTokenSource.CreateLinkedTokenSource(
        http.RequestAborted, http.RequestServices.GetRequiredService<IHostApplicationLifetime>().ApplicationStopping);

    private static async Task<(long NextOffset, FetchResult Last)> WriteRecordsAsync(IPartitionGrain grain, Utf8JsonWriter writer, Page page, CancellationToken cancellation)
    {
        var next = page.Start;
        var left = page.Limit;
        var bytes = page.MaxBytes;
        var wait = page.WaitMs;
        while (true)
        {
            var result = await grain.FetchAsync(new FetchRequest(next, bytes, MinBytes: 1, wait), cancellation);
            var (count, reached) = RecordPage.Visit(
                result.Batches,
                next,
                left,
                (in record) =>
                {
                    RecordJsonWriter.WriteRecord(writer, page.Partition, in record, page.Encoding);
                    return true;
                });
            var stopped = reached == next || reached >= result.HighWatermark;
            next = reached;
            left -= count;
            bytes -= result.Batches.Length;

            // A page full of control batches holds nothing to show; go on, without waiting again.
            wait = count > 0 ? 0 : wait;
            if (left == 0 || bytes <= 0 || stopped)
            {
                return (next, result);
            }
        }
    }

    private readonly record struct Page(int Partition, long Start, int Limit, int MaxBytes, int WaitMs, ValueEncoding Encoding);
}

/// <summary>A page of records, as the OpenAPI document shows it.</summary>
internal sealed record FetchBody(string Topic, int Partition, IReadOnlyList<RecordBody> Records, long NextOffset, long HighWatermark, long LogStartOffset);

/// <summary>A record as JSON; keyEncoding and valueEncoding (base64, json) are left out for plain strings.</summary>
internal sealed record RecordBody(
    int? Partition, long? Offset, long? Timestamp, object? Key, string? KeyEncoding, object? Value, string? ValueEncoding, IReadOnlyList<HeaderBody>? Headers);

/// <summary>A header as JSON.</summary>
internal sealed record HeaderBody(string Key, string? Value, string? Encoding);
