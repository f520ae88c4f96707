using System.Diagnostics.CodeAnalysis;
using OrleansStreams.Processing.Operators;
using OrleansStreams.Processing.State;
using OrleansStreams.Processing.Tables;
using OrleansStreams.Processing.Watermarks;
using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.Processing.Suppress;

/// <summary>
/// Holds back a table's changes for a time. A key's changes become one, from what was told last to what is now, at the place in time of the first:
/// <code>
///  key | start = time of the first change | end = 0  ->  time of the last change, change
/// </code>
/// What is due is told by time of the first change, then key bytes.
/// </summary>
internal sealed class TableSuppressProcessor<TKey, TValue>(
    TaskContext context,
    StepClock clock,
    TableSuppressNode<TKey, TValue> node,
    KeyBytes<TKey> keys,
    SuppressBuffer<TKey, HeldChange<TValue>> buffer,
    Emitter<TKey, Change<TValue>> output) : Processor<TKey, Change<TValue>>, IEventTimeStep, IRestoredStep
{
    private readonly TimedStore<TKey, HeldChange<TValue>> _store = buffer.Store;
    private readonly List<int> _due = [];

    public long NextDue { get; private set; } = long.MaxValue;

    public override void Process(in RecordView raw, long timestamp, TKey key, Change<TValue> value)
    {
        var keyBytes = keys.Of(raw, key);
        var entry = _store.FirstFrom(keyBytes, long.MinValue);
        if (entry < 0 && timestamp + node.TimeMs <= clock.Watermark)
        {
            output.Emit(raw, timestamp, key, value);
            return;
        }

        if (entry < 0)
        {
            buffer.Put(keyBytes, timestamp, 0, new HeldChange<TValue>(timestamp, value));
            NextDue = Math.Min(NextDue, timestamp + node.TimeMs);
        }
        else
        {
            Replace(entry, timestamp, value);
        }

        if (buffer.IsOverfull)
        {
            EmitEarly();
        }
    }

    public void OnWatermark(long watermark)
    {
        while (_store.TakeExpired(watermark - node.TimeMs, _due, out var first))
        {
            EmitDue(first);
        }

        FindNextDue();
    }

    public void Restored()
    {
        buffer.Restored();
        FindNextDue();
    }

    private void Replace(int entry, long timestamp, Change<TValue> value)
    {
        var told = _store.ValueOf(entry).Change;
        if (!told.HasOld && !value.HasNew)
        {
            buffer.Remove(entry);
            return;
        }

        buffer.Set(entry, new HeldChange<TValue>(timestamp, new Change<TValue>(told.HasOld, told.Old, value.HasNew, value.New)));
    }

    private void EmitEarly()
    {
        // What comes out is older than the record that drives it out: what is late behind is decided by the task's watermark, as for all that comes without a record.
        var (watermark, isNull) = (context.InputWatermark, context.ValueIsNull);
        (context.InputWatermark, context.ValueIsNull) = (WatermarkTracker.None, false);
        while (buffer.IsOverfull && _store.TakeExpired(long.MaxValue - 1, _due, out var first))
        {
            EmitDue(first);
        }

        FindNextDue();
        (context.InputWatermark, context.ValueIsNull) = (watermark, isNull);
    }

    private void EmitDue(long first)
    {
        foreach (var entry in _due)
        {
            var key = _store.KeyOf(entry);
            var held = _store.ValueOf(entry);

            // Removed before it is told, so that who reads the table meanwhile finds what is told.
            buffer.Remove(entry);
            output.Emit(default, Math.Max(first, held.Timestamp), key, held.Change);
        }
    }

    private void FindNextDue()
    {
        var first = _store.NextExpiry;
        NextDue = first == long.MaxValue ? long.MaxValue : first + node.TimeMs;
    }
}

/// <summary>Reads a suppressed table: as it was told.</summary>
internal sealed class SuppressedTableReader<TKey, TValue>(TableReader<TKey, TValue> table, TimedStore<TKey, HeldChange<TValue>> held) : TableReader<TKey, TValue>
{
    public override bool TryGet(ReadOnlySpan<byte> keyBytes, TKey key, [MaybeNullWhen(false)] out TValue value)
    {
        if (held.FirstFrom(keyBytes, long.MinValue) is >= 0 and var entry)
        {
            var told = held.ValueOf(entry).Change;
            value = told.Old;
            return told.HasOld;
        }

        return table.TryGet(keyBytes, key, out value);
    }
}
