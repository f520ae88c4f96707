namespace OrleansStreams.Streaming;

/// <summary>
/// One subscription's place in a queue. It hands out its stream's records one after the other: from the queue's cache while it is there, else from what the
/// queue's receiver reads ahead for it in the log. So it is never refused for being late.
/// <code>
///   current   handed out; completed by the next MoveNext, which the agent only calls when the consumer's task has ended
///   retries   the rest of a group that could not be delivered as a whole, to be tried one by one
///   ahead     read from the log for this cursor (only while it lags behind the cache)
///   next      everything of the stream below is in the three above, or done
/// </code>
/// The agent's calls all come from its own turns, so there are no locks.
/// </summary>
internal sealed class QueueCursor : IQueueCacheCursor
{
    private readonly PartitionQueue _queue;
    private readonly Queue<StreamRecord> _retries = new();
    private readonly Queue<StreamRecord> _ahead = new();
    private int _firstIndex;
    private bool _isFirst = true;
    private bool _stepsPast;
    private StreamDelivery? _current;
    private IBatchContainer? _container;
    private bool _wasLookedAt;
    private Exception? _error;

    /// <param name="queue">The queue.</param>
    /// <param name="stream">The stream.</param>
    /// <param name="offset">The first offset wanted.</param>
    /// <param name="firstIndex">Events of that record below this index are left out.</param>
    /// <param name="had">What the consumer just said to have had already; null when it did not.</param>
    public QueueCursor(PartitionQueue queue, StreamId stream, long offset, int firstIndex, StreamDelivery? had)
    {
        _queue = queue;
        Stream = stream;
        Next = offset;
        _firstIndex = firstIndex;
        if (had is not null)
        {
            // The agent takes the first step itself, to get past what the consumer has. It must succeed, wherever the record is by now.
            Next = had.Records[^1].Offset + 1;
            _isFirst = false;
            _firstIndex = 0;
            _stepsPast = true;
        }
    }

    public StreamId Stream { get; }

    /// <summary>Everything of the stream below is handed out, or read ahead.</summary>
    public long Next { get; set; }

    /// <summary>Whether records from <see cref="Next"/> on must be read from the log, because the cache let go of some.</summary>
    public bool IsLagging { get; set; }

    /// <summary>Whether the agent found nothing although there is more in the log: it has to be told.</summary>
    public bool IsWaiting { get; private set; }

    /// <summary>Whether the receiver knows that this cursor wants to be read for.</summary>
    public bool IsQueued { get; set; }

    public bool IsDisposed { get; private set; }

    public long AheadBytes { get; private set; }

    public int AheadCount => _ahead.Count;

    /// <summary>What is handed out.</summary>
    public StreamDelivery? Current => _current;

    /// <summary>The token of what is handed out.</summary>
    public StreamSequenceToken? CurrentToken => _container?.SequenceToken;

    public bool HasSomething => _ahead.Count > 0 || !IsLagging || _error is not null;

    /// <summary>The first offset of this subscription that is not completed; null when nothing is open.</summary>
    public long? OpenOffset => _current is { } current ? current.FirstOffset
        : _retries.TryPeek(out var retry) ? retry.Offset
        : _ahead.TryPeek(out var first) ? first.Offset
        : IsLagging ? Next
        : _queue.Recent.FirstFrom(Stream, Next)?.Offset;

    public bool MoveNext()
    {
        IsWaiting = false;
        if (_stepsPast)
        {
            _stepsPast = false;
            return true;
        }

        if (_error is { } error)
        {
            _error = null;
            _queue.HandOver(this);
            throw error;
        }

        if (_current is not null && KeepsCurrent())
        {
            return true;
        }

        _current = null;
        _container = null;
        var records = Take();
        if (records.Length == 0)
        {
            IsWaiting = IsLagging;
            _queue.ReadAheadFor(this);
            return false;
        }

        Offer(records);
        _queue.ReadAheadFor(this);
        return true;
    }

    public IBatchContainer? GetCurrent(out Exception? exception)
    {
        exception = null;
        _wasLookedAt = true;
        return _container;
    }

    public void Refresh(StreamSequenceToken token)
    {
        // The cursor finds new records by itself.
    }

    public void RecordDeliveryFailure()
    {
        if (_current is not null)
        {
            _current.IsFailed = true;
        }
    }

    /// <summary>Takes a record that was read from the log; false when there is no room for it.</summary>
    public bool TryReadAhead(StreamRecord record, long bytesMax)
    {
        if (_ahead.Count > 0 && AheadBytes + record.Bytes > bytesMax)
        {
            return false;
        }

        _ahead.Enqueue(record);
        AheadBytes += record.Bytes;
        return true;
    }

    /// <summary>Tells the consumer, at the agent's next step, that records are gone.</summary>
    public void Fail(Exception error) => _error = error;

    public void Dispose()
    {
        IsDisposed = true;
        _queue.Remove(this);
    }

    /// <summary>Whether what was handed out is to be handed out again.</summary>
    private bool KeepsCurrent()
    {
        var current = _current!;
        if (!_wasLookedAt)
        {
            // A step that nobody looked at: the agent meant to get past a token that the consumer has had already. But the consumer asked to be
            // given events from that token on, and what it has had already it says again (see the constructor).
            return true;
        }

        if (!current.IsFailed || current.IsDeadLetter)
        {
            return false;
        }

        if (current.IsGroup)
        {
            Array.ForEach(current.Records, _retries.Enqueue);
            return false;
        }

        // Not delivered and not written to the dead letters either, so it is not done.
        current.IsFailed = false;
        return true;
    }

    private StreamRecord[] Take()
    {
        if (_retries.TryDequeue(out var retry))
        {
            return [retry];
        }

        // The first step takes one record alone: a consumer that has it already says so by its token, and must not thereby refuse others with it.
        var max = _isFirst ? 1 : _queue.Options.DeliveryBatchMax;
        _isFirst = false;
        var records = new List<StreamRecord>(Math.Min(max, 16));
        while (records.Count < max && NextRecord() is { } record)
        {
            records.Add(record);
        }

        return [.. records];
    }

    private StreamRecord? NextRecord()
    {
        if (_ahead.TryDequeue(out var ahead))
        {
            AheadBytes -= ahead.Bytes;
            _queue.ReadAheadBytes -= ahead.Bytes;
            return ahead;
        }

        if (IsLagging || _queue.Recent.FirstFrom(Stream, Next) is not { } record)
        {
            return null;
        }

        Next = record.Offset + 1;
        return record;
    }

    private void Offer(StreamRecord[] records)
    {
        var delivery = new StreamDelivery(records);
        _current = delivery;
        _wasLookedAt = false;
        DeliveryBackoff.Enter(delivery);
        if (records.Length == 1)
        {
            _container = new StreamRecordContainer(records[0], _firstIndex, _queue.Format, delivery);
        }
        else
        {
            // What the group carries stands in the group.
            _container = new StreamRecordGroup([.. records.Select(record => (IBatchContainer)new StreamRecordContainer(record, 0, _queue.Format, null))], delivery);
        }

        _firstIndex = 0;
    }
}
