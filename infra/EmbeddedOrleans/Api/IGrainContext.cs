namespace Orleans.Runtime;

/// <summary>The context of one activation.</summary>
public interface IGrainContext
{
    /// <summary>The services of this activation's scope.</summary>
    IServiceProvider ActivationServices { get; }

    /// <summary>Completes when the activation has ended.</summary>
    Task Deactivated { get; }

    /// <summary>The grain, or null before it was created.</summary>
    object? GrainInstance { get; }

    /// <summary>Ends the activation after the requests under way.</summary>
    void Deactivate(DeactivationReason deactivationReason, CancellationToken cancellationToken = default);
}
