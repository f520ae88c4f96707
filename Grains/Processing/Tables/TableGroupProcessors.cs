using OrleansStreams.Processing.Operators;
using OrleansStreams.Processing.State;
using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.Processing.Tables;

/// <summary>
/// Tells a table's changes to the groups that they concern. A row that stays in its group is one record, so that it is never committed or emitted that the row has left (KIP-904, "Kafka Streams -
/// Guarantee subtractor is called before adder if key has not changed"); one that moves is two, the subtraction first. A record follows those before it of the same row and group: equal
/// group keys go to one partition.
/// </summary>
internal sealed class TableGroupByProcessor<TKey, TValue, TNewKey, TNewValue>(
    Func<TKey, TValue, (TNewKey Key, TNewValue Value)> selector, ISerializer<TNewKey> keys, Emitter<TNewKey, Change<TNewValue>> output) : Processor<TKey, Change<TValue>>
{
    private readonly ByteBuffer _oldKey = new();
    private readonly ByteBuffer _newKey = new();

    public override void Process(in RecordView raw, long timestamp, TKey key, Change<TValue> value)
    {
        var (oldKey, old) = value.HasOld ? selector(key, value.Old) : default;
        var (newKey, now) = value.HasNew ? selector(key, value.New) : default;
        var had = value.HasOld && oldKey is not null && old is not null;
        var has = value.HasNew && newKey is not null && now is not null;
        if (had && has && AreEqual(oldKey, newKey))
        {
            output.Emit(raw, timestamp, newKey, Change.Updated(old, now));
            return;
        }

        if (had)
        {
            output.Emit(raw, timestamp, oldKey, Change.Deleted(old));
        }

        if (has)
        {
            output.Emit(raw, timestamp, newKey, Change.Added(now));
        }
    }

    // What tells keys apart is their bytes, here as in stores and partitions.
    private bool AreEqual(TNewKey oldKey, TNewKey newKey)
    {
        _oldKey.Clear();
        _newKey.Clear();
        keys.Serialize(oldKey, _oldKey);
        keys.Serialize(newKey, _newKey);
        return _oldKey.Span.SequenceEqual(_newKey.Span);
    }
}

/// <summary>Aggregates the rows of a group.</summary>
internal sealed class TableAggregateProcessor<TKey, TValue, TAggregate>(
    TableAggregateNode<TKey, TValue, TAggregate> node, KeyBytes<TKey> keys, KeyValueStore<TKey, TAggregate> store, TableWriter<TKey, TAggregate> table)
    : Processor<TKey, Change<TValue>>
{
    public override void Process(in RecordView raw, long timestamp, TKey key, Change<TValue> value)
    {
        // The store is changed after the user's code has run: if that fails, nothing has changed.
        var keyBytes = keys.Of(raw, key);
        var slot = store.Find(keyBytes);
        var has = slot >= 0;
        var aggregate = has ? store.ValueOf(slot) : default;
        if (value.HasOld && has)
        {
            aggregate = node.Subtractor(key, value.Old, aggregate!);
            has = aggregate is not null;
        }

        if (value.HasNew)
        {
            aggregate = has ? node.Adder(key, value.New, aggregate!) : node.First(key, value.New);
            has = aggregate is not null;
        }

        if (has)
        {
            table.Set(raw, timestamp, keyBytes, key, aggregate);
        }
        else
        {
            table.Delete(raw, timestamp, keyBytes, key);
        }
    }
}
