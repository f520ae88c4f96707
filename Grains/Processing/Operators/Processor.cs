using OrleansStreams.Records;

namespace OrleansStreams.Processing.Operators;

/// <summary>A step that takes records.</summary>
internal abstract class Processor<TKey, TValue>
{
    /// <param name="raw">The source's record, for steps whose key or record is still the source's; empty after a window.</param>
    /// <param name="timestamp">The event time.</param>
    /// <param name="key">The key.</param>
    /// <param name="value">The value.</param>
    public abstract void Process(in RecordView raw, long timestamp, TKey key, TValue value);
}

/// <summary>Hands records to the steps that a node feeds.</summary>
internal sealed class Emitter<TKey, TValue>
{
    private Processor<TKey, TValue>[] _children = [];

    public ReadOnlySpan<Processor<TKey, TValue>> Children => _children;

    public void Add(Processor<TKey, TValue> child) => _children = [.. _children, child];

    public void Emit(in RecordView raw, long timestamp, TKey key, TValue value)
    {
        foreach (var child in _children)
        {
            child.Process(raw, timestamp, key, value);
        }
    }
}

internal sealed class FilterProcessor<TKey, TValue>(Func<TKey, TValue, bool> predicate, Emitter<TKey, TValue> output) : Processor<TKey, TValue>
{
    public override void Process(in RecordView raw, long timestamp, TKey key, TValue value)
    {
        if (predicate(key, value))
        {
            output.Emit(raw, timestamp, key, value);
        }
    }
}

internal sealed class MapProcessor<TKey, TValue, TNewKey, TNewValue>(Func<TKey, TValue, (TNewKey Key, TNewValue Value)> mapper, Emitter<TNewKey, TNewValue> output)
    : Processor<TKey, TValue>
{
    public override void Process(in RecordView raw, long timestamp, TKey key, TValue value)
    {
        var (newKey, newValue) = mapper(key, value);
        output.Emit(raw, timestamp, newKey, newValue);
    }
}

internal sealed class MapValuesProcessor<TKey, TValue, TNewValue>(Func<TKey, TValue, TNewValue> mapper, Emitter<TKey, TNewValue> output) : Processor<TKey, TValue>
{
    public override void Process(in RecordView raw, long timestamp, TKey key, TValue value) => output.Emit(raw, timestamp, key, mapper(key, value));
}

internal sealed class FlatMapProcessor<TKey, TValue, TNewKey, TNewValue>(
    Func<TKey, TValue, IEnumerable<(TNewKey Key, TNewValue Value)>> mapper, Emitter<TNewKey, TNewValue> output) : Processor<TKey, TValue>
{
    public override void Process(in RecordView raw, long timestamp, TKey key, TValue value)
    {
        foreach (var (newKey, newValue) in mapper(key, value))
        {
            output.Emit(raw, timestamp, newKey, newValue);
        }
    }
}

/// <summary>Passes on what it gets: the meeting point of two streams.</summary>
internal sealed class MergeProcessor<TKey, TValue>(Emitter<TKey, TValue> output) : Processor<TKey, TValue>
{
    public override void Process(in RecordView raw, long timestamp, TKey key, TValue value) => output.Emit(raw, timestamp, key, value);
}

/// <summary>Writes records to a topic, through the task's outbox.</summary>
internal sealed class SinkProcessor<TKey, TValue>(Outbox outbox, int topic, ISerializer<TKey> keySerializer, ISerializer<TValue> valueSerializer) : Processor<TKey, TValue>
{
    private readonly ByteBuffer _key = new();
    private readonly ByteBuffer _value = new();

    public override void Process(in RecordView raw, long timestamp, TKey key, TValue value)
    {
        _key.Clear();
        _value.Clear();
        if (key is not null)
        {
            keySerializer.Serialize(key, _key);
        }

        if (value is not null)
        {
            valueSerializer.Serialize(value, _value);
        }

        outbox.Append(topic, timestamp, _key.Span, key is null, _value.Span, value is null, null);
    }
}
