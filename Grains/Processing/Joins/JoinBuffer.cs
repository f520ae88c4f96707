using System.Buffers;
using OrleansStreams.Processing.State;
using OrleansStreams.Records;

namespace OrleansStreams.Processing.Joins;

/// <summary>A record that waits for partners.</summary>
internal struct Buffered<TValue>(TValue value, bool isMatched)
{
    public readonly TValue Value => value;

    /// <summary>Whether it has had one.</summary>
    public bool IsMatched { get; set; } = isMatched;
}

/// <summary>
/// Writes records that wait for partners.
/// <code>
///  is matched byte (0, 1) | value
/// </code>
/// </summary>
internal sealed class BufferedSerde<TValue>(ISerde<TValue> serde) : ISerde<Buffered<TValue>>
{
    public string Name => $"joined {serde.Name}";

    public void Serialize(Buffered<TValue> value, IBufferWriter<byte> writer)
    {
        writer.GetSpan(1)[0] = value.IsMatched ? (byte)1 : (byte)0;
        writer.Advance(1);
        serde.Serialize(value.Value, writer);
    }

    public Buffered<TValue> Deserialize(ReadOnlySpan<byte> data) => data.Length > 0 && data[0] <= 1
        ? new(serde.Deserialize(data[1..]), data[0] == 1)
        : throw ByteReader.Damaged();
}
