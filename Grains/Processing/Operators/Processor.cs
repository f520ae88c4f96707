using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.Processing.Operators;

/// <summary>A step that takes records.</summary>
internal abstract class Processor<TKey, TValue>
{
    /// <summary>
    /// Whether a record leaves nothing in this step, also when it fails midway: it keeps nothing, and what it writes goes to the outbox, or it only reads what others keep.
    /// </summary>
    public virtual bool IsStateless => false;

    /// <summary>Where it is noted that a record has come to this step; null for a stateless one.</summary>
    public TaskContext? Touched { get; set; }

    /// <param name="raw">The source's record, whose key is still that of the step where the node before keeps it (KeepsKey); not present (IsPresent) in what timers emit.</param>
    /// <param name="timestamp">The event time.</param>
    /// <param name="key">The key.</param>
    /// <param name="value">The value.</param>
    public abstract void Process(in RecordView raw, long timestamp, TKey key, TValue value);
}

/// <summary>Hands records to the steps that a node feeds.</summary>
internal sealed class Emitter<TKey, TValue>
{
    private Processor<TKey, TValue>[] _children = [];

    public ReadOnlySpan<Processor<TKey, TValue>> Children => _children;

    public void Add(Processor<TKey, TValue> child) => _children = [.. _children, child];

    public void Emit(in RecordView raw, long timestamp, TKey key, TValue value)
    {
        foreach (var child in _children)
        {
            if (child.Touched is { } context)
            {
                context.IsTouched = true;
            }

            child.Process(raw, timestamp, key, value);
        }
    }
}

internal sealed class FilterProcessor<TKey, TValue>(Func<TKey, TValue, bool> predicate, Emitter<TKey, TValue> output) : Processor<TKey, TValue>
{
    public override bool IsStateless => true;

    public override void Process(in RecordView raw, long timestamp, TKey key, TValue value)
    {
        if (predicate(key, value))
        {
            output.Emit(raw, timestamp, key, value);
        }
    }
}

internal sealed class MapProcessor<TKey, TValue, TNewKey, TNewValue>(Func<TKey, TValue, (TNewKey Key, TNewValue Value)> mapper, Emitter<TNewKey, TNewValue> output)
    : Processor<TKey, TValue>
{
    public override bool IsStateless => true;

    public override void Process(in RecordView raw, long timestamp, TKey key, TValue value)
    {
        var (newKey, newValue) = mapper(key, value);
        output.Emit(raw, timestamp, newKey, newValue);
    }
}

internal sealed class MapValuesProcessor<TKey, TValue, TNewValue>(Func<TKey, TValue, TNewValue> mapper, Emitter<TKey, TNewValue> output) : Processor<TKey, TValue>
{
    public override bool IsStateless => true;

    public override void Process(in RecordView raw, long timestamp, TKey key, TValue value) => output.Emit(raw, timestamp, key, mapper(key, value));
}

internal sealed class FlatMapProcessor<TKey, TValue, TNewKey, TNewValue>(
    Func<TKey, TValue, IEnumerable<(TNewKey Key, TNewValue Value)>> mapper, Emitter<TNewKey, TNewValue> output) : Processor<TKey, TValue>
{
    public override bool IsStateless => true;

    public override void Process(in RecordView raw, long timestamp, TKey key, TValue value)
    {
        foreach (var (newKey, newValue) in mapper(key, value))
        {
            output.Emit(raw, timestamp, newKey, newValue);
        }
    }
}

/// <summary>Passes on what it gets: the meeting point of two streams.</summary>
internal sealed class MergeProcessor<TKey, TValue>(Emitter<TKey, TValue> output) : Processor<TKey, TValue>
{
    public override bool IsStateless => true;

    public override void Process(in RecordView raw, long timestamp, TKey key, TValue value) => output.Emit(raw, timestamp, key, value);
}

/// <summary>Calls a function for each record and passes it on.</summary>
internal sealed class PeekProcessor<TKey, TValue>(Action<TKey, TValue> action, Emitter<TKey, TValue> output) : Processor<TKey, TValue>
{
    public override bool IsStateless => true;

    public override void Process(in RecordView raw, long timestamp, TKey key, TValue value)
    {
        action(key, value);
        output.Emit(raw, timestamp, key, value);
    }
}

/// <summary>Passes a record on to the first branch whose predicate holds, or to the default one, if there is one.</summary>
internal sealed class SplitProcessor<TKey, TValue>(SplitNode<TKey, TValue> node) : Processor<TKey, TValue>
{
    public override bool IsStateless => true;

    private readonly Func<TKey, TValue, bool>?[] _predicates = [.. node.Branches.Select(branch => branch.Predicate)];
    private readonly Emitter<TKey, TValue>[] _outputs = [.. node.Branches.Select(_ => new Emitter<TKey, TValue>())];

    /// <summary>What a branch feeds.</summary>
    public Emitter<TKey, TValue> OutputOf(int branch) => _outputs[branch];

    public override void Process(in RecordView raw, long timestamp, TKey key, TValue value)
    {
        for (var branch = 0; branch < _predicates.Length; branch++)
        {
            if (_predicates[branch] is not { } predicate || predicate(key, value))
            {
                _outputs[branch].Emit(raw, timestamp, key, value);
                return;
            }
        }
    }
}

internal sealed class FlatMapValuesProcessor<TKey, TValue, TNewValue>(Func<TKey, TValue, IEnumerable<TNewValue>> mapper, Emitter<TKey, TNewValue> output)
    : Processor<TKey, TValue>
{
    public override bool IsStateless => true;

    public override void Process(in RecordView raw, long timestamp, TKey key, TValue value)
    {
        foreach (var newValue in mapper(key, value))
        {
            output.Emit(raw, timestamp, key, newValue);
        }
    }
}
