using System.Collections.Immutable;
using OrleansStreams.Processing;

namespace OrleansStreams.Clients;

/// <summary>A window of a key, as a query answers it.</summary>
/// <param name="WindowStartMs">Its start, ms since the Unix epoch.</param>
/// <param name="WindowEndMs">Its end (exclusive).</param>
/// <param name="Value">The aggregate.</param>
/// <param name="IsFinal">Whether the window has closed.</param>
public readonly record struct WindowedValue<T>(long WindowStartMs, long WindowEndMs, T Value, bool IsFinal);

/// <summary>Windows of a key.</summary>
/// <param name="Windows">The windows by start.</param>
/// <param name="EventTimeWatermark">The task's watermark at the commit that they reflect, ms since the Unix epoch.</param>
/// <param name="CommitOffset">The journal offset of that commit.</param>
public sealed record WindowQueryResult<T>(ImmutableArray<WindowedValue<T>> Windows, long EventTimeWatermark, long CommitOffset)
{
    /// <summary>Ask with it for the windows behind these; empty when there are none.</summary>
    public ReadOnlyMemory<byte> Continuation { get; init; }
}

/// <summary>A key's value in a plain store.</summary>
/// <param name="IsThere">Whether the key has a value.</param>
/// <param name="Value">The value; the type's default when it has none.</param>
/// <param name="EventTimeWatermark">The task's watermark at the commit that the answer reflects, ms since the Unix epoch.</param>
/// <param name="CommitOffset">The journal offset of that commit.</param>
public sealed record ValueQueryResult<T>(bool IsThere, T? Value, long EventTimeWatermark, long CommitOffset);

/// <summary>A row of a store, as a query of a range answers it.</summary>
/// <param name="Key">The key.</param>
/// <param name="WindowStartMs">The window's start, ms since the Unix epoch; -1 in a plain store.</param>
/// <param name="WindowEndMs">Its end (exclusive); -1 in a plain store.</param>
/// <param name="Value">The value.</param>
/// <param name="IsFinal">Whether the window has closed.</param>
public readonly record struct StoredRow<TKey, TValue>(TKey Key, long WindowStartMs, long WindowEndMs, TValue Value, bool IsFinal);

/// <summary>A page of rows by key bytes, window start and window end.</summary>
/// <param name="Rows">The rows: fewer than wanted, or none, also when there are more, because a page looks at a bounded number of entries.</param>
/// <param name="Partitions">What each partition's rows reflect.</param>
/// <param name="Continuation">Give it to <see cref="StoreRange.Continuation"/> for the next page; empty when there is none.</param>
/// <param name="Application">The application that answered.</param>
public sealed record RangeQueryResult<TKey, TValue>(
    ImmutableArray<StoredRow<TKey, TValue>> Rows, ImmutableArray<PartitionView> Partitions, ReadOnlyMemory<byte> Continuation, string Application);

/// <summary>Which rows of a store are wanted; all of them unless something is said. Keys are ordered by their bytes.</summary>
public sealed record StoreRange
{
    /// <summary>The first key wanted, as bytes; empty for no bound.</summary>
    public ReadOnlyMemory<byte> FromKey { get; init; }

    /// <summary>The first key not wanted, as bytes; empty for no bound.</summary>
    public ReadOnlyMemory<byte> ToKey { get; init; }

    /// <summary>The first window start wanted, ms since the Unix epoch.</summary>
    public long FromMs { get; init; } = long.MinValue;

    /// <summary>The first window start not wanted.</summary>
    public long ToMs { get; init; } = long.MaxValue;

    /// <summary>Rows of a page at most, 1 to 10,000.</summary>
    public int Limit { get; init; } = 1_000;

    /// <summary>Where the page before ended; empty for the first one.</summary>
    public ReadOnlyMemory<byte> Continuation { get; init; }
}

/// <summary>What an answer must reflect: one's own writes, for example.</summary>
public sealed record QueryFreshness
{
    /// <summary>The records, as their produces answered their places.</summary>
    public ImmutableArray<InputOffset> AtLeast { get; init; } = [];

    /// <summary>How long to wait for a commit that reflects them, 1 ms to 25 s.</summary>
    public TimeSpan Wait { get; init; } = TimeSpan.FromMilliseconds(StateQuery.WaitMsDefault);
}
