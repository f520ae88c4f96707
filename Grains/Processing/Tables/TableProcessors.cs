using OrleansStreams.Processing.Operators;
using OrleansStreams.Processing.State;
using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.Processing.Tables;

/// <summary>The store of a table, changed one key at a time, and what the table feeds.</summary>
/// <param name="store">The store.</param>
/// <param name="output">What gets the changes.</param>
/// <param name="times">When keys were written; null when they live for ever.</param>
internal sealed class TableWriter<TKey, TValue>(KeyValueStore<TKey, TValue> store, Emitter<TKey, Change<TValue>> output, WriteTimes<TKey>? times = null) : IMortal<TKey>
{
    /// <summary>Sets a key's value, deletes it for null, and passes the change on.</summary>
    public void Set(in RecordView raw, long timestamp, ReadOnlySpan<byte> keyBytes, TKey key, TValue? value)
    {
        if (value is null)
        {
            Delete(raw, timestamp, keyBytes, key);
            return;
        }

        var slot = store.Find(keyBytes);
        if (slot < 0)
        {
            store.Put(keyBytes, value);
            times?.Written(keyBytes, timestamp);
            output.Emit(raw, timestamp, key, Change.Added(value));
            return;
        }

        Update(raw, timestamp, slot, key, value);
    }

    public void Update(in RecordView raw, long timestamp, int slot, TKey key, TValue value)
    {
        var old = store.ValueOf(slot);
        store.Set(slot, value);
        times?.Written(store.KeyBytesOf(slot), timestamp);
        output.Emit(raw, timestamp, key, Change.Updated(old, value));
    }

    public void Delete(in RecordView raw, long timestamp, ReadOnlySpan<byte> keyBytes, TKey key)
    {
        if (store.Remove(keyBytes, out var old))
        {
            times?.Deleted(keyBytes);
            output.Emit(raw, timestamp, key, Change.Deleted(old));
        }
    }

    /// <summary>Deletes a key whose time to live is over.</summary>
    public void Forget(ReadOnlySpan<byte> keyBytes, TKey key, long timeMs)
    {
        if (store.Remove(keyBytes, out var old))
        {
            output.Emit(default, timeMs, key, Change.Deleted(old));
        }
    }
}

/// <summary>Takes records for the changes of a table.</summary>
internal sealed class ToTableProcessor<TKey, TValue>(TaskContext context, KeyBytes<TKey> keys, bool keepsNull, TableWriter<TKey, TValue> table) : Processor<TKey, TValue>
{
    public override void Process(in RecordView raw, long timestamp, TKey key, TValue value)
    {
        var keyBytes = keys.Of(raw, key);
        if (keepsNull && context.ValueIsNull)
        {
            table.Delete(raw, timestamp, keyBytes, key);
        }
        else
        {
            table.Set(raw, timestamp, keyBytes, key, value);
        }
    }
}

/// <summary>Aggregates all records of a key.</summary>
internal sealed class AggregateProcessor<TKey, TValue, TAggregate>(
    TaskContext context,
    AggregateNode<TKey, TValue, TAggregate> node,
    KeyBytes<TKey> keys,
    KeyValueStore<TKey, TAggregate> store,
    TableWriter<TKey, TAggregate> table) : Processor<TKey, TValue>
{
    private readonly bool _keepsNull = node.Parents[0].KeepsNull;

    public override void Process(in RecordView raw, long timestamp, TKey key, TValue value)
    {
        var keyBytes = keys.Of(raw, key);
        if (value is null || (_keepsNull && context.ValueIsNull))
        {
            return;
        }

        // The store is changed after the user's code has run: if that fails, nothing has changed.
        var slot = store.Find(keyBytes);
        var aggregate = slot < 0 ? node.First(key, value) : node.Next(key, value, store.ValueOf(slot));
        if (slot >= 0 && aggregate is not null)
        {
            table.Update(raw, timestamp, slot, key, aggregate);
        }
        else
        {
            table.Set(raw, timestamp, keyBytes, key, aggregate);
        }
    }
}

/// <summary>Filters a table that is not kept itself: what its parent had and has says what it had and has.</summary>
internal sealed class TableFilterProcessor<TKey, TValue>(Func<TKey, TValue, bool> predicate, Emitter<TKey, Change<TValue>> output) : Processor<TKey, Change<TValue>>
{
    public override bool IsStateless => true;

    public override void Process(in RecordView raw, long timestamp, TKey key, Change<TValue> value)
    {
        var had = value.HasOld && predicate(key, value.Old);
        var has = value.HasNew && predicate(key, value.New);
        if (had || has)
        {
            output.Emit(raw, timestamp, key, !has ? Change.Deleted(value.Old!) : had ? value : Change.Added(value.New!));
        }
    }
}

/// <summary>Filters a table and keeps the result.</summary>
internal sealed class StoredTableFilterProcessor<TKey, TValue>(Func<TKey, TValue, bool> predicate, KeyBytes<TKey> keys, TableWriter<TKey, TValue> table)
    : Processor<TKey, Change<TValue>>
{
    public override void Process(in RecordView raw, long timestamp, TKey key, Change<TValue> value)
    {
        var keyBytes = keys.Of(raw, key);
        if (value.HasNew && predicate(key, value.New))
        {
            table.Set(raw, timestamp, keyBytes, key, value.New);
        }
        else
        {
            table.Delete(raw, timestamp, keyBytes, key);
        }
    }
}

/// <summary>Maps a table that is not kept itself.</summary>
internal sealed class TableMapValuesProcessor<TKey, TValue, TNewValue>(Func<TKey, TValue, TNewValue> mapper, Emitter<TKey, Change<TNewValue>> output)
    : Processor<TKey, Change<TValue>>
{
    public override bool IsStateless => true;

    public override void Process(in RecordView raw, long timestamp, TKey key, Change<TValue> value)
    {
        var old = value.HasOld ? mapper(key, value.Old) : default;
        var now = value.HasNew ? mapper(key, value.New) : default;
        var had = value.HasOld && old is not null;
        var has = value.HasNew && now is not null;
        if (had || has)
        {
            output.Emit(raw, timestamp, key, !has ? Change.Deleted(old!) : had ? Change.Updated(old!, now!) : Change.Added(now!));
        }
    }
}

/// <summary>Maps a table and keeps the result.</summary>
internal sealed class StoredTableMapValuesProcessor<TKey, TValue, TNewValue>(Func<TKey, TValue, TNewValue> mapper, KeyBytes<TKey> keys, TableWriter<TKey, TNewValue> table)
    : Processor<TKey, Change<TValue>>
{
    public override void Process(in RecordView raw, long timestamp, TKey key, Change<TValue> value)
    {
        var isDeletion = !value.HasNew;
        var now = isDeletion ? default : mapper(key, value.New!);
        var keyBytes = keys.Of(raw, key);
        if (isDeletion)
        {
            table.Delete(raw, timestamp, keyBytes, key);
        }
        else
        {
            table.Set(raw, timestamp, keyBytes, key, now);
        }
    }
}

/// <summary>A table's new values as records.</summary>
internal sealed class TableToStreamProcessor<TKey, TValue>(TaskContext context, Emitter<TKey, TValue> output) : Processor<TKey, Change<TValue>>
{
    public override bool IsStateless => true;

    public override void Process(in RecordView raw, long timestamp, TKey key, Change<TValue> value)
    {
        var before = context.ValueIsNull;
        context.ValueIsNull = !value.HasNew;
        output.Emit(raw, timestamp, key, value.New!);
        context.ValueIsNull = before;
    }
}
