using System.Buffers.Binary;

namespace OrleansStreams.Processing.State;

/// <summary>A store that can be read by ranges of keys and windows.</summary>
internal interface IServedStore
{
    /// <summary>The name of the serde of its keys; null when it is not known.</summary>
    string? KeySerde { get; }

    /// <summary>Offers every entry of the page's range, with its value only where the page wants it.</summary>
    void Scan(StorePage page);

    /// <summary>Tells what operations have done that <see cref="IStateStore.DrainOps"/> has just written.</summary>
    void ReadChanges(ByteReader ops, int count, IChangeSink sink);
}

/// <summary>
/// Collects one page of a store's entries in the order of key bytes, window start and window end. A store that has no such order offers all that it has; the page keeps the first of
/// them in a heap no larger than the page, so that its memory does not depend on the store's size. Its time does: a page of windows costs a walk over the windows (some 50 ns each).
/// </summary>
internal sealed class StorePage
{
    /// <summary>Bytes of keys and values at which a page ends before its limit, because it travels as one message.</summary>
    private const int BytesMax = 4 * 1024 * 1024;

    private readonly byte[] _fromKey;
    private readonly byte[] _toKey;
    private readonly int _limit;
    private readonly StorePosition? _after;
    private readonly PriorityQueue<Entry, StorePosition> _first = new(Comparer<StorePosition>.Create((x, y) => y.CompareTo(x)));
    private StorePosition? _last;

    /// <exception cref="StreamsException">InvalidRequest for a continuation that is none.</exception>
    public StorePage(StoreScan scan)
    {
        _fromKey = scan.FromKey.ToArray();
        _toKey = scan.ToKey.ToArray();
        _limit = scan.Limit;
        FromMs = scan.FromMs;
        ToMs = scan.ToMs;
        _after = scan.Continuation.IsEmpty ? null : StorePosition.Read(scan.Continuation.Span);
    }

    /// <summary>The first window start wanted.</summary>
    public long FromMs { get; }

    /// <summary>The first window start not wanted.</summary>
    public long ToMs { get; }

    /// <summary>The first key wanted, or null.</summary>
    public byte[]? FromKey => _after is { } after && (_fromKey.Length == 0 || after.Key.AsSpan().SequenceCompareTo(_fromKey) > 0) ? after.Key : _fromKey.Length == 0 ? null : _fromKey;

    /// <summary>The first key not wanted, or null.</summary>
    public byte[]? ToKey => _toKey.Length == 0 ? null : _toKey;

    /// <summary>Whether there is more than the page takes, so that keys behind those it has need not be offered.</summary>
    public bool IsFull => _first.Count > _limit;

    /// <summary>Whether an entry belongs to the page, as far as is known yet.</summary>
    public bool Wants(ReadOnlySpan<byte> key, long start, long end)
    {
        if (key.SequenceCompareTo(_fromKey) < 0 || (_toKey.Length > 0 && key.SequenceCompareTo(_toKey) >= 0))
        {
            return false;
        }

        return (_after is not { } after || after.CompareTo(key, start, end) < 0) && (!IsFull || _last is not { } last || last.CompareTo(key, start, end) > 0);
    }

    /// <summary>Whether a window's start lies in the range.</summary>
    public bool WantsStart(long start) => start >= FromMs && start < ToMs;

    /// <summary>Adds an entry that is wanted. Its value is asked for only if it stays.</summary>
    public void Add(ReadOnlySpan<byte> key, long start, long end, bool isFinal, Func<ReadOnlyMemory<byte>> value)
    {
        var position = new StorePosition(key.ToArray(), start, end);
        _first.Enqueue(new Entry(position, isFinal, value), position);

        // One more than the limit is kept: that there is one says that there is another page.
        if (_first.Count > _limit + 1)
        {
            _first.Dequeue();
        }

        _last = _first.Peek().Position;
    }

    /// <summary>The rows, and the position of the last of them when there are more.</summary>
    public (List<StoreRow> Rows, ReadOnlyMemory<byte> Continuation) Take()
    {
        var entries = _first.UnorderedItems.Select(item => item.Element).OrderBy(entry => entry.Position).ToList();
        var rows = new List<StoreRow>(Math.Min(entries.Count, _limit));
        var bytes = 0L;
        foreach (var entry in entries)
        {
            if (rows.Count == _limit || bytes >= BytesMax)
            {
                var last = rows[^1];
                return (rows, StorePosition.Of(last).ToBytes());
            }

            var position = entry.Position;
            var value = entry.Value();
            rows.Add(new StoreRow(position.Key, position.Start, position.End, value, entry.IsFinal));
            bytes += position.Key.Length + value.Length;
        }

        return (rows, default);
    }

    private readonly record struct Entry(StorePosition Position, bool IsFinal, Func<ReadOnlyMemory<byte>> Value);
}

/// <summary>
/// A row's place in the order of a scan.
/// <code>
///  window start int64 | window end int64 | key, all that follows
/// </code>
/// </summary>
internal readonly record struct StorePosition(byte[] Key, long Start, long End) : IComparable<StorePosition>
{
    public static StorePosition Of(StoreRow row) => new(row.Key.ToArray(), row.WindowStartMs, row.WindowEndMs);

    /// <exception cref="StreamsException">InvalidRequest.</exception>
    public static StorePosition Read(ReadOnlySpan<byte> from) => from.Length >= 16
        ? new StorePosition(from[16..].ToArray(), BinaryPrimitives.ReadInt64LittleEndian(from), BinaryPrimitives.ReadInt64LittleEndian(from[8..]))
        : throw new StreamsException(StreamsErrorCode.InvalidRequest, "The continuation is none that a query answered: give back that of the page before, or leave it out to begin anew.");

    public ReadOnlyMemory<byte> ToBytes()
    {
        var bytes = new byte[16 + Key.Length];
        StoreContinuation.WritePosition(bytes, Key, Start, End);
        return bytes;
    }

    public int CompareTo(StorePosition other) => CompareTo(other.Key, other.Start, other.End);

    public int CompareTo(ReadOnlySpan<byte> key, long start, long end)
    {
        var order = Key.AsSpan().SequenceCompareTo(key);
        order = order != 0 ? order : Start.CompareTo(start);
        return order != 0 ? order : End.CompareTo(end);
    }
}
