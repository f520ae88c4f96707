using System.Buffers;
using System.Buffers.Binary;
using OrleansStreams.Records;

namespace OrleansStreams.Topologies;

internal partial interface ITopologyVisitor
{
    void Visit<TKey, TValue, TAggregate>(CogroupNode<TKey, TValue, TAggregate> node);
}

/// <summary>One of the streams of a cogroup, whatever its values are.</summary>
internal abstract class CogroupInput<TKey, TAggregate>(StreamsBuilder builder, TopologyNode node, ISerde<TKey> keySerde)
{
    public StreamsBuilder Builder { get; } = builder;

    public TopologyNode Node { get; } = node;

    public ISerde<TKey> KeySerde { get; } = keySerde;

    public abstract bool HasValueSerde { get; }

    /// <summary>The name of the serde of its values.</summary>
    public abstract string? ValueSerdeName { get; }

    /// <param name="number">Its place among the streams.</param>
    /// <param name="isKept">Whether values outlive the step that they are made for.</param>
    public abstract TopologyNode AddNode(int number, bool isKept);

    /// <summary>Reads a value that was kept.</summary>
    public abstract CogroupedValue<TKey, TAggregate> Read(int number, ReadOnlySpan<byte> data);
}

internal sealed class CogroupInput<TKey, TValue, TAggregate>(
    StreamsBuilder builder, TopologyNode node, ISerde<TKey> keySerde, Func<TKey, TValue, TAggregate, TAggregate> aggregator, ISerde<TValue>? valueSerde)
    : CogroupInput<TKey, TAggregate>(builder, node, keySerde)
{
    public Func<TKey, TValue, TAggregate, TAggregate> Aggregator { get; } = aggregator;

    public override bool HasValueSerde => valueSerde is not null;

    public override string? ValueSerdeName => valueSerde?.Name;

    public override TopologyNode AddNode(int number, bool isKept) =>
        Builder.Add(new CogroupNode<TKey, TValue, TAggregate>(Builder.NextId, Builder.NameOf("cogroup"), Node, this, number, isKept));

    public override CogroupedValue<TKey, TAggregate> Read(int number, ReadOnlySpan<byte> data) =>
        new CogroupedValue<TKey, TValue, TAggregate>(this, number) { Value = valueSerde!.Deserialize(data) };

    public void Write(TValue value, IBufferWriter<byte> writer) => valueSerde!.Serialize(value, writer);
}

/// <summary>A value of one of the streams of a cogroup, which knows how it enters the aggregate.</summary>
internal abstract class CogroupedValue<TKey, TAggregate>(int input)
{
    /// <summary>The stream's place among all.</summary>
    public int Input { get; } = input;

    public abstract TAggregate AddTo(TKey key, TAggregate aggregate);

    public abstract void Write(IBufferWriter<byte> writer);
}

internal sealed class CogroupedValue<TKey, TValue, TAggregate>(CogroupInput<TKey, TValue, TAggregate> input, int number) : CogroupedValue<TKey, TAggregate>(number)
{
    public required TValue Value { get; set; }

    public override TAggregate AddTo(TKey key, TAggregate aggregate) => input.Aggregator(key, Value, aggregate);

    public override void Write(IBufferWriter<byte> writer) => input.Write(Value, writer);
}

/// <summary>
/// Writes values of cogrouped streams.
/// <code>
///  place of the stream int32, little-endian | value
/// </code>
/// </summary>
internal sealed class CogroupedValueSerde<TKey, TAggregate>(CogroupInput<TKey, TAggregate>[] inputs) : ISerde<CogroupedValue<TKey, TAggregate>>
{
    public string Name => $"cogrouped({string.Join(", ", inputs.Select(input => input.ValueSerdeName))})";

    public void Serialize(CogroupedValue<TKey, TAggregate> value, IBufferWriter<byte> writer)
    {
        BinaryPrimitives.WriteInt32LittleEndian(writer.GetSpan(sizeof(int)), value.Input);
        writer.Advance(sizeof(int));
        value.Write(writer);
    }

    public CogroupedValue<TKey, TAggregate> Deserialize(ReadOnlySpan<byte> data)
    {
        var number = data.Length < sizeof(int) ? -1 : BinaryPrimitives.ReadInt32LittleEndian(data);
        return (uint)number < (uint)inputs.Length
            ? inputs[number].Read(number, data[sizeof(int)..])
            : throw Serdes.Failed("The data is no value of the cogrouped streams: process anew under another application name, or restore the journal from a backup.");
    }
}

/// <summary>Takes a stream's values for a cogroup.</summary>
internal sealed class CogroupNode<TKey, TValue, TAggregate>(
    int id, string name, TopologyNode parent, CogroupInput<TKey, TValue, TAggregate> input, int number, bool isKept) : TopologyNode(id, name, parent)
{
    public CogroupInput<TKey, TValue, TAggregate> Input { get; } = input;

    /// <summary>Its place among the streams.</summary>
    public int Number { get; } = number;

    /// <summary>Whether values outlive the step that they are made for, so that each needs an object of its own.</summary>
    public bool IsKept { get; } = isKept;

    public override bool KeepsKey => Parents[0].KeepsKey;

    public override string Shape => "cogroup";

    public override void Accept(ITopologyVisitor visitor) => visitor.Visit(this);
}
