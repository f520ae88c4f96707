namespace OrleansStreams.Processing.State;

/// <summary>Takes what the operations of a commit have done to a store's rows.</summary>
internal interface IChangeSink
{
    /// <summary>The row has this value now.</summary>
    void Put(ReadOnlySpan<byte> key, long start, long end, ReadOnlySpan<byte> value, bool isFinal);

    /// <summary>The row is gone.</summary>
    void Remove(ReadOnlySpan<byte> key, long start, long end);

    /// <summary>Rows are gone of which the operation does not say which.</summary>
    void Forget();
}

/// <summary>
/// The last changes of a store, for who follows it: of each row the newest change, in the order of their commits. It takes them from the operations that a commit writes to the journal
/// anyway, in memory and only while somebody follows: so a store that nobody follows pays nothing, no store keeps versions of its rows, and no other log has to be kept, read and
/// truncated. What it costs is that a follower who was away for longer than the feed reaches back, or over a restart of the task, reads the whole store again.
/// </summary>
internal sealed class ChangeFeed(IServedStore store, long start) : IChangeSink
{
    private const int RowsMax = 100_000;
    private const long BytesMax = 16L * 1024 * 1024;
    private const int AnswerRows = 1_000;
    private const long AnswerBytes = 2L * 1024 * 1024;
    private const int RowBytes = 128;

    private readonly LinkedList<Change> _changes = new();
    private readonly Dictionary<StorePosition, LinkedListNode<Change>> _rows = new(new PositionComparer());
    private long _bytes;
    private long _commit = start;

    /// <summary>The commit behind which all changes are known.</summary>
    public long Start { get; private set; } = start;

    /// <summary>When somebody asked last, a timestamp of the clock.</summary>
    public long AskedAt { get; set; }

    /// <summary>Takes the operations of a commit.</summary>
    public void Take(ReadOnlySpan<byte> ops, int count, long commit)
    {
        _commit = commit;
        store.ReadChanges(new ByteReader(ops), count, this);
        Trim();
    }

    /// <summary>Forgets the oldest changes when there are too many.</summary>
    public void Trim()
    {
        while (_rows.Count > RowsMax || _bytes > BytesMax)
        {
            // Whoever has not seen this commit yet has missed a part of it from now on.
            var oldest = _changes.First!.Value;
            Start = Math.Max(Start, oldest.Commit);
            Drop(_changes.First);
        }
    }

    public void Put(ReadOnlySpan<byte> key, long start, long end, ReadOnlySpan<byte> value, bool isFinal) => Add(new StorePosition(key.ToArray(), start, end), value.ToArray(), isFinal);

    public void Remove(ReadOnlySpan<byte> key, long start, long end) => Add(new StorePosition(key.ToArray(), start, end), null, false);

    public void Forget()
    {
        _changes.Clear();
        _rows.Clear();
        _bytes = 0;
        Start = _commit;
    }

    /// <summary>The changes after one commit, up to another that is durable; fewer when they are many, but all of each commit in them.</summary>
    /// <returns>The changes and the commit that they lead to; no changes at all when those are not known any more.</returns>
    public (List<StoreChange>? Changes, long Commit) Between(long since, long durable, ReadOnlyMemory<byte>? key)
    {
        if (since < Start || since > durable)
        {
            return (null, Start);
        }

        var first = _changes.Last;
        while (first?.Previous is { } before && before.Value.Commit > since)
        {
            first = before;
        }

        var changes = new List<StoreChange>();
        var bytes = 0L;
        var last = since;
        for (var node = first; node is not null && node.Value.Commit <= durable; node = node.Next)
        {
            var change = node.Value;
            if (change.Commit <= since)
            {
                continue;
            }

            if (change.Commit != last && (changes.Count >= AnswerRows || bytes >= AnswerBytes))
            {
                return (changes, last);
            }

            last = change.Commit;
            if (key is not { } only || only.Span.SequenceEqual(change.Row.Key))
            {
                changes.Add(new StoreChange(new StoreRow(change.Row.Key, change.Row.Start, change.Row.End, change.Value ?? default(ReadOnlyMemory<byte>), change.IsFinal), change.Value is null));
                bytes += BytesOf(change);
            }
        }

        return (changes, durable);
    }

    private void Add(StorePosition row, byte[]? value, bool isFinal)
    {
        if (_rows.TryGetValue(row, out var before))
        {
            Drop(before);
        }

        var change = new Change(row, value, isFinal, _commit);
        _bytes += BytesOf(change);
        _rows.Add(row, _changes.AddLast(change));
    }

    private void Drop(LinkedListNode<Change> node)
    {
        _bytes -= BytesOf(node.Value);
        _rows.Remove(node.Value.Row);
        _changes.Remove(node);
    }

    private static long BytesOf(Change change) => RowBytes + change.Row.Key.Length + (change.Value?.Length ?? 0);

    private readonly record struct Change(StorePosition Row, byte[]? Value, bool IsFinal, long Commit);

    private sealed class PositionComparer : IEqualityComparer<StorePosition>
    {
        public bool Equals(StorePosition x, StorePosition y) => x.CompareTo(y) == 0;

        public int GetHashCode(StorePosition position) => HashCode.Combine(ByteKeys.Hash(position.Key), position.Start, position.End);
    }
}

/// <summary>The feeds of a task's stores that somebody follows.</summary>
internal sealed class ChangeFeeds
{
    private readonly Dictionary<IStateStore, ChangeFeed> _feeds = [];

    /// <summary>The feed of a store, which begins behind a commit when there was none.</summary>
    /// <exception cref="StreamsException">InvalidRequest for a store that has no rows to follow.</exception>
    public ChangeFeed Of(IStateStore store, long commit)
    {
        if (!_feeds.TryGetValue(store, out var feed))
        {
            var served = store as IServedStore ?? throw new StreamsException(StreamsErrorCode.InvalidRequest, $"Store '{store.Name}' is read by key only and cannot be followed.");
            _feeds.Add(store, feed = new ChangeFeed(served, commit));
            served.IsFollowed = true;
        }

        return feed;
    }

    /// <summary>Takes the operations that a store has just written.</summary>
    public void Take(IStateStore store, ReadOnlySpan<byte> ops, int count, long commit)
    {
        if (_feeds.Count > 0 && _feeds.TryGetValue(store, out var feed))
        {
            feed.Take(ops, count, commit);
        }
    }

    /// <summary>Lets a store forget what is beyond its retention, behind the operations of the commit.</summary>
    public void Evict(IStateStore store, long maxEventTime)
    {
        if (_feeds.Count > 0 && _feeds.TryGetValue(store, out var feed))
        {
            store.Evict(maxEventTime, feed);
            feed.Trim();
        }
        else
        {
            store.Evict(maxEventTime);
        }
    }

    /// <summary>Forgets feeds that nobody asks for any more.</summary>
    public void Close(Predicate<ChangeFeed> isForgotten)
    {
        foreach (var (store, feed) in _feeds)
        {
            if (isForgotten(feed))
            {
                _feeds.Remove(store);
                ((IServedStore)store).IsFollowed = false;
            }
        }
    }
}
