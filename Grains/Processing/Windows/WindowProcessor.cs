using System.Buffers;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using OrleansStreams.Processing.Journal;
using OrleansStreams.Processing.Operators;
using OrleansStreams.Records;
using OrleansStreams.Topologies;

#pragma warning disable CS8714 // A null key is dropped before it comes to a dictionary.

namespace OrleansStreams.Processing.Windows;

/// <summary>
/// Tumbling windows of event time with an aggregate per key, emitted once, on close.
/// <para>
/// Why neither the interleaving of partitions nor the boundaries of batches can change a result: the only clock is the watermark of the record's own
/// partition just before the record; it is a function of the records before it in that partition and of nothing else, because it advances record by
/// record. Whether a record is late, and which records a window holds when it closes, follow from it. A key lies in one partition, so a window has
/// one such history.
/// </para>
/// </summary>
internal sealed class WindowProcessor<TKey, TValue, TAggregate>(
    WindowAggregateNode<TKey, TValue, TAggregate> node, IProcessor<Windowed<TKey>, TAggregate> next, IProcessor<TKey, TValue>? late, TaskCounters counters)
    : IProcessor<TKey, TValue>, IWatermarkListener, IStateStore
{
    private readonly SortedList<long, Window> _open = [];
    private readonly SortedList<long, Window> _closed = [];
    private readonly List<(Window Window, TKey Key, Cell Cell)> _dirty = [];
    private readonly ArrayBufferWriter<byte> _scratch = new(256);
    private readonly long _sizeMs = node.Windows.SizeMs;
    private readonly long _graceMs = node.Windows.GraceMs;
    private readonly long _retentionMs = (long)node.Materialized.Retention.TotalMilliseconds;
    private Window? _last;
    private long _closedBefore = long.MinValue;
    private long _evictedBefore = long.MinValue;
    private bool _changed;

    public string Name => node.Store;

    public long Entries { get; private set; }

    public bool HasChanges => _changed;

    public void Process(TKey key, TValue value, in RecordContext context)
    {
        if (key is null)
        {
            // As in Kafka Streams: without a key there is no group.
            counters.Skipped++;
            return;
        }

        var start = node.Windows.StartOf(context.Timestamp);
        if (Later(start, _sizeMs, _graceMs) <= context.Watermark)
        {
            Late(key, value, start, context);
            return;
        }

        var window = _last is { } last && last.Start == start ? last : OpenWindow(start);
        ref var cell = ref CollectionsMarshal.GetValueRefOrAddDefault(window.Cells, key, out var exists);
        if (!exists)
        {
            cell = new Cell();
            Entries++;
        }

        cell!.Value = exists || node.First is null
            ? node.Aggregator(key, value, exists ? cell.Value : node.Initializer!())
            : node.First(value);
        if (!cell.IsDirty)
        {
            cell.IsDirty = true;
            _dirty.Add((window, key, cell));
        }

        _changed = true;
    }

    public void Advance(long watermark)
    {
        while (_open.Count > 0 && Later(_open.GetKeyAtIndex(0), _sizeMs, _graceMs) <= watermark)
        {
            Close(_open.GetValueAtIndex(0));
        }

        Evict(watermark);
    }

    public void WriteChanges(EntryWriter writer)
    {
        writer.Long(_closedBefore);
        writer.Long(_evictedBefore);
        var live = _dirty.Where(change => !change.Window.IsEvicted).ToList();
        writer.Int(live.Count);
        foreach (var (window, key, cell) in live)
        {
            WriteCell(writer, window.Start, key, cell.Value);
        }

        foreach (var (_, _, cell) in _dirty)
        {
            cell.IsDirty = false;
        }

        _dirty.Clear();
        _changed = false;
    }

    public void WriteAll(EntryWriter writer)
    {
        writer.Long(_closedBefore);
        writer.Long(_evictedBefore);
        writer.Int(_closed.Values.Concat(_open.Values).Sum(window => window.Cells.Count));
        foreach (var window in _closed.Values.Concat(_open.Values))
        {
            foreach (var (key, cell) in window.Cells)
            {
                WriteCell(writer, window.Start, key, cell.Value);
            }
        }
    }

    public void Apply(ref EntryReader reader)
    {
        _closedBefore = reader.Long();
        _evictedBefore = reader.Long();
        for (var left = reader.Count(); left > 0; left--)
        {
            var start = reader.Long();
            var window = _closed.TryGetValue(start, out var closed) ? closed : OpenWindow(start);
            var key = node.KeySerde.Deserialize(reader.Blob());
            ref var cell = ref CollectionsMarshal.GetValueRefOrAddDefault(window.Cells, key, out var exists);
            cell ??= new Cell();
            cell.Value = node.Materialized.ValueSerde.Deserialize(reader.Blob());
            Entries += exists ? 0 : 1;
        }

        while (_open.Count > 0 && _open.GetKeyAtIndex(0) < _closedBefore)
        {
            MoveToClosed(_open.GetValueAtIndex(0));
        }

        EvictBefore(_evictedBefore);
    }

    public void Clear()
    {
        _open.Clear();
        _closed.Clear();
        _dirty.Clear();
        _last = null;
        Entries = 0;
        _closedBefore = _evictedBefore = long.MinValue;
        _changed = false;
    }

    public List<StateEntry> Query(ReadOnlySpan<byte> key, long fromMs, long toMs, int limit)
    {
        var entries = new List<StateEntry>();
        var wanted = node.KeySerde.Deserialize(key);
        foreach (var window in _closed.Values.Concat(_open.Values))
        {
            if (window.Start >= fromMs && window.Start < toMs && entries.Count < limit && window.Cells.TryGetValue(wanted, out var cell))
            {
                _scratch.ResetWrittenCount();
                node.Materialized.ValueSerde.Serialize(cell.Value, _scratch);
                entries.Add(new StateEntry(window.Start, window.Start + _sizeMs, _scratch.WrittenSpan.ToArray(), window.IsClosed));
            }
        }

        return entries;
    }

    // Saturating: an event time at the end of time must not wrap around into the past.
    private static long Later(long time, long size, long grace) => time > long.MaxValue - size - grace ? long.MaxValue : time + size + grace;

    private Window OpenWindow(long start)
    {
        if (!_open.TryGetValue(start, out var window))
        {
            _open.Add(start, window = new Window(start));
        }

        return _last = window;
    }

    private void Late(TKey key, TValue value, long start, in RecordContext context)
    {
        counters.Late++;
        late?.Process(key, value, context with
        {
            Headers = [.. context.Headers, new RecordHeader("late-window-start", Encoding.UTF8.GetBytes(start.ToString(CultureInfo.InvariantCulture)))],
        });
    }

    /// <summary>Emits a window's aggregates in the order of their keys' bytes, so that a replay emits the same.</summary>
    private void Close(Window window)
    {
        var keys = new List<(byte[] Bytes, TKey Key, Cell Cell)>(window.Cells.Count);
        foreach (var (key, cell) in window.Cells)
        {
            _scratch.ResetWrittenCount();
            node.KeySerde.Serialize(key, _scratch);
            keys.Add((_scratch.WrittenSpan.ToArray(), key, cell));
        }

        keys.Sort((x, y) => x.Bytes.AsSpan().SequenceCompareTo(y.Bytes));
        var context = new RecordContext(window.Start + _sizeMs - 1, long.MinValue, []);
        foreach (var (_, key, cell) in keys)
        {
            next.Process(new Windowed<TKey>(key, window.Start, window.Start + _sizeMs), cell.Value, context);
        }

        _closedBefore = window.Start + 1;
        _changed = true;
        MoveToClosed(window);
    }

    private void MoveToClosed(Window window)
    {
        _open.Remove(window.Start);
        window.IsClosed = true;
        _closed.Add(window.Start, window);
        _last = null;
    }

    /// <summary>The end of input is no event time: what is there then stays for queries.</summary>
    private void Evict(long watermark)
    {
        if (watermark == long.MaxValue)
        {
            return;
        }

        while (_closed.Count > 0 && Later(_closed.GetKeyAtIndex(0), _sizeMs, _retentionMs) <= watermark)
        {
            EvictBefore(_closed.GetKeyAtIndex(0) + 1);
            _changed = true;
        }
    }

    private void EvictBefore(long start)
    {
        _evictedBefore = Math.Max(_evictedBefore, start);
        while (_closed.Count > 0 && _closed.GetKeyAtIndex(0) < _evictedBefore)
        {
            var window = _closed.GetValueAtIndex(0);
            window.IsEvicted = true;
            Entries -= window.Cells.Count;
            _closed.RemoveAt(0);
        }
    }

    private void WriteCell(EntryWriter writer, long start, TKey key, TAggregate value)
    {
        writer.Long(start);
        _scratch.ResetWrittenCount();
        node.KeySerde.Serialize(key, _scratch);
        writer.Blob(_scratch.WrittenSpan);
        _scratch.ResetWrittenCount();
        node.Materialized.ValueSerde.Serialize(value, _scratch);
        writer.Blob(_scratch.WrittenSpan);
    }

    private sealed class Cell
    {
        public TAggregate Value = default!;
        public bool IsDirty;
    }

    private sealed class Window(long start)
    {
        public long Start => start;

        public Dictionary<TKey, Cell> Cells { get; } = [];

        public bool IsClosed { get; set; }

        public bool IsEvicted { get; set; }
    }
}
