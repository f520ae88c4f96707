namespace Orleans.Serialization.Invocation;

/// <summary>Stand-in for the official interface, which IGrainContext derives from; grain code never calls it.</summary>
public interface ITargetHolder
{
    /// <summary>The target.</summary>
    TTarget? GetTarget<TTarget>()
        where TTarget : class;

    /// <summary>A component of the target.</summary>
    TComponent? GetComponent<TComponent>()
        where TComponent : class;
}
