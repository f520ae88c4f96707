using OrleansStreams.Processing.Operators;
using OrleansStreams.Processing.State;
using OrleansStreams.Processing.Watermarks;
using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.Processing.Windows;

/// <summary>
/// Decides when a window's results are emitted. What is to be emitted later stands in a store of its own, by the watermark at which it is due, so that a restore knows it:
/// <code>
///  key | start = due watermark | end = window start  ->  2 * window end + 1 when the window was never emitted
/// </code>
/// Due are multiples of the interval. While timers run the watermark rises ms by ms, so that neither the cut of batches nor a jump of the watermark changes what is emitted.
/// </summary>
/// <param name="emit">When.</param>
/// <param name="context">The task's.</param>
/// <param name="clock">The step's.</param>
/// <param name="store">The windows.</param>
/// <param name="pending">What is to be emitted later; null unless results are emitted at an interval.</param>
/// <param name="output">Where to.</param>
internal sealed class WindowOutput<TKey, TAggregate>(
    WindowEmit emit,
    TaskContext context,
    StepClock clock,
    TimedStore<TKey, TAggregate> store,
    TimedStore<TKey, long>? pending,
    Emitter<Windowed<TKey>, TAggregate> output)
{
    /// <summary>Before every watermark that comes of event times: windows that change before the first one are due when it comes.</summary>
    private const long BeforeAll = -2 * EventTimes.Max;

    private readonly List<int> _due = [];

    /// <summary>The watermark at which something is to be emitted, or long.MaxValue.</summary>
    public long NextDue { get; private set; } = long.MaxValue;

    /// <summary>Looks at the store again.</summary>
    public void Restored() => NextDue = pending?.NextExpiry ?? long.MaxValue;

    /// <summary>A window has taken an event.</summary>
    public void Updated(in RecordView raw, long timestamp, ReadOnlySpan<byte> keyBytes, TKey key, int entry, bool isNew)
    {
        var start = store.StartOf(entry);
        var end = store.EndOf(entry);
        if (emit.Kind == WindowEmitKind.OnUpdate)
        {
            Emit(raw, timestamp, new Windowed<TKey>(key, start, end), store.ValueOf(entry), isDeleted: false);
        }
        else if (pending is not null)
        {
            if (FindWaiting(keyBytes, start) >= 0)
            {
                return;
            }

            var due = NextMultiple();
            pending.Put(keyBytes, due, start, (2 * end) + (isNew ? 1 : 0));
            NextDue = Math.Min(NextDue, due);
        }
    }

    /// <summary>A session is no more under these bounds: it is deleted if it had been emitted under them.</summary>
    public void Replaced(in RecordView raw, long timestamp, ReadOnlySpan<byte> keyBytes, TKey key, long start, long end)
    {
        var wasEmitted = emit.Kind != WindowEmitKind.OnClose;
        if (pending is not null && FindWaiting(keyBytes, start) is >= 0 and var waiting)
        {
            wasEmitted = (pending.ValueOf(waiting) & 1) == 0;
            pending.Remove(waiting);
        }

        if (wasEmitted)
        {
            Emit(raw, timestamp, new Windowed<TKey>(key, start, end), default!, isDeleted: true);
        }
    }

    /// <summary>Emits what is due, by due time, key bytes and window.</summary>
    public void EmitDue(long watermark)
    {
        if (pending is null)
        {
            return;
        }

        while (pending.TakeExpired(watermark, _due, out var due))
        {
            foreach (var waiting in _due)
            {
                var start = pending.EndOf(waiting);
                var end = pending.ValueOf(waiting) >> 1;
                var entry = store.Find(pending.KeyBytesOf(waiting), start, end);
                Emit(default, Math.Clamp(due, start, end - 1), new Windowed<TKey>(store.KeyOf(entry), start, end), store.ValueOf(entry), isDeleted: false);
            }

            pending.Expire(_due, due);
        }

        Restored();
    }

    /// <summary>Emits the final result of a window that closes, unless it was emitted already.</summary>
    public void Close(int entry)
    {
        var isNews = emit.Kind == WindowEmitKind.OnClose;
        if (pending is not null && FindWaiting(store.KeyBytesOf(entry), store.StartOf(entry)) is >= 0 and var waiting)
        {
            isNews = true;
            pending.Remove(waiting);
        }

        if (isNews)
        {
            var window = new Windowed<TKey>(store.KeyOf(entry), store.StartOf(entry), store.EndOf(entry));
            Emit(default, window.WindowEndMs - 1, window, store.ValueOf(entry), isDeleted: false);
        }

        store.Finish(entry);
    }

    private void Emit(in RecordView raw, long timestamp, Windowed<TKey> window, TAggregate aggregate, bool isDeleted)
    {
        var before = context.ValueIsNull;
        context.ValueIsNull = isDeleted;
        output.Emit(raw, timestamp, window, aggregate);
        context.ValueIsNull = before;
    }

    /// <summary>
    /// What waits to be emitted of a window, or -1. Its due is the next one, or that of this very moment: a step before this one, which runs at the same watermark, can emit what changes the
    /// window before this step comes to emit it.
    /// </summary>
    private int FindWaiting(ReadOnlySpan<byte> keyBytes, long start)
    {
        var waiting = pending!.Find(keyBytes, NextMultiple(), start);
        return waiting >= 0 ? waiting : pending.Find(keyBytes, clock.Watermark, start);
    }

    /// <summary>The first multiple of the interval that the watermark has not reached.</summary>
    private long NextMultiple()
    {
        var watermark = clock.Watermark;
        if (watermark == WatermarkTracker.None)
        {
            return BeforeAll;
        }

        var rest = watermark % emit.IntervalMs;
        return watermark - rest + (rest < 0 ? 0 : emit.IntervalMs);
    }
}
