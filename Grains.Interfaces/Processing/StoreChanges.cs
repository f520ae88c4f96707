using System.Collections.Immutable;

namespace OrleansStreams.Processing;

/// <summary>Asks a task for the committed changes of a store.</summary>
/// <param name="Store">The store's name.</param>
/// <param name="Since">The position that is known already; null to begin.</param>
/// <param name="Key">The only key wanted, as bytes; null for all.</param>
/// <param name="WaitMs">How long to wait for a change, in ms (0 to 25,000).</param>
[GenerateSerializer]
[Immutable]
[Alias("streams.store-watch")]
public sealed record StoreWatch([property: Id(0)] string Store, [property: Id(1)] StoreVersion? Since, [property: Id(2)] ReadOnlyMemory<byte>? Key, [property: Id(3)] int WaitMs);

/// <summary>A state of a task's stores.</summary>
/// <param name="Incarnation">Tells the task's state from that before a reset or a drop.</param>
/// <param name="Commit">The number of the commit in it.</param>
[GenerateSerializer]
[Immutable]
[Alias("streams.store-version")]
public sealed record StoreVersion([property: Id(0)] long Incarnation, [property: Id(1)] long Commit);

/// <summary>A row that has changed.</summary>
/// <param name="Row">The row as it is; without a value when it is deleted.</param>
/// <param name="IsDeleted">Whether it is gone.</param>
[GenerateSerializer]
[Immutable]
[Alias("streams.store-change")]
public sealed record StoreChange([property: Id(0)] StoreRow Row, [property: Id(1)] bool IsDeleted);

/// <summary>The changes of a store from one version to another. A row that has changed several times is there once, as it is in the newer version.</summary>
/// <param name="Changes">The changed rows, in the order of their last change.</param>
/// <param name="Version">The newer version: ask for the changes since it next.</param>
/// <param name="IsReset">Whether the changes since the version that was asked for are not known: read the store, then ask for the changes since <see cref="Version"/>.</param>
[GenerateSerializer]
[Immutable]
[Alias("streams.store-changes")]
public sealed record StoreChanges([property: Id(0)] ImmutableArray<StoreChange> Changes, [property: Id(1)] StoreVersion Version, [property: Id(2)] bool IsReset)
{
    /// <summary>The name of the serde that the keys are written with; null when it is not known.</summary>
    [Id(3)]
    public string? KeySerde { get; init; }

    /// <summary>The name of the serde that the values are written with.</summary>
    [Id(4)]
    public string? ValueSerde { get; init; }
}

/// <summary>Where a store is kept.</summary>
/// <param name="Application">The application, which an alias may stand for.</param>
/// <param name="Tasks">The ids of its tasks that keep a part of the store, by partition.</param>
[GenerateSerializer]
[Immutable]
[Alias("streams.store-place")]
public sealed record StorePlace([property: Id(0)] string Application, [property: Id(1)] ImmutableArray<string> Tasks);
