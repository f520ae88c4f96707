using System;
using System.Threading;
using System.Threading.Tasks;
using Orleans.Runtime;

namespace Orleans;

/// <summary>The base class of grains.</summary>
public abstract class Grain : IGrainBase, IAddressable
{
    /// <summary>Creates the grain; its context is taken from the activation under construction.</summary>
    protected Grain() => throw new NotSupportedException("written by the embedded runtime");

    /// <inheritdoc/>
    public IGrainContext GrainContext { get; }

    /// <summary>Makes references to other grains.</summary>
    protected IGrainFactory GrainFactory => throw new NotSupportedException();

    /// <summary>The silo's services.</summary>
    protected internal IServiceProvider ServiceProvider => throw new NotSupportedException();

    /// <summary>Ends this activation after the requests under way.</summary>
    protected void DeactivateOnIdle() => throw new NotSupportedException();

    /// <summary>Keeps this activation from idle collection for a time.</summary>
    protected void DelayDeactivation(TimeSpan timeSpan) => throw new NotSupportedException();

    /// <inheritdoc/>
    public virtual Task OnActivateAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    /// <inheritdoc/>
    public virtual Task OnDeactivateAsync(DeactivationReason reason, CancellationToken cancellationToken) => Task.CompletedTask;
}

/// <summary>Extensions on grains.</summary>
public static class GrainBaseExtensions
{
    /// <summary>Starts a timer whose ticks run as turns of the grain.</summary>
    public static IGrainTimer RegisterGrainTimer<TState>(
        this IGrainBase grain, Func<TState, CancellationToken, Task> callback, TState state, GrainTimerCreationOptions options) =>
        throw new NotSupportedException();
}

/// <summary>Extensions on grain references and grains.</summary>
public static class GrainExtensions
{
    /// <summary>The string key of the grain behind a reference or of a grain.</summary>
    public static string GetPrimaryKeyString(this IAddressable grain) => throw new NotSupportedException();
}
