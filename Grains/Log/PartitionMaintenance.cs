namespace OrleansStreams.Log;

/// <summary>
/// One clock for the upkeep of all partitions of a silo: a timer each would be ten thousand timers. An open partition's round runs as a turn of its grain,
/// never two at once; a partition that is busy with one is passed over. Of a closed one that retention or compaction will have something to do for, only its
/// name and the time are kept (about 100 bytes); when the time has come it is woken, one partition after the other.
/// </summary>
internal sealed class PartitionMaintenance(StreamsOptions options, TimeProvider time) : IDisposable
{
    /// <summary>Partitions that are woken in one <see cref="StreamsOptions.MaintenanceInterval"/> at most: ten a second by default. The others wait for the next.</summary>
    internal const int WakesPerInterval = 300;

    // After a failure to wake a partition: long enough that a damaged log fills no log file, short against any retention that matters.
    private const long RetryMs = 10 * 60 * 1000;

    private readonly Lock _gate = new();
    private readonly LinkedList<Registration> _partitions = new();
    private readonly Dictionary<string, long> _closed = new(StringComparer.Ordinal);
    private long _earliestMs = long.MaxValue;
    private Func<string, Task>? _wake;
    private bool _isWaking;
    private ITimer? _timer;
    private bool _isDisposed;

    /// <summary>Partitions that are open now.</summary>
    public int OpenCount
    {
        get
        {
            lock (_gate)
            {
                return _partitions.Count;
            }
        }
    }

    /// <summary>Closed partitions that will be woken.</summary>
    public int SleepingCount
    {
        get
        {
            lock (_gate)
            {
                return _closed.Count;
            }
        }
    }

    /// <summary>Has a round run by the scheduler that calls this (a grain's), again and again until the registration is disposed.</summary>
    public IDisposable Register(Func<Task> round)
    {
        var registration = new Registration(this, round, TaskScheduler.Current);
        lock (_gate)
        {
            registration.Place = _partitions.AddLast(registration);
            StartClock();
        }

        return registration;
    }

    /// <summary>Has a closed partition woken at a time, or sooner if that was asked for before.</summary>
    /// <param name="partition">The partition's key.</param>
    /// <param name="dueMs">The time in ms since the Unix epoch; <see cref="long.MaxValue"/> is never.</param>
    /// <param name="wake">Wakes the partition of a key; the same for all partitions of the silo.</param>
    public void WakeAt(string partition, long dueMs, Func<string, Task> wake)
    {
        if (dueMs == long.MaxValue)
        {
            return;
        }

        lock (_gate)
        {
            if (!_isDisposed)
            {
                _wake = wake;
                _closed[partition] = _closed.TryGetValue(partition, out var before) ? Math.Min(before, dueMs) : dueMs;
                _earliestMs = Math.Min(_earliestMs, dueMs);
                StartClock();
            }
        }
    }

    /// <summary>A partition was opened, or is gone: it need not be woken.</summary>
    public void Forget(string partition)
    {
        lock (_gate)
        {
            _closed.Remove(partition);
            StopClockIfIdle();
        }
    }

    /// <summary>Stops the clock.</summary>
    public void Dispose()
    {
        lock (_gate)
        {
            _isDisposed = true;
            _closed.Clear();
            _timer?.Dispose();
            _timer = null;
        }
    }

    private void StartClock()
    {
        if (_isDisposed || _timer is not null)
        {
            return;
        }

        // The clock outlives the request that happens to start it, and must not carry that one's context into everything it calls.
        using var noContext = ExecutionContext.IsFlowSuppressed() ? default(AsyncFlowControl?) : ExecutionContext.SuppressFlow();
        _timer = time.CreateTimer(static state => ((PartitionMaintenance)state!).Run(), this, options.MaintenanceInterval, options.MaintenanceInterval);
    }

    private void StopClockIfIdle()
    {
        if (_partitions.Count == 0 && _closed.Count == 0)
        {
            _timer?.Dispose();
            _timer = null;
        }
    }

    private void Run()
    {
        Registration[] partitions;
        List<string> due;
        lock (_gate)
        {
            partitions = [.. _partitions];
            due = TakeDue(time.GetUtcNow().ToUnixTimeMilliseconds());
            _isWaking |= due.Count > 0;
        }

        foreach (var partition in partitions)
        {
            partition.Start();
        }

        if (due.Count > 0)
        {
            _ = WakeAsync(due, _wake!);
        }
    }

    /// <summary>Looks through all entries only when one of them is due.</summary>
    private List<string> TakeDue(long now)
    {
        var due = new List<string>();
        if (_isWaking || now < _earliestMs)
        {
            return due;
        }

        _earliestMs = long.MaxValue;
        foreach (var (partition, dueMs) in _closed)
        {
            if (dueMs <= now && due.Count < WakesPerInterval)
            {
                due.Add(partition);
            }
            else
            {
                _earliestMs = Math.Min(_earliestMs, dueMs);
            }
        }

        // The order of a dictionary is nobody's order.
        due.Sort(StringComparer.Ordinal);
        due.ForEach(partition => _closed.Remove(partition));
        return due;
    }

    private async Task WakeAsync(List<string> due, Func<string, Task> wake)
    {
        foreach (var partition in due)
        {
            try
            {
                await wake(partition);
            }
            catch (Exception)
            {
                // It has logged why, or its silo is gone.
                WakeAt(partition, time.GetUtcNow().ToUnixTimeMilliseconds() + RetryMs, wake);
            }
        }

        lock (_gate)
        {
            _isWaking = false;
            StopClockIfIdle();
        }
    }

    private void Remove(Registration registration)
    {
        lock (_gate)
        {
            if (registration.Place is { } place)
            {
                registration.Place = null;
                _partitions.Remove(place);
            }

            StopClockIfIdle();
        }
    }

    private sealed class Registration(PartitionMaintenance owner, Func<Task> round, TaskScheduler scheduler) : IDisposable
    {
        private Task _running = Task.CompletedTask;

        public LinkedListNode<Registration>? Place { get; set; }

        public void Start()
        {
            if (_running.IsCompleted)
            {
                _running = Task.Factory.StartNew(round, CancellationToken.None, TaskCreationOptions.None, scheduler).Unwrap();
            }
        }

        public void Dispose() => owner.Remove(this);
    }
}
