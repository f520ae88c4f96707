using Orleans;

namespace EmbeddedOrleans.Runtime;

/// <summary>One silo's activations and services.</summary>
internal sealed class Silo
{
    private readonly Lock _lock = new();
    private readonly SortedDictionary<long, Activation> _activations = [];
    private volatile bool _stopping;
    private volatile bool _crashed;
    private ITimer? _collector;
    private TaskCompletionSource? _empty;

    internal Silo(EmbeddedCluster cluster, string name, IServiceProvider services, bool ownsServices)
    {
        Cluster = cluster;
        Name = name;
        Services = services;
        OwnsServices = ownsServices;
        Handle = new EmbeddedSilo(this);
    }

    internal EmbeddedCluster Cluster { get; }

    internal string Name { get; }

    internal IServiceProvider Services { get; }

    internal bool OwnsServices { get; }

    internal EmbeddedSilo Handle { get; }

    internal bool IsCrashed => _crashed;

    internal int ActivationCount
    {
        get
        {
            lock (_lock)
            {
                return _activations.Count;
            }
        }
    }

    internal void Start()
    {
        TimeSpan quantum = Cluster.Options.CollectionQuantum;
        _collector = Cluster.Time.CreateTimer(static state => ((Silo)state!).Collect(), this, quantum, quantum);
        Log.SiloStarted(Cluster.Logger, Name);
    }

    /// <summary>Takes an activation in; false when the silo stops or has stopped.</summary>
    internal bool TryAdd(Activation activation)
    {
        lock (_lock)
        {
            if (_stopping || _crashed)
            {
                return false;
            }

            _activations.Add(activation.Sequence, activation);
            return true;
        }
    }

    internal void Remove(Activation activation)
    {
        lock (_lock)
        {
            _activations.Remove(activation.Sequence);
            if (_activations.Count > 0 || _empty is null)
            {
                return;
            }
        }

        _empty.TrySetResult();
    }

    /// <summary>Deactivates everything. False when time ran out first: something is still busy.</summary>
    internal async Task<bool> StopAsync(CancellationToken cancellationToken)
    {
        // A caller with a scheduler of its own (a simulation) is called back there; another one must not go on inside a grain's turn.
        _empty = new TaskCompletionSource(
            TaskScheduler.Current != TaskScheduler.Default ? TaskCreationOptions.None : TaskCreationOptions.RunContinuationsAsynchronously);
        Activation[] activations = CloseDoor();
        if (activations.Length == 0)
        {
            _empty.TrySetResult();
        }

        var reason = new DeactivationReason(DeactivationReasonCode.ShuttingDown, $"Silo {Name} stops.");
        foreach (Activation activation in activations)
        {
            activation.Deactivate(reason, CancellationToken.None);
        }

        try
        {
            await _empty.Task.WaitAsync(cancellationToken);
            Log.SiloStopped(Cluster.Logger, Name, activations.Length);
            return true;
        }
        catch (OperationCanceledException)
        {
            Log.StoppedBusy(Cluster.Logger, Name, ActivationCount);
            return false;
        }
    }

    /// <summary>Drops everything at once.</summary>
    internal Activation[] Crash()
    {
        _crashed = true;
        Activation[] activations = CloseDoor();
        foreach (Activation activation in activations)
        {
            activation.Crash();
        }

        return activations;
    }

    private Activation[] CloseDoor()
    {
        _collector?.Dispose();
        lock (_lock)
        {
            _stopping = true;
            return [.. _activations.Values];
        }
    }

    private Activation[] Snapshot()
    {
        lock (_lock)
        {
            return [.. _activations.Values];
        }
    }

    private void Collect()
    {
        foreach (Activation activation in Snapshot())
        {
            activation.CollectIfIdle(Cluster.Options.CollectionAge);
        }
    }
}

/// <summary>Arithmetic on a time provider's timestamps.</summary>
internal static class Timestamps
{
    /// <summary>The timestamp <paramref name="delay"/> from now.</summary>
    internal static long After(this TimeProvider time, TimeSpan delay) => time.GetTimestamp() + (long)(delay.TotalSeconds * time.TimestampFrequency);
}
