using System.Collections.Frozen;
using System.Diagnostics.CodeAnalysis;
using Orleans.Metadata;
using Orleans.Runtime.Placement;
using OrleansStreams.Silo.Hosting.Placement;

namespace OrleansStreams.Silo.Hosting.Orleans;

/// <summary>How this product's own grains are placed, see <see cref="GrainSpread"/>.</summary>
[GenerateSerializer, Immutable, Alias("OrleansStreams.StreamsPlacement")]
internal sealed class StreamsPlacement : PlacementStrategy
{
    public static readonly StreamsPlacement Instance = new();
}

/// <summary>Names that strategy for the grains of this product, whatever their attributes say, and leaves all other grains of the host alone.</summary>
internal sealed class StreamsPlacementResolver : IPlacementStrategyResolver
{
    public bool TryResolvePlacementStrategy(GrainType grainType, GrainProperties? properties, [NotNullWhen(true)] out PlacementStrategy? result)
    {
        result = StreamsGrains.AreOfType(properties) ? StreamsPlacement.Instance : null;
        return result is not null;
    }
}

/// <summary>Places the grains over the silos that stay. Every silo comes to the same answer as soon as it knows the same silos.</summary>
internal sealed class StreamsPlacementDirector(LeavingSilos leaving) : IPlacementDirector
{
    public Task<SiloAddress> OnAddActivation(PlacementStrategy strategy, PlacementTarget target, IPlacementContext context)
    {
        var compatible = context.GetCompatibleSilos(target);
        if (IPlacementDirector.GetPlacementHint(target.RequestContextData, compatible) is { } hint)
        {
            return Task.FromResult(hint);
        }

        var staying = leaving.Without(compatible);
        Array.Sort(staying);
        return Task.FromResult(staying[GrainSpread.SiloOf(target.GrainIdentity.Key.ToString()!, staying.Length)]);
    }
}

/// <summary>Which grains are this product's own.</summary>
internal static class StreamsGrains
{
    /// <summary>The kinds that are spread evenly: where the work is.</summary>
    public static readonly FrozenSet<string> Spread = new[] { "partition", "streamtask", "consumergroup" }.ToFrozenSet(StringComparer.Ordinal);

    private static readonly FrozenSet<string> Names = typeof(StreamsServiceCollectionExtensions).Assembly.GetTypes()
        .Where(type => !type.IsAbstract && typeof(Grain).IsAssignableFrom(type)).Select(type => type.FullName!).ToFrozenSet(StringComparer.Ordinal);

    public static bool AreOfType(GrainProperties? properties) =>
        properties is not null && properties.Properties.TryGetValue(WellKnownGrainTypeProperties.FullTypeName, out var name) && Names.Contains(name);
}
