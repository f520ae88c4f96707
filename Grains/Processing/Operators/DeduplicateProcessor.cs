using OrleansStreams.Processing.State;
using OrleansStreams.Processing.Tables;
using OrleansStreams.Processing.Watermarks;
using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.Processing.Operators;

/// <summary>
/// Passes records whose id has not passed within the window. Kept are the times of what has passed, in a store by id and time:
/// <code>
///  id | start = event time | end = 0  ->  nothing
/// </code>
/// A record at time t is taken if t + 1 + grace is above the watermark of its own input just before it. A time s is forgotten when the step's watermark, which is never above those of the inputs, reaches
/// s + window + grace: every record that is taken from then on is at s + window or later, and hence none that s would stop.
/// </summary>
internal sealed class DeduplicateProcessor<TKey, TValue, TId>(
    TaskContext context,
    StepClock clock,
    DeduplicateNode<TKey, TValue, TId> node,
    KeyBytes<TId> ids,
    TimedStore<TId, Present> seen,
    Emitter<TKey, TValue> output) : Processor<TKey, TValue>, IEventTimeStep, IRestoredStep
{
    private readonly long _size = node.Window.SizeMs;
    private readonly long _grace = node.Window.GraceMs;

    public long NextDue { get; private set; } = long.MaxValue;

    public override void Process(in RecordView raw, long timestamp, TKey key, TValue value)
    {
        if (timestamp + 1 + _grace <= clock.RecordWatermark)
        {
            context.LateRecords++;
            return;
        }

        var id = node.IdSelector(key, value);
        if (id is null && !node.IsByKey)
        {
            output.Emit(raw, timestamp, key, value);
            return;
        }

        var bytes = ids.Of(raw, id);
        var near = seen.FirstFrom(bytes, timestamp - _size + 1);
        if (near >= 0 && seen.StartOf(near) < timestamp + _size)
        {
            return;
        }

        seen.Put(bytes, timestamp, 0, default);
        NextDue = Math.Min(NextDue, timestamp + _size + _grace);
        output.Emit(raw, timestamp, key, value);
    }

    public void OnWatermark(long watermark)
    {
        seen.ExpireUpTo(watermark == WatermarkTracker.End ? watermark : watermark - _size - _grace);
        Restored();
    }

    public void Restored()
    {
        var first = seen.NextExpiry;
        NextDue = first == long.MaxValue ? first : first + _size + _grace;
    }
}
