using OrleansStreams.Processing.State;
using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.Processing.Windows;

/// <summary>
/// Aggregates events in sliding windows: for each event at t the window [t - d, t], which ends with it, and the window [t + 1, t + 1 + d] after it if events lie in that.
/// An event can make up to three kinds of windows: that which ends with it, that after it, and those after earlier events which had been empty. A new window takes the
/// events that it holds from a store of all events that windows can still need, so that it is the same whatever the order in which they came. Each event carries the watermark
/// that it met, because it may have been late for the one window and not for the other.
/// </summary>
internal sealed class SlidingWindowProcessor<TKey, TValue, TAggregate>(
    WindowStep<TKey, TValue, TAggregate> step, SlidingWindows windows, TimedStore<TKey, SlidingEvent<TValue>> events) : TimedWindowProcessor<TKey, TValue, TAggregate>(step)
{
    private readonly long _difference = windows.TimeDifferenceMs;

    /// <summary>How long after its time an event can still come into a new window: until the window after it closes.</summary>
    private readonly long _keepMs = windows.TimeDifferenceMs + windows.GraceMs + 1;

    public override void Process(in RecordView raw, long timestamp, TKey key, TValue value)
    {
        var keyBytes = KeyBytesOf(raw, key);
        var watermark = RecordWatermark;
        if (!IsOpen(timestamp + _difference + 2, watermark))
        {
            Late.Add(raw, timestamp, value, timestamp - _difference, timestamp + 1);
            return;
        }

        events.Append(keyBytes, timestamp, new SlidingEvent<TValue>(watermark, value));
        Wait(timestamp, _keepMs);
        for (var entry = Store.FirstFrom(keyBytes, timestamp - _difference); entry >= 0 && Store.StartOf(entry) <= timestamp; entry = Store.Next(entry))
        {
            if (IsOpen(Store.EndOf(entry), watermark))
            {
                Update(raw, timestamp, keyBytes, key, value, entry, isNew: false);
            }
        }

        MakeWindow(raw, timestamp, keyBytes, key, timestamp - _difference, watermark);
        MakeWindowsAfterEarlier(raw, timestamp, keyBytes, key, watermark);
        MakeWindow(raw, timestamp, keyBytes, key, timestamp + 1, watermark);
    }

    public override void Restored()
    {
        base.Restored();
        Wait(events.NextExpiry, _keepMs);
    }

    protected override void OnClosed(long watermark) => events.ExpireUpTo(watermark - _keepMs);

    private void MakeWindowsAfterEarlier(in RecordView raw, long timestamp, ReadOnlySpan<byte> keyBytes, TKey key, long watermark)
    {
        var last = long.MinValue;
        for (var entry = events.FirstFrom(keyBytes, timestamp - 1 - _difference); entry >= 0 && events.StartOf(entry) < timestamp; entry = events.Next(entry))
        {
            var time = events.StartOf(entry);
            if (time != last)
            {
                MakeWindow(raw, timestamp, keyBytes, key, time + 1, watermark);
                last = time;
            }
        }
    }

    /// <summary>Makes a window that is not there yet, unless it has closed or holds nothing.</summary>
    private void MakeWindow(in RecordView raw, long timestamp, ReadOnlySpan<byte> keyBytes, TKey key, long start, long watermark)
    {
        var end = start + _difference + 1;
        if (!IsOpen(end, watermark) || Store.Find(keyBytes, start, end) >= 0)
        {
            return;
        }

        var aggregate = default(TAggregate);
        var isEmpty = true;
        for (var entry = events.FirstFrom(keyBytes, start); entry >= 0 && events.StartOf(entry) < end; entry = events.Next(entry))
        {
            var held = events.ValueOf(entry);
            if (IsOpen(end, held.Watermark))
            {
                aggregate = isEmpty ? First(key, held.Value) : Next(key, held.Value, aggregate!);
                isEmpty = false;
            }
        }

        if (!isEmpty)
        {
            Changed(raw, timestamp, keyBytes, key, Store.Put(keyBytes, start, end, aggregate!), isNew: true);
        }
    }
}

/// <summary>An event that sliding windows can still need.</summary>
/// <param name="Watermark">The watermark that it met.</param>
/// <param name="Value">Its value; the type's default for null, or when the aggregator does not look at it.</param>
internal readonly record struct SlidingEvent<TValue>(long Watermark, TValue Value);

/// <summary>
/// Reads and writes <see cref="SlidingEvent{TValue}"/>.
/// <code>
///  watermark int64, little-endian | value is there byte (0, 1) | value
/// </code>
/// </summary>
/// <param name="values">Null when values are not looked at, and hence not kept.</param>
internal sealed class SlidingEventSerde<TValue>(ISerde<TValue>? values) : ISerde<SlidingEvent<TValue>>
{
    private const int HeaderBytes = sizeof(long) + 1;

    public string Name => $"sliding-event({values?.Name})";

    public void Serialize(SlidingEvent<TValue> value, System.Buffers.IBufferWriter<byte> writer)
    {
        var header = writer.GetSpan(HeaderBytes);
        System.Buffers.Binary.BinaryPrimitives.WriteInt64LittleEndian(header, value.Watermark);
        var hasValue = values is not null && value.Value is not null;
        header[sizeof(long)] = hasValue ? (byte)1 : (byte)0;
        writer.Advance(HeaderBytes);
        if (hasValue)
        {
            values!.Serialize(value.Value, writer);
        }
    }

    public SlidingEvent<TValue> Deserialize(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length < HeaderBytes)
        {
            throw ByteReader.Damaged();
        }

        var watermark = System.Buffers.Binary.BinaryPrimitives.ReadInt64LittleEndian(bytes);
        return new SlidingEvent<TValue>(watermark, bytes[sizeof(long)] == 0 ? default! : values!.Deserialize(bytes[HeaderBytes..]));
    }
}
