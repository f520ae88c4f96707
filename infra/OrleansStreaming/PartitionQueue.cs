using System.Diagnostics.CodeAnalysis;
using OrleansStreams.Log;

namespace OrleansStreams.Streaming;

/// <summary>
/// A queue on the silo whose agent owns it: the newest records of its partition, and a cursor for each subscription. The agent sees it as its cache.
/// <code>
///   log      0 ......................................... Recent.Start ........ Recent.End
///   cursors       a (lags: the receiver reads for it)            b        c (waits for more)
///   checkpoint    at a: the first offset that some subscription has not completed
/// </code>
/// The cache is never full and never under pressure: it lets the oldest records go, and who still needs them reads them from the log.
/// </summary>
internal sealed class PartitionQueue : IQueueCache
{
    private readonly Dictionary<StreamId, List<QueueCursor>> _cursors = [];
    private readonly Queue<QueueCursor> _wanting = new();
    private (StreamId Stream, long Offset)? _handedOver;
    private CancellationTokenSource? _waiting;

    public PartitionQueue(TopicPartition partition, LogStreamOptions options, StreamRecordFormat format)
    {
        Partition = partition;
        Options = options;
        Format = format;
        Recent = new RecentRecords(options.CacheBytesMax, OnEvicted);
    }

    public TopicPartition Partition { get; }

    public LogStreamOptions Options { get; }

    public StreamRecordFormat Format { get; }

    public RecentRecords Recent { get; }

    /// <summary>Bytes read ahead for cursors that lag.</summary>
    public long ReadAheadBytes { get; set; }

    /// <summary>Whether cursors want records that only the log has, and there is room for them.</summary>
    public bool WantsReadAhead => _wanting.Count > 0 && (ReadAheadBytes < Options.ReadAheadBytesMax || _wanting.Any(cursor => cursor.AheadCount == 0));

    /// <summary>The first offset that some subscription may not have completed yet; all below is done.</summary>
    public long OpenOffset
    {
        get
        {
            var open = Recent.End;
            foreach (var cursors in _cursors.Values)
            {
                foreach (var cursor in cursors)
                {
                    open = Math.Min(open, cursor.OpenOffset ?? open);
                }
            }

            return open;
        }
    }

    public int GetMaxAddCount() => QueueAdapterConstants.UNLIMITED_GET_QUEUE_MSG;

    public bool IsUnderPressure() => false;

    public bool TryPurgeFromCache([MaybeNullWhen(false)] out IList<IBatchContainer> purgedItems)
    {
        // What was delivered is known by the cursors.
        purgedItems = null;
        return false;
    }

    public void AddToCache(IList<IBatchContainer> messages)
    {
        foreach (var message in messages)
        {
            if (message is ReceivedRecord received)
            {
                Recent.Add(received.Record);
            }
        }
    }

    public IQueueCacheCursor GetCacheCursor(StreamId streamId, StreamSequenceToken? token)
    {
        var (offset, index) = token is not null ? (Math.Max(token.SequenceNumber, 0), token.EventIndex) : (HandedOver(streamId) ?? Recent.End, 0);
        var cursor = new QueueCursor(this, streamId, offset, index, RefusedWith(streamId, token));
        cursor.IsLagging = cursor.Next < Recent.Start;
        if (!_cursors.TryGetValue(streamId, out var cursors))
        {
            _cursors.Add(streamId, cursors = []);
        }

        cursors.Add(cursor);
        return cursor;
    }

    public void Remove(QueueCursor cursor)
    {
        ReadAheadBytes -= cursor.AheadBytes;
        if (_cursors.TryGetValue(cursor.Stream, out var cursors) && cursors.Remove(cursor) && cursors.Count == 0)
        {
            _cursors.Remove(cursor.Stream);
        }
    }

    /// <summary>The agent replaces a cursor that threw by one without a token, at once: it is to go on where the other was.</summary>
    public void HandOver(QueueCursor cursor) => _handedOver = (cursor.Stream, cursor.Next);

    /// <summary>Asks the receiver to read for a cursor that lags and has little left.</summary>
    public void ReadAheadFor(QueueCursor cursor)
    {
        if (!cursor.IsLagging || cursor.AheadBytes > ReadAheadBytesOf / 2)
        {
            return;
        }

        var isNew = !cursor.IsQueued;
        if (isNew)
        {
            cursor.IsQueued = true;
            _wanting.Enqueue(cursor);
        }

        if (isNew || cursor.AheadCount == 0)
        {
            _waiting?.Cancel();
        }
    }

    /// <summary>The cursor whose turn it is to be read for.</summary>
    public bool TryTakeWanting([NotNullWhen(true)] out QueueCursor? wanting)
    {
        // One that may have nothing now goes to the end of the line, at most once around.
        for (var left = _wanting.Count; left > 0; left--)
        {
            wanting = _wanting.Dequeue();
            if (wanting.IsDisposed || !wanting.IsLagging)
            {
                wanting.IsQueued = false;
            }
            else if (wanting.AheadCount == 0 || ReadAheadBytes < Options.ReadAheadBytesMax)
            {
                wanting.IsQueued = false;
                return true;
            }
            else
            {
                _wanting.Enqueue(wanting);
            }
        }

        wanting = null;
        return false;
    }

    /// <summary>Gives records of the log, from one offset to another, to all cursors that lag within. Answers the streams whose agents wait for them.</summary>
    public HashSet<StreamId> ReadAhead(IEnumerable<StreamRecord> records, long from, long to)
    {
        var lagging = LaggingWithin(from, to);
        var full = new HashSet<QueueCursor>();
        foreach (var record in records)
        {
            if (_cursors.TryGetValue(record.Stream, out var cursors))
            {
                foreach (var cursor in cursors)
                {
                    Give(cursor, record);
                }
            }
        }

        return Settle(lagging, full, to);

        void Give(QueueCursor cursor, StreamRecord record)
        {
            if (!lagging.Contains(cursor) || full.Contains(cursor) || record.Offset < cursor.Next)
            {
                return;
            }

            var room = Math.Min(ReadAheadBytesOf, cursor.AheadBytes + Options.ReadAheadBytesMax - ReadAheadBytes);
            if (cursor.TryReadAhead(record, room))
            {
                ReadAheadBytes += record.Bytes;
                cursor.Next = record.Offset + 1;
            }
            else
            {
                cursor.Next = record.Offset;
                full.Add(cursor);
            }
        }
    }

    /// <summary>Tells a cursor, and through it its consumer, that the log begins only behind its place.</summary>
    public HashSet<StreamId> LoseBelow(QueueCursor cursor, long logStart)
    {
        if (cursor.Next < logStart)
        {
            cursor.Fail(new DataNotAvailableException(
                $"Events of the stream {StreamRecordFormat.NameOf(cursor.Stream)} from offset {cursor.Next} to {logStart - 1} of {Partition} are gone (retention): "
                + $"delivery goes on at offset {logStart}. Resume from newer tokens, or give the topic {Partition.Topic} a longer retention."));
            cursor.Next = logStart;
        }

        cursor.IsLagging = cursor.Next < Recent.Start;
        return [cursor.Stream];
    }

    /// <summary>What an agent is to be told so that it looks at these streams again.</summary>
    public IEnumerable<IBatchContainer> WakeUps(IEnumerable<StreamId> streams) => streams.Select(stream => new StreamWakeUp(stream, Recent.End));

    /// <summary>Cancelled when a cursor wants to be read for.</summary>
    public CancellationTokenSource BeginWaiting(CancellationToken stopping) => _waiting = CancellationTokenSource.CreateLinkedTokenSource(stopping);

    public void EndWaiting() => _waiting = null;

    /// <summary>The delivery that a subscription could not complete and the agent gave up on.</summary>
    public StreamDelivery? FailedDelivery(StreamId stream, Guid subscription) => _cursors.TryGetValue(stream, out var cursors)
        ? cursors.Select(cursor => cursor.Current).FirstOrDefault(delivery => delivery is { IsFailed: true, IsDeadLetter: false } && delivery.SubscriptionId == subscription)
        : null;

    // What one cursor may hold, so that one slow consumer doesn't take all.
    private long ReadAheadBytesOf => Math.Min(256 * 1024, Options.ReadAheadBytesMax);

    private HashSet<QueueCursor> LaggingWithin(long from, long to) =>
        [.. _cursors.Values.SelectMany(cursors => cursors).Where(cursor => cursor.IsLagging && cursor.Next >= from && cursor.Next <= to)];

    private HashSet<StreamId> Settle(HashSet<QueueCursor> lagging, HashSet<QueueCursor> full, long to)
    {
        var awake = new HashSet<StreamId>();
        foreach (var cursor in lagging)
        {
            if (!full.Contains(cursor))
            {
                cursor.Next = Math.Max(cursor.Next, to);
                cursor.IsLagging = cursor.Next < Recent.Start;
            }

            if (cursor.IsWaiting && cursor.HasSomething)
            {
                awake.Add(cursor.Stream);
            }

            ReadAheadFor(cursor);
        }

        return awake;
    }

    private void OnEvicted(StreamRecord record)
    {
        if (_cursors.TryGetValue(record.Stream, out var cursors))
        {
            foreach (var cursor in cursors)
            {
                cursor.IsLagging |= cursor.Next <= record.Offset;
            }
        }
    }

    private long? HandedOver(StreamId stream)
    {
        var handedOver = _handedOver;
        _handedOver = null;
        return handedOver is { } place && place.Stream.Equals(stream) ? place.Offset : null;
    }

    /// <summary>The delivery of which the consumer just said, by its token, that it has had it already.</summary>
    private StreamDelivery? RefusedWith(StreamId stream, StreamSequenceToken? token) => token is not null && _cursors.TryGetValue(stream, out var cursors)
        ? cursors.FirstOrDefault(cursor => cursor.Current is { WasHadAlready: true } && token.Equals(cursor.CurrentToken))?.Current
        : null;
}
