using EmbeddedOrleans.Runtime;
using Orleans.Runtime;

namespace Orleans;

/// <summary>The base class of grains.</summary>
public abstract class Grain : IGrainBase, IAddressable
{
    /// <summary>Creates the grain; its context is taken from the activation under construction.</summary>
    protected Grain() => GrainContext = Activation.UnderConstruction
        ?? throw new InvalidOperationException($"{GetType().Name} is a grain: get a reference from IGrainFactory, the host creates it.");

    /// <inheritdoc/>
    public IGrainContext GrainContext { get; }

    /// <summary>Makes references to other grains.</summary>
    protected IGrainFactory GrainFactory => Activation.Of(this).Cluster.GrainFactory;

    /// <summary>The silo's services, in this activation's scope.</summary>
    protected internal IServiceProvider ServiceProvider => GrainContext.ActivationServices;

    /// <summary>Ends this activation after the requests under way; later requests go to a new one.</summary>
    protected void DeactivateOnIdle() =>
        GrainContext.Deactivate(new DeactivationReason(DeactivationReasonCode.ApplicationRequested, $"{nameof(DeactivateOnIdle)} was called."));

    /// <summary>Keeps this activation from idle collection for a time.</summary>
    /// <param name="timeSpan">How long from now; <see cref="TimeSpan.MaxValue"/> or infinite for always; zero or less cancels an earlier call.</param>
    protected void DelayDeactivation(TimeSpan timeSpan) => Activation.Of(this).DelayCollection(timeSpan);

    /// <inheritdoc/>
    public virtual Task OnActivateAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    /// <inheritdoc/>
    public virtual Task OnDeactivateAsync(DeactivationReason reason, CancellationToken cancellationToken) => Task.CompletedTask;
}

/// <summary>Extensions on grains.</summary>
public static class GrainBaseExtensions
{
    /// <summary>Starts a timer whose ticks run as turns of the grain, and wait for the running request unless they may interleave.</summary>
    public static IGrainTimer RegisterGrainTimer<TState>(
        this IGrainBase grain, Func<TState, CancellationToken, Task> callback, TState state, GrainTimerCreationOptions options)
    {
        ArgumentNullException.ThrowIfNull(grain);
        ArgumentNullException.ThrowIfNull(callback);
        return Activation.Of(grain).RegisterTimer(token => callback(state, token), options);
    }

    /// <summary>Starts a timer whose ticks run as turns of the grain, and wait for the running request unless they may interleave.</summary>
    public static IGrainTimer RegisterGrainTimer(this IGrainBase grain, Func<CancellationToken, Task> callback, GrainTimerCreationOptions options)
    {
        ArgumentNullException.ThrowIfNull(grain);
        ArgumentNullException.ThrowIfNull(callback);
        return Activation.Of(grain).RegisterTimer(callback, options);
    }
}

/// <summary>Extensions on grain references and grains.</summary>
public static class GrainExtensions
{
    /// <summary>The string key of the grain behind a reference or of a grain.</summary>
    public static string GetPrimaryKeyString(this IAddressable grain) => grain switch
    {
        GrainReference reference => reference.Id.Key,
        IGrainBase { GrainContext: Activation activation } => activation.Identity.Key,
        null => throw new ArgumentNullException(nameof(grain)),
        _ => throw new ArgumentException($"{grain.GetType()} is neither a grain nor a grain reference.", nameof(grain)),
    };
}
