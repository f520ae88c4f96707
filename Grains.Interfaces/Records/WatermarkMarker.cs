using System.Buffers.Binary;
using System.Text;

namespace OrleansStreams.Records;

/// <summary>
/// The control batch by which a task tells the readers of a repartition topic how far its event time has come, so that a downstream task waits
/// for every upstream task.
/// <code>
///  value: version int16 = 0 | source task length int16 | source task, UTF-8 | event-time watermark int64 [| flags byte: 1 idle]        big-endian
/// </code>
/// An idle task has nothing to read: whoever waits for the least watermark does not wait for it until its next marker. The flags are left out when they are 0.
/// </summary>
public static class WatermarkMarker
{
    /// <summary>The watermark of a source that has ended: no event can come after it.</summary>
    public const long EndOfInput = long.MaxValue;

    private const byte IdleFlag = 1;

    private const int FixedBytes = 2 + 2 + 8;

    /// <summary>Builds the control batch, one record long.</summary>
    /// <param name="sourceTask">The task whose watermark it is.</param>
    /// <param name="watermark">Its event-time watermark (ms since the Unix epoch), or <see cref="EndOfInput"/>.</param>
    /// <param name="producerId">The task's producer id: a marker takes part in its sequence like any batch.</param>
    /// <param name="producerEpoch">The task's producer epoch.</param>
    /// <param name="baseSequence">The marker's sequence.</param>
    /// <param name="timestamp">The record's timestamp.</param>
    /// <param name="isIdle">Whether the task has nothing to read.</param>
    /// <exception cref="StreamsException">InvalidRequest for a task name longer than 32767 bytes.</exception>
    public static byte[] BuildBatch(string sourceTask, long watermark, long producerId, short producerEpoch, int baseSequence, long timestamp, bool isIdle = false)
    {
        ArgumentNullException.ThrowIfNull(sourceTask);
        var nameBytes = Encoding.UTF8.GetByteCount(sourceTask);
        if (nameBytes > short.MaxValue)
        {
            throw new StreamsException(
                StreamsErrorCode.InvalidRequest,
                $"The task name is {nameBytes} bytes long; the most is {short.MaxValue}. Give the application or sub-topology a shorter name.");
        }

        Span<byte> key = stackalloc byte[ControlRecord.KeyBytes];
        ControlRecord.WriteKey(key, ControlRecord.WatermarkType);
        var value = new byte[FixedBytes + nameBytes + (isIdle ? 1 : 0)];
        BinaryPrimitives.WriteInt16BigEndian(value.AsSpan(2), (short)nameBytes);
        Encoding.UTF8.GetBytes(sourceTask, value.AsSpan(4));
        BinaryPrimitives.WriteInt64BigEndian(value.AsSpan(4 + nameBytes), watermark);
        if (isIdle)
        {
            value[^1] = IdleFlag;
        }

        var builder = new RecordBatchBuilder(initialBytes: 256 + value.Length);
        builder.Append(timestamp, key, false, value, false);
        return builder.Build(producerId, producerEpoch, baseSequence, isControl: true);
    }

    /// <summary>Reads the marker from a whole batch; false when it is an ordinary batch or another control batch, which is to be skipped.</summary>
    /// <exception cref="StreamsException">CorruptBatch when it says that it is a marker but cannot be read.</exception>
    public static bool TryRead(ReadOnlyMemory<byte> batch, out string sourceTask, out long watermark) => TryRead(batch, out sourceTask, out watermark, out _);

    /// <summary>Reads the marker from a whole batch, and whether its task is idle; false when it is an ordinary batch or another control batch, which is to be skipped.</summary>
    /// <exception cref="StreamsException">CorruptBatch when it says that it is a marker but cannot be read.</exception>
    public static bool TryRead(ReadOnlyMemory<byte> batch, out string sourceTask, out long watermark, out bool isIdle)
    {
        var reader = new RecordBatchReader(batch);
        if (reader.Header.IsControl && reader.TryRead(out var record))
        {
            return TryRead(in record, out sourceTask, out watermark, out isIdle);
        }

        sourceTask = "";
        watermark = 0;
        isIdle = false;
        return false;
    }

    /// <summary>
    /// Reads the marker from a record of a control batch (whose header says <see cref="RecordBatchHeader.IsControl"/>); false when the record is of another
    /// type, which is to be skipped.
    /// </summary>
    /// <exception cref="StreamsException">CorruptBatch when it says that it is a marker but cannot be read: skipping it would stall the reader silently.</exception>
    public static bool TryRead(in RecordView record, out string sourceTask, out long watermark) => TryRead(in record, out sourceTask, out watermark, out _);

    private static bool TryRead(in RecordView record, out string sourceTask, out long watermark, out bool isIdle)
    {
        sourceTask = "";
        watermark = 0;
        isIdle = false;
        if (!ControlRecord.TryReadType(record.Key, out var type) || type != ControlRecord.WatermarkType)
        {
            return false;
        }

        var value = record.Value;
        var nameBytes = value.Length < FixedBytes ? -1 : BinaryPrimitives.ReadInt16BigEndian(value[2..]);
        if (nameBytes < 0 || BinaryPrimitives.ReadInt16BigEndian(value) < 0 || value.Length < FixedBytes + nameBytes)
        {
            throw new StreamsException(
                StreamsErrorCode.CorruptBatch,
                $"The watermark marker at offset {record.Offset} is damaged: its value of {value.Length} bytes does not hold its fields. Check who else writes to this topic.");
        }

        sourceTask = Encoding.UTF8.GetString(value.Slice(4, nameBytes));
        watermark = BinaryPrimitives.ReadInt64BigEndian(value[(4 + nameBytes)..]);
        isIdle = value.Length > FixedBytes + nameBytes && (value[FixedBytes + nameBytes] & IdleFlag) != 0;
        return true;
    }
}
