using System.Buffers;
using System.Buffers.Binary;
using System.Text.Json;

namespace OrleansStreams.Records;

/// <summary>
/// The serdes that come with the product. All of them are stateless or safe for concurrent use, and tell bytes that are no such value by a
/// StreamsException with SerializationFailed.
/// </summary>
public static class Serdes
{
    /// <summary>Byte arrays as they are; reading copies.</summary>
    public static ISerde<byte[]> Bytes { get; } = new BytesSerde();

    /// <summary>Memory as it is; reading copies, so that the result outlives the batch.</summary>
    public static ISerde<ReadOnlyMemory<byte>> Memory { get; } = new MemorySerde();

    /// <summary>Strings as UTF-8.</summary>
    public static ISerde<string> Utf8 { get; } = new Utf8Serde();

    /// <summary>32-bit integers, big-endian, four bytes.</summary>
    public static ISerde<int> Int32 { get; } = new Int32Serde();

    /// <summary>64-bit integers, big-endian, eight bytes.</summary>
    public static ISerde<long> Int64 { get; } = new Int64Serde();

    /// <summary>
    /// Strings as UTF-8 with a small cache, for keys and other values that repeat: reading a short string that was read before gives the same
    /// instance without allocation. Takes the same bytes as <see cref="Utf8"/>.
    /// </summary>
    /// <param name="slots">How many strings are kept at most, rounded up to a power of two; 1 to 1,048,576.</param>
    /// <exception cref="StreamsException">InvalidConfig when the number of slots is out of range.</exception>
    public static ISerde<string> Utf8Cached(int slots = 1024) => new CachedUtf8Serde(slots);

    /// <summary>Values as JSON (System.Text.Json).</summary>
    /// <param name="options">How; null is <see cref="JsonSerializerOptions.Web"/>: camel-case names, read without regard to case.</param>
    public static ISerde<T> Json<T>(JsonSerializerOptions? options = null) => new JsonSerde<T>(options ?? JsonSerializerOptions.Web);

    /// <summary>Lists of values, without nulls.</summary>
    /// <param name="itemSerde">Of one value.</param>
    public static ISerde<IReadOnlyList<T>> List<T>(ISerde<T> itemSerde)
    {
        ArgumentNullException.ThrowIfNull(itemSerde);
        return new ListSerde<T>(itemSerde);
    }

    internal static StreamsException Failed(string message, Exception? inner = null) =>
        new(StreamsErrorCode.SerializationFailed, message, inner: inner);

    private static StreamsException WrongLength(string type, int expected, int actual) =>
        Failed($"The data is {actual} bytes long, but {type} takes exactly {expected}: use the serde that the data was written with.");

    private sealed class BytesSerde : ISerde<byte[]>, IRawSerializer<byte[]>
    {
        public string Name => "bytes";

        public void Serialize(byte[] value, IBufferWriter<byte> writer) => writer.Write(value);

        public ReadOnlySpan<byte> BytesOf(byte[] value) => value;

        public byte[] Deserialize(ReadOnlySpan<byte> data) => data.ToArray();
    }

    private sealed class MemorySerde : ISerde<ReadOnlyMemory<byte>>, IRawSerializer<ReadOnlyMemory<byte>>
    {
        public string Name => "bytes";

        public void Serialize(ReadOnlyMemory<byte> value, IBufferWriter<byte> writer) => writer.Write(value.Span);

        public ReadOnlySpan<byte> BytesOf(ReadOnlyMemory<byte> value) => value.Span;

        public ReadOnlyMemory<byte> Deserialize(ReadOnlySpan<byte> data) => data.ToArray();
    }

    private sealed class Int32Serde : ISerde<int>
    {
        public string Name => "int32";

        public void Serialize(int value, IBufferWriter<byte> writer)
        {
            BinaryPrimitives.WriteInt32BigEndian(writer.GetSpan(sizeof(int)), value);
            writer.Advance(sizeof(int));
        }

        public int Deserialize(ReadOnlySpan<byte> data) =>
            data.Length == sizeof(int) ? BinaryPrimitives.ReadInt32BigEndian(data) : throw WrongLength("an int32", sizeof(int), data.Length);
    }

    private sealed class Int64Serde : ISerde<long>
    {
        public string Name => "int64";

        public void Serialize(long value, IBufferWriter<byte> writer)
        {
            BinaryPrimitives.WriteInt64BigEndian(writer.GetSpan(sizeof(long)), value);
            writer.Advance(sizeof(long));
        }

        public long Deserialize(ReadOnlySpan<byte> data) =>
            data.Length == sizeof(long) ? BinaryPrimitives.ReadInt64BigEndian(data) : throw WrongLength("an int64", sizeof(long), data.Length);
    }
}
