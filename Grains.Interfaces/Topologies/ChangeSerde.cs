using System.Buffers;
using System.Buffers.Binary;
using OrleansStreams.Records;

namespace OrleansStreams.Topologies;

/// <summary>
/// Writes a table's changes, for topics and buffers.
/// <code>
///  flags byte (1 old, 2 new) | with both: length of the old value int32, little-endian | old value | new value
/// </code>
/// </summary>
internal sealed class ChangeSerde<TValue>(ISerde<TValue> values) : ISerde<Change<TValue>>
{
    private const byte OldFlag = 1;
    private const byte NewFlag = 2;
    private const byte BothFlags = OldFlag | NewFlag;

    // The length of the old value is known only when it is written. Taken out while in use, because a serde may write changes in turn.
    [ThreadStatic]
    private static ArrayBufferWriter<byte>? t_old;

    public string Name => $"change({values.Name})";

    public void Serialize(Change<TValue> value, IBufferWriter<byte> writer)
    {
        writer.GetSpan(1)[0] = (byte)((value.HasOld ? OldFlag : 0) | (value.HasNew ? NewFlag : 0));
        writer.Advance(1);
        if (value.HasOld && value.HasNew)
        {
            WriteWithLength(value.Old, writer);
        }
        else if (value.HasOld)
        {
            values.Serialize(value.Old, writer);
        }

        if (value.HasNew)
        {
            values.Serialize(value.New, writer);
        }
    }

    public Change<TValue> Deserialize(ReadOnlySpan<byte> data)
    {
        if (data.IsEmpty || data[0] > BothFlags)
        {
            throw Damaged();
        }

        var flags = data[0];
        data = data[1..];
        switch (flags)
        {
            case OldFlag:
                return Change.Deleted(values.Deserialize(data));
            case NewFlag:
                return Change.Added(values.Deserialize(data));
            case BothFlags:
                var length = data.Length < sizeof(int) ? -1 : BinaryPrimitives.ReadInt32LittleEndian(data);
                return length >= 0 && length <= data.Length - sizeof(int)
                    ? Change.Updated(values.Deserialize(data.Slice(sizeof(int), length)), values.Deserialize(data[(sizeof(int) + length)..]))
                    : throw Damaged();
            default:
                return default;
        }
    }

    private void WriteWithLength(TValue old, IBufferWriter<byte> writer)
    {
        var scratch = t_old ?? new ArrayBufferWriter<byte>();
        t_old = null;
        scratch.ResetWrittenCount();
        values.Serialize(old, scratch);
        BinaryPrimitives.WriteInt32LittleEndian(writer.GetSpan(sizeof(int)), scratch.WrittenCount);
        writer.Advance(sizeof(int));
        writer.Write(scratch.WrittenSpan);
        t_old = scratch;
    }

    private static StreamsException Damaged() => Serdes.Failed(
        "The data is no change of a table: nobody but the application itself may write the topics that it makes for itself. Process anew under another application name.");
}
