using System.Buffers;
using System.Buffers.Binary;

namespace OrleansStreams.Records;

/// <summary>
/// Lists of values, big-endian as the other serdes:
/// <code>
///  count int32; per value: length int32 | bytes of the value
/// </code>
/// </summary>
internal sealed class ListSerde<T>(ISerde<T> items) : ISerde<IReadOnlyList<T>>
{
    public string Name => $"list({items.Name})";

    public void Serialize(IReadOnlyList<T> value, IBufferWriter<byte> writer)
    {
        WriteInt32(writer, value.Count);
        var item = new ArrayBufferWriter<byte>();
        for (var index = 0; index < value.Count; index++)
        {
            if (value[index] is not { } present)
            {
                throw Serdes.Failed($"The list has null at index {index}, which a list cannot be written with: leave it out.");
            }

            item.ResetWrittenCount();
            items.Serialize(present, item);
            WriteInt32(writer, item.WrittenCount);
            writer.Write(item.WrittenSpan);
        }
    }

    public IReadOnlyList<T> Deserialize(ReadOnlySpan<byte> data)
    {
        var count = ReadInt32(ref data);

        // Each value takes at least its length: a damaged count cannot ask for more memory than that.
        if (count < 0 || count > data.Length / sizeof(int))
        {
            throw Damaged();
        }

        var list = new T[count];
        for (var index = 0; index < count; index++)
        {
            var length = ReadInt32(ref data);
            if (length < 0 || length > data.Length)
            {
                throw Damaged();
            }

            list[index] = items.Deserialize(data[..length]);
            data = data[length..];
        }

        return data.IsEmpty ? list : throw Damaged();
    }

    private static void WriteInt32(IBufferWriter<byte> writer, int value)
    {
        BinaryPrimitives.WriteInt32BigEndian(writer.GetSpan(sizeof(int)), value);
        writer.Advance(sizeof(int));
    }

    private static int ReadInt32(ref ReadOnlySpan<byte> data)
    {
        if (data.Length < sizeof(int))
        {
            throw Damaged();
        }

        var value = BinaryPrimitives.ReadInt32BigEndian(data);
        data = data[sizeof(int)..];
        return value;
    }

    private static StreamsException Damaged() => Serdes.Failed("The data is no list: use the serde that the data was written with.");
}
