using Microsoft.Extensions.DependencyInjection;
using Orleans;
using Orleans.Runtime;

namespace EmbeddedOrleans.Runtime;

/// <summary>
/// One grain in memory.
/// <code>
/// Created --first request--> Activating --ok--> Active --deactivate, and nothing runs any more--> Deactivating --> Gone
///    \                            \--failed-------------------------------------------------------------------------/
///     \--deactivate---------------------------------------------------------------------------------------------------> Gone
/// </code>
/// Requests that come while it is not Active wait; what waits when it is Gone goes on to a new activation, so that none is lost. All
/// fields below the line change only inside turns.
/// </summary>
internal sealed class Activation : TurnQueue, IGrainContext
{
    private const int ForwardsMax = 8;

    [ThreadStatic]
    private static Activation? t_underConstruction;

    private static readonly object s_pump = new();

    private readonly TaskCompletionSource _deactivated = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private volatile ActivationState _state;
    private DeactivationRequest? _deactivation;
    private long _lastUse;
    private long _collectNotBefore = long.MinValue;

    // ---- turns only ----
    private readonly List<GrainTimer> _timers = [];
    private readonly List<IPersistentStateFacet> _states = [];
    private AsyncServiceScope? _scope;
    private MailboxItem? _firstWaiting;
    private MailboxItem? _lastWaiting;
    private bool _pumpPosted;
    private int _running;
    private int _runningReaders;
    private int _runningWriters;

    internal Activation(Silo silo, GrainIdentity id, long sequence)
        : base(silo.Cluster.TurnScheduler)
    {
        Silo = silo;
        Identity = id;
        Sequence = sequence;
        Name = $"{id}@{silo.Name}";
        _lastUse = Cluster.Time.GetTimestamp();
    }

    /// <summary>The activation whose grain the calling thread is constructing.</summary>
    internal static Activation? UnderConstruction => t_underConstruction;

    /// <summary>The activation whose turn the calling thread runs.</summary>
    internal static Activation? Running => Current as Activation;

    public override string Name { get; }

    internal Silo Silo { get; }

    internal EmbeddedCluster Cluster => Silo.Cluster;

    internal GrainIdentity Identity { get; }

    /// <summary>Creation order in the cluster.</summary>
    internal long Sequence { get; }

    internal bool IsGone => _state == ActivationState.Gone || IsClosed;

    public object? GrainInstance { get; private set; }

    public IServiceProvider ActivationServices => _scope?.ServiceProvider ?? Silo.Services;

    public Task Deactivated => _deactivated.Task;

    private bool IsBusy => _running > 0 || _firstWaiting is not null;

    internal static Activation Of(IGrainBase grain) => (Activation)grain.GrainContext;

    public void Deactivate(DeactivationReason deactivationReason, CancellationToken cancellationToken = default)
    {
        if (Interlocked.CompareExchange(ref _deactivation, new DeactivationRequest(deactivationReason, cancellationToken), null) is null)
        {
            Post(s_pump);
        }
    }

    /// <summary>The silo crashed: nothing of this activation runs any more.</summary>
    internal void Crash()
    {
        Close();
        _state = ActivationState.Gone;
        _deactivated.TrySetResult();
    }

    internal void DelayCollection(TimeSpan delay)
    {
        if (delay == TimeSpan.MaxValue || delay == Timeout.InfiniteTimeSpan)
        {
            _collectNotBefore = long.MaxValue;
        }
        else
        {
            _collectNotBefore = delay <= TimeSpan.Zero ? long.MinValue : Cluster.Time.After(delay);
        }
    }

    /// <summary>Idle collection: ends the activation when it has not been used for <paramref name="age"/>.</summary>
    internal void CollectIfIdle(TimeSpan age)
    {
        if (Cluster.Time.GetElapsedTime(Volatile.Read(ref _lastUse)) >= age)
        {
            // Looked at again inside a turn, where nothing can come between the look and the decision.
            Post(new Action(() =>
            {
                TimeProvider time = Cluster.Time;
                if (_state == ActivationState.Active && !IsBusy && time.GetElapsedTime(_lastUse) >= age && _collectNotBefore <= time.GetTimestamp())
                {
                    Deactivate(new DeactivationReason(DeactivationReasonCode.ActivationIdle, $"Not used for {age}."));
                }
            }));
        }
    }

    internal IGrainTimer RegisterTimer(Func<CancellationToken, Task> callback, GrainTimerCreationOptions options)
    {
        if (Current != this)
        {
            throw new InvalidOperationException("Register a grain timer from the grain's own code.");
        }

        var timer = new GrainTimer(this, callback, options);
        if (_state is ActivationState.Deactivating or ActivationState.Gone)
        {
            timer.Dispose();
        }
        else
        {
            _timers.Add(timer);
        }

        return timer;
    }

    internal void Forget(GrainTimer timer)
    {
        if (Current == this)
        {
            _timers.Remove(timer);
        }
    }

    internal IPersistentState<TState> AddState<TState>(string stateName, string? storageName)
    {
        var state = new PersistentState<TState>(Cluster.StorageNamed(storageName, Identity), new(Identity.Class.GrainType, Identity.Key, stateName));
        _states.Add(state);
        return state;
    }

    /// <summary>A mailbox item has ended, in a turn.</summary>
    internal void Complete(MailboxItem item)
    {
        _running--;
        if (Blocks(item))
        {
            if (item.IsReadOnly)
            {
                _runningReaders--;
            }
            else
            {
                _runningWriters--;
            }
        }

        if (item.KeepsAlive)
        {
            Volatile.Write(ref _lastUse, Cluster.Time.GetTimestamp());
        }

        // Not started from here: this may be deep inside the code of another request, which would then not be one turn.
        if (_firstWaiting is not null || (_deactivation is not null && _running == 0))
        {
            PostPump();
        }
    }

    /// <summary>Puts an item into the mailbox, from inside a turn.</summary>
    internal void Enqueue(MailboxItem item) => Receive(item);

    protected override void RunItem(object item)
    {
        try
        {
            switch (item)
            {
                case Request { Kind: GrainMessageKind.Response } response:
                    response.SettleFromOutcome();
                    break;
                case MailboxItem request:
                    Receive(request);
                    break;
                case Action action:
                    action();
                    break;
                default:
                    Pump();
                    break;
            }
        }
        catch (Exception exception)
        {
            Log.TurnFailed(Cluster.Logger, exception, Name);
        }
    }

    private bool Blocks(MailboxItem item) => !item.Interleaves && !Identity.Class.IsReentrant;

    private bool MayStart(MailboxItem item) =>
        _state == ActivationState.Active && Volatile.Read(ref _deactivation) is null
        && (!Blocks(item) || (_runningWriters == 0 && (_runningReaders == 0 || item.IsReadOnly)));

    private void Receive(MailboxItem item)
    {
        if (_state == ActivationState.Gone)
        {
            Forward(item);
        }
        else if (!_pumpPosted && MayStart(item))
        {
            Start(item);
        }
        else
        {
            item.NextWaiting = null;
            if (_lastWaiting is null)
            {
                _firstWaiting = item;
            }
            else
            {
                _lastWaiting.NextWaiting = item;
            }

            _lastWaiting = item;
            if (_state == ActivationState.Created)
            {
                _ = ActivateAsync();
            }
        }
    }

    private void Start(MailboxItem item)
    {
        if (item.IsAbandoned)
        {
            return;
        }

        _running++;
        if (Blocks(item))
        {
            if (item.IsReadOnly)
            {
                _runningReaders++;
            }
            else
            {
                _runningWriters++;
            }
        }

        item.Start(this);
    }

    private void PostPump()
    {
        if (!_pumpPosted)
        {
            _pumpPosted = true;
            Post(s_pump);
        }
    }

    /// <summary>Starts what may start of what waits, in order; then sees to the deactivation.</summary>
    private void Pump()
    {
        _pumpPosted = false;
        MailboxItem? before = null;
        for (MailboxItem? item = _firstWaiting; item is not null;)
        {
            MailboxItem? next = item.NextWaiting;
            if (item.IsAbandoned || MayStart(item))
            {
                Unlink(item, before);
                Start(item);
            }
            else
            {
                before = item;
            }

            item = next;
        }

        if (Volatile.Read(ref _deactivation) is { } request && _running == 0)
        {
            if (_state == ActivationState.Active)
            {
                _ = DeactivateAsync(request);
            }
            else if (_state == ActivationState.Created)
            {
                Retire();
            }
        }
    }

    private void Unlink(MailboxItem item, MailboxItem? before)
    {
        if (before is null)
        {
            _firstWaiting = item.NextWaiting;
        }
        else
        {
            before.NextWaiting = item.NextWaiting;
        }

        if (_lastWaiting == item)
        {
            _lastWaiting = before;
        }

        item.NextWaiting = null;
    }

    private async Task ActivateAsync()
    {
        _state = ActivationState.Activating;
        using var limit = new TurnTimeout(this, Cluster.Options.ActivationTimeout);
        try
        {
            CreateInstance();
            foreach (IPersistentStateFacet state in _states)
            {
                await state.ReadStateAsync();
            }

            if (GrainInstance is IGrainBase grain)
            {
                await grain.OnActivateAsync(limit.Token);
            }

            _state = ActivationState.Active;
            PostPump();
        }
        catch (Exception error)
        {
            Exception exception = error;
            if (error is ObjectDisposedException && AreServicesDisposed())
            {
                // The application could not start, or was disposed without being stopped: that is not the grain's failure.
                exception = new SiloUnavailableException($"The application in which silo {Silo.Name} runs is being disposed.");
            }
            else
            {
                Log.ActivationFailed(Cluster.Logger, error, Name);
            }

            StopTimers();
            await DisposeInstanceAsync();
            MailboxItem? waiting = _firstWaiting;
            _firstWaiting = _lastWaiting = null;
            Retire();
            for (; waiting is not null; waiting = waiting.NextWaiting)
            {
                waiting.Reject(exception);
            }
        }
    }

    private bool AreServicesDisposed()
    {
        try
        {
            Silo.Services.GetService(typeof(IServiceScopeFactory));
            return false;
        }
        catch (ObjectDisposedException)
        {
            return true;
        }
    }

    private void CreateInstance()
    {
        AsyncServiceScope scope = Silo.Services.CreateAsyncScope();
        _scope = scope;
        t_underConstruction = this;
        try
        {
            GrainInstance = Identity.Class.Create(scope.ServiceProvider, this);
        }
        finally
        {
            t_underConstruction = null;
        }
    }

    private async Task DeactivateAsync(DeactivationRequest request)
    {
        _state = ActivationState.Deactivating;
        StopTimers();
        using (var limit = new TurnTimeout(this, Cluster.Options.DeactivationTimeout))
        {
            if (request.Cancellation.IsCancellationRequested)
            {
                limit.Source.Cancel();
            }

            try
            {
                if (GrainInstance is IGrainBase grain)
                {
                    await grain.OnDeactivateAsync(request.Reason, limit.Token);
                }
            }
            catch (Exception exception)
            {
                Log.DeactivationFailed(Cluster.Logger, exception, Name);
            }
        }

        await DisposeInstanceAsync();
        Log.Deactivated(Cluster.Logger, Name, request.Reason.Description);
        Retire();
    }

    private async Task DisposeInstanceAsync()
    {
        try
        {
            if (GrainInstance is IAsyncDisposable asyncDisposable)
            {
                await asyncDisposable.DisposeAsync();
            }
            else
            {
                (GrainInstance as IDisposable)?.Dispose();
            }

            if (_scope is { } scope)
            {
                await scope.DisposeAsync();
            }
        }
        catch (Exception exception)
        {
            Log.DeactivationFailed(Cluster.Logger, exception, Name);
        }
    }

    private void Retire()
    {
        _state = ActivationState.Gone;
        Cluster.Forget(this);
        MailboxItem? waiting = _firstWaiting;
        _firstWaiting = _lastWaiting = null;
        while (waiting is not null)
        {
            MailboxItem? next = waiting.NextWaiting;
            waiting.NextWaiting = null;
            Forward(waiting);
            waiting = next;
        }

        _deactivated.TrySetResult();
    }

    private void Forward(MailboxItem item)
    {
        if (item is not Request request || request.IsAbandoned)
        {
            return;
        }

        if (++request.Forwards > ForwardsMax)
        {
            request.Reject(new OrleansMessageRejectionException(
                $"{request} met {ForwardsMax} activations that were ending; does the grain deactivate itself in OnActivateAsync?"));
            return;
        }

        Cluster.Route(request);
    }

    private void StopTimers()
    {
        foreach (GrainTimer timer in _timers.ToArray())
        {
            timer.Dispose();
        }
    }

    private sealed record DeactivationRequest(DeactivationReason Reason, CancellationToken Cancellation);
}

/// <summary>See the drawing at <see cref="Activation"/>.</summary>
internal enum ActivationState
{
    Created,
    Activating,
    Active,
    Deactivating,
    Gone,
}
