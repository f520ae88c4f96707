using System.Text.Json;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core.Features;
using OrleansStreams.Clients;
using OrleansStreams.Silo.Http.Problems;

namespace OrleansStreams.Silo.Http.Records;

/// <summary>
/// Produces a streamed body, a record a line, of any length in bounded memory: reading pauses while too many records are under way. At the first bad
/// line or failed delivery it stops; the answer names the line and says how many records were written.
/// </summary>
internal sealed class LineProduction(HttpContext http, SharedProducers producers, StreamsApiOptions options, string topic, Acks acks)
{
    private const int FarewellMs = 500;

    private readonly Queue<(long Line, PendingDelivery Delivery)> pending = new();
    private readonly SortedDictionary<int, StreamedPartitionBody> partitions = [];
    private (long Line, StreamsException Error)? failure;
    private long delivered;
    private long duplicates;

    public async Task<StreamedDeliveryBody> RunAsync()
    {
        LiftLimits();
        using var ending = FetchHandlers.StoppingToken(http);
        await using var lease = await producers.RentAsync(topic, acks);
        var lines = new LineReader(http.Request.BodyReader, options.MaxLineBytes);
        var taken = 0L;
        try
        {
            while (failure is null && await lines.ReadLineAsync(ending.Token) is { } line)
            {
                if (line.AsSpan().Trim(" \t"u8).IsEmpty)
                {
                    continue;
                }

                var item = ProduceHandlers.Check(lease, Parse(line));
                pending.Enqueue((lines.LineNumber, await lease.Producer.EnqueueAsync(ProduceHandlers.RecordOf(lease, item), ending.Token)));
                taken = lines.LineNumber;
                if (pending.Count >= options.MaxPendingRecords)
                {
                    await SettleAsync();
                }
            }
        }
        catch (StreamsException exception)
        {
            failure ??= (lines.LineNumber, exception);
        }
        catch (OperationCanceledException) when (ending.IsCancellationRequested && !http.RequestAborted.IsCancellationRequested)
        {
            // The server stops. What was read is settled below, and the rest of the body not waited for.
            CloseAfterAnswer();
            failure ??= (taken + 1, new StreamsException(
                StreamsErrorCode.CoordinatorNotAvailable, "the server is stopping, and took nothing from this line on; send it and what follows again in a moment.", WriteOutcome.NotWritten));
        }

        while (pending.Count > 0)
        {
            await SettleAsync();
        }

        return failure is { } failed
            ? throw new RequestFailedException(Named(failed.Line, failed.Error), new Dictionary<string, object?> { ["line"] = failed.Line, ["delivered"] = delivered })
            : new StreamedDeliveryBody(delivered, [.. partitions.Values]) { Duplicates = duplicates };
    }

    /// <summary>A stream has no size, and a quiet source (a log that is followed) may be slow; lines are bounded instead.</summary>
    private void LiftLimits()
    {
        if (http.Features.Get<IHttpMaxRequestBodySizeFeature>() is { IsReadOnly: false } size)
        {
            size.MaxRequestBodySize = null;
        }

        if (http.Features.Get<IHttpMinRequestBodyDataRateFeature>() is { } rate)
        {
            rate.MinDataRate = null;
        }
    }

    /// <summary>
    /// Kestrel would drain the body first, and the clock of its bound for that stands still while the server stops: the stop would last as long as the sender likes. The
    /// moment before the end lets the answer be read, which a reset connection may lose.
    /// </summary>
    private void CloseAfterAnswer()
    {
        http.Response.Headers.Connection = "close";
        http.Response.OnCompleted(async () =>
        {
            await Task.Delay(FarewellMs);
            http.Abort();
        });
    }

    private async Task SettleAsync()
    {
        var (line, delivery) = pending.Dequeue();
        try
        {
            var body = ProduceHandlers.Body(await delivery);
            delivered++;
            if (body.Duplicate)
            {
                duplicates++;
                return;
            }

            var before = partitions.GetValueOrDefault(body.Partition) ?? new StreamedPartitionBody(body.Partition, 0, body.Offset, body.Offset);
            partitions[body.Partition] = before with { Records = before.Records + 1, LastOffset = body.Offset };
        }
        catch (StreamsException exception)
        {
            failure = failure is { } other && other.Line < line ? failure : (line, exception);
        }
    }

    private static RecordItem Parse(byte[] line)
    {
        try
        {
            using var document = JsonDocument.Parse(line);
            return RecordJsonReader.Read(document.RootElement, "the record");
        }
        catch (JsonException exception)
        {
            throw new StreamsException(StreamsErrorCode.InvalidRequest, $"the line is not valid JSON: {exception.Message}", WriteOutcome.NotWritten, exception);
        }
    }

    private static StreamsException Named(long line, StreamsException error) =>
        error.Message.StartsWith("Line ", StringComparison.Ordinal) ? error : new(error.Code, $"Line {line}: {error.Message}", error.Outcome, error);
}
