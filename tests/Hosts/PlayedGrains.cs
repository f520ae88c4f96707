using System.Reflection;
using Orleans;

namespace OrleansStreams.Hosts;

/// <summary>
/// A grain factory whose grains a test plays: each runtime's interface has other ways than by a string to ask for a grain, of which ours use none.
/// </summary>
public class PlayedGrains : DispatchProxy
{
    private Func<Type, string, object?> _play = null!;
    private IGrainFactory? _others;

    /// <summary>Makes a factory.</summary>
    /// <param name="play">Gives the grain of an interface and key, or null for one that is not played.</param>
    /// <param name="others">Where all others come from; null when there must not be any.</param>
    public static IGrainFactory Of(Func<Type, string, object?> play, IGrainFactory? others = null)
    {
        var factory = Create<IGrainFactory, PlayedGrains>();
        ((PlayedGrains)factory)._play = play;
        ((PlayedGrains)factory)._others = others;
        return factory;
    }

    protected override object? Invoke(MethodInfo? targetMethod, object?[]? args)
    {
        if (targetMethod is { Name: nameof(IGrainFactory.GetGrain), IsGenericMethod: true } && args is [string key, ..]
            && _play(targetMethod.GetGenericArguments()[0], key) is { } played)
        {
            return played;
        }

        return _others is null
            ? throw new InvalidOperationException($"Nobody plays {targetMethod}.")
            : targetMethod!.Invoke(_others, BindingFlags.DoNotWrapExceptions, null, args, null);
    }
}
