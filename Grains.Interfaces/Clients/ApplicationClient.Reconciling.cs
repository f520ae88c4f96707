using System.Collections.Immutable;
using OrleansStreams.Processing;

namespace OrleansStreams.Clients;

/// <summary>How two stores differ in a row.</summary>
public enum RowDifferenceKind
{
    /// <summary>Only the first has it.</summary>
    OnlyInFirst,

    /// <summary>Only the second has it.</summary>
    OnlyInSecond,

    /// <summary>Both have it, with other values.</summary>
    Different,
}

/// <summary>A row in which two stores differ.</summary>
/// <param name="Kind">How.</param>
/// <param name="First">The first store's row, or null.</param>
/// <param name="Second">The second store's row, or null.</param>
public sealed record RowDifference(RowDifferenceKind Kind, StoreRow? First, StoreRow? Second);

/// <summary>A store of an application.</summary>
/// <param name="Application">The application, or an alias.</param>
/// <param name="Store">The store.</param>
public sealed record StoreName(string Application, string Store);

/// <summary>What a comparison of two stores found.</summary>
/// <param name="Equal">Rows that are equal.</param>
/// <param name="OnlyInFirst">Rows that only the first has.</param>
/// <param name="OnlyInSecond">Rows that only the second has.</param>
/// <param name="Different">Rows that both have with other values.</param>
/// <param name="Differences">The first of the differences, by key bytes and window.</param>
public sealed record Reconciliation(long Equal, long OnlyInFirst, long OnlyInSecond, long Different, ImmutableArray<RowDifference> Differences)
{
    /// <summary>Whether there is no difference.</summary>
    public bool AreEqual => OnlyInFirst + OnlyInSecond + Different == 0;

    /// <summary>The name of the serde of the first store's keys, null when it is not known.</summary>
    public string? KeySerde { get; init; }

    /// <summary>The name of the serde of the first store's values.</summary>
    public string? FirstValueSerde { get; init; }

    /// <summary>The name of the serde of the second store's values.</summary>
    public string? SecondValueSerde { get; init; }
}

/// <summary>Comparing what two applications have made of the same input: a new version with the old one, a batch with a stream.</summary>
public sealed partial class ApplicationClient
{
    /// <summary>
    /// Compares two stores row by row: for each key and window the values' bytes, and not whether a window has closed. Both are read a page at a time, so they should stand still (paused,
    /// completed, or a range of windows that both have closed), else a row may differ that was changed between the two reads.
    /// </summary>
    /// <param name="first">The first store.</param>
    /// <param name="second">The second store.</param>
    /// <param name="range">Which rows; null for all. Its limit is that of a page.</param>
    /// <param name="differences">The most differences to answer; all are counted.</param>
    /// <param name="cancellationToken">Ends the comparison.</param>
    /// <exception cref="StreamsException">As of <see cref="QueryWindowsAsync{TKey, TValue}"/>.</exception>
    public async Task<Reconciliation> ReconcileAsync(StoreName first, StoreName second, StoreRange? range = null, int differences = 1_000, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(first);
        ArgumentNullException.ThrowIfNull(second);
        var (x, y) = (new RowReader(this, first, range ?? new StoreRange()), new RowReader(this, second, range ?? new StoreRange()));
        await Task.WhenAll(x.MoveAsync(cancellationToken), y.MoveAsync(cancellationToken));
        var counts = new long[3];
        var equal = 0L;
        var found = new List<RowDifference>();
        while (x.Row is not null || y.Row is not null)
        {
            var order = Compare(x.Row, y.Row);
            var kind = order < 0 ? RowDifferenceKind.OnlyInFirst : order > 0 ? RowDifferenceKind.OnlyInSecond : RowDifferenceKind.Different;
            if (order == 0 && x.Row!.Value.Span.SequenceEqual(y.Row!.Value.Span))
            {
                equal++;
            }
            else
            {
                counts[(int)kind]++;
                if (found.Count < differences)
                {
                    found.Add(new RowDifference(kind, order <= 0 ? x.Row : null, order >= 0 ? y.Row : null));
                }
            }

            await (order <= 0 ? x.MoveAsync(cancellationToken) : Task.CompletedTask);
            await (order >= 0 ? y.MoveAsync(cancellationToken) : Task.CompletedTask);
        }

        return new Reconciliation(equal, counts[0], counts[1], counts[2], [.. found]) { KeySerde = x.KeySerde, FirstValueSerde = x.ValueSerde, SecondValueSerde = y.ValueSerde };
    }

    /// <summary>The order of rows in a scan; none comes behind all.</summary>
    private static int Compare(StoreRow? x, StoreRow? y)
    {
        if (x is null || y is null)
        {
            return x is null ? 1 : -1;
        }

        var order = x.Key.Span.SequenceCompareTo(y.Key.Span);
        order = order != 0 ? order : x.WindowStartMs.CompareTo(y.WindowStartMs);
        return order != 0 ? order : x.WindowEndMs.CompareTo(y.WindowEndMs);
    }

    /// <summary>A store's rows one by one.</summary>
    private sealed class RowReader(ApplicationClient client, StoreName store, StoreRange range)
    {
        private ImmutableArray<StoreRow> _rows = [];
        private ReadOnlyMemory<byte> _continuation;
        private int _next;
        private bool _isLast;

        /// <summary>The row at hand; null behind the last.</summary>
        public StoreRow? Row { get; private set; }

        public string? KeySerde { get; private set; }

        public string? ValueSerde { get; private set; }

        public async Task MoveAsync(CancellationToken cancellationToken)
        {
            while (_next == _rows.Length && !_isLast)
            {
                var page = await client.ScanAsync(store.Application, store.Store, range with { Continuation = _continuation }, null, cancellationToken);
                (_rows, _continuation, _next) = (page.Rows, page.Continuation, 0);
                _isLast = _continuation.IsEmpty;
                (KeySerde, ValueSerde) = (page.KeySerde, page.ValueSerde);
            }

            Row = _next < _rows.Length ? _rows[_next++] : null;
        }
    }
}
