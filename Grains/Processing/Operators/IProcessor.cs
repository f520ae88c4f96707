using OrleansStreams.Records;

namespace OrleansStreams.Processing.Operators;

/// <summary>What a record carries besides key and value.</summary>
/// <param name="Timestamp">Its event time, ms since the Unix epoch.</param>
/// <param name="Watermark">Its partition's watermark just before it.</param>
/// <param name="Headers">Its headers.</param>
internal readonly record struct RecordContext(long Timestamp, long Watermark, IReadOnlyList<RecordHeader> Headers);

/// <summary>One step of a running topology.</summary>
internal interface IProcessor<in TKey, in TValue>
{
    void Process(TKey key, TValue value, in RecordContext context);
}

/// <summary>A step that acts when event time passes.</summary>
internal interface IWatermarkListener
{
    void Advance(long watermark);
}

/// <summary>Hands a record to several steps in the order of their description.</summary>
internal sealed class Fork<TKey, TValue>(IProcessor<TKey, TValue>[] next) : IProcessor<TKey, TValue>
{
    public void Process(TKey key, TValue value, in RecordContext context)
    {
        foreach (var step in next)
        {
            step.Process(key, value, context);
        }
    }
}

internal sealed class FilterProcessor<TKey, TValue>(Func<TKey, TValue, bool> predicate, IProcessor<TKey, TValue> next) : IProcessor<TKey, TValue>
{
    public void Process(TKey key, TValue value, in RecordContext context)
    {
        if (predicate(key, value))
        {
            next.Process(key, value, context);
        }
    }
}

internal sealed class MapProcessor<TKey, TValue, TKeyOut, TValueOut>(Func<TKey, TValue, (TKeyOut Key, TValueOut Value)> mapper, IProcessor<TKeyOut, TValueOut> next) : IProcessor<TKey, TValue>
{
    public void Process(TKey key, TValue value, in RecordContext context)
    {
        var (newKey, newValue) = mapper(key, value);
        next.Process(newKey, newValue, context);
    }
}

internal sealed class FlatMapProcessor<TKey, TValue, TKeyOut, TValueOut>(
    Func<TKey, TValue, IEnumerable<(TKeyOut Key, TValueOut Value)>> mapper, IProcessor<TKeyOut, TValueOut> next) : IProcessor<TKey, TValue>
{
    public void Process(TKey key, TValue value, in RecordContext context)
    {
        foreach (var (newKey, newValue) in mapper(key, value))
        {
            next.Process(newKey, newValue, context);
        }
    }
}

internal sealed class SinkProcessor<TKey, TValue>(TopicOutput output, ISerializer<TKey> keySerializer, ISerializer<TValue> valueSerializer) : IProcessor<TKey, TValue>
{
    public void Process(TKey key, TValue value, in RecordContext context) =>
        output.Append(key, keySerializer, value, valueSerializer, context.Timestamp, context.Headers);
}
