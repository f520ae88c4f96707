using OrleansStreams.Records;

namespace OrleansStreams.Topologies;

/// <summary>
/// Joins. Records of equal keys meet in one task: a stream whose key may have changed since its topic was read is repartitioned before; topics that meet must have equally many partitions
/// and equal key serdes, which is checked. A record with a null key fails, one with a null value joins nothing and is left out, as in Kafka Streams.
/// </summary>
public sealed partial class KStream<TKey, TValue>
{
    /// <summary>
    /// Joins each record with the value that its key has in a table; a record whose key has none is left out. The result has the record's time.
    /// <para>
    /// A record meets the table as of its event time, as far as both are written: the task takes the records of its topics in order of event times (a table's before a stream's of the same time), and waits
    /// for those that are written but not fetched yet, so that crashes, the cutting of batches and reading it all again change nothing. It does not wait for what is not written yet: the table's
    /// watermark, with tables that hardly ever change, would never come. A row that is written after a record of a later time was processed is met by the records after it.
    /// </para>
    /// </summary>
    /// <param name="table">The table.</param>
    /// <param name="joiner">Makes the result of the record's value and the table's.</param>
    /// <param name="joined">Serdes for a repartitioning; needed when the key may have changed or has another serde than the table's.</param>
    /// <exception cref="StreamsException">InvalidConfig: another builder; the keys cannot meet and <paramref name="joined"/> is missing or has another key serde than the table.</exception>
    public KStream<TKey, TResult> Join<TTable, TResult>(KTable<TKey, TTable> table, Func<TValue, TTable, TResult> joiner, Joined<TKey, TValue>? joined = null)
    {
        ArgumentNullException.ThrowIfNull(joiner);
        return Join(table, (_, value, found) => joiner(value, found!), joined, isLeft: false);
    }

    /// <summary>Joins each record with the value that its key has in a table, as the other <c>Join</c>; the joiner gets the key too.</summary>
    /// <inheritdoc cref="Join{TTable, TResult}(KTable{TKey, TTable}, Func{TValue, TTable, TResult}, Joined{TKey, TValue})"/>
    public KStream<TKey, TResult> Join<TTable, TResult>(KTable<TKey, TTable> table, Func<TKey, TValue, TTable, TResult> joiner, Joined<TKey, TValue>? joined = null)
    {
        ArgumentNullException.ThrowIfNull(joiner);
        return Join(table, (key, value, found) => joiner(key, value, found!), joined, isLeft: false);
    }

    /// <summary>As <c>Join</c>; but a record whose key has no value in the table is joined with the type's default.</summary>
    /// <inheritdoc cref="Join{TTable, TResult}(KTable{TKey, TTable}, Func{TValue, TTable, TResult}, Joined{TKey, TValue})"/>
    public KStream<TKey, TResult> LeftJoin<TTable, TResult>(KTable<TKey, TTable> table, Func<TValue, TTable?, TResult> joiner, Joined<TKey, TValue>? joined = null)
    {
        ArgumentNullException.ThrowIfNull(joiner);
        return Join(table, (_, value, found) => joiner(value, found), joined, isLeft: true);
    }

    /// <summary>As <c>Join</c>; but a record whose key has no value in the table is joined with the type's default, and the joiner gets the key too.</summary>
    /// <inheritdoc cref="Join{TTable, TResult}(KTable{TKey, TTable}, Func{TValue, TTable, TResult}, Joined{TKey, TValue})"/>
    public KStream<TKey, TResult> LeftJoin<TTable, TResult>(KTable<TKey, TTable> table, Func<TKey, TValue, TTable?, TResult> joiner, Joined<TKey, TValue>? joined = null)
    {
        ArgumentNullException.ThrowIfNull(joiner);
        return Join(table, joiner, joined, isLeft: true);
    }

    /// <summary>Joins each record with the value of a key of its choice in a table that every task has whole; a record whose key has none is left out. The stream need not be partitioned in any way.</summary>
    /// <param name="table">The table.</param>
    /// <param name="keySelector">Chooses the table's key for the record; a null key has no value.</param>
    /// <param name="joiner">Makes the result of the record's value and the table's.</param>
    /// <exception cref="StreamsException">InvalidConfig for another builder.</exception>
    public KStream<TKey, TResult> Join<TTableKey, TTable, TResult>(
        GlobalKTable<TTableKey, TTable> table, Func<TKey, TValue, TTableKey> keySelector, Func<TValue, TTable, TResult> joiner)
    {
        ArgumentNullException.ThrowIfNull(joiner);
        return Join(table, keySelector, (value, found) => joiner(value, found!), isLeft: false);
    }

    /// <summary>As <c>Join</c>; but a record whose key has no value in the table is joined with the type's default.</summary>
    /// <inheritdoc cref="Join{TTableKey, TTable, TResult}(GlobalKTable{TTableKey, TTable}, Func{TKey, TValue, TTableKey}, Func{TValue, TTable, TResult})"/>
    public KStream<TKey, TResult> LeftJoin<TTableKey, TTable, TResult>(
        GlobalKTable<TTableKey, TTable> table, Func<TKey, TValue, TTableKey> keySelector, Func<TValue, TTable?, TResult> joiner)
    {
        ArgumentNullException.ThrowIfNull(joiner);
        return Join(table, keySelector, joiner, isLeft: true);
    }

    private KStream<TKey, TResult> Join<TTableKey, TTable, TResult>(
        GlobalKTable<TTableKey, TTable> table, Func<TKey, TValue, TTableKey> keySelector, Func<TValue, TTable?, TResult> joiner, bool isLeft)
    {
        ArgumentNullException.ThrowIfNull(table);
        ArgumentNullException.ThrowIfNull(keySelector);
        _builder.CheckSame(table.Builder);
        var copy = table.AddCopy();
        var node = new GlobalTableJoinNode<TKey, TValue, TTableKey, TTable, TResult>(
            _builder.NextId, _builder.NameOf(isLeft ? "left-join" : "join"), _node, copy, table.KeySerde, isLeft, keySelector, joiner);
        return new(_builder, _builder.Add(node), _keySerde);
    }

    private KStream<TKey, TResult> Join<TTable, TResult>(KTable<TKey, TTable> table, Func<TKey, TValue, TTable?, TResult> joiner, Joined<TKey, TValue>? joined, bool isLeft)
    {
        ArgumentNullException.ThrowIfNull(table);
        _builder.CheckSame(table.Builder);
        var stream = JoinableWith(table.Node, table.KeySerde, joined);
        var node = new TableJoinNode<TKey, TValue, TTable, TResult>(
            _builder.NextId, _builder.NameOf(isLeft ? "left-join" : "join"), stream._node, table.Node, table.KeySerde, isLeft, joiner);
        return new(_builder, _builder.Add(node), table.KeySerde);
    }

    /// <summary>This stream, or it repartitioned, so that its records come to the task that has their key in the table.</summary>
    private KStream<TKey, TValue> JoinableWith(TopologyNode table, ISerde<TKey> keySerde, Joined<TKey, TValue>? joined)
    {
        if (_node.KeepsKey && _keySerde?.Name == keySerde.Name)
        {
            return this;
        }

        if (joined is null)
        {
            throw Topology.Invalid($"The records of '{_node.Name}' cannot be joined with the table '{table.Name}' as they are: their key may have changed since their topic was read, or is not written as the table's ('{keySerde.Name}'), so that equal keys may lie in different tasks. Give Joined.With(keySerde, valueSerde) with the table's key serde, and they are repartitioned.");
        }

        var given = joined.Grouped.Repartitioned.KeySerde.Name;
        return given == keySerde.Name
            ? PartitionedByKey(joined.Grouped)
            : throw Topology.Invalid($"The records of '{_node.Name}' are joined with the table '{table.Name}' by keys that are written as '{given}', the table's as '{keySerde.Name}': equal keys would lie in different tasks. Give Joined.With the table's key serde.");
    }
}
