using System.Diagnostics.CodeAnalysis;
using OrleansStreams.Processing.Operators;
using OrleansStreams.Processing.Tables;
using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.Processing.Joins;

/// <summary>Which keys of two tables have a result, and what it is.</summary>
internal sealed class TableJoiner<TThis, TOther, TResult>(Func<TThis?, TOther?, TResult> joiner, bool needsThis, bool needsOther)
{
    public bool TryJoin(bool hasThis, TThis? value, bool hasOther, TOther? other, [MaybeNullWhen(false)] out TResult result)
    {
        var has = (hasThis || !needsThis) && (hasOther || !needsOther) && (hasThis || hasOther);
        result = has ? joiner(hasThis ? value : default, hasOther ? other : default) : default;
        return has && result is not null;
    }
}

/// <summary>Takes the changes of one of two joined tables.</summary>
/// <param name="keys">The bytes of keys.</param>
/// <param name="others">The other table.</param>
/// <param name="joiner">Makes results.</param>
/// <param name="table">Where the result is kept; null when it is not.</param>
/// <param name="output">What the result feeds.</param>
internal sealed class TableTableJoinProcessor<TKey, TThis, TOther, TResult>(
    KeyBytes<TKey> keys, TableReader<TKey, TOther> others, TableJoiner<TThis, TOther, TResult> joiner, TableWriter<TKey, TResult>? table, Emitter<TKey, Change<TResult>> output)
    : Processor<TKey, Change<TThis>>
{
    public override void Process(in RecordView raw, long timestamp, TKey key, Change<TThis> value)
    {
        var keyBytes = keys.Of(raw, key);
        var hasOther = others.TryGet(keyBytes, key, out var other);
        var has = joiner.TryJoin(value.HasNew, value.New, hasOther, other, out var now);
        if (table is not null)
        {
            if (has)
            {
                table.Set(raw, timestamp, keyBytes, key, now);
            }
            else
            {
                table.Delete(raw, timestamp, keyBytes, key);
            }

            return;
        }

        var had = joiner.TryJoin(value.HasOld, value.Old, hasOther, other, out var old);
        if (had || has)
        {
            output.Emit(raw, timestamp, key, !has ? Change.Deleted(old!) : had ? Change.Updated(old!, now!) : Change.Added(now!));
        }
    }
}

/// <summary>Reads the result of a join that is not kept.</summary>
internal sealed class JoinedTableReader<TKey, TLeft, TRight, TResult>(
    TableReader<TKey, TLeft> lefts, TableReader<TKey, TRight> rights, TableJoiner<TLeft, TRight, TResult> joiner) : TableReader<TKey, TResult>
{
    public override bool TryGet(ReadOnlySpan<byte> keyBytes, TKey key, [MaybeNullWhen(false)] out TResult value)
    {
        var hasLeft = lefts.TryGet(keyBytes, key, out var left);
        var hasRight = rights.TryGet(keyBytes, key, out var right);
        return joiner.TryJoin(hasLeft, left, hasRight, right, out value);
    }
}
