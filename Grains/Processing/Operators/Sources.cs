using OrleansStreams.Processing.Watermarks;
using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.Processing.Operators;

/// <summary>Where a topic's records enter the task.</summary>
internal abstract class TopicSource
{
    /// <summary>Processes one record. The watermark rises afterwards, so that the record itself meets the watermark of those before it.</summary>
    /// <returns>The record's event time.</returns>
    public abstract long Process(in RecordView record);

    protected static long Checked(long eventTime) => eventTime is >= -EventTimes.Max and <= EventTimes.Max
        ? eventTime
        : throw new StreamsException(
            StreamsErrorCode.InvalidTimestamp, $"The event time {eventTime} is no time in ms since the Unix epoch: correct the extractor given to WithEventTime, or the producer.");
}

internal sealed class TopicSource<TKey, TValue>(TaskContext context, Consumed<TKey, TValue> consumed, Emitter<TKey, TValue> output) : TopicSource
{
    private WindowProcessor<TKey, TValue>? _onlyWindow;
    private bool _isWired;

    public override long Process(in RecordView record)
    {
        if (!_isWired)
        {
            // A window that stands right behind the source finds its key by the bytes: nothing is deserialized for it before it asks.
            _onlyWindow = consumed.EventTime is null && output.Children is [WindowProcessor<TKey, TValue> window] ? window : null;
            _isWired = true;
        }

        if (_onlyWindow is not null)
        {
            var timestamp = Checked(record.Timestamp);
            _onlyWindow.ProcessRaw(record, timestamp, consumed.ValueSerde);
            return timestamp;
        }

        context.ValueIsNull = record.ValueIsNull;
        var key = record.KeyIsNull ? default! : consumed.KeySerde.Deserialize(record.Key);
        var value = record.ValueIsNull ? default! : consumed.ValueSerde.Deserialize(record.Value);
        var eventTime = Checked(consumed.EventTime is { } extract ? extract(key, value, record.Timestamp) : record.Timestamp);
        output.Emit(record, eventTime, key, value);
        return eventTime;
    }
}

/// <summary>Where a file's lines enter the task.</summary>
internal abstract class FileSource
{
    public abstract long Process(ReadOnlySpan<byte> line, long lineNumber);
}

internal sealed class FileSource<TKey, TValue>(FileLineParser<TKey, TValue> parser, Emitter<TKey, TValue> output) : FileSource
{
    public override long Process(ReadOnlySpan<byte> line, long lineNumber)
    {
        var (key, value, timestamp) = parser(line, lineNumber);
        output.Emit(default, timestamp, key, value);
        return timestamp;
    }
}
