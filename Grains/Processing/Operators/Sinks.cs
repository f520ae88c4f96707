using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.Processing.Operators;

/// <summary>Writes records through the task's outbox, with the headers of the record that they come from.</summary>
/// <param name="context">The task's.</param>
/// <param name="produced">The serdes.</param>
/// <param name="keepsNull">Whether the context says that a value of a value type is null.</param>
internal sealed class RecordWriter<TKey, TValue>(TaskContext context, Produced<TKey, TValue> produced, bool keepsNull)
{
    private readonly ByteBuffer _key = new();
    private readonly ByteBuffer _value = new();

    public void Write(int topic, in RecordView raw, long timestamp, TKey key, TValue value)
    {
        var isNull = Serialize(key, value);
        context.Outbox.Append(topic, timestamp, _key.Span, key is null, _value.Span, isNull, HeadersOf(raw));
    }

    /// <summary>Writes a record to every partition of a topic.</summary>
    public void WriteToAll(int topic, in RecordView raw, long timestamp, TKey key, TValue value)
    {
        var isNull = Serialize(key, value);
        context.Outbox.AppendToAll(topic, timestamp, _key.Span, key is null, _value.Span, isNull, HeadersOf(raw));
    }

    /// <returns>Whether the value is null.</returns>
    private bool Serialize(TKey key, TValue value)
    {
        _key.Clear();
        _value.Clear();
        if (key is not null)
        {
            produced.KeySerde.Serialize(key, _key);
        }

        var isNull = value is null || (keepsNull && context.ValueIsNull);
        if (!isNull)
        {
            produced.ValueSerde.Serialize(value, _value);
        }

        return isNull;
    }

    private RecordHeader[]? HeadersOf(in RecordView raw) => context.Headers ?? (raw.HeaderCount == 0 ? null : raw.GetHeaders());
}

/// <summary>Writes records to a topic.</summary>
internal sealed class SinkProcessor<TKey, TValue>(int topic, RecordWriter<TKey, TValue> writer) : Processor<TKey, TValue>
{
    public override bool IsStateless => true;

    public override void Process(in RecordView raw, long timestamp, TKey key, TValue value) => writer.Write(topic, raw, timestamp, key, value);
}

/// <summary>Writes records to every partition of a topic.</summary>
internal sealed class BroadcastSinkProcessor<TKey, TValue>(int topic, RecordWriter<TKey, TValue> writer) : Processor<TKey, TValue>
{
    public override bool IsStateless => true;

    public override void Process(in RecordView raw, long timestamp, TKey key, TValue value) => writer.WriteToAll(topic, raw, timestamp, key, value);
}

/// <summary>Writes each record to the topic that it chooses.</summary>
internal sealed class ChoosingSinkProcessor<TKey, TValue>(ChoosingSinkNode<TKey, TValue> node, Dictionary<string, int> topics, RecordWriter<TKey, TValue> writer)
    : Processor<TKey, TValue>
{
    public override bool IsStateless => true;

    public override void Process(in RecordView raw, long timestamp, TKey key, TValue value)
    {
        var name = node.Extractor(key, value);
        if (name is null || !topics.TryGetValue(name, out var topic))
        {
            throw new StreamsException(
                StreamsErrorCode.InvalidInput,
                $"The record chose topic '{name}', which is none of those that '{node.Name}' may write ({string.Join(", ", node.Writes)}): name it in .To(extractor, topics, ...) and create it, or correct the extractor.");
        }

        writer.Write(topic, raw, timestamp, key, value);
    }
}
