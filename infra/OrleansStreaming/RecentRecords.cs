namespace OrleansStreams.Streaming;

/// <summary>The newest records of a queue, bounded by bytes, each found by its stream: every record from <see cref="Start"/> to <see cref="End"/> is here.</summary>
internal sealed class RecentRecords(long bytesMax, Action<StreamRecord> onEvicted)
{
    private readonly Queue<StreamRecord> _records = new();
    private readonly Dictionary<StreamId, StreamRun> _streams = [];
    private long _bytes;

    /// <summary>The first offset that is here.</summary>
    public long Start { get; private set; }

    /// <summary>The offset after the last one.</summary>
    public long End { get; private set; }

    public long Bytes => _bytes;

    /// <summary>Forgets everything and goes on at an offset.</summary>
    public void Reset(long offset)
    {
        _records.Clear();
        _streams.Clear();
        _bytes = 0;
        Start = End = offset;
    }

    /// <summary>Takes the next record. Older ones make room, and at least one always stays.</summary>
    public void Add(StreamRecord record)
    {
        _records.Enqueue(record);
        _bytes += record.Bytes;
        if (!_streams.TryGetValue(record.Stream, out var run))
        {
            _streams.Add(record.Stream, run = new StreamRun());
        }

        run.Add(record);
        End = record.Offset + 1;
        while (_bytes > bytesMax && _records.Count > 1)
        {
            Evict();
        }
    }

    /// <summary>Says that everything below an offset was seen, also what is no event.</summary>
    public void AdvanceTo(long offset)
    {
        End = Math.Max(End, offset);
        if (_records.Count == 0)
        {
            Start = End;
        }
    }

    /// <summary>A stream's first record at or after an offset, or null.</summary>
    public StreamRecord? FirstFrom(StreamId stream, long offset) => _streams.TryGetValue(stream, out var run) ? run.FirstFrom(offset) : null;

    private void Evict()
    {
        var record = _records.Dequeue();
        _bytes -= record.Bytes;
        Start = record.Offset + 1;
        var run = _streams[record.Stream];
        run.RemoveFirst();
        if (run.IsEmpty)
        {
            _streams.Remove(record.Stream);
        }

        onEvicted(record);
    }

    /// <summary>One stream's records in order of their offsets.</summary>
    private sealed class StreamRun
    {
        private readonly List<StreamRecord> _items = [];
        private int _head;

        public bool IsEmpty => _head == _items.Count;

        public void Add(StreamRecord record) => _items.Add(record);

        public void RemoveFirst()
        {
            _items[_head++] = null!;
            if (_head > 16 && _head > _items.Count / 2)
            {
                _items.RemoveRange(0, _head);
                _head = 0;
            }
        }

        public StreamRecord? FirstFrom(long offset)
        {
            var (low, high) = (_head, _items.Count);
            while (low < high)
            {
                var middle = (low + high) / 2;
                (low, high) = _items[middle].Offset < offset ? (middle + 1, high) : (low, middle);
            }

            return low < _items.Count ? _items[low] : null;
        }
    }
}
