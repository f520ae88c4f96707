using OrleansStreams.Records;

namespace OrleansStreams.Topologies;

/// <summary>
/// Joins of a table with another by a foreign key: each row chooses the key that it has in the other table, and many rows may choose one (KIP-213). Rows and what they are joined with may lie in different
/// tasks: a row subscribes to its foreign key where that lies, and is answered with each value that it has there, through two topics that the application makes for itself. So the result
/// follows the tables after a moment. A row that changes its foreign key keeps its result until the answer for the new one comes, and answers for one that it has left are dropped.
/// </summary>
public sealed partial class KTable<TKey, TValue>
{
    /// <summary>The rows whose foreign key is in the other table.</summary>
    /// <param name="other">The other table.</param>
    /// <param name="foreignKeyExtractor">Gives the key that a row has in the other table; the same for the same row. A row with a null one is joined with nothing.</param>
    /// <param name="joiner">Makes the result of the row's value and the other's; gives the same for the same values. Null is no value.</param>
    /// <param name="materialized">Keeps the result, by the row's key. The topics and the store of the subscriptions are called by its name.</param>
    /// <param name="otherSerde">The serde of the other table's values; null for that of its store, if it has one.</param>
    /// <exception cref="StreamsException">InvalidConfig: another builder; the other table is not kept in a store and no serde is given.</exception>
    public KTable<TKey, TResult> Join<TForeignKey, TOther, TResult>(
        KTable<TForeignKey, TOther> other,
        Func<TKey, TValue, TForeignKey?> foreignKeyExtractor,
        Func<TValue, TOther, TResult> joiner,
        Materialized<TResult> materialized,
        ISerde<TOther>? otherSerde = null)
    {
        ArgumentNullException.ThrowIfNull(joiner);
        return JoinByForeignKey(other, foreignKeyExtractor, (value, found) => joiner(value, found!), isLeft: false, materialized, otherSerde);
    }

    /// <inheritdoc cref="Join{TForeignKey, TOther, TResult}(KTable{TForeignKey, TOther}, Func{TKey, TValue, TForeignKey}, Func{TValue, TOther, TResult}, Materialized{TResult}, ISerde{TOther})"/>
    public KTable<TKey, TResult> Join<TForeignKey, TOther, TResult>(
        KTable<TForeignKey, TOther> other,
        Func<TValue, TForeignKey?> foreignKeyExtractor,
        Func<TValue, TOther, TResult> joiner,
        Materialized<TResult> materialized,
        ISerde<TOther>? otherSerde = null)
    {
        ArgumentNullException.ThrowIfNull(foreignKeyExtractor);
        return Join(other, (_, value) => foreignKeyExtractor(value), joiner, materialized, otherSerde);
    }

    /// <summary>All rows; for a row whose foreign key is null or not in the other table, the joiner gets the type's default.</summary>
    /// <inheritdoc cref="Join{TForeignKey, TOther, TResult}(KTable{TForeignKey, TOther}, Func{TKey, TValue, TForeignKey}, Func{TValue, TOther, TResult}, Materialized{TResult}, ISerde{TOther})"/>
    public KTable<TKey, TResult> LeftJoin<TForeignKey, TOther, TResult>(
        KTable<TForeignKey, TOther> other,
        Func<TKey, TValue, TForeignKey?> foreignKeyExtractor,
        Func<TValue, TOther?, TResult> joiner,
        Materialized<TResult> materialized,
        ISerde<TOther>? otherSerde = null)
    {
        ArgumentNullException.ThrowIfNull(joiner);
        return JoinByForeignKey(other, foreignKeyExtractor, joiner, isLeft: true, materialized, otherSerde);
    }

    /// <summary>All rows; for a row whose foreign key is null or not in the other table, the joiner gets the type's default.</summary>
    /// <inheritdoc cref="Join{TForeignKey, TOther, TResult}(KTable{TForeignKey, TOther}, Func{TKey, TValue, TForeignKey}, Func{TValue, TOther, TResult}, Materialized{TResult}, ISerde{TOther})"/>
    public KTable<TKey, TResult> LeftJoin<TForeignKey, TOther, TResult>(
        KTable<TForeignKey, TOther> other,
        Func<TValue, TForeignKey?> foreignKeyExtractor,
        Func<TValue, TOther?, TResult> joiner,
        Materialized<TResult> materialized,
        ISerde<TOther>? otherSerde = null)
    {
        ArgumentNullException.ThrowIfNull(foreignKeyExtractor);
        return LeftJoin(other, (_, value) => foreignKeyExtractor(value), joiner, materialized, otherSerde);
    }

    private KTable<TKey, TResult> JoinByForeignKey<TForeignKey, TOther, TResult>(
        KTable<TForeignKey, TOther> other,
        Func<TKey, TValue, TForeignKey?> foreignKeyExtractor,
        Func<TValue, TOther?, TResult> joiner,
        bool isLeft,
        Materialized<TResult> materialized,
        ISerde<TOther>? otherSerde)
    {
        ArgumentNullException.ThrowIfNull(other);
        ArgumentNullException.ThrowIfNull(foreignKeyExtractor);
        ArgumentNullException.ThrowIfNull(materialized);
        _builder.CheckSame(other._builder);
        var answers = new ForeignKeyAnswerSerde<TOther>(other.ValueSerdeOr(otherSerde, "the foreign-key join"));
        var foreignKeys = other._keySerde;
        var store = materialized.StoreName;
        var subscriptionTopic = new RepartitionTopic($"{store}-subscription{RepartitionTopic.Suffix}", null);
        var answerTopic = new RepartitionTopic($"{store}-answer{RepartitionTopic.Suffix}", null);

        // Where the row is; where its foreign key is; where the row is again.
        var subscribe = _builder.Add(new ForeignKeySubscribeNode<TKey, TValue, TForeignKey>(
            _builder.NextId, _builder.NameOf("foreign-key"), _node, _keySerde, foreignKeys, foreignKeyExtractor));
        var subscriptions = _builder.AddRepartition(subscribe, $"{store}-subscription", subscriptionTopic, foreignKeys, ForeignKeySubscriptionSerde.Instance);
        var lookup = _builder.Add(new ForeignKeyLookupNode<TForeignKey, TOther>(_builder.NextId, _builder.NameOf("foreign-key-lookup"), subscriptions, other._node, foreignKeys, $"{store}-subscriptions"));
        _builder.AddInternalSink(lookup, $"{store}-answer", answerTopic, Serdes.Bytes, answers);
        var answered = _builder.AddInternalSource($"{store}-answer-source", answerTopic, _keySerde, answers);
        var node = new ForeignKeyJoinNode<TKey, TValue, TForeignKey, TOther, TResult>(
            _builder.NextId, _builder.NameOf(isLeft ? "foreign-key-left-join" : "foreign-key-join"), _node, answered, _keySerde, foreignKeys, foreignKeyExtractor, joiner, isLeft, materialized);
        return new(_builder, _builder.Add(node), _keySerde, store);
    }
}
