using System.Buffers;

namespace OrleansStreams.Records;

/// <summary>Writes values as bytes. Never called for null: a null key or value is a null record field.</summary>
public interface ISerializer<in T>
{
    /// <summary>
    /// Appends the value's bytes. When it throws (StreamsException with SerializationFailed), the writer may hold a part of them, to be dropped.
    /// </summary>
    void Serialize(T value, IBufferWriter<byte> writer);
}

/// <summary>Reads values from bytes. Never called for a null field.</summary>
public interface IDeserializer<out T>
{
    /// <summary>Reads a value; bytes that are no such value give a StreamsException with SerializationFailed.</summary>
    T Deserialize(ReadOnlySpan<byte> data);
}

/// <summary>A serializer and its deserializer.</summary>
public interface ISerde<T> : ISerializer<T>, IDeserializer<T>
{
    /// <summary>A stable name of the format, kept in snapshots so that a change is noticed, for example <c>utf8</c>.</summary>
    string Name { get; }
}
