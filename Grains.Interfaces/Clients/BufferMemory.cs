namespace OrleansStreams.Clients;

/// <summary>
/// The bound on bytes that a producer holds: takes at once while there is room, else waits in order of arrival. Every record takes from it, so the way
/// without waiting is one interlocked addition.
/// </summary>
internal sealed class BufferMemory(long maxBytes, TimeProvider time)
{
    private readonly Lock _gate = new();
    private readonly LinkedList<(long Bytes, TaskCompletionSource Granted)> _waiters = [];
    private long _used;
    private int _waiting;

    public bool TryTake(long bytes)
    {
        if (Volatile.Read(ref _waiting) > 0)
        {
            return false;
        }

        if (TryAdd(bytes))
        {
            return true;
        }

        // What was added for a moment may have stood in the way of somebody who came in between.
        Grant();
        return false;
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
            Interlocked.Increment(ref _waiting);
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
                    Interlocked.Add(ref _used, -bytes);
                }
                else
                {
                    _waiters.Remove(waiter);
                    Interlocked.Decrement(ref _waiting);
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
        Interlocked.Add(ref _used, -bytes);
        Grant();
    }

    /// <summary>Adds when it fits; a record larger than the whole buffer passes when the buffer is empty, for it must not wait for ever.</summary>
    private bool TryAdd(long bytes)
    {
        var used = Interlocked.Add(ref _used, bytes);
        if (used <= maxBytes || used == bytes)
        {
            return true;
        }

        Interlocked.Add(ref _used, -bytes);
        return false;
    }

    // Whoever comes to wait counts itself before it looks for room, and whoever makes room looks for waiters after that: one of the two sees the other.
    private void Grant()
    {
        if (Volatile.Read(ref _waiting) > 0)
        {
            lock (_gate)
            {
                GrantLocked();
            }
        }
    }

    private void GrantLocked()
    {
        while (_waiters.First is { } first && TryAdd(first.Value.Bytes))
        {
            _waiters.RemoveFirst();
            Interlocked.Decrement(ref _waiting);
            first.Value.Granted.SetResult();
        }
    }
}
