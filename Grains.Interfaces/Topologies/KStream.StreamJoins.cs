using OrleansStreams.Records;

namespace OrleansStreams.Topologies;

/// <summary>
/// Joins of two streams over windows of event time. What they give follows from the records of the two alone, in whatever order they come to the task: which records are late is
/// decided by the watermark of their own input just before them, and a record is kept until no record that is not late can belong to it any more. (Only an input that stepped aside as idle may
/// find that the others did not wait for it.) Results have the later of the two times, and no headers: which of two records comes last is chance.
/// </summary>
public sealed partial class KStream<TKey, TValue>
{
    /// <summary>Joins each record with every record of the other stream that has its key and lies in its window. Each pair is told once, as soon as both are there.</summary>
    /// <param name="other">The other stream, the right one; it may be the same.</param>
    /// <param name="joiner">Makes the result of this stream's value and the other's.</param>
    /// <param name="windows">Which times belong together.</param>
    /// <param name="joined">Serdes and name.</param>
    /// <exception cref="StreamsException">InvalidConfig for another builder.</exception>
    public KStream<TKey, TResult> Join<TOther, TResult>(
        KStream<TKey, TOther> other, Func<TValue, TOther, TResult> joiner, JoinWindows windows, StreamJoined<TKey, TValue, TOther> joined)
    {
        ArgumentNullException.ThrowIfNull(joiner);
        return Join(other, (_, left, right) => joiner(left!, right!), windows, joined, StreamJoinKind.Inner);
    }

    /// <summary>As the other <c>Join</c>; the joiner gets the key too.</summary>
    /// <inheritdoc cref="Join{TOther, TResult}(KStream{TKey, TOther}, Func{TValue, TOther, TResult}, JoinWindows, StreamJoined{TKey, TValue, TOther})"/>
    public KStream<TKey, TResult> Join<TOther, TResult>(
        KStream<TKey, TOther> other, Func<TKey, TValue, TOther, TResult> joiner, JoinWindows windows, StreamJoined<TKey, TValue, TOther> joined)
    {
        ArgumentNullException.ThrowIfNull(joiner);
        return Join(other, (key, left, right) => joiner(key, left!, right!), windows, joined, StreamJoinKind.Inner);
    }

    /// <summary>
    /// As <c>Join</c>; and a record of this stream that no record of the other belongs to is joined with the type's default, once, when the watermark has passed its window and the grace.
    /// </summary>
    /// <inheritdoc cref="Join{TOther, TResult}(KStream{TKey, TOther}, Func{TValue, TOther, TResult}, JoinWindows, StreamJoined{TKey, TValue, TOther})"/>
    public KStream<TKey, TResult> LeftJoin<TOther, TResult>(
        KStream<TKey, TOther> other, Func<TValue, TOther?, TResult> joiner, JoinWindows windows, StreamJoined<TKey, TValue, TOther> joined)
    {
        ArgumentNullException.ThrowIfNull(joiner);
        return Join(other, (_, left, right) => joiner(left!, right), windows, joined, StreamJoinKind.Left);
    }

    /// <summary>As the other <c>LeftJoin</c>; the joiner gets the key too.</summary>
    /// <inheritdoc cref="LeftJoin{TOther, TResult}(KStream{TKey, TOther}, Func{TValue, TOther, TResult}, JoinWindows, StreamJoined{TKey, TValue, TOther})"/>
    public KStream<TKey, TResult> LeftJoin<TOther, TResult>(
        KStream<TKey, TOther> other, Func<TKey, TValue, TOther?, TResult> joiner, JoinWindows windows, StreamJoined<TKey, TValue, TOther> joined)
    {
        ArgumentNullException.ThrowIfNull(joiner);
        return Join(other, (key, left, right) => joiner(key, left!, right), windows, joined, StreamJoinKind.Left);
    }

    /// <summary>As <c>LeftJoin</c>; and a record of the other stream that none of this one belongs to is joined with the type's default too.</summary>
    /// <inheritdoc cref="Join{TOther, TResult}(KStream{TKey, TOther}, Func{TValue, TOther, TResult}, JoinWindows, StreamJoined{TKey, TValue, TOther})"/>
    public KStream<TKey, TResult> OuterJoin<TOther, TResult>(
        KStream<TKey, TOther> other, Func<TValue?, TOther?, TResult> joiner, JoinWindows windows, StreamJoined<TKey, TValue, TOther> joined)
    {
        ArgumentNullException.ThrowIfNull(joiner);
        return Join(other, (_, left, right) => joiner(left, right), windows, joined, StreamJoinKind.Outer);
    }

    /// <summary>As the other <c>OuterJoin</c>; the joiner gets the key too.</summary>
    /// <inheritdoc cref="OuterJoin{TOther, TResult}(KStream{TKey, TOther}, Func{TValue, TOther, TResult}, JoinWindows, StreamJoined{TKey, TValue, TOther})"/>
    public KStream<TKey, TResult> OuterJoin<TOther, TResult>(
        KStream<TKey, TOther> other, Func<TKey, TValue?, TOther?, TResult> joiner, JoinWindows windows, StreamJoined<TKey, TValue, TOther> joined)
    {
        ArgumentNullException.ThrowIfNull(joiner);
        return Join(other, joiner, windows, joined, StreamJoinKind.Outer);
    }

    private KStream<TKey, TResult> Join<TOther, TResult>(
        KStream<TKey, TOther> other, Func<TKey, TValue?, TOther?, TResult> joiner, JoinWindows windows, StreamJoined<TKey, TValue, TOther> joined, StreamJoinKind kind)
    {
        ArgumentNullException.ThrowIfNull(other);
        ArgumentNullException.ThrowIfNull(windows);
        ArgumentNullException.ThrowIfNull(joined);
        _builder.CheckSame(other._builder);
        var left = PartitionedByKey(GroupedFor(joined.KeySerde, joined.ValueSerde, joined.Name, "left"));
        var right = other.PartitionedByKey(GroupedFor(joined.KeySerde, joined.OtherSerde, joined.Name, "right"));
        var name = joined.Name ?? _builder.NameOf("join");
        var node = new StreamJoinNode<TKey, TValue, TOther, TResult>(_builder.NextId, name, left._node, right._node, joined, kind, windows, joiner);
        return new(_builder, _builder.Add(node), joined.KeySerde);
    }

    private static Grouped<TKey, TSide> GroupedFor<TSide>(ISerde<TKey> keySerde, ISerde<TSide> valueSerde, string? name, string side)
    {
        var grouped = Grouped.With(keySerde, valueSerde);
        return name is null ? grouped : grouped.WithName($"{name}-{side}");
    }
}
