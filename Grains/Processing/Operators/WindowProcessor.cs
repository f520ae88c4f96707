using OrleansStreams.Processing.State;
using OrleansStreams.Processing.Tables;
using OrleansStreams.Processing.Windows;
using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.Processing.Operators;

/// <summary>A windowed aggregate, whatever it is kept as.</summary>
internal abstract class WindowProcessor<TKey, TValue> : Processor<TKey, TValue>
{
    /// <summary>Takes a record as its source has read it; what it does not look at is not deserialized.</summary>
    public abstract void ProcessRaw(in RecordView raw, long timestamp, IDeserializer<TValue> values, TaskContext context);
}

/// <summary>
/// Aggregates events in tumbling windows and emits each window once, when it closes.
/// <para>
/// Why neither the boundaries of batches nor the interleaving of partitions can change a result: whether an event is late is decided by its own partition's watermark just
/// before it, which depends on nothing but the records before it in that partition. A window closes when the task's watermark, the minimum over its
/// partitions, reaches its end plus grace: by then every partition's own watermark has, so every later event of the window is late by its own partition too. A window
/// hence holds exactly the events that are not late in their partitions, in whatever order they came. (Only an input that stepped aside as
/// idle can find its window closed before; such an event is late as well.)
/// </para>
/// </summary>
internal sealed class WindowProcessor<TKey, TValue, TAggregate>(
    StepClock clock,
    WindowAggregateNode<TKey, TValue, TAggregate> node,
    TimedStore<TKey, TAggregate> store,
    LateEvents late,
    Emitter<Windowed<TKey>, TAggregate> output) : WindowProcessor<TKey, TValue>, IEventTimeStep, IRestoredStep
{
    private readonly long _size = node.Windows.SizeMs;
    private readonly long _grace = node.Windows.GraceMs;
    private readonly long _closeDelay = node.Windows.SizeMs + node.Windows.GraceMs;
    private readonly List<int> _closing = [];
    private readonly WindowAggregator<TKey, TValue, TAggregate> _aggregator = node.Aggregator;
    private readonly KeyBytes<TKey> _keys = new(node.KeySerde, keepsKey: true);
    private long _lastStart = long.MinValue / 2;

    public long NextDue { get; private set; } = long.MaxValue;

    public override void ProcessRaw(in RecordView raw, long timestamp, IDeserializer<TValue> values, TaskContext context)
    {
        var start = StartOf(timestamp);
        if (IsLate(start))
        {
            context.IsTouched = true;
            late.Add(raw, timestamp, 0, start, start + _size);
            return;
        }

        CheckKey(raw);
        var value = _aggregator.UsesEvent && !raw.ValueIsNull ? values.Deserialize(raw.Value) : default!;

        // Neither a value nor a key that cannot be read has changed anything.
        ref var aggregate = ref store.TouchValue(raw.Key, start, start + _size, out var window, out var isNew);
        var key = isNew || _aggregator.UsesEvent ? ReadKey(window, isNew) : default!;
        context.IsTouched = true;
        NextDue = Math.Min(NextDue, start + _closeDelay);
        aggregate = NotNull(isNew ? _aggregator.First(key, value) : _aggregator.Next(key, value, aggregate));
    }

    public override void Process(in RecordView raw, long timestamp, TKey key, TValue value)
    {
        var start = StartOf(timestamp);
        if (IsLate(start))
        {
            late.Add(raw, timestamp, value, start, start + _size);
            return;
        }

        // What timers emit, as a join's record without a partner, has no source record to take the key's bytes from.
        NextDue = Math.Min(NextDue, start + _closeDelay);
        ref var aggregate = ref store.TouchValue(_keys.Of(raw, key), start, start + _size, out _, out var isNew);
        aggregate = NotNull(isNew ? _aggregator.First(key, value) : _aggregator.Next(key, value, aggregate));
    }

    /// <summary>Closes and emits the windows whose end plus grace the watermark has reached, by end, then key bytes.</summary>
    public void OnWatermark(long watermark)
    {
        while (store.TakeExpired(watermark - _grace, _closing, out _))
        {
            foreach (var window in _closing)
            {
                var (start, end) = (store.StartOf(window), store.EndOf(window));
                output.Emit(default, end - 1, new Windowed<TKey>(store.KeyOf(window), start, end), store.ValueOf(window));
                store.Finish(window);
            }
        }

        Restored();
    }

    /// <summary>Looks at the store again after it was changed from outside.</summary>
    public void Restored() => NextDue = store.NextExpiry is var end and not long.MaxValue ? end + _grace : long.MaxValue;

    private TKey ReadKey(int window, bool isNew)
    {
        try
        {
            return store.KeptKeyOf(window);
        }
        catch when (isNew)
        {
            store.Remove(window);
            throw;
        }
    }

    private bool IsLate(long start) => start + _closeDelay <= clock.RecordWatermark;

    private long StartOf(long timestamp)
    {
        // Neighbours mostly share a window, and a division costs as much as the rest of the look-up.
        if ((ulong)(timestamp - _lastStart) >= (ulong)_size)
        {
            var rest = timestamp % _size;
            _lastStart = timestamp - (rest < 0 ? rest + _size : rest);
        }

        return _lastStart;
    }

    private static void CheckKey(in RecordView raw)
    {
        if (raw.KeyIsNull)
        {
            throw new StreamsException(StreamsErrorCode.InvalidInput, "A record with a null key belongs to no group: drop such records with .Filter((key, _) => key is not null) before GroupByKey.");
        }
    }

    // A store holds no nulls: many serdes have none, and a replay would give another state than the run. Refused before it can be committed.
    private static TAggregate NotNull(TAggregate aggregate) => aggregate is not null ? aggregate : throw new StreamsException(
        StreamsErrorCode.InvalidInput,
        "The aggregate of a window became null: return a value, or drop records with a null value with .Filter((_, value) => value is not null) before GroupByKey.");
}
