using System.Buffers.Binary;
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
    /// <summary>The rows that were looked at.</summary>
    public long Rows => Equal + OnlyInFirst + OnlyInSecond + Different;

    /// <summary>Where a comparison goes on that was made in part; empty when it is whole.</summary>
    public ReadOnlyMemory<byte> Continuation { get; init; }

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
    /// <exception cref="StreamsException">As of <see cref="QueryWindowsAsync{TKey, TValue}"/>; ContinuationOutdated when an alias was switched meanwhile.</exception>
    public Task<Reconciliation> ReconcileAsync(StoreName first, StoreName second, StoreRange? range = null, int differences = 1_000, CancellationToken cancellationToken = default) =>
        ReconcileAsync(first, second, range ?? new StoreRange(), differences, long.MaxValue, cancellationToken);

    /// <summary>
    /// Compares a part of two stores, as <see cref="ReconcileAsync(StoreName, StoreName, StoreRange?, int, CancellationToken)"/> compares the whole: for callers that can wait only so long at a
    /// time. Where the result has a continuation, there is more.
    /// </summary>
    /// <param name="first">The first store.</param>
    /// <param name="second">The second store.</param>
    /// <param name="range">Which rows; with the continuation of the part before.</param>
    /// <param name="differences">The most differences to answer; all of the part are counted.</param>
    /// <param name="rows">The most rows to look at.</param>
    /// <param name="cancellationToken">Ends the comparison.</param>
    /// <exception cref="StreamsException">As of <see cref="QueryWindowsAsync{TKey, TValue}"/>; ContinuationOutdated when an alias was switched meanwhile.</exception>
    public async Task<Reconciliation> ReconcileAsync(StoreName first, StoreName second, StoreRange range, int differences, long rows, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(first);
        ArgumentNullException.ThrowIfNull(second);
        ArgumentNullException.ThrowIfNull(range);
        ArgumentOutOfRangeException.ThrowIfLessThan(rows, 1);
        var (firstFrom, secondFrom) = Parts(range.Continuation);
        var (x, y) = (new RowReader(this, first, range, firstFrom), new RowReader(this, second, range, secondFrom));
        await Task.WhenAll(x.MoveAsync(cancellationToken), y.MoveAsync(cancellationToken));
        var counts = new long[3];
        var equal = 0L;
        var found = new List<RowDifference>();
        var next = default(ReadOnlyMemory<byte>);
        while (next.IsEmpty && (x.Row is not null || y.Row is not null))
        {
            var order = Compare(x.Row, y.Row);
            var last = order <= 0 ? x.Row! : y.Row!;
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
            if (equal + counts.Sum() >= rows && (x.Row ?? y.Row) is not null)
            {
                // Both go on behind the last row that either has shown.
                next = Together(Behind(x.Application, last), Behind(y.Application, last));
            }
        }

        return new Reconciliation(equal, counts[0], counts[1], counts[2], [.. found]) { Continuation = next, KeySerde = x.KeySerde, FirstValueSerde = x.ValueSerde, SecondValueSerde = y.ValueSerde };
    }

    private static ReadOnlyMemory<byte> Behind(string application, StoreRow row) => StoreContinuation.Behind(application, row.Key.Span, row.WindowStartMs, row.WindowEndMs);

    private static ReadOnlyMemory<byte> Together(ReadOnlyMemory<byte> first, ReadOnlyMemory<byte> second)
    {
        var bytes = new byte[sizeof(int) + first.Length + second.Length];
        BinaryPrimitives.WriteInt32LittleEndian(bytes, first.Length);
        first.CopyTo(bytes.AsMemory(sizeof(int)));
        second.CopyTo(bytes.AsMemory(sizeof(int) + first.Length));
        return bytes;
    }

    private static (ReadOnlyMemory<byte> First, ReadOnlyMemory<byte> Second) Parts(ReadOnlyMemory<byte> continuation)
    {
        if (continuation.IsEmpty)
        {
            return default;
        }

        var length = continuation.Length < sizeof(int) ? -1 : BinaryPrimitives.ReadInt32LittleEndian(continuation.Span);
        return length > 0 && length < continuation.Length - sizeof(int)
            ? (continuation.Slice(sizeof(int), length), continuation[(sizeof(int) + length)..])
            : throw new StreamsException(StreamsErrorCode.InvalidRequest, "The continuation is none that a comparison answered: give back that of the part before, or leave it out to begin anew.");
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
    private sealed class RowReader(ApplicationClient client, StoreName store, StoreRange range, ReadOnlyMemory<byte> from)
    {
        private ImmutableArray<StoreRow> _rows = [];
        private ReadOnlyMemory<byte> _continuation = from;
        private int _next;
        private bool _isLast;

        /// <summary>The row at hand; null behind the last.</summary>
        public StoreRow? Row { get; private set; }

        /// <summary>The application that answers; pages of another one under the same alias are refused.</summary>
        public string Application { get; private set; } = string.Empty;

        public string? KeySerde { get; private set; }

        public string? ValueSerde { get; private set; }

        public async Task MoveAsync(CancellationToken cancellationToken)
        {
            while (_next == _rows.Length && !_isLast)
            {
                var page = await client.ScanAsync(store.Application, store.Store, range with { Continuation = _continuation }, null, cancellationToken);
                (_rows, _continuation, _next) = (page.Rows, page.Continuation, 0);
                _isLast = _continuation.IsEmpty;
                (Application, KeySerde, ValueSerde) = (page.Application, page.KeySerde, page.ValueSerde);
            }

            Row = _next < _rows.Length ? _rows[_next++] : null;
        }
    }
}
