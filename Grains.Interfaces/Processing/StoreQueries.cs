using System.Collections.Immutable;

namespace OrleansStreams.Processing;

/// <summary>A record of an input topic, as a produce answered its place: a query that names it waits for a commit that reflects it.</summary>
/// <param name="Topic">The topic, which the application must read.</param>
/// <param name="Partition">The partition.</param>
/// <param name="Offset">The record's offset.</param>
[GenerateSerializer]
[Immutable]
[Alias("streams.input-offset")]
public sealed record InputOffset([property: Id(0)] string Topic, [property: Id(1)] int Partition, [property: Id(2)] long Offset);

/// <summary>A query of a store by ranges of keys and windows, over all partitions, a page at a time.</summary>
/// <param name="Store">The store's name.</param>
/// <param name="FromKey">The first key wanted, as bytes; empty for no bound.</param>
/// <param name="ToKey">The first key not wanted, as bytes; empty for no bound.</param>
/// <param name="FromMs">The first window start wanted, ms since the Unix epoch (ignored by plain stores).</param>
/// <param name="ToMs">The first window start not wanted.</param>
/// <param name="Limit">Rows to answer at most (1 to 10,000).</param>
[GenerateSerializer]
[Immutable]
[Alias("streams.store-scan")]
public sealed record StoreScan(
    [property: Id(0)] string Store, [property: Id(1)] ReadOnlyMemory<byte> FromKey, [property: Id(2)] ReadOnlyMemory<byte> ToKey,
    [property: Id(3)] long FromMs, [property: Id(4)] long ToMs, [property: Id(5)] int Limit)
{
    /// <summary>Where the page before ended (<see cref="StoreScanResult.Continuation"/>); empty for the first page. It holds for the application that answered that page alone.</summary>
    [Id(6)]
    public ReadOnlyMemory<byte> Continuation { get; init; }

    /// <summary>Records that the answer must reflect.</summary>
    [Id(7)]
    public ImmutableArray<InputOffset> AtLeast { get; init; } = [];

    /// <summary>How long to wait for them, in ms (1 to 25,000).</summary>
    [Id(8)]
    public int WaitMs { get; init; } = StateQuery.WaitMsDefault;
}

/// <summary>One row of a store.</summary>
/// <param name="Key">The key's bytes, as the store's key serde writes them.</param>
/// <param name="WindowStartMs">The window's start in ms since the Unix epoch, or -1 for a plain store.</param>
/// <param name="WindowEndMs">The window's end (exclusive), or -1.</param>
/// <param name="Value">The value's bytes.</param>
/// <param name="IsFinal">Whether the window has closed.</param>
[GenerateSerializer]
[Immutable]
[Alias("streams.store-row")]
public sealed record StoreRow(
    [property: Id(0)] ReadOnlyMemory<byte> Key, [property: Id(1)] long WindowStartMs, [property: Id(2)] long WindowEndMs, [property: Id(3)] ReadOnlyMemory<byte> Value,
    [property: Id(4)] bool IsFinal);

/// <summary>What of a partition an answer reflects.</summary>
/// <param name="Partition">The partition of the store, which one task keeps.</param>
/// <param name="TaskId">That task.</param>
/// <param name="EventTimeWatermark">Its watermark, ms since the Unix epoch; long.MinValue before the first event, long.MaxValue after the end of input.</param>
/// <param name="CommitOffset">The journal offset of the commit.</param>
/// <param name="Commit">The commit's number in its task.</param>
[GenerateSerializer]
[Immutable]
[Alias("streams.partition-view")]
public sealed record PartitionView(
    [property: Id(0)] int Partition, [property: Id(1)] string TaskId, [property: Id(2)] long EventTimeWatermark, [property: Id(3)] long CommitOffset, [property: Id(4)] long Commit);

/// <summary>A page of rows: committed state only, in the order of key bytes, window start and window end.</summary>
/// <param name="Rows">The rows: fewer than wanted, or none, also when there are more, because a page looks at a bounded number of entries.</param>
/// <param name="Partitions">What each partition's rows reflect, by partition. Partitions commit by themselves: there is no commit of all together.</param>
/// <param name="Continuation">Give it back for the next page; empty when there is none.</param>
[GenerateSerializer]
[Immutable]
[Alias("streams.store-scan-result")]
public sealed record StoreScanResult(
    [property: Id(0)] ImmutableArray<StoreRow> Rows, [property: Id(1)] ImmutableArray<PartitionView> Partitions, [property: Id(2)] ReadOnlyMemory<byte> Continuation)
{
    /// <summary>The application that answered, which an alias may stand for.</summary>
    [Id(3)]
    public string Application { get; init; } = string.Empty;

    /// <summary>The name of the serde that the keys are written with; null when it is not known.</summary>
    [Id(4)]
    public string? KeySerde { get; init; }

    /// <summary>The name of the serde that the values are written with.</summary>
    [Id(5)]
    public string? ValueSerde { get; init; }
}

/// <summary>An application's topology, printed.</summary>
/// <param name="Text">As text.</param>
/// <param name="Mermaid">As a Mermaid flow chart.</param>
[GenerateSerializer]
[Immutable]
[Alias("streams.topology-text")]
public sealed record TopologyText([property: Id(0)] string Text, [property: Id(1)] string Mermaid)
{
    /// <summary>The stores that hold results, in ordinal order.</summary>
    [Id(2)]
    public ImmutableArray<string> Stores { get; init; } = [];
}
