using System.Runtime.CompilerServices;
using OrleansStreams.Records;

namespace OrleansStreams.Processing.State;

/// <summary>Writes values as length-prefixed blocks, and learns from that how much memory the objects behind them take.</summary>
internal sealed class ValueSizes<TValue>(ISerde<TValue> serde)
{
    private const int ObjectOverheadBytes = 32;

    private double _average;

    public void WriteBlock(ByteBuffer to, TValue value)
    {
        var at = to.Length;
        to.WriteInt32(0);
        serde.Serialize(value, to);
        var bytes = to.Length - at - sizeof(int);
        to.PatchInt32(at, bytes);
        Learn(bytes);
    }

    public TValue ReadBlock(ref ByteReader from)
    {
        var bytes = from.ReadBlock();
        Learn(bytes.Length);
        return serde.Deserialize(bytes);
    }

    public byte[] ToArray(TValue value)
    {
        var buffer = new ByteBuffer();
        serde.Serialize(value, buffer);
        return buffer.Span.ToArray();
    }

    /// <summary>The memory of so many values beyond the slots that they stand in.</summary>
    public long BytesOf(long count) => RuntimeHelpers.IsReferenceOrContainsReferences<TValue>() ? (long)(count * (_average + ObjectOverheadBytes)) : 0;

    private void Learn(int bytes) => _average += (bytes - _average) / 64;
}
