using System.Buffers;
using System.Buffers.Binary;
using OrleansStreams.Records;

namespace OrleansStreams.Topologies;

/// <summary>A row wants to know the value of its foreign key, now and whenever it changes, or wants it no more.</summary>
internal readonly record struct ForeignKeySubscription(bool IsWanted, byte[] RowKey);

/// <summary>The value of a row's foreign key.</summary>
/// <param name="ForeignKey">The foreign key's bytes, by which the row knows whether it still has it. The whole of them and no hash: two keys of one hash would leave a wrong result for ever.</param>
/// <param name="HasValue">Whether the other table has it.</param>
/// <param name="Value">Its value there.</param>
internal readonly record struct ForeignKeyAnswer<TValue>(byte[] ForeignKey, bool HasValue, TValue? Value);

/// <summary>
/// Writes subscriptions.
/// <code>
///  kind byte (1 wanted, 0 wanted no more) | the row's key
/// </code>
/// </summary>
internal sealed class ForeignKeySubscriptionSerde : ISerde<ForeignKeySubscription>
{
    public static readonly ForeignKeySubscriptionSerde Instance = new();

    public string Name => "foreign-key-subscription";

    public void Serialize(ForeignKeySubscription value, IBufferWriter<byte> writer)
    {
        writer.GetSpan(1)[0] = value.IsWanted ? (byte)1 : (byte)0;
        writer.Advance(1);
        writer.Write(value.RowKey);
    }

    public ForeignKeySubscription Deserialize(ReadOnlySpan<byte> data) =>
        data.Length > 0 && data[0] <= 1 ? new(data[0] == 1, data[1..].ToArray()) : throw Damaged("subscription");

    internal static StreamsException Damaged(string what) => Serdes.Failed(
        $"The data is no {what} of a foreign-key join: nobody but the application itself may write the topics that it makes for itself. Process anew under another application name.");
}

/// <summary>
/// Writes answers to subscriptions.
/// <code>
///  length of the foreign key int32, little-endian | foreign key | has value byte (0, 1) | value
/// </code>
/// </summary>
internal sealed class ForeignKeyAnswerSerde<TValue>(ISerde<TValue> values) : ISerde<ForeignKeyAnswer<TValue>>
{
    public string Name => $"foreign-key-answer({values.Name})";

    public void Serialize(ForeignKeyAnswer<TValue> value, IBufferWriter<byte> writer)
    {
        BinaryPrimitives.WriteInt32LittleEndian(writer.GetSpan(sizeof(int)), value.ForeignKey.Length);
        writer.Advance(sizeof(int));
        writer.Write(value.ForeignKey);
        writer.GetSpan(1)[0] = value.HasValue ? (byte)1 : (byte)0;
        writer.Advance(1);
        if (value.HasValue)
        {
            values.Serialize(value.Value!, writer);
        }
    }

    public ForeignKeyAnswer<TValue> Deserialize(ReadOnlySpan<byte> data)
    {
        var length = data.Length < sizeof(int) ? -1 : BinaryPrimitives.ReadInt32LittleEndian(data);
        if (length < 0 || length >= data.Length - sizeof(int) || data[sizeof(int) + length] > 1)
        {
            throw ForeignKeySubscriptionSerde.Damaged("answer");
        }

        var key = data.Slice(sizeof(int), length).ToArray();
        var value = data[(sizeof(int) + length)..];
        return value[0] == 1 ? new(key, true, values.Deserialize(value[1..])) : new(key, false, default);
    }
}
