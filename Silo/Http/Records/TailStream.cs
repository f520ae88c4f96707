using System.Buffers;
using System.Text;
using System.Text.Json;
using System.Threading.Channels;
using Orleans.Runtime;
using OrleansStreams.Log;
using OrleansStreams.Silo.Http.Problems;

namespace OrleansStreams.Silo.Http.Records;

/// <summary>
/// Writes one event stream: a reader per partition feeds a bounded channel, one writer empties it, so a slow client slows the readers down and
/// nothing else. Events: records without a name, <c>gap</c> when retention removed records before they were read, <c>problem</c> before the stream
/// ends for an error.
/// </summary>
internal sealed class TailStream(
    IGrainFactory grains, TopicDescription topic, SortedDictionary<int, long> positions, ValueEncoding encoding, StreamsApiOptions options, TimeProvider time) : IResult
{
    private const int ChunkBytes = 256 * 1024;
    private const int ChunksAhead = 8;

    // With many partitions the ids outweigh the records: a chunk may be a hundred times its size as text, so that it is written in pieces.
    private const int TextBytes = 64 * 1024;
    private const int RetryMs = 200;

    private readonly Channel<Chunk> chunks = Channel.CreateBounded<Chunk>(new BoundedChannelOptions(ChunksAhead) { SingleReader = true });
    private readonly ArrayBufferWriter<byte> text = new(4 * 1024);

    public async Task ExecuteAsync(HttpContext http)
    {
        using var ending = FetchHandlers.StoppingToken(http);
        http.Response.ContentType = "text/event-stream; charset=utf-8";
        http.Response.Headers.CacheControl = "no-store";
        http.Response.Headers["X-Accel-Buffering"] = "no";
        var readers = new List<Task>();
        try
        {
            // A first event without data tells the client where the stream stands before any record comes.
            await SendAsync(http, $"retry: 1000\nid: {TailPositions.Format(positions)}\n: following {positions.Count} partitions\n\n", ending.Token);
            readers.AddRange(positions.Select(position => ReadPartitionAsync(position.Key, position.Value, ending.Token)));
            await WriteAsync(http, readers, ending.Token);
        }
        catch (OperationCanceledException) when (ending.IsCancellationRequested)
        {
            // The client left or the server stops; the client resumes with the last id.
        }
        finally
        {
            await ending.CancelAsync();
            chunks.Writer.TryComplete();
            await Task.WhenAll(readers).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    private async Task WriteAsync(HttpContext http, List<Task> readers, CancellationToken cancellation)
    {
        using var keepAlive = new PeriodicTimer(options.TailKeepAlive, time);
        var tick = keepAlive.WaitForNextTickAsync(cancellation).AsTask();
        while (true)
        {
            var arrival = chunks.Reader.WaitToReadAsync(cancellation).AsTask();

            // The tick comes first also when chunks never run out, as for a client that lags.
            while (tick.IsCompleted || await Task.WhenAny(arrival, tick) == tick)
            {
                await tick;
                if (!await RefreshAsync(http, readers, cancellation))
                {
                    return;
                }

                tick = keepAlive.WaitForNextTickAsync(cancellation).AsTask();
            }

            await arrival;
            while (!tick.IsCompleted && chunks.Reader.TryRead(out var chunk))
            {
                if (chunk.Problem is { } problem)
                {
                    await SendAsync(http, $"event: problem\ndata: {JsonSerializer.Serialize(problem, JsonSerializerOptions.Web)}\n\n", cancellation);
                    return;
                }

                await WriteChunkAsync(http, chunk, cancellation);
            }
        }
    }

    /// <summary>Keeps the connection alive and takes in partitions that the topic has got meanwhile; false when the topic is gone.</summary>
    private async Task<bool> RefreshAsync(HttpContext http, List<Task> readers, CancellationToken cancellation)
    {
        try
        {
            var now = await grains.GetGrain<ITopicGrain>(topic.Name).DescribeAsync();
            for (var partition = positions.Count; partition < now.PartitionCount && now.TopicId == topic.TopicId; partition++)
            {
                // All that a new partition holds came after this stream began.
                positions[partition] = 0;
                readers.Add(ReadPartitionAsync(partition, 0, cancellation));
            }

            await SendAsync(http, ": keep-alive\n\n", cancellation);
            return true;
        }
        catch (Exception exception) when (IsTransient(exception))
        {
            // The next tick asks again.
            await SendAsync(http, ": keep-alive\n\n", cancellation);
            return true;
        }
        catch (StreamsException exception)
        {
            await SendAsync(http, $"event: problem\ndata: {JsonSerializer.Serialize(ProblemFilter.Describe(exception), JsonSerializerOptions.Web)}\n\n", cancellation);
            return false;
        }
    }

    private async Task WriteChunkAsync(HttpContext http, Chunk chunk, CancellationToken cancellation)
    {
        if (chunk.From > positions[chunk.Partition])
        {
            var gap = string.Create(
                System.Globalization.CultureInfo.InvariantCulture,
                $"event: gap\ndata: {{\"partition\":{chunk.Partition},\"from\":{positions[chunk.Partition]},\"to\":{chunk.From}}}\n\n");
            positions[chunk.Partition] = chunk.From;
            text.Write(Encoding.UTF8.GetBytes(gap));
        }

        for (var isWhole = false; !isWhole;)
        {
            isWhole = WriteText(chunk);
            await http.Response.BodyWriter.WriteAsync(text.WrittenMemory, cancellation);
            text.ResetWrittenCount();
        }
    }

    /// <summary>Puts the chunk's next records into the text until that is large enough to be sent; whether these were the last.</summary>
    private bool WriteText(Chunk chunk)
    {
        using var json = new Utf8JsonWriter(text, RecordJsonWriter.WriterOptions);
        var isWhole = true;
        var (_, next) = RecordPage.Visit(chunk.Batches, positions[chunk.Partition], int.MaxValue, (in record) =>
        {
            positions[chunk.Partition] = record.Offset + 1;
            Encoding.UTF8.GetBytes($"id: {TailPositions.Format(positions)}\ndata: ", text);
            json.Reset(text);
            RecordJsonWriter.WriteRecord(json, chunk.Partition, in record, encoding);
            json.Flush();
            text.Write("\n\n"u8);
            return isWhole = text.WrittenCount < TextBytes;
        });
        positions[chunk.Partition] = next;
        return isWhole;
    }

    private async Task ReadPartitionAsync(int partition, long from, CancellationToken cancellation)
    {
        var grain = grains.GetGrain<IPartitionGrain>(new TopicPartition(topic.Name, partition).GrainKey);
        var next = from;
        try
        {
            while (true)
            {
                next = await ReadOnceAsync(grain, partition, next, cancellation);
            }
        }
        catch (OperationCanceledException) when (cancellation.IsCancellationRequested)
        {
            // The stream ends.
        }
        catch (Exception exception)
        {
            await chunks.Writer.WriteAsync(new Chunk(partition, next, default, ProblemFilter.Describe(exception)), cancellation);
        }
    }

    /// <summary>One fetch; answers where to go on. Errors that pass are waited out here, others are the caller's.</summary>
    private async Task<long> ReadOnceAsync(IPartitionGrain grain, int partition, long next, CancellationToken cancellation)
    {
        try
        {
            var result = await grain.FetchAsync(new FetchRequest(next, ChunkBytes, MinBytes: 1, options.MaxWaitMs), cancellation);
            if (!result.Batches.IsEmpty)
            {
                await chunks.Writer.WriteAsync(new Chunk(partition, next, result.Batches, null), cancellation);
                return result.NextOffset;
            }

            return next;
        }
        catch (StreamsException exception) when (exception.Code == StreamsErrorCode.OffsetOutOfRange)
        {
            return await StartAfterGapAsync(grain, next, exception, cancellation);
        }
        catch (Exception exception) when (IsTransient(exception))
        {
            await Task.Delay(TimeSpan.FromMilliseconds(RetryMs), time, cancellation);
            return next;
        }
    }

    /// <summary>Retention overtook a slow reader: it goes on at the start of the log, and the writer reports the gap.</summary>
    private async Task<long> StartAfterGapAsync(IPartitionGrain grain, long next, StreamsException outOfRange, CancellationToken cancellation)
    {
        try
        {
            var start = (await grain.GetOffsetsAsync()).LogStartOffset;
            return start > next ? start : throw new StreamsException(outOfRange.Code, outOfRange.Message, inner: outOfRange);
        }
        catch (Exception exception) when (IsTransient(exception))
        {
            // The next fetch is out of range again, and the start asked for again.
            await Task.Delay(TimeSpan.FromMilliseconds(RetryMs), time, cancellation);
            return next;
        }
    }

    /// <summary>What passes while silos come and go; the client need not notice.</summary>
    private static bool IsTransient(Exception exception) => exception is StreamsException { IsRetriable: true } or TimeoutException or OrleansException;

    private static async Task SendAsync(HttpContext http, string line, CancellationToken cancellation)
    {
        await http.Response.WriteAsync(line, cancellation);
        await http.Response.Body.FlushAsync(cancellation);
    }

    private readonly record struct Chunk(int Partition, long From, ReadOnlyMemory<byte> Batches, ProblemBody? Problem);
}
