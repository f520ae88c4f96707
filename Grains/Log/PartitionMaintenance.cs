namespace OrleansStreams.Log;

/// <summary>
/// One clock for the upkeep of all open partitions of a silo: a timer each would be ten thousand timers. A partition's round runs as a turn of its grain,
/// never two at once; a partition that is busy with one is passed over.
/// </summary>
internal sealed class PartitionMaintenance(StreamsOptions options, TimeProvider time) : IDisposable
{
    private readonly Lock _gate = new();
    private readonly LinkedList<Registration> _partitions = new();
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

    /// <summary>Has a round run by the scheduler that calls this (a grain's), again and again until the registration is disposed.</summary>
    public IDisposable Register(Func<Task> round)
    {
        var registration = new Registration(this, round, TaskScheduler.Current);
        lock (_gate)
        {
            registration.Place = _partitions.AddLast(registration);
            if (!_isDisposed)
            {
                _timer ??= time.CreateTimer(static state => ((PartitionMaintenance)state!).Run(), this, options.MaintenanceInterval, options.MaintenanceInterval);
            }
        }

        return registration;
    }

    /// <summary>Stops the clock.</summary>
    public void Dispose()
    {
        lock (_gate)
        {
            _isDisposed = true;
            _timer?.Dispose();
            _timer = null;
        }
    }

    private void Run()
    {
        Registration[] partitions;
        lock (_gate)
        {
            partitions = [.. _partitions];
        }

        foreach (var partition in partitions)
        {
            partition.Start();
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

            if (_partitions.Count == 0)
            {
                _timer?.Dispose();
                _timer = null;
            }
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
