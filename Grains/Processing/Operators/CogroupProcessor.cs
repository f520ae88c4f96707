using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.Processing.Operators;

/// <summary>Hands a stream's values to the aggregate of a cogroup. An aggregate takes them at once, so that all can come in one object, unless they are kept.</summary>
internal sealed class CogroupProcessor<TKey, TValue, TAggregate>(
    TaskContext context, CogroupNode<TKey, TValue, TAggregate> node, Emitter<TKey, CogroupedValue<TKey, TAggregate>> output) : Processor<TKey, TValue>
{
    public override bool IsStateless => true;

    private readonly bool _keepsNull = node.Parents[0].KeepsNull;
    private CogroupedValue<TKey, TValue, TAggregate>? _shared;

    public override void Process(in RecordView raw, long timestamp, TKey key, TValue value)
    {
        if (value is null || (_keepsNull && context.ValueIsNull))
        {
            return;
        }

        output.Emit(raw, timestamp, key, Wrap(value));
    }

    private CogroupedValue<TKey, TValue, TAggregate> Wrap(TValue value)
    {
        if (node.IsKept || _shared is null)
        {
            _shared = new CogroupedValue<TKey, TValue, TAggregate>(node.Input, node.Number) { Value = value };
        }

        _shared.Value = value;
        return _shared;
    }
}
