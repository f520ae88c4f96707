using System.Buffers;
using System.Buffers.Binary;
using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.Processing.Suppress;

/// <summary>A change of a table that is held back.</summary>
/// <param name="Timestamp">The time of the last change.</param>
/// <param name="Change">From what was told last to what is now.</param>
internal readonly record struct HeldChange<TValue>(long Timestamp, Change<TValue> Change);

/// <summary>
/// Writes changes that are held back.
/// <code>
///  time of the last change int64, little-endian | change
/// </code>
/// </summary>
internal sealed class HeldChangeSerde<TValue>(ISerde<TValue> values) : ISerde<HeldChange<TValue>>
{
    private readonly ChangeSerde<TValue> _changes = new(values);

    public string Name => _changes.Name;

    public void Serialize(HeldChange<TValue> value, IBufferWriter<byte> writer)
    {
        BinaryPrimitives.WriteInt64LittleEndian(writer.GetSpan(sizeof(long)), value.Timestamp);
        writer.Advance(sizeof(long));
        _changes.Serialize(value.Change, writer);
    }

    public HeldChange<TValue> Deserialize(ReadOnlySpan<byte> data) => data.Length > sizeof(long)
        ? new(BinaryPrimitives.ReadInt64LittleEndian(data), _changes.Deserialize(data[sizeof(long)..]))
        : throw ByteReader.Damaged();
}
