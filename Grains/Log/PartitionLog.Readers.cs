using OrleansStreams.Records;
using OrleansStreams.Storage;

namespace OrleansStreams.Log;

/// <content>Reading: fetch with long poll, offsets by timestamp.</content>
internal sealed partial class PartitionLog
{
    /// <summary>Reads batches; waits for the minimum while the log has less.</summary>
    public async Task<FetchResult> FetchAsync(FetchRequest request, CancellationToken cancellationToken)
    {
        if (request.MaxBytes < 1)
        {
            throw new StreamsException(StreamsErrorCode.InvalidRequest, $"A fetch of at most {request.MaxBytes} bytes reads nothing: ask for at least 1.");
        }

        var maxBytes = Math.Min(request.MaxBytes, _options.FetchBytesMax);
        var minBytes = Math.Clamp(request.MinBytes, 0, maxBytes);
        var started = 0L;
        var pollsEnded = _pollsEnded;
        while (true)
        {
            ThrowIfUnusable();
            Touch();
            var read = await ReadAsync(request.Offset, maxBytes, cancellationToken);
            var atEnd = read.NextOffset >= _log.DurableEndOffset;
            if (read.Batches.Length >= minBytes || request.MaxWaitMs <= 0 || pollsEnded != _pollsEnded || (!atEnd && !read.Batches.IsEmpty))
            {
                return Answer(read);
            }

            if (!atEnd)
            {
                read.Loan?.Dispose();
                continue;
            }

            var wait = RemainingWait(request.MaxWaitMs, ref started);
            if (wait <= TimeSpan.Zero)
            {
                return Answer(read);
            }

            var missing = Math.Max(1, minBytes - read.Batches.Length);
            read.Loan?.Dispose();

            // What was committed meanwhile is counted from here on, in a turn of its own, so that nothing is missed.
            await WaitForBytesAsync(missing, wait, cancellationToken);
        }
    }

    /// <summary>The first record at or after a timestamp, exact to the record.</summary>
    public async Task<TimestampOffset> OffsetForTimestampAsync(long timestamp, CancellationToken cancellationToken = default)
    {
        ThrowIfUnusable();
        Touch();
        var found = await TranslateAsync(_log.FindBatchByTimestampAsync(timestamp, cancellationToken));
        if (found is { } offset)
        {
            // The batch may begin below the log start offset, and its late records may all be older: then a later batch has it.
            offset = Math.Max(offset, _log.StartOffset);
            while (offset < _log.DurableEndOffset)
            {
                var read = await ReadAsync(offset, 1, cancellationToken);
                if (read.Batches.IsEmpty)
                {
                    break;
                }

                var record = FindRecord(read.Batches, timestamp, _log.StartOffset);
                read.Loan?.Dispose();
                if (record is not null)
                {
                    return record;
                }

                offset = read.NextOffset;
            }
        }

        return new TimestampOffset(_log.DurableEndOffset, -1);
    }

    /// <summary>Answers the fetches that wait for bytes with what there is.</summary>
    public void EndLongPolls()
    {
        _pollsEnded++;
        for (var i = _waiters.Count - 1; i >= 0; i--)
        {
            if (_waiters[i] is { TargetOffset: long.MaxValue } poll)
            {
                _waiters.RemoveAt(i);
                poll.TrySetResult();
            }
        }
    }

    private static TimestampOffset? FindRecord(ReadOnlyMemory<byte> batch, long timestamp, long startOffset)
    {
        var reader = new RecordBatchReader(batch);
        if (reader.Header.MaxTimestamp < timestamp || reader.Header.IsControl)
        {
            return null;
        }

        while (reader.TryRead(out var record))
        {
            if (record.Timestamp >= timestamp && record.Offset >= startOffset)
            {
                return new TimestampOffset(record.Offset, record.Timestamp);
            }
        }

        return null;
    }

    private FetchResult Answer(in LogRead read)
    {
        LogMeter.FetchRequests.Add(1);
        LogMeter.FetchBytes.Add(read.Batches.Length);
        return new FetchResult(read.Batches, read.NextOffset, Math.Max(read.NextOffset, _log.DurableEndOffset), _log.StartOffset, read.Loan);
    }

    private ValueTask<LogRead> ReadAsync(long offset, int maxBytes, CancellationToken cancellationToken)
    {
        // An offset between the durable end and the log end is one that its producer may know of: not wrong, only early.
        var durableEnd = _log.DurableEndOffset;
        if (offset < _log.StartOffset || offset > Math.Max(durableEnd, _log.NextOffset))
        {
            throw new StreamsException(
                StreamsErrorCode.OffsetOutOfRange,
                $"Offset {offset} is outside of {_log.Id}, which reaches from {_log.StartOffset} to {durableEnd}: begin at one of these, or with earliest or latest.");
        }

        return offset >= durableEnd ? ValueTask.FromResult(new LogRead(default, offset)) : TranslateAsync(_log.ReadAsync(offset, maxBytes, cancellationToken));
    }

    private TimeSpan RemainingWait(int maxWaitMs, ref long started)
    {
        var wait = TimeSpan.FromMilliseconds(maxWaitMs);
        wait = wait < _options.FetchWaitMax ? wait : _options.FetchWaitMax;
        if (started == 0)
        {
            started = Math.Max(1, _time.GetTimestamp());
            return wait;
        }

        return wait - _time.GetElapsedTime(started);
    }

    private async Task WaitForBytesAsync(long bytes, TimeSpan wait, CancellationToken cancellationToken)
    {
        var waiter = new LogWaiter { TargetBytes = _committedBytes + bytes };
        _waiters.Add(waiter);
        using var timer = _time.CreateTimer(static state => ((LogWaiter)state!).TrySetResult(), waiter, wait, Timeout.InfiniteTimeSpan);
        using var cancellation = cancellationToken.UnsafeRegister(static (state, token) => ((LogWaiter)state!).TrySetCanceled(token), waiter);
        try
        {
            await waiter.Task;
        }
        finally
        {
            _waiters.Remove(waiter);
        }
    }

    private void ReleaseWaiters()
    {
        if (_waiters.Count == 0)
        {
            return;
        }

        var durableEnd = _log.DurableEndOffset;
        for (var i = _waiters.Count - 1; i >= 0; i--)
        {
            var waiter = _waiters[i];
            if (_committedBytes >= waiter.TargetBytes || durableEnd >= waiter.TargetOffset)
            {
                _waiters.RemoveAt(i);
                waiter.TrySetResult();
            }
        }
    }

    /// <summary>Lets everybody who waits go with a retriable error; those who wait for an append under way only when it is lost.</summary>
    private void FailWaiters(StreamsException error, bool keepAppends)
    {
        for (var i = _waiters.Count - 1; i >= 0; i--)
        {
            var waiter = _waiters[i];
            if (!keepAppends || waiter.TargetOffset == long.MaxValue)
            {
                _waiters.RemoveAt(i);
                waiter.TrySetException(error);
            }
        }
    }

    private static bool IsLost(Exception exception) =>
        exception is ObjectDisposedException or StreamsException { Code: StreamsErrorCode.Closed or StreamsErrorCode.FencedLeaderEpoch };

    /// <summary>A log that was closed or fenced under a reader is a matter of asking again, elsewhere.</summary>
    private async ValueTask<T> TranslateAsync<T>(ValueTask<T> operation)
    {
        try
        {
            return await operation;
        }
        catch (Exception exception) when (IsLost(exception))
        {
            throw Fail(exception);
        }
    }

    private async ValueTask TranslateAsync(ValueTask operation)
    {
        try
        {
            await operation;
        }
        catch (Exception exception) when (IsLost(exception))
        {
            throw Fail(exception);
        }
    }

    /// <summary>Somebody who waits for bytes to be committed, or for an offset to be durable. Completed at most once, from any thread.</summary>
    private sealed class LogWaiter() : TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously)
    {
        public long TargetBytes { get; init; } = long.MaxValue;

        public long TargetOffset { get; init; } = long.MaxValue;
    }
}
