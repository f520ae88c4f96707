using System.Buffers;
using OrleansStreams.Records;

namespace OrleansStreams.Processing.State;

/// <summary>The value of an entry that says all by being there.</summary>
internal readonly struct Present;

/// <summary>Writes nothing.</summary>
internal sealed class PresentSerde : ISerde<Present>
{
    public string Name => "present";

    public void Serialize(Present value, IBufferWriter<byte> writer)
    {
        // That the entry is there is all.
    }

    public Present Deserialize(ReadOnlySpan<byte> data) => data.IsEmpty ? default : throw ByteReader.Damaged();
}
