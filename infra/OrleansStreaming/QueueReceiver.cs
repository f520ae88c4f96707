using OrleansStreams.Log;
using OrleansStreams.Records;

namespace OrleansStreams.Streaming;

/// <summary>
/// Reads a queue's partition for its agent: the newest records for the cache, older ones for subscriptions that lag, and keeps the checkpoint. The agent asks
/// it again and again from its own turns, one question at a time.
/// </summary>
internal sealed class QueueReceiver(
    PartitionQueue queue, IPartitionGrain partition, QueueCheckpoint checkpoint, LogStreamTopics topics, DeadLetters deadLetters, TimeProvider time, ILogger logger)
    : IQueueAdapterReceiver, IDisposable
{
    private const double FirstBackoffMs = 50;
    private const double LastBackoffMs = 2_000;

    private readonly CancellationTokenSource _stopping = new();
    private long _next = -1;
    private int _failures;
    private bool _isOpen;
    private bool _isStopped;

    private LogStreamOptions Options => queue.Options;

    /// <inheritdoc/>
    public Task Initialize(TimeSpan timeout) => Task.CompletedTask; // The first read opens it, and tries again when that fails.

    /// <inheritdoc/>
    public Task<IList<IBatchContainer>> GetQueueMessagesAsync(int maxCount) => GetQueueMessagesAsync(maxCount, CancellationToken.None);

    /// <summary>Reads; waits for the next event when there is nothing to do. Never fails: the agent would only ask again at once.</summary>
    public async Task<IList<IBatchContainer>> GetQueueMessagesAsync(int maxCount, CancellationToken cancellationToken)
    {
        if (_isStopped)
        {
            return [];
        }

        using var stopping = CancellationTokenSource.CreateLinkedTokenSource(_stopping.Token, cancellationToken);

        // The agent's loops over subscriptions start from here, and need a flow of their own each (see DeliveryBackoff).
        await Task.Yield();
        try
        {
            await OpenAsync();
            var messages = await ReadAsync(stopping.Token);
            _failures = 0;
            return messages;
        }
        catch (Exception) when (stopping.IsCancellationRequested)
        {
            return [];
        }
        catch (Exception error)
        {
            await BackoffAsync(error, stopping.Token);
            return [];
        }
    }

    /// <inheritdoc/>
    public Task MessagesDeliveredAsync(IList<IBatchContainer> messages) => Task.CompletedTask; // The cursors know better.

    /// <inheritdoc/>
    public async Task Shutdown(TimeSpan timeout)
    {
        _isStopped = true;
        await _stopping.CancelAsync();
        if (_isOpen)
        {
            await checkpoint.CloseAsync(queue.OpenOffset).WaitAsync(timeout, time);
        }

        Dispose();
    }

    /// <inheritdoc/>
    public void Dispose() => _stopping.Dispose();

    private async Task OpenAsync()
    {
        if (_isOpen)
        {
            return;
        }

        await topics.EnsureTopicAsync(_stopping.Token);
        _next = await checkpoint.ReadAsync() ?? (await partition.GetOffsetsAsync()).LogStartOffset;
        queue.Recent.Reset(_next);
        _isOpen = true;
        logger.QueueOpened(queue.Partition, _next);
    }

    private async Task<IList<IBatchContainer>> ReadAsync(CancellationToken stopping)
    {
        while (true)
        {
            checkpoint.Observe(queue.OpenOffset);
            var awake = await ReadAheadAsync(stopping);
            var messages = await ReadNewestAsync(mayWait: awake.Count == 0 && !queue.WantsReadAhead, stopping);

            // Events first: an agent takes the first token of a stream for the place at which a new subscription begins.
            messages.AddRange(queue.WakeUps(awake));

            // With nothing to say an agent pauses, but somebody who lags is waiting.
            if (messages.Count > 0 || !queue.WantsReadAhead)
            {
                return messages;
            }
        }
    }

    private async Task<List<IBatchContainer>> ReadNewestAsync(bool mayWait, CancellationToken stopping)
    {
        using var waiting = queue.BeginWaiting(stopping);
        FetchResult fetched;
        try
        {
            fetched = await partition.FetchAsync(new FetchRequest(_next, Options.FetchBytes, MinBytes: 1, mayWait ? Options.FetchWaitMs : 0), waiting.Token);
        }
        catch (OperationCanceledException) when (!stopping.IsCancellationRequested)
        {
            // A subscription wants to be read for.
            return [];
        }
        catch (StreamsException error) when (error.Code == StreamsErrorCode.OffsetOutOfRange)
        {
            await StartOverAsync();
            return [];
        }
        finally
        {
            queue.EndWaiting();
        }

        var records = await DecodeAsync(fetched, _next);
        _next = fetched.NextOffset;
        if (records.Count == 0)
        {
            queue.Recent.AdvanceTo(_next);
        }

        return records.ConvertAll(record => record.IsWakeUp ? new StreamWakeUp(record.Stream, record.Offset) : (IBatchContainer)new ReceivedRecord(record));
    }

    /// <summary>Reads the log for a subscription that lags, and for all others that lag within what is read.</summary>
    private async Task<HashSet<StreamId>> ReadAheadAsync(CancellationToken stopping)
    {
        if (!queue.TryTakeWanting(out var cursor))
        {
            return [];
        }

        var from = cursor.Next;
        FetchResult fetched;
        try
        {
            fetched = await partition.FetchAsync(new FetchRequest(from, Options.FetchBytes, MinBytes: 1, MaxWaitMs: 0), stopping);
        }
        catch (StreamsException error) when (error.Code == StreamsErrorCode.OffsetOutOfRange)
        {
            return queue.LoseBelow(cursor, (await partition.GetOffsetsAsync()).LogStartOffset);
        }
        catch
        {
            queue.ReadAheadFor(cursor);
            throw;
        }

        var records = Decode(fetched, from, foreign: null);
        return queue.ReadAhead(records.Where(record => !record.IsWakeUp), from, Math.Max(fetched.NextOffset, from));
    }

    private async Task<List<StreamRecord>> DecodeAsync(FetchResult fetched, long from)
    {
        var foreign = new List<ForeignRecord>();
        var records = Decode(fetched, from, foreign);
        foreach (var record in foreign)
        {
            await deadLetters.WriteAsync(queue.Partition, record);
        }

        return records;
    }

    private static List<StreamRecord> Decode(FetchResult fetched, long from, List<ForeignRecord>? foreign)
    {
        var records = new List<StreamRecord>();
        for (var rest = fetched.Batches; !rest.IsEmpty;)
        {
            if (RecordBatch.Validate(rest.Span, out var header) is not StreamsErrorCode.None and var code)
            {
                throw new StreamsException(code, $"A record batch at offset {header.BaseOffset} or after {from} fails its checks: restore the log, or set the checkpoint group's offset past it.");
            }

            var reader = new RecordBatchReader(rest);
            while (!header.IsControl && reader.TryRead(out var view))
            {
                if (view.Offset < from)
                {
                    continue;
                }

                if (StreamRecordFormat.TryRead(view, out var record))
                {
                    records.Add(record);
                }
                else
                {
                    foreign?.Add(ForeignRecord.Of(view));
                }
            }

            rest = rest[header.TotalBytes..];
        }

        fetched.Release();
        return records;
    }

    /// <summary>The place is outside of the log: retention passed it, or the topic was deleted and made anew.</summary>
    private async Task StartOverAsync()
    {
        var start = (await partition.GetOffsetsAsync()).LogStartOffset;
        logger.OffsetLost(queue.Partition, _next, start);
        _next = start;
        queue.Recent.Reset(start);
        checkpoint.StartOver();
    }

    private async Task BackoffAsync(Exception error, CancellationToken stopping)
    {
        if (error is StreamsException { Code: StreamsErrorCode.UnknownTopicOrPartition })
        {
            topics.Forget();
            _isOpen = false;
        }

        var wait = Math.Min(LastBackoffMs, FirstBackoffMs * Math.Pow(2, Math.Min(_failures++, 10)));
        logger.ReadFailed(error, queue.Partition, wait);
        await Task.Delay(TimeSpan.FromMilliseconds(wait), time, stopping).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing | ConfigureAwaitOptions.ContinueOnCapturedContext);
    }
}
