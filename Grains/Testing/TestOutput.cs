using System.Collections.Immutable;
using OrleansStreams.Records;

namespace OrleansStreams.Testing;

/// <summary>A record that a topology has written.</summary>
/// <param name="Key">Its key; the type's default for null.</param>
/// <param name="Value">Its value; the type's default for null.</param>
/// <param name="Timestamp">Its timestamp, ms since the Unix epoch.</param>
public sealed record TestRecord<TKey, TValue>(TKey? Key, TValue? Value, long Timestamp)
{
    /// <summary>Whether the value is null.</summary>
    public bool IsValueNull { get; init; }

    /// <summary>Its partition.</summary>
    public int Partition { get; init; }

    /// <summary>Its headers.</summary>
    public ImmutableArray<RecordHeader> Headers { get; init; } = [];
}

/// <summary>Reads a topic of a <see cref="TopologyTestDriver"/>.</summary>
public sealed class TestOutput<TKey, TValue>
{
    private readonly TestTopic _topic;
    private readonly IDeserializer<TKey> _keyDeserializer;
    private readonly IDeserializer<TValue> _valueDeserializer;
    private long _sequence;

    internal TestOutput(TestTopic topic, IDeserializer<TKey> keyDeserializer, IDeserializer<TValue> valueDeserializer)
    {
        _topic = topic;
        _keyDeserializer = keyDeserializer;
        _valueDeserializer = valueDeserializer;
    }

    /// <summary>The records that were written since the last call, in the order in which they were written.</summary>
    /// <exception cref="StreamsException">SerializationFailed when the topic was written with other serdes.</exception>
    public ImmutableArray<TestRecord<TKey, TValue>> ReadAll()
    {
        var records = ImmutableArray.CreateBuilder<TestRecord<TKey, TValue>>();
        foreach (var (partition, batch) in _topic.After(_sequence))
        {
            _sequence = batch.Sequence;
            var reader = new RecordBatchReader(batch.Bytes);
            while (!reader.Header.IsControl && reader.TryRead(out var record))
            {
                var key = record.KeyIsNull ? default : _keyDeserializer.Deserialize(record.Key);
                var value = record.ValueIsNull ? default : _valueDeserializer.Deserialize(record.Value);
                records.Add(new TestRecord<TKey, TValue>(key, value, record.Timestamp)
                {
                    IsValueNull = record.ValueIsNull,
                    Partition = partition,
                    Headers = [.. record.GetHeaders()],
                });
            }
        }

        return records.ToImmutable();
    }
}
