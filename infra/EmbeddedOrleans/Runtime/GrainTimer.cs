using Orleans.Runtime;

namespace EmbeddedOrleans.Runtime;

/// <summary>A grain timer: a one-shot timer, set again when a tick has ended, so that the period counts from there and ticks never pile up.</summary>
internal sealed class GrainTimer : MailboxItem, IGrainTimer
{
    private static readonly TimeSpan s_longest = TimeSpan.FromMilliseconds(uint.MaxValue - 1);

    private readonly Activation _activation;
    private readonly Func<CancellationToken, Task> _callback;
    private readonly CancellationTokenSource _stopped = new();
    private readonly ITimer _timer;
    private readonly bool _interleaves;
    private readonly bool _keepsAlive;
    private TimeSpan _period;
    private bool _ticking;
    private bool _changedInTick;
    private bool _firedInTick;
    private Task _tick = Task.CompletedTask;

    internal GrainTimer(Activation activation, Func<CancellationToken, Task> callback, GrainTimerCreationOptions options)
    {
        Check(options.DueTime, options.Period);
        _activation = activation;
        _callback = callback;
        _interleaves = options.Interleave;
        _keepsAlive = options.KeepAlive;
        _period = options.Period;
        _timer = activation.Cluster.Time.CreateTimer(static state => ((GrainTimer)state!).Fire(), this, options.DueTime, Timeout.InfiniteTimeSpan);
    }

    internal override bool Interleaves => _interleaves;

    internal override bool IsReadOnly => false;

    internal override bool IsAbandoned => _stopped.IsCancellationRequested;

    internal override bool KeepsAlive => _keepsAlive;

    public void Change(TimeSpan dueTime, TimeSpan period)
    {
        Check(dueTime, period);
        ObjectDisposedException.ThrowIf(_stopped.IsCancellationRequested, this);
        _period = period;
        _changedInTick = _ticking;
        _timer.Change(dueTime, Timeout.InfiniteTimeSpan);
    }

    public void Dispose()
    {
        if (!_stopped.IsCancellationRequested)
        {
            _timer.Dispose();
            _stopped.Cancel();
            _activation.Forget(this);
        }
    }

    internal override void Start(Activation activation)
    {
        _ticking = true;
        try
        {
            _tick = _callback(_stopped.Token);
        }
        catch (Exception exception)
        {
            _tick = Task.FromException(exception);
        }

        if (_tick.IsCompleted)
        {
            Finish();
        }
        else
        {
            _tick.GetAwaiter().UnsafeOnCompleted(Finish);
        }
    }

    internal override void Reject(Exception exception)
    {
        // The activation failed; it has disposed its timers.
    }

    private static void Check(TimeSpan dueTime, TimeSpan period)
    {
        if ((dueTime < TimeSpan.Zero && dueTime != Timeout.InfiniteTimeSpan) || dueTime > s_longest)
        {
            throw new ArgumentOutOfRangeException(nameof(dueTime), dueTime, "The due time must be zero or more, or infinite.");
        }

        if ((period < TimeSpan.Zero && period != Timeout.InfiniteTimeSpan) || period > s_longest)
        {
            throw new ArgumentOutOfRangeException(nameof(period), period, "The period must be zero or more, or infinite.");
        }
    }

    private void Fire()
    {
        if (_activation.IsClosed)
        {
            _timer.Dispose();
            return;
        }

        // Posted through an action: the timer object itself stands in the waiting list at most once.
        _activation.Post(new Action(OnFired));
    }

    private void OnFired()
    {
        if (_ticking)
        {
            // Change() within a tick set a due time that came before the tick's end.
            _firedInTick = true;
        }
        else if (!IsAbandoned)
        {
            _ticking = true;
            _activation.Enqueue(this);
        }
    }

    private void Finish()
    {
        if (_tick.IsFaulted && !IsAbandoned)
        {
            Log.TimerFailed(_activation.Cluster.Logger, _tick.Exception!.InnerException!, _activation.Name);
        }

        _ticking = false;
        if (!IsAbandoned && !_changedInTick)
        {
            // A period of zero ticks again at once; only an infinite one ends.
            _timer.Change(_period, Timeout.InfiniteTimeSpan);
        }

        _changedInTick = false;
        _activation.Complete(this);
        if (_firedInTick)
        {
            _firedInTick = false;
            _activation.Post(new Action(OnFired));
        }
    }
}

/// <summary>A cancellation token that is cancelled in a turn when time runs out, so that its callbacks don't run beside grain code.</summary>
internal sealed class TurnTimeout : IDisposable
{
    private readonly ITimer? _timer;

    internal TurnTimeout(Activation activation, TimeSpan timeout)
    {
        if (timeout != Timeout.InfiniteTimeSpan)
        {
            _timer = activation.Cluster.Time.CreateTimer(_ => activation.Post(new Action(Cancel)), null, timeout, Timeout.InfiniteTimeSpan);
        }
    }

    internal CancellationTokenSource Source { get; } = new();

    internal CancellationToken Token => Source.Token;

    // The source isn't disposed: grain code may still hold the token, and without a timer inside there is nothing to free.
    public void Dispose() => _timer?.Dispose();

    private void Cancel() => Source.Cancel();
}
