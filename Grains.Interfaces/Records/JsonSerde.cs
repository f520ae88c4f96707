using System.Buffers;
using System.Text.Json;

namespace OrleansStreams.Records;

/// <summary>Values as JSON.</summary>
internal sealed class JsonSerde<T>(JsonSerializerOptions options) : ISerde<T>
{
    // A writer is as costly as a small value. It is taken out while in use, because a converter may serialize with this serde in turn.
    [ThreadStatic]
    private static Utf8JsonWriter? t_writer;

    // Whose options the kept writer was made with.
    [ThreadStatic]
    private static JsonSerializerOptions? t_options;

    public string Name => "json";

    public void Serialize(T value, IBufferWriter<byte> writer)
    {
        var json = t_writer;
        t_writer = null;
        if (json is null || !ReferenceEquals(t_options, options))
        {
            json = new Utf8JsonWriter(writer, WriterOptions());
        }
        else
        {
            json.Reset(writer);
        }

        try
        {
            JsonSerializer.Serialize(json, value, options);
            json.Flush();
        }
        catch (Exception e) when (e is JsonException or NotSupportedException or ArgumentException or InvalidOperationException)
        {
            throw Serdes.Failed($"A {typeof(T).Name} cannot be written as JSON: {e.Message} Change the type or the serializer options.", e);
        }

        json.Reset(EmptyWriter.Instance);
        t_writer = json;
        t_options = options;
    }

    public T Deserialize(ReadOnlySpan<byte> data)
    {
        T? value;
        try
        {
            value = JsonSerializer.Deserialize<T>(data, options);
        }
        catch (Exception e) when (e is JsonException or NotSupportedException or ArgumentException or InvalidOperationException)
        {
            throw Serdes.Failed($"The data is no JSON of {typeof(T).Name}: {e.Message} Use the serde that the data was written with.", e);
        }

        return value is null
            ? throw Serdes.Failed($"The data is JSON null, which is no {typeof(T).Name}: write a null record value instead.")
            : value;
    }

    private JsonWriterOptions WriterOptions() => new()
    {
        Encoder = options.Encoder,
        Indented = options.WriteIndented,
        MaxDepth = options.MaxDepth,
        SkipValidation = true,
    };

    /// <summary>Stands in for the last writer, so that a cached JSON writer keeps no buffer alive.</summary>
    private sealed class EmptyWriter : IBufferWriter<byte>
    {
        public static readonly EmptyWriter Instance = new();

        public void Advance(int count)
        {
        }

        public Memory<byte> GetMemory(int sizeHint = 0) => throw new InvalidOperationException("Nothing is written between two values.");

        public Span<byte> GetSpan(int sizeHint = 0) => GetMemory(sizeHint).Span;
    }
}
