using OrleansStreams.Processing.Operators;
using OrleansStreams.Processing.State;
using OrleansStreams.Processing.Tables;
using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.Processing.Windows;

/// <summary>What the steps of all windows are made of that overlap or grow.</summary>
internal sealed record WindowStep<TKey, TValue, TAggregate>(
    TimedWindowNode<TKey, TValue, TAggregate> Node,
    StepClock Clock,
    KeyBytes<TKey> Keys,
    TimedStore<TKey, TAggregate> Store,
    WindowOutput<TKey, TAggregate> Output,
    LateEvents Late);

/// <summary>
/// Aggregates events in windows that are kept by key and time. As for tumbling windows (<see cref="WindowProcessor{TKey, TValue, TAggregate}"/>), whether an event is late for a window
/// follows from its own partition's watermark, and a window closes when the task's watermark has come as far: so results depend neither on the cut of batches nor on
/// how partitions are interleaved (sessions: see <see cref="SessionWindowedKStream{TKey, TValue}"/>).
/// </summary>
internal abstract class TimedWindowProcessor<TKey, TValue, TAggregate>(WindowStep<TKey, TValue, TAggregate> step) : Processor<TKey, TValue>, IEventTimeStep, IRestoredStep
{
    private readonly WindowAggregator<TKey, TValue, TAggregate> _aggregator = step.Node.Aggregator;
    private readonly List<int> _closing = [];

    public long NextDue { get; private set; } = long.MaxValue;

    protected TimedStore<TKey, TAggregate> Store { get; } = step.Store;

    protected WindowOutput<TKey, TAggregate> Output { get; } = step.Output;

    protected LateEvents Late { get; } = step.Late;

    /// <summary>How long after its end a window closes.</summary>
    protected long CloseDelayMs { get; } = step.Node.CloseDelayMs;

    protected long RecordWatermark => step.Clock.RecordWatermark;

    /// <summary>Emits what is due, then closes the windows whose time has come by end, key bytes and start.</summary>
    public void OnWatermark(long watermark)
    {
        Output.EmitDue(watermark);
        while (Store.TakeExpired(watermark - CloseDelayMs, _closing, out _))
        {
            foreach (var entry in _closing)
            {
                Output.Close(entry);
            }
        }

        OnClosed(watermark);
        Restored();
    }

    public virtual void Restored()
    {
        Output.Restored();
        NextDue = Output.NextDue;
        Wait(Store.NextExpiry, CloseDelayMs);
    }

    /// <summary>The windows that were due are closed.</summary>
    protected virtual void OnClosed(long watermark)
    {
    }

    /// <summary>Waits for a time and a delay after it, if nothing is due before.</summary>
    protected void Wait(long time, long delayMs) => NextDue = Math.Min(NextDue, time == long.MaxValue ? time : time + delayMs);

    /// <exception cref="StreamsException">InvalidInput for a null key.</exception>
    protected ReadOnlySpan<byte> KeyBytesOf(in RecordView raw, TKey key) => step.Keys.Of(raw, key);

    /// <summary>Whether a window with this end takes an event that comes when the watermark is here.</summary>
    protected bool IsOpen(long end, long watermark) => end + CloseDelayMs > watermark;

    protected TAggregate First(TKey key, TValue value) => NotNull(_aggregator.First(key, value));

    protected TAggregate Next(TKey key, TValue value, TAggregate aggregate) => NotNull(_aggregator.Next(key, value, aggregate));

    /// <summary>Adds an event to a window.</summary>
    protected void Update(in RecordView raw, long timestamp, ReadOnlySpan<byte> keyBytes, TKey key, TValue value, int entry, bool isNew)
    {
        Store.Set(entry, isNew ? First(key, value) : Next(key, value, Store.ValueOf(entry)));
        Changed(raw, timestamp, keyBytes, key, entry, isNew);
    }

    /// <summary>Emits a window that has changed, and waits for its close.</summary>
    protected void Changed(in RecordView raw, long timestamp, ReadOnlySpan<byte> keyBytes, TKey key, int entry, bool isNew)
    {
        Output.Updated(raw, timestamp, keyBytes, key, entry, isNew);
        Wait(Store.EndOf(entry), CloseDelayMs);
        NextDue = Math.Min(NextDue, Output.NextDue);
    }

    // A store holds no nulls: many serdes have none, and a replay would give another state than the run. Refused before it can be committed.
    protected static TAggregate NotNull(TAggregate aggregate) => aggregate is not null ? aggregate : throw new StreamsException(
        StreamsErrorCode.InvalidInput,
        "The aggregate of a window became null: return a value, or drop records with a null value with .Filter((_, value) => value is not null) before GroupByKey.");
}

/// <summary>Aggregates events in windows of one size.</summary>
internal sealed class HoppingWindowProcessor<TKey, TValue, TAggregate>(WindowStep<TKey, TValue, TAggregate> step, HoppingWindows windows)
    : TimedWindowProcessor<TKey, TValue, TAggregate>(step)
{
    private readonly long _size = windows.SizeMs;
    private readonly long _advance = windows.AdvanceMs;

    public override void Process(in RecordView raw, long timestamp, TKey key, TValue value)
    {
        var rest = timestamp % _advance;
        var last = timestamp - (rest < 0 ? rest + _advance : rest);
        var watermark = RecordWatermark;
        var keyBytes = KeyBytesOf(raw, key);
        if (!IsOpen(last + _size, watermark))
        {
            Late.Add(raw, timestamp, value, last, last + _size);
            return;
        }

        var first = last - ((_size - 1 - (timestamp - last)) / _advance * _advance);
        var entry = -1;
        for (var start = first; start <= last; start += _advance)
        {
            if (IsOpen(start + _size, watermark))
            {
                // The windows of an event stand one behind the other: the key is looked up for the first of them.
                entry = entry < 0 ? Store.Touch(keyBytes, start, start + _size, out var isNew) : Store.TouchBehind(entry, start, start + _size, out isNew);
                ref var aggregate = ref Store.Touched(entry);
                aggregate = isNew ? First(key, value) : Next(key, value, aggregate);
                Changed(raw, timestamp, keyBytes, key, entry, isNew);
            }
        }
    }
}
