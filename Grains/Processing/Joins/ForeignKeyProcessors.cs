using OrleansStreams.Processing.Operators;
using OrleansStreams.Processing.State;
using OrleansStreams.Processing.Tables;
using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.Processing.Joins;

/// <summary>Subscribes each row to its foreign key, anew whenever it changes, and takes the subscription back from one that it has left.</summary>
internal sealed class ForeignKeySubscribeProcessor<TKey, TValue, TForeignKey>(
    ForeignKeySubscribeNode<TKey, TValue, TForeignKey> node, KeyBytes<TKey> keys, Emitter<TForeignKey, ForeignKeySubscription> output) : Processor<TKey, Change<TValue>>
{
    private readonly ByteBuffer _old = new();
    private readonly ByteBuffer _new = new();

    public override void Process(in RecordView raw, long timestamp, TKey key, Change<TValue> value)
    {
        var had = value.HasOld ? node.Extractor(key, value.Old) : default;
        var has = value.HasNew ? node.Extractor(key, value.New) : default;
        var hadKey = value.HasOld && had is not null;
        var hasKey = value.HasNew && has is not null;
        if (!hadKey && !hasKey)
        {
            return;
        }

        var rowKey = keys.Of(raw, key).ToArray();
        if (hadKey && !(hasKey && AreEqual(had!, has!)))
        {
            output.Emit(raw, timestamp, had!, new ForeignKeySubscription(false, rowKey));
        }

        if (hasKey)
        {
            output.Emit(raw, timestamp, has!, new ForeignKeySubscription(true, rowKey));
        }
    }

    private bool AreEqual(TForeignKey old, TForeignKey now)
    {
        _old.Clear();
        _new.Clear();
        node.ForeignKeySerde.Serialize(old, _old);
        node.ForeignKeySerde.Serialize(now, _new);
        return _old.Span.SequenceEqual(_new.Span);
    }
}

/// <summary>
/// Who is subscribed to which foreign key. A subscription is a key of a store, so that those to one foreign key are a range of it:
/// <code>
///  length of the foreign key int32, big-endian | foreign key | the row's key  ->  nothing
/// </code>
/// </summary>
internal sealed class ForeignKeySubscriptions
{
    private readonly KeyValueStore<byte[], Nothing> _store;
    private readonly ByteBuffer _key = new();

    public ForeignKeySubscriptions(KeyValueStore<byte[], Nothing> store)
    {
        _store = store;
        store.KeepOrder();
    }

    public void Add(ReadOnlySpan<byte> foreignKey, ReadOnlySpan<byte> rowKey) => _store.Put(KeyOf(foreignKey, rowKey), default);

    public void Remove(ReadOnlySpan<byte> foreignKey, ReadOnlySpan<byte> rowKey) => _store.Remove(KeyOf(foreignKey, rowKey), out _);

    /// <summary>The keys of the rows that are subscribed to a foreign key, in the order of their bytes. It costs a search and these rows, however many others there are.</summary>
    public IEnumerable<byte[]> To(byte[] foreignKey)
    {
        var from = KeyOf(foreignKey, default).ToArray();
        foreach (var slot in _store.Range(from, Behind(from)))
        {
            yield return _store.KeyBytesOf(slot)[from.Length..].ToArray();
        }
    }

    /// <summary>The first key behind all that begin like this one. There is one: no length is as large as its bytes can say.</summary>
    private static byte[] Behind(byte[] prefix)
    {
        var behind = prefix.AsSpan(0, Array.FindLastIndex(prefix, b => b != byte.MaxValue) + 1).ToArray();
        behind[^1]++;
        return behind;
    }

    private ReadOnlySpan<byte> KeyOf(ReadOnlySpan<byte> foreignKey, ReadOnlySpan<byte> rowKey)
    {
        _key.Clear();
        _key.WriteInt32(System.Buffers.Binary.BinaryPrimitives.ReverseEndianness(foreignKey.Length));
        _key.WriteBytes(foreignKey);
        _key.WriteBytes(rowKey);
        return _key.Span;
    }
}

/// <summary>
/// Takes subscriptions, and answers each with the value that the foreign key has, or that it has none: the answer to a row's last subscription and those to the changes after it come to the row in
/// their order, so that the last one holds.
/// </summary>
internal sealed class ForeignKeyLookupProcessor<TForeignKey, TOther>(
    KeyBytes<TForeignKey> keys, ForeignKeySubscriptions subscriptions, TableReader<TForeignKey, TOther> table, Emitter<byte[], ForeignKeyAnswer<TOther>> output)
    : Processor<TForeignKey, ForeignKeySubscription>
{
    public override void Process(in RecordView raw, long timestamp, TForeignKey key, ForeignKeySubscription value)
    {
        var keyBytes = keys.Of(raw, key);
        if (!value.IsWanted)
        {
            subscriptions.Remove(keyBytes, value.RowKey);
            return;
        }

        subscriptions.Add(keyBytes, value.RowKey);
        var hasValue = table.TryGet(keyBytes, key, out var found);
        output.Emit(raw, timestamp, value.RowKey, new ForeignKeyAnswer<TOther>(keyBytes.ToArray(), hasValue, found));
    }
}

/// <summary>Tells a change of the other table to all rows that are subscribed to its key.</summary>
internal sealed class ForeignKeyChangeProcessor<TForeignKey, TOther>(
    KeyBytes<TForeignKey> keys, ForeignKeySubscriptions subscriptions, Emitter<byte[], ForeignKeyAnswer<TOther>> output) : Processor<TForeignKey, Change<TOther>>
{
    public override void Process(in RecordView raw, long timestamp, TForeignKey key, Change<TOther> value)
    {
        var foreignKey = keys.Of(raw, key).ToArray();
        foreach (var rowKey in subscriptions.To(foreignKey))
        {
            output.Emit(raw, timestamp, rowKey, new ForeignKeyAnswer<TOther>(foreignKey, value.HasNew, value.New));
        }
    }
}

/// <summary>Takes changes of rows that need no answer: a row that is gone has no result, one without a foreign key has none or that without a value. All others have theirs until they are answered.</summary>
internal sealed class ForeignKeyRowProcessor<TKey, TValue, TForeignKey, TOther, TResult>(
    ForeignKeyJoinNode<TKey, TValue, TForeignKey, TOther, TResult> node, KeyBytes<TKey> keys, TableWriter<TKey, TResult> table) : Processor<TKey, Change<TValue>>
{
    public override void Process(in RecordView raw, long timestamp, TKey key, Change<TValue> value)
    {
        if (value.HasNew && node.Extractor(key, value.New) is not null)
        {
            return;
        }

        var result = value.HasNew && node.IsLeft ? node.Joiner(value.New, default) : default;
        var keyBytes = keys.Of(raw, key);
        if (value.HasNew && node.IsLeft)
        {
            table.Set(raw, timestamp, keyBytes, key, result);
        }
        else
        {
            table.Delete(raw, timestamp, keyBytes, key);
        }
    }
}

/// <summary>Joins rows with answers. An answer for a foreign key that the row does not have any more is dropped: that for the one it has comes, or has come already.</summary>
internal sealed class ForeignKeyAnswerProcessor<TKey, TValue, TForeignKey, TOther, TResult>(
    ForeignKeyJoinNode<TKey, TValue, TForeignKey, TOther, TResult> node, KeyBytes<TKey> keys, TableReader<TKey, TValue> rows, TableWriter<TKey, TResult> table)
    : Processor<TKey, ForeignKeyAnswer<TOther>>
{
    private readonly ByteBuffer _foreignKey = new();

    public override void Process(in RecordView raw, long timestamp, TKey key, ForeignKeyAnswer<TOther> value)
    {
        var keyBytes = keys.Of(raw, key);
        if (!rows.TryGet(keyBytes, key, out var row) || node.Extractor(key, row) is not { } foreignKey)
        {
            return;
        }

        _foreignKey.Clear();
        node.ForeignKeySerde.Serialize(foreignKey, _foreignKey);
        if (!_foreignKey.Span.SequenceEqual(value.ForeignKey))
        {
            return;
        }

        if (value.HasValue || node.IsLeft)
        {
            table.Set(raw, timestamp, keyBytes, key, node.Joiner(row, value.Value));
        }
        else
        {
            table.Delete(raw, timestamp, keyBytes, key);
        }
    }
}

/// <summary>The value of keys that say all themselves.</summary>
internal readonly record struct Nothing;

/// <summary>Writes nothing.</summary>
internal sealed class NothingSerde : ISerde<Nothing>
{
    public string Name => "nothing";

    public void Serialize(Nothing value, System.Buffers.IBufferWriter<byte> writer)
    {
        // The key says all.
    }

    public Nothing Deserialize(ReadOnlySpan<byte> data) => default;
}
