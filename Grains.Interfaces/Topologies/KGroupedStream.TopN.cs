using OrleansStreams.Records;

namespace OrleansStreams.Topologies;

/// <summary>The best of each group.</summary>
public sealed partial class KGroupedStream<TKey, TValue>
{
    /// <summary>
    /// Keeps of each group the values that come first in an order, best first: a table of lists, which changes only when a list does. Of values that the order holds for equal, those come first whose
    /// serialized bytes do, so that a list depends on the group's values alone and not on the order in which they came. Equal values count as often as they came. A record with a null value is left out.
    /// </summary>
    /// <param name="count">How many, 1 to 10,000.</param>
    /// <param name="order">The order. To have the largest first, use the other overload, or a comparer that is reversed.</param>
    /// <param name="materialized">The store's name, and the serde of one value.</param>
    /// <returns>Lists of at most so many values. What the table has handed out is never changed.</returns>
    /// <exception cref="StreamsException">InvalidConfig when the count is out of bounds.</exception>
    public KTable<TKey, IReadOnlyList<TValue>> TopN(int count, IComparer<TValue> order, Materialized<TValue> materialized)
    {
        ArgumentNullException.ThrowIfNull(order);
        ArgumentNullException.ThrowIfNull(materialized);
        if (count is < 1 or > TopNNode<TKey, TValue>.CountMax)
        {
            throw Topology.Invalid($"The best {count} of each group cannot be kept: give 1 to {TopNNode<TKey, TValue>.CountMax}.");
        }

        var node = new TopNNode<TKey, TValue>(_builder.NextId, _builder.NameOf("top"), _node, _keySerde, materialized, count, order);
        return new(_builder, _builder.Add(node), _keySerde, materialized.StoreName);
    }

    /// <summary>Keeps of each group the values with the largest scores, the largest first.</summary>
    /// <inheritdoc cref="TopN(int, IComparer{TValue}, Materialized{TValue})"/>
    /// <param name="count">How many, 1 to 10,000.</param>
    /// <param name="score">A value's score; the same for the same value.</param>
    /// <param name="materialized">The store's name, and the serde of one value.</param>
    /// <example>
    /// <code>
    /// bids.GroupBy((_, bid) => bid.Auction, Grouped.With(Serdes.Int64, bidSerde))
    ///     .TopN(10, bid => bid.Price, Materialized.As("highest-bids", bidSerde))
    ///     .ToStream().FlatMapValues(top => top)
    /// </code>
    /// </example>
    public KTable<TKey, IReadOnlyList<TValue>> TopN<TScore>(int count, Func<TValue, TScore> score, Materialized<TValue> materialized)
    {
        ArgumentNullException.ThrowIfNull(score);
        return TopN(count, Comparer<TValue>.Create((x, y) => Comparer<TScore>.Default.Compare(score(y), score(x))), materialized);
    }
}
