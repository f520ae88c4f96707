using System.Buffers.Binary;

namespace OrleansStreams.Processing.State;

/// <summary>A store that can be read by ranges of keys and windows.</summary>
internal interface IServedStore
{
    /// <summary>The name of the serde of its keys; null when it is not known.</summary>
    string? KeySerde { get; }

    /// <summary>Whether somebody follows its changes, so that it has to know which rows it removes.</summary>
    bool IsFollowed { get; set; }

    /// <summary>Brings the order of its keys on, which a scan needs, and begins it when there is none.</summary>
    /// <param name="slotsMax">How many keys to look at, at most.</param>
    /// <returns>Whether it is complete. It stays so until <see cref="DropOrder"/>.</returns>
    bool Order(int slotsMax);

    /// <summary>Forgets the order of its keys, unless its own operator needs it.</summary>
    void DropOrder();

    /// <summary>Offers the page, in its order, the entries of its range until it is done. The order must be complete.</summary>
    void Scan(StorePage page);

    /// <summary>Tells what operations have done that <see cref="IStateStore.DrainOps"/> has just written.</summary>
    void ReadChanges(ByteReader ops, int count, IChangeSink sink);
}

/// <summary>
/// Collects one page of a store's entries, which come in the order of key bytes, window start and window end. However many of them the page does not want, it looks at a bounded number: then it ends
/// with fewer rows, or none, and says where to go on.
/// </summary>
internal sealed class StorePage
{
    /// <summary>Entries that a page looks at, wanted or not: some milliseconds.</summary>
    internal const int StepsMax = 20_000;

    /// <summary>Bytes of keys and values at which a page ends before its limit, because it travels as one message.</summary>
    private const int BytesMax = 4 * 1024 * 1024;

    private readonly byte[] _fromKey;
    private readonly byte[] _toKey;
    private readonly int _limit;
    private readonly StorePosition? _after;
    private readonly List<StoreRow> _rows = [];
    private ReadOnlyMemory<byte> _continuation;
    private long _bytes;

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

    /// <summary>Whether it takes nothing more.</summary>
    public bool IsDone { get; private set; }

    /// <summary>Entries that it has looked at.</summary>
    public int Steps { get; private set; }

    /// <summary>The first window start of a key that is not behind the page.</summary>
    public long FirstStartOf(ReadOnlySpan<byte> key) => _after is { } after && key.SequenceEqual(after.Key) ? Math.Max(FromMs, after.Start) : FromMs;

    /// <summary>Looks at the next entry: whether it is one of the page's, which then must be added.</summary>
    public bool Offer(ReadOnlySpan<byte> key, long start, long end)
    {
        if (_rows.Count == _limit || _bytes >= BytesMax)
        {
            _continuation = StorePosition.Of(_rows[^1]).ToBytes();
            IsDone = true;
            return false;
        }

        if (++Steps >= StepsMax)
        {
            _continuation = new StorePosition(key.ToArray(), start, end).ToBytes();
            IsDone = true;
        }

        return _after is not { } after || after.CompareTo(key, start, end) < 0;
    }

    /// <summary>Looks at the end of a key's entries that are wanted, of which there may have been none.</summary>
    public void Pass(ReadOnlySpan<byte> key)
    {
        if (!IsDone && ++Steps >= StepsMax)
        {
            _continuation = new StorePosition(key.ToArray(), long.MaxValue, long.MaxValue).ToBytes();
            IsDone = true;
        }
    }

    /// <summary>Adds the entry that was offered.</summary>
    public void Add(ReadOnlySpan<byte> key, long start, long end, bool isFinal, byte[] value)
    {
        _rows.Add(new StoreRow(key.ToArray(), start, end, value, isFinal));
        _bytes += key.Length + value.Length;
    }

    /// <summary>The rows, and the position up to which all entries were looked at when there may be more.</summary>
    public (List<StoreRow> Rows, ReadOnlyMemory<byte> Continuation) Take() => (_rows, _continuation);
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
