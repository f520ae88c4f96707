using System.Runtime.CompilerServices;
using OrleansStreams.Processing.State;
using OrleansStreams.Processing.Watermarks;
using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.Processing.Operators;

/// <summary>Where a topic's records enter the task.</summary>
internal abstract class TopicSource
{
    /// <summary>Records that are looked ahead at a time: as many loads as a processor has under way at once, and some more.</summary>
    public const int LookAheadRecords = 96;

    // Smaller ones are in the caches anyway.
    private const long LargeBytes = 4L * 1024 * 1024;

    private readonly List<IKeyedStore> _stores = [];

    /// <summary>What <see cref="Process"/> returns for a record that was skipped: no time at all.</summary>
    public const long Skipped = long.MinValue;

    /// <summary>Whether its watermark comes from a generator or from the clock.</summary>
    public abstract bool HasGenerator { get; }

    /// <summary>What the generator said last.</summary>
    public long Watermark { get; protected set; } = WatermarkTracker.None;

    /// <summary>Processes one record. The watermark rises afterwards, so that the record itself meets the watermark of those before it.</summary>
    /// <returns>The record's event time.</returns>
    public abstract long Process(in RecordView record);

    /// <summary>The event time that a record will have, as far as its order among those of other topics goes; long.MinValue when it has none and will fail or be mended.</summary>
    public abstract long PeekTime(in RecordView record);

    /// <summary>A store is looked up by the keys of this source's records, as they are in the topic.</summary>
    public void AddStore(IKeyedStore store) => _stores.Add(store);

    /// <summary>Whether a store is so large that <see cref="LookAhead"/> pays.</summary>
    public bool HasLargeStores
    {
        get
        {
            foreach (var store in _stores)
            {
                if (store.Bytes >= LargeBytes)
                {
                    return true;
                }
            }

            return false;
        }
    }

    /// <summary>Lets the stores see the keys of the next records, at most <see cref="LookAheadRecords"/>.</summary>
    /// <param name="reader">Where the batch is read; the caller's stays where it is.</param>
    public void LookAhead(RecordBatchReader reader)
    {
        Span<uint> hashes = stackalloc uint[LookAheadRecords];
        var count = 0;
        while (count < hashes.Length && reader.TryRead(out var record))
        {
            hashes[count++] = ByteKeys.Hash(record.Key);
        }

        foreach (var store in _stores)
        {
            store.Warm(hashes[..count]);
        }
    }

    /// <summary>Lets the clock move the watermark.</summary>
    public abstract void OnPeriodic(long nowMs);

    public abstract void SaveGenerator(ByteBuffer to);

    public abstract void RestoreGenerator(ReadOnlySpan<byte> from);
}

internal sealed class TopicSource<TKey, TValue>(Consumed<TKey, TValue> consumed, TaskContext context, Emitter<TKey, TValue> output) : TopicSource
{
    private readonly IWatermarkGenerator<TKey, TValue>? _generator = consumed.Generator?.Invoke();
    private readonly ISerde<TKey> _keySerde = consumed.KeySerde;
    private readonly ISerde<TValue> _valueSerde = consumed.ValueSerde;
    private readonly bool _hasRecordTime = consumed.Time == EventTimeKind.RecordTimestamp;
    private readonly bool _hasGenerator = consumed.Generator is not null || consumed.Time == EventTimeKind.Processing;
    private readonly long _earliest = consumed.EarliestTime;
    private readonly ulong _range = (ulong)(EventTimes.Max - consumed.EarliestTime);
    private WindowProcessor<TKey, TValue>? _onlyWindow;
    private bool _isWired;

    public override bool HasGenerator => _hasGenerator;

    public override long Process(in RecordView record)
    {
        if (!_isWired)
        {
            // A window that stands right behind the source finds its key by the bytes: nothing is deserialized for it before it asks.
            var isPlain = consumed.Time == EventTimeKind.RecordTimestamp && _generator is null;
            _onlyWindow = isPlain && output.Children is [WindowProcessor<TKey, TValue> window] ? window : null;
            _isWired = true;
        }

        if (_onlyWindow is not null)
        {
            var timestamp = record.Timestamp;
            if (IsValid(timestamp) || TryMend(ref timestamp))
            {
                _onlyWindow.ProcessRaw(record, timestamp, consumed.ValueSerde, context);
            }

            return timestamp;
        }

        context.ValueIsNull = record.ValueIsNull;
        var key = record.KeyIsNull ? default! : _keySerde.Deserialize(record.Key);
        var value = record.ValueIsNull ? default! : _valueSerde.Deserialize(record.Value);
        var eventTime = _hasRecordTime ? record.Timestamp : TimeOf(record.Timestamp, key, value);
        if (!IsValid(eventTime) && !TryMend(ref eventTime))
        {
            return Skipped;
        }

        output.Emit(record, eventTime, key, value);
        if (_hasGenerator)
        {
            context.IsTouched = true;
            Raise(_generator?.OnEvent(key, value, eventTime) ?? eventTime - consumed.Watermarks.OutOfOrdernessMs - 1);
        }

        return eventTime;
    }

    public override long PeekTime(in RecordView record)
    {
        if (consumed.Time != EventTimeKind.Extractor)
        {
            return IsValid(record.Timestamp) ? record.Timestamp : Skipped;
        }

        try
        {
            var key = record.KeyIsNull ? default! : _keySerde.Deserialize(record.Key);
            var value = record.ValueIsNull ? default! : _valueSerde.Deserialize(record.Value);
            var time = consumed.EventTime!(key, value, record.Timestamp);
            return IsValid(time) ? time : Skipped;
        }
        catch (Exception)
        {
            // It is processed next, and fails there as it should.
            return Skipped;
        }
    }

    public override void OnPeriodic(long nowMs)
    {
        if (_generator is not null)
        {
            Raise(_generator.OnPeriodic(nowMs));
        }
        else if (consumed.Time == EventTimeKind.Processing)
        {
            // The clock never goes back: whatever comes later has this time or a later one.
            Raise(nowMs - consumed.Watermarks.OutOfOrdernessMs - 1);
        }
    }

    public override void SaveGenerator(ByteBuffer to) => _generator?.Save(to);

    public override void RestoreGenerator(ReadOnlySpan<byte> from) => _generator?.Restore(from);

    private bool IsValid(long time) => (ulong)(time - _earliest) <= _range;

    private void Raise(long watermark)
    {
        // No watermark says that the input has ended but its end itself.
        Watermark = Math.Max(Watermark, Math.Min(watermark, EventTimes.Max));
    }

    private long TimeOf(long timestamp, TKey key, TValue value) => consumed.Time switch
    {
        EventTimeKind.Extractor => Extracted(timestamp, key, value),
        EventTimeKind.Ingestion => context.IngestionMs,
        _ => context.ClockMs,
    };

    private long Extracted(long timestamp, TKey key, TValue value)
    {
        try
        {
            return consumed.EventTime!(key, value, timestamp);
        }
        catch (Exception) when (consumed.InvalidTimestamps != InvalidTimestampPolicy.Fail)
        {
            return Skipped;
        }
    }

    /// <summary>Makes the best of an invalid time, as configured. False when the record is skipped.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private bool TryMend(ref long time)
    {
        if (consumed.InvalidTimestamps == InvalidTimestampPolicy.Skip)
        {
            context.SkippedRecords++;
            time = Skipped;
            return false;
        }

        if (consumed.InvalidTimestamps == InvalidTimestampPolicy.UseIngestionTime && IsValid(context.IngestionMs))
        {
            time = context.IngestionMs;
            return true;
        }

        throw new StreamsException(
            StreamsErrorCode.InvalidTimestamp,
            time is < 0 and >= -EventTimes.Max
                ? $"The event time {time} lies before 1970: correct the producer or the extractor given to WithEventTime, or say with AllowTimesBefore1970 that it is meant, or with WithInvalidTimestamps what to do."
                : $"The event time {time} is no time in ms since the Unix epoch: correct the producer or the extractor given to WithEventTime, or say with WithInvalidTimestamps what to do.");
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
        if (timestamp is < -EventTimes.Max or > EventTimes.Max)
        {
            throw new StreamsException(StreamsErrorCode.InvalidTimestamp, $"The event time {timestamp} is no time in ms since the Unix epoch: correct the row, or its parser.");
        }

        output.Emit(default, timestamp, key, value);
        return timestamp;
    }
}
