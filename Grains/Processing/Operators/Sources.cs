using OrleansStreams.Processing.Watermarks;
using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.Processing.Operators;

/// <summary>Turns a topic's records into typed ones. Answers the record's event time.</summary>
internal interface ITopicInput
{
    WatermarkStrategy Watermarks { get; }

    long Process(in RecordView record, long watermark);
}

/// <summary>Turns a file's lines into typed records.</summary>
internal interface IFileInput
{
    string Path { get; }

    double RowsPerSecond { get; }

    void Process(ReadOnlySpan<byte> line, long lineNumber);
}

internal sealed class TopicInput<TKey, TValue>(Consumed<TKey, TValue> consumed, IProcessor<TKey, TValue> next) : ITopicInput
{
    public WatermarkStrategy Watermarks => consumed.Watermarks;

    public long Process(in RecordView record, long watermark)
    {
        var key = record.KeyIsNull ? default! : consumed.KeySerde.Deserialize(record.Key);
        var value = record.ValueIsNull ? default! : consumed.ValueSerde.Deserialize(record.Value);
        var eventTime = consumed.EventTime is null ? record.Timestamp : consumed.EventTime(key, value, record.Timestamp);
        next.Process(key, value, new RecordContext(eventTime, watermark, record.HeaderCount == 0 ? [] : record.GetHeaders()));
        return eventTime;
    }
}

internal sealed class FileInput<TKey, TValue>(FileSourceNode<TKey, TValue> node, IProcessor<TKey, TValue> next) : IFileInput
{
    public string Path => node.Path;

    public double RowsPerSecond => node.RowsPerSecond;

    public void Process(ReadOnlySpan<byte> line, long lineNumber)
    {
        var (key, value, timestamp) = node.Parser(line, lineNumber);
        next.Process(key, value, new RecordContext(timestamp, long.MinValue, []));
    }
}
