using System.Buffers;
using System.Diagnostics.Metrics;
using System.Text;
using System.Text.Json;
using System.Threading.Channels;
using OrleansStreams.Processing;
using OrleansStreams.Silo.Http.Problems;
using OrleansStreams.Silo.Http.Records;

namespace OrleansStreams.Silo.Http.Applications;

/// <summary>
/// Writes one stream of a store's changes: a reader per task fills a bounded channel, one writer empties it. A client that takes nothing for <see cref="StreamsApiOptions.SlowClientPatience"/>
/// while the channel is full is told so by an <c>end</c> event and dropped: its connection, not the server's memory, pays for it, and it resumes with its last id.
/// </summary>
internal sealed class ChangeStream(
    IGrainFactory grains,
    string name,
    string store,
    ReadOnlyMemory<byte>? key,
    StorePlace place,
    SortedDictionary<string, StoreVersion> versions,
    StreamsApiOptions options,
    TimeProvider time) : IResult
{
    private static readonly Counter<long> s_dropped = new Meter(Metrics.MetricsCollector.MeterName).CreateCounter<long>("streams.changes.clients.dropped", description: "Clients that followed a store and were dropped because they took nothing.");

    private const int ChunksAhead = 2;
    private const int PageRows = 1_000;
    private const int RetryMs = 200;

    private static readonly StreamsErrorCode[] s_ends = [StreamsErrorCode.ApplicationNotRunning, StreamsErrorCode.ApplicationNotFound];

    private readonly Channel<Chunk> _chunks = Channel.CreateBounded<Chunk>(new BoundedChannelOptions(ChunksAhead) { SingleReader = true });
    private readonly TaskCompletionSource _slow = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public async Task ExecuteAsync(HttpContext http)
    {
        using var ending = FetchHandlers.StoppingToken(http);
        using var reading = CancellationTokenSource.CreateLinkedTokenSource(ending.Token);
        http.Response.ContentType = "text/event-stream; charset=utf-8";
        http.Response.Headers.CacheControl = "no-store";
        http.Response.Headers["X-Accel-Buffering"] = "no";
        var readers = new List<Task>();
        try
        {
            var first = $"retry: 1000\nid: {ChangePositions.Format(place.Application, versions)}\n: following {place.Tasks.Length} partitions of {place.Application}\n\n";
            await WriteAsync(http, Encoding.UTF8.GetBytes(first), ending.Token);
            readers.AddRange(place.Tasks.Select(task => ReadTaskAsync(task, versions.GetValueOrDefault(task), reading.Token)));
            await RunAsync(http, ending.Token);
        }
        catch (OperationCanceledException) when (_slow.Task.IsCompleted && !ending.IsCancellationRequested)
        {
            // Behind what is buffered already; the server sends it as far as the client still reads.
            s_dropped.Add(1);
            http.Response.BodyWriter.Write(End("slow", $"The client took nothing for {options.SlowClientPatience.TotalSeconds:0.#} s; connect again with the last id."));
        }
        catch (OperationCanceledException) when (ending.IsCancellationRequested)
        {
            // The client left or the server stops; the client resumes with the last id.
        }
        finally
        {
            await reading.CancelAsync();
            _chunks.Writer.TryComplete();
            await Task.WhenAll(readers).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    private async Task RunAsync(HttpContext http, CancellationToken cancellation)
    {
        using var keepAlive = new PeriodicTimer(options.TailKeepAlive, time);
        var tick = keepAlive.WaitForNextTickAsync(cancellation).AsTask();
        while (true)
        {
            var arrival = _chunks.Reader.WaitToReadAsync(cancellation).AsTask();
            while (tick.IsCompleted || await Task.WhenAny(arrival, tick) == tick)
            {
                await tick;
                if (await EndedAsync() is { } end)
                {
                    await WriteAsync(http, end, cancellation);
                    return;
                }

                await WriteAsync(http, ": keep-alive\n\n"u8.ToArray(), cancellation);
                tick = keepAlive.WaitForNextTickAsync(cancellation).AsTask();
            }

            await arrival;
            while (!tick.IsCompleted && _chunks.Reader.TryRead(out var chunk))
            {
                await WriteAsync(http, TextOf(chunk), cancellation);
                if (chunk.End is not null)
                {
                    return;
                }
            }
        }
    }

    /// <summary>What ends the stream: an alias that was switched, an application that was stopped. Null when nothing does, or it is not known now.</summary>
    private async Task<byte[]?> EndedAsync()
    {
        try
        {
            var now = await grains.GetGrain<IStreamApplicationGrain>(name).LocateAsync(store, key);
            return now.Application == place.Application ? null : End("switched", $"'{name}' is '{now.Application}' now; connect again.");
        }
        catch (StreamsException error) when (!error.IsRetriable)
        {
            return EndOf(error);
        }
        catch (Exception error) when (IsTransient(error))
        {
            // The next tick asks again.
            return null;
        }
    }

    private byte[] TextOf(Chunk chunk)
    {
        if (chunk.End is { } end)
        {
            return end;
        }

        // An id stands for all that came before it: that of a chunk's version belongs to its last event alone.
        var text = new MemoryStream();
        var partition = int.Parse(chunk.Task.AsSpan(chunk.Task.IndexOf('_', StringComparison.Ordinal) + 1), System.Globalization.CultureInfo.InvariantCulture);
        var before = ChangePositions.Format(place.Application, versions);
        if (chunk.Version is { } version)
        {
            versions[chunk.Task] = version;
        }
        else
        {
            versions.Remove(chunk.Task);
            before = ChangePositions.Format(place.Application, versions);
        }

        if (chunk.Changes.Count == 0 || chunk.Event is not null)
        {
            Append(text, ChangePositions.Format(place.Application, versions), chunk.Event ?? "current", new { partition });
        }

        for (var at = 0; at < chunk.Changes.Count; at++)
        {
            var id = at == chunk.Changes.Count - 1 ? ChangePositions.Format(place.Application, versions) : before;
            var change = chunk.Changes[at];
            var row = StoredBytes.Row(change.Row, chunk.KeySerde, chunk.ValueSerde);
            Append(text, id, change.IsDeleted ? "delete" : "row", StoreEventBody.Of(partition, row, change.IsDeleted, chunk.Version?.Commit));
        }

        return text.ToArray();
    }

    private static void Append(MemoryStream text, string id, string name, object data)
    {
        text.Write(Encoding.UTF8.GetBytes($"id: {id}\nevent: {name}\ndata: "));
        JsonSerializer.Serialize(text, data, data.GetType(), JsonSerializerOptions.Web);
        text.Write("\n\n"u8);
    }

    /// <summary>Reads one task's rows and changes. Errors that pass are waited out; what ends the application ends the stream.</summary>
    private async Task ReadTaskAsync(string task, StoreVersion? since, CancellationToken cancellation)
    {
        var grain = grains.GetGrain<IStreamTaskGrain>($"{place.Application}/{task}");
        try
        {
            while (true)
            {
                try
                {
                    since = since is null ? await ReadRowsAsync(grain, task, cancellation) : await ReadChangesAsync(grain, task, since, cancellation);
                }
                catch (Exception error) when (IsTransient(error))
                {
                    await Task.Delay(TimeSpan.FromMilliseconds(RetryMs), time, cancellation);
                }
            }
        }
        catch (OperationCanceledException) when (cancellation.IsCancellationRequested)
        {
            // The stream ends.
        }
        catch (Exception error)
        {
            await SendAsync(new Chunk(task) { End = EndOf(error) }, cancellation);
        }
    }

    /// <summary>Sends all rows, as of a version or later ones: the changes since it, which follow, lead to one state.</summary>
    private async Task<StoreVersion> ReadRowsAsync(IStreamTaskGrain grain, string task, CancellationToken cancellation)
    {
        var begin = await grain.WatchAsync(new StoreWatch(store, null, key, 0), cancellation);
        await SendAsync(new Chunk(task) { Event = "reset" }, cancellation);
        if (key is { } only)
        {
            var query = new StateQuery(store, only, long.MinValue, long.MaxValue, PageRows);
            do
            {
                var found = await grain.QueryAsync(query);
                var rows = found.Entries.Select(entry => new StoreChange(new StoreRow(only, entry.WindowStartMs, entry.WindowEndMs, entry.Value, entry.IsFinal), false));
                if (!found.Entries.IsEmpty)
                {
                    await SendAsync(new Chunk(task) { Changes = [.. rows], KeySerde = begin.KeySerde, ValueSerde = begin.ValueSerde }, cancellation);
                }

                query = query with { Continuation = found.Continuation };
            }
            while (!query.Continuation.IsEmpty);
        }
        else
        {
            var scan = new StoreScan(store, default, default, long.MinValue, long.MaxValue, PageRows);
            do
            {
                var page = await grain.ScanAsync(scan);
                if (!page.Rows.IsEmpty)
                {
                    await SendAsync(
                        new Chunk(task) { Changes = [.. page.Rows.Select(row => new StoreChange(row, false))], KeySerde = page.KeySerde, ValueSerde = page.ValueSerde }, cancellation);
                }

                scan = scan with { Continuation = page.Continuation };
            }
            while (!scan.Continuation.IsEmpty);
        }

        await SendAsync(new Chunk(task) { Version = begin.Version, Event = "current" }, cancellation);
        return begin.Version;
    }

    private async Task<StoreVersion?> ReadChangesAsync(IStreamTaskGrain grain, string task, StoreVersion since, CancellationToken cancellation)
    {
        var answer = await grain.WatchAsync(new StoreWatch(store, since, key, options.MaxWaitMs), cancellation);
        if (answer.IsReset)
        {
            return null;
        }

        if (!answer.Changes.IsEmpty)
        {
            await SendAsync(new Chunk(task) { Changes = answer.Changes, Version = answer.Version, KeySerde = answer.KeySerde, ValueSerde = answer.ValueSerde }, cancellation);
        }

        return answer.Version;
    }

    /// <summary>Waits for room in the channel; a client that makes none in time is dropped.</summary>
    private async Task SendAsync(Chunk chunk, CancellationToken cancellation)
    {
        try
        {
            await _chunks.Writer.WriteAsync(chunk, cancellation).AsTask().WaitAsync(options.SlowClientPatience, time, cancellation);
        }
        catch (TimeoutException)
        {
            _slow.TrySetResult();
            throw new OperationCanceledException(cancellation);
        }
    }

    private static bool IsTransient(Exception error) => error is StreamsException { IsRetriable: true } or TimeoutException or Orleans.Runtime.OrleansException;

    private static byte[] EndOf(Exception error) => End(error is StreamsException known && s_ends.Contains(known.Code) ? "stopped" : "problem", ProblemFilter.Describe(error).Detail);

    private static byte[] End(string reason, string? detail)
    {
        var text = new MemoryStream();
        text.Write("event: end\ndata: "u8);
        JsonSerializer.Serialize(text, new { reason, detail }, JsonSerializerOptions.Web);
        text.Write("\n\n"u8);
        return text.ToArray();
    }

    /// <summary>Writes, unless the client is found to be slow meanwhile. The write is not cancelled then: that would reset the connection, and the client is to be told.</summary>
    private async Task WriteAsync(HttpContext http, ReadOnlyMemory<byte> text, CancellationToken cancellation)
    {
        var written = http.Response.BodyWriter.WriteAsync(text, cancellation).AsTask();
        if (await Task.WhenAny(written, _slow.Task) != written)
        {
            throw new OperationCanceledException("The client takes nothing.");
        }

        await written;
    }

    /// <summary>What a task's reader hands to the writer. Without a version the task's rows are not all there yet.</summary>
    private sealed record Chunk(string Task)
    {
        public IReadOnlyList<StoreChange> Changes { get; init; } = [];

        public StoreVersion? Version { get; init; }

        public string? KeySerde { get; init; }

        public string? ValueSerde { get; init; }

        /// <summary>An event before the changes.</summary>
        public string? Event { get; init; }

        /// <summary>The event with which the stream ends.</summary>
        public byte[]? End { get; init; }
    }
}
