using OrleansStreams.Processing;
using OrleansStreams.Records;

namespace OrleansStreams.Testing;

/// <summary>Writes records to a topic of a <see cref="TopologyTestDriver"/>, which processes each at once.</summary>
public sealed class TestInput<TKey, TValue>
{
    private readonly TestTopic _topic;
    private readonly ISerializer<TKey> _keySerializer;
    private readonly ISerializer<TValue> _valueSerializer;
    private readonly Action _piped;
    private int _nextPartition;

    internal TestInput(TestTopic topic, ISerializer<TKey> keySerializer, ISerializer<TValue> valueSerializer, Action piped)
    {
        _topic = topic;
        _keySerializer = keySerializer;
        _valueSerializer = valueSerializer;
        _piped = piped;
    }

    /// <summary>Writes a record and processes it.</summary>
    /// <param name="key">Its key, or null.</param>
    /// <param name="value">Its value, or null.</param>
    /// <param name="timestamp">Its timestamp, ms since the Unix epoch.</param>
    /// <param name="headers">Its headers, or null.</param>
    /// <param name="partition">Its partition; null for that of Kafka's default partitioner, and for one after the other without a key.</param>
    /// <exception cref="StreamsException">What the topology threw: InvalidInput, SerializationFailed, ...; UnknownTopicOrPartition for a partition that is not there.</exception>
    public void Pipe(TKey? key, TValue? value, long timestamp, IReadOnlyList<RecordHeader>? headers = null, int? partition = null)
    {
        if (value is null)
        {
            PipeNull(key, timestamp, headers, partition);
            return;
        }

        var bytes = new ByteBuffer();
        _valueSerializer.Serialize(value, bytes);
        Append(key, bytes.Span, isNull: false, timestamp, headers, partition);
    }

    /// <summary>Writes a record with a null value, also where the type has no null, and processes it.</summary>
    /// <inheritdoc cref="Pipe"/>
    public void PipeNull(TKey? key, long timestamp, IReadOnlyList<RecordHeader>? headers = null, int? partition = null) =>
        Append(key, default, isNull: true, timestamp, headers, partition);

    private void Append(TKey? key, ReadOnlySpan<byte> value, bool isNull, long timestamp, IReadOnlyList<RecordHeader>? headers, int? partition)
    {
        var keyBytes = new ByteBuffer();
        if (key is not null)
        {
            _keySerializer.Serialize(key, keyBytes);
        }

        var builder = new RecordBatchBuilder(initialBytes: 256);
        builder.Append(timestamp, keyBytes.Span, key is null, value, isNull, headers?.ToArray());
        var number = partition ?? (key is null ? _nextPartition++ % _topic.PartitionCount : KeyHash.PartitionFor(keyBytes.Span, _topic.PartitionCount));
        _topic.Append(number, builder.Build());
        _piped();
    }
}

/// <summary>Writes lines to a file source of a <see cref="TopologyTestDriver"/>, which processes each at once.</summary>
public sealed class TestFileInput
{
    private readonly TestTask _task;
    private readonly Action _piped;

    internal TestFileInput(TestTask task, Action piped)
    {
        _task = task;
        _piped = piped;
    }

    /// <summary>Adds a line, without its line break, and processes it.</summary>
    /// <exception cref="StreamsException">What the topology threw; InvalidRequest after <see cref="TopologyTestDriver.CloseInputs"/>.</exception>
    public void PipeLine(string line)
    {
        ArgumentNullException.ThrowIfNull(line);
        _task.AddLine(line);
        _piped();
    }
}
