namespace OrleansStreams.Clients;

/// <summary>The bound on bytes that a producer holds: takes at once while there is room, else waits in order of arrival.</summary>
internal sealed class BufferMemory(long maxBytes, TimeProvider time)
{
    private readonly Lock _gate = new();
    private readonly LinkedList<(long Bytes, TaskCompletionSource Granted)> _waiters = [];
    private long _used;

    public bool TryTake(long bytes)
    {
        lock (_gate)
        {
            // A record larger than the whole buffer passes when the buffer is empty: it must not wait for ever.
            if (_waiters.Count > 0 || (_used + bytes > maxBytes && _used > 0))
            {
                return false;
            }

            _used += bytes;
            return true;
        }
    }

    public async ValueTask TakeAsync(long bytes, TimeSpan timeout, CancellationToken cancellationToken)
    {
        if (TryTake(bytes))
        {
            return;
        }

        var waiter = new LinkedListNode<(long, TaskCompletionSource Granted)>((bytes, new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously)));
        lock (_gate)
        {
            _waiters.AddLast(waiter);
            GrantLocked();
        }

        try
        {
            await waiter.Value.Granted.Task.WaitAsync(timeout, time, cancellationToken);
        }
        catch (Exception error) when (error is TimeoutException or OperationCanceledException)
        {
            lock (_gate)
            {
                if (waiter.List is null)
                {
                    // Granted in the meantime: give it back.
                    _used -= bytes;
                }
                else
                {
                    _waiters.Remove(waiter);
                }

                GrantLocked();
            }

            throw error is TimeoutException
                ? new StreamsException(StreamsErrorCode.BufferExhausted, $"the producer holds {maxBytes} bytes that are not acknowledged yet, and got no room for {timeout.TotalMilliseconds} ms; send slower, raise MaxBufferedBytes, or look why the partition does not acknowledge", WriteOutcome.NotWritten)
                : error;
        }
    }

    public void Release(long bytes)
    {
        lock (_gate)
        {
            _used -= bytes;
            GrantLocked();
        }
    }

    private void GrantLocked()
    {
        while (_waiters.First is { } first && (_used + first.Value.Bytes <= maxBytes || _used <= 0))
        {
            _waiters.RemoveFirst();
            _used += first.Value.Bytes;
            first.Value.Granted.SetResult();
        }
    }
}
