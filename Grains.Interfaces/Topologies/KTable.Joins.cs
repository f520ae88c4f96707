using OrleansStreams.Records;

namespace OrleansStreams.Topologies;

/// <summary>
/// Joins of two tables by their common key. The result is a table: it has at any time what the two have, and it changes with each of them. A change has the time of what changed. Its last
/// state follows from the tables alone; which states it went through follows from the order in which the task takes the changes of the two.
/// </summary>
public sealed partial class KTable<TKey, TValue>
{
    /// <summary>The keys that both tables have.</summary>
    /// <param name="other">The other table, the right one.</param>
    /// <param name="joiner">Makes the result of this table's value and the other's; gives the same for the same values. Null is no value.</param>
    /// <param name="materialized">Keeps the result in a store of its own; null computes it anew when it is needed.</param>
    /// <exception cref="StreamsException">InvalidConfig: another builder; key serdes that differ; without <paramref name="materialized"/>, two tables of which one reads a store that the other follows from.</exception>
    public KTable<TKey, TResult> Join<TOther, TResult>(KTable<TKey, TOther> other, Func<TValue, TOther, TResult> joiner, Materialized<TResult>? materialized = null)
    {
        ArgumentNullException.ThrowIfNull(joiner);
        return Join("table-join", other, (left, right) => joiner(left!, right!), materialized, needsLeft: true, needsRight: true);
    }

    /// <summary>The keys that this table has; without a value in the other, the joiner gets the type's default.</summary>
    /// <inheritdoc cref="Join{TOther, TResult}(KTable{TKey, TOther}, Func{TValue, TOther, TResult}, Materialized{TResult})"/>
    public KTable<TKey, TResult> LeftJoin<TOther, TResult>(KTable<TKey, TOther> other, Func<TValue, TOther?, TResult> joiner, Materialized<TResult>? materialized = null)
    {
        ArgumentNullException.ThrowIfNull(joiner);
        return Join("table-left-join", other, (left, right) => joiner(left!, right), materialized, needsLeft: true, needsRight: false);
    }

    /// <summary>The keys that one of the tables has, or both; for a value that is not there the joiner gets the type's default.</summary>
    /// <inheritdoc cref="Join{TOther, TResult}(KTable{TKey, TOther}, Func{TValue, TOther, TResult}, Materialized{TResult})"/>
    public KTable<TKey, TResult> OuterJoin<TOther, TResult>(KTable<TKey, TOther> other, Func<TValue?, TOther?, TResult> joiner, Materialized<TResult>? materialized = null)
    {
        ArgumentNullException.ThrowIfNull(joiner);
        return Join("table-outer-join", other, joiner, materialized, needsLeft: false, needsRight: false);
    }

    private KTable<TKey, TResult> Join<TOther, TResult>(
        string kind, KTable<TKey, TOther> other, Func<TValue?, TOther?, TResult> joiner, Materialized<TResult>? materialized, bool needsLeft, bool needsRight)
    {
        ArgumentNullException.ThrowIfNull(other);
        _builder.CheckSame(other._builder);
        if (_keySerde.Name != other._keySerde.Name)
        {
            throw Topology.Invalid($"The tables '{_node.Name}' and '{other._node.Name}' write their keys as '{_keySerde.Name}' and '{other._keySerde.Name}': equal keys would lie in different tasks. Give both the same key serde.");
        }

        // A change of a store that both follow from would meet a table that reads it in its state of after the change: what the result was before could not be computed any more.
        if (materialized is null && (StoresRead(_node).Overlaps(StoresBehind(other._node)) || StoresRead(other._node).Overlaps(StoresBehind(_node))))
        {
            throw Topology.Invalid($"The tables '{_node.Name}' and '{other._node.Name}' follow from one store, so that one change changes both: keep the result of their join with Materialized.As(storeName, valueSerde).");
        }

        var node = new TableTableJoinNode<TKey, TValue, TOther, TResult>(
            _builder.NextId, _builder.NameOf(kind), _node, other._node, kind, joiner, needsLeft, needsRight, _keySerde, materialized);
        return new(_builder, _builder.Add(node), _keySerde, materialized?.StoreName);
    }

    /// <summary>The stores that are looked into when a table is read.</summary>
    private static HashSet<string> StoresRead(TopologyNode table) =>
        table.Stores.Count > 0 && table is not IPartlyKeptTable ? [.. table.Stores] : [.. table.Stores, .. table.Parents.SelectMany(StoresRead)];

    /// <summary>The stores whose changes change a table in the same step.</summary>
    private static HashSet<string> StoresBehind(TopologyNode node) => [.. node.Stores, .. node.Parents.SelectMany(StoresBehind)];
}
