using OrleansStreams.Processing.Operators;
using OrleansStreams.Processing.Tables;
using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.Processing.Joins;

/// <summary>Looks up each record's key in a table, as it is when the record comes.</summary>
internal sealed class TableJoinProcessor<TKey, TValue, TTable, TResult>(
    TaskContext context, TableJoinNode<TKey, TValue, TTable, TResult> node, KeyBytes<TKey> keys, TableReader<TKey, TTable> table, Emitter<TKey, TResult> output)
    : Processor<TKey, TValue>
{
    public override bool IsStateless => true;

    private readonly bool _keepsNull = node.Parents[0].KeepsNull;
    private readonly bool _isLeft = node.IsLeft;

    public override void Process(in RecordView raw, long timestamp, TKey key, TValue value)
    {
        var keyBytes = keys.Of(raw, key);
        if (value is null || (_keepsNull && context.ValueIsNull))
        {
            return;
        }

        if (table.TryGet(keyBytes, key, out var found) || _isLeft)
        {
            output.Emit(raw, timestamp, key, node.Joiner(key, value, found));
        }
    }
}

/// <summary>Looks up a key that each record chooses in a table that the task has whole.</summary>
internal sealed class GlobalTableJoinProcessor<TKey, TValue, TTableKey, TTable, TResult>(
    TaskContext context,
    GlobalTableJoinNode<TKey, TValue, TTableKey, TTable, TResult> node,
    KeyBytes<TTableKey> keys,
    TableReader<TTableKey, TTable> table,
    Emitter<TKey, TResult> output) : Processor<TKey, TValue>
{
    public override bool IsStateless => true;

    private readonly bool _keepsNull = node.Parents[0].KeepsNull;
    private readonly bool _isLeft = node.IsLeft;

    public override void Process(in RecordView raw, long timestamp, TKey key, TValue value)
    {
        if (value is null || (_keepsNull && context.ValueIsNull))
        {
            return;
        }

        var tableKey = node.KeySelector(key, value);
        TTable? found = default;
        if ((tableKey is not null && table.TryGet(keys.Of(raw, tableKey), tableKey, out found)) || _isLeft)
        {
            output.Emit(raw, timestamp, key, node.Joiner(value, found));
        }
    }
}
