using System.Diagnostics.CodeAnalysis;
using Orleans.Runtime;
using Orleans.Storage;

namespace EmbeddedOrleans.Runtime;

/// <summary>How a grain interface's method is called; read from its attributes once.</summary>
internal sealed record MethodDescriptor(
    string Name, bool OneWay, bool AlwaysInterleave, bool ReadOnly, bool HasToken, TimeSpan? Timeout);

/// <summary>Something that waits in an activation's mailbox for its turn to start: a request or a timer's tick.</summary>
internal abstract class MailboxItem
{
    internal MailboxItem? NextWaiting;

    /// <summary>Whether it may start whatever runs.</summary>
    internal abstract bool Interleaves { get; }

    /// <summary>Whether it may start while only read-only requests run.</summary>
    internal abstract bool IsReadOnly { get; }

    /// <summary>Whether nobody is interested any more, so that it need not start.</summary>
    internal abstract bool IsAbandoned { get; }

    /// <summary>Whether it counts as use of the grain.</summary>
    internal virtual bool KeepsAlive => true;

    /// <summary>Starts it, inside a turn of the activation; ends by <see cref="Activation.Complete"/> there.</summary>
    internal abstract void Start(Activation activation);

    /// <summary>It will not run.</summary>
    internal abstract void Reject(Exception exception);
}

/// <summary>
/// One call of a grain's method: the arguments (fields of the generated subclass), the caller's promise and the message itself, in one
/// object. A call costs this, the promise's two objects and the task that wraps the turn.
/// </summary>
[SuppressMessage("Design", "CA1001", Justification = "The callee may keep the token; a source without timer and wait handle holds nothing to free.")]
internal abstract class Request : MailboxItem, IGrainMessage
{
    // Written by the generated proxy and read by the generated Call.
    public CancellationToken CallerToken;
    public CancellationToken CalleeToken;

    internal GrainReference Reference = null!;
    internal MethodDescriptor Descriptor = null!;
    internal Activation? Target;
    internal Activation? CallingActivation;
    internal int Forwards;

    // The in-flight list (InFlightRequests).
    internal Request? Previous;
    internal Request? Next;
    internal long Started;
    internal long Deadline;
    internal int Shard = -1;

    private CancellationTokenSource? _calleeCancellation;
    private CancellationTokenRegistration _registration;
    private volatile bool _abandoned;

    public GrainMessageKind Kind { get; private set; }

    public string Caller => CallingActivation?.Silo.Name ?? "client";

    public string Callee => Target!.Silo.Name;

    public string Grain => Reference.Id.ToString();

    public string Method => Descriptor.Name;

    public bool IsOneWay => Descriptor.OneWay;

    internal sealed override bool Interleaves => Descriptor.AlwaysInterleave;

    internal sealed override bool IsAbandoned => _abandoned;

    internal sealed override bool IsReadOnly => Descriptor.ReadOnly;

    private EmbeddedCluster Cluster => Reference.Cluster;

    public void Arrive()
    {
        if (Kind == GrainMessageKind.Request)
        {
            EmbeddedCluster.Arrived(this);
        }
        else
        {
            Answer();
        }
    }

    public override string ToString() => $"{Grain}.{Method}";

    /// <summary>Links the caller's token to the call; before the message is sent.</summary>
    internal void LinkCancellation()
    {
        _calleeCancellation = new CancellationTokenSource();
        CalleeToken = _calleeCancellation.Token;
        if (CallerToken.CanBeCanceled)
        {
            _registration = CallerToken.UnsafeRegister(static state => ((Request)state!).CancelByCaller(), this);
        }
    }

    /// <summary>The response timeout ran out: the caller gets an exception, and the callee's token is cancelled.</summary>
    internal void TimeOut(TimeSpan timeout)
    {
        Settle(new TimeoutException(
            $"No response within {timeout} from {this} on silo {Target?.Silo.Name}. The grain is busy, waits for a grain that waits for it, or "
            + "needs a longer [ResponseTimeout]."));
        CancelCallee();
    }

    internal sealed override void Reject(Exception exception)
    {
        if (IsOneWay)
        {
            Log.OneWayCallFailed(Cluster.Logger, exception, Grain, Method);
        }

        Settle(exception);
    }

    /// <summary>Ends the caller's wait with an exception, unless it has ended.</summary>
    internal void Settle(Exception exception)
    {
        Release();
        _abandoned = true;
        if (CallingActivation is { } caller)
        {
            caller.Post(new Action(() => TrySettle(exception)));
        }
        else
        {
            TrySettle(exception);
        }
    }

    /// <summary>The response is there: the caller's promise is kept, for a calling grain in a turn of its own. So whatever hangs on the
    /// promise, also a WhenAll of several, runs in the caller's turns and never beside them or in the callee's.</summary>
    internal void Answer()
    {
        if (CallingActivation is { } caller && Activation.Running != caller)
        {
            caller.Post(this);
        }
        else
        {
            SettleFromOutcome();
        }
    }

    protected abstract bool TrySettle(Exception exception);

    protected abstract bool TrySettleCancelled(CancellationToken token);

    /// <summary>Ends the caller's wait with what the grain answered.</summary>
    internal abstract void SettleFromOutcome();

    /// <summary>The grain has answered, in its turn.</summary>
    protected void Respond(Task? failed)
    {
        Activation activation = Target!;
        if (failed is { IsFaulted: true })
        {
            Exception exception = failed.Exception!.InnerException!;
            if (exception is InconsistentStateException { IsSourceActivation: true } conflict)
            {
                // Its copy of the state is stale: as in Orleans the activation ends, and the next one reads anew.
                conflict.IsSourceActivation = false;
                activation.Deactivate(new Orleans.DeactivationReason(Orleans.DeactivationReasonCode.ApplicationError, exception, "Its stored state was changed by another writer."));
            }

            if (IsOneWay)
            {
                Log.OneWayCallFailed(Cluster.Logger, exception, Grain, Method);
            }
        }

        activation.Complete(this);
        if (IsOneWay)
        {
            return;
        }

        Kind = GrainMessageKind.Response;
        if (Cluster.Delivery is { } delivery)
        {
            delivery.Deliver(this);
        }
        else
        {
            Answer();
        }
    }

    protected void Release()
    {
        Cluster.InFlight.Remove(this);
        _registration.Unregister();
    }

    // The caller is released at once, as in Orleans; the callee learns of it in a turn, so that callbacks on its token don't run
    // beside its code.
    private void CancelByCaller()
    {
        Cluster.InFlight.Remove(this);
        _abandoned = true;
        if (CallingActivation is { } caller)
        {
            caller.Post(new Action(() => TrySettleCancelled(CallerToken)));
        }
        else
        {
            TrySettleCancelled(CallerToken);
        }

        CancelCallee();
    }

    private void CancelCallee()
    {
        if (_calleeCancellation is { } source)
        {
            Target?.Post(new Action(source.Cancel));
        }
    }
}

/// <summary>A call with a result.</summary>
internal abstract class Request<T> : Request
{
    // Where the caller has a scheduler, its awaits go back there. Where it has none, continuations must not run where the promise is
    // kept: the callee's turn never runs its caller's code.
    private readonly TaskCompletionSource<T> _promise = new(
        TurnQueue.Current is not null || TaskScheduler.Current != TaskScheduler.Default ? TaskCreationOptions.None : TaskCreationOptions.RunContinuationsAsynchronously);

    private Task<T>? _failed;
    private T _result = default!;

    internal Task<T> Promise => _promise.Task;

    protected sealed override bool TrySettle(Exception exception) => _promise.TrySetException(exception);

    protected sealed override bool TrySettleCancelled(CancellationToken token) => _promise.TrySetCanceled(token);

    protected void Succeed(T result)
    {
        _result = result;
        Respond(null);
    }

    protected void Fail(Task<T> failed)
    {
        _failed = failed;
        Respond(failed);
    }

    internal sealed override void SettleFromOutcome()
    {
        Release();
        if (_failed is null)
        {
            _promise.TrySetResult(_result);
        }
        else
        {
            // Keeps the exception object, its type and its stack trace, and whether it was a cancellation.
            _promise.TrySetFromTask(_failed);
        }
    }
}
