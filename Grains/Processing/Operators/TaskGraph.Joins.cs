using OrleansStreams.Processing.Joins;
using OrleansStreams.Processing.State;
using OrleansStreams.Processing.Tables;
using OrleansStreams.Topologies;

namespace OrleansStreams.Processing.Operators;

/// <summary>Joins.</summary>
internal sealed partial class TaskGraph
{
    public void Visit<TKey, TValue, TTable, TResult>(TableJoinNode<TKey, TValue, TTable, TResult> node)
    {
        var keys = new KeyBytes<TKey>(node.KeySerde, node.Parents[0].KeepsKey);
        FeedFrom(node.Parents[0], new TableJoinProcessor<TKey, TValue, TTable, TResult>(
            _context, node, keys, TableOf<TKey, TTable>(node.Parents[1]), Output<TKey, TResult>(node)));
    }

    public void Visit<TKey, TValue, TTableKey, TTable, TResult>(GlobalTableJoinNode<TKey, TValue, TTableKey, TTable, TResult> node)
    {
        var keys = new KeyBytes<TTableKey>(node.TableKeySerde, keepsKey: false);
        FeedFrom(node.Parents[0], new GlobalTableJoinProcessor<TKey, TValue, TTableKey, TTable, TResult>(
            _context, node, keys, TableOf<TTableKey, TTable>(node.Parents[1]), Output<TKey, TResult>(node)));
    }

    public void Visit<TKey, TValue>(BroadcastSinkNode<TKey, TValue> node) =>
        Feed(node, new BroadcastSinkProcessor<TKey, TValue>(_context.Outbox.IndexOf(node.Topic), WriterOf(node, node.Produced)));

    public void Visit<TKey, TLeft, TRight, TResult>(StreamJoinNode<TKey, TLeft, TRight, TResult> node)
    {
        var joined = node.Joined;
        var lefts = Keep(new TimedStore<TKey, Buffered<TLeft>>(node.LeftStore, TimedOrder.Start, 0, joined.KeySerde, new BufferedSerde<TLeft>(joined.ValueSerde)));
        var rights = Keep(new TimedStore<TKey, Buffered<TRight>>(node.RightStore, TimedOrder.Start, 0, joined.KeySerde, new BufferedSerde<TRight>(joined.OtherSerde)));
        var join = new StreamJoinProcessor<TKey, TLeft, TRight, TResult>(_context, ClockOf(node), node, lefts, rights, Output<TKey, TResult>(node));
        Run(node, join);
        FeedFrom(node.Parents[0], join.Left);
        FeedFrom(node.Parents[1], join.Right);
    }

    public void Visit<TKey, TLeft, TRight, TResult>(TableTableJoinNode<TKey, TLeft, TRight, TResult> node)
    {
        var (lefts, rights) = (TableOf<TKey, TLeft>(node.Parents[0]), TableOf<TKey, TRight>(node.Parents[1]));
        var joiner = new TableJoiner<TLeft, TRight, TResult>(node.Joiner, node.NeedsLeft, node.NeedsRight);
        var swapped = new TableJoiner<TRight, TLeft, TResult>((right, left) => node.Joiner(left, right), node.NeedsRight, node.NeedsLeft);
        TableWriter<TKey, TResult>? table = null;
        Emitter<TKey, Change<TResult>> output;
        if (node.Materialized is { } materialized)
        {
            (_, table) = KeepTable(node, materialized);
            output = OutputOf<TKey, Change<TResult>>(node);
        }
        else
        {
            Read(node, new JoinedTableReader<TKey, TLeft, TRight, TResult>(lefts, rights, joiner));
            output = Output<TKey, Change<TResult>>(node);
        }

        var (left, right) = (new KeyBytes<TKey>(node.KeySerde, node.Parents[0].KeepsKey), new KeyBytes<TKey>(node.KeySerde, node.Parents[1].KeepsKey));
        FeedFrom(node.Parents[0], new TableTableJoinProcessor<TKey, TLeft, TRight, TResult>(left, rights, joiner, table, output));
        FeedFrom(node.Parents[1], new TableTableJoinProcessor<TKey, TRight, TLeft, TResult>(right, lefts, swapped, table, output));
    }

    private Emitter<TKey, TValue> OutputOf<TKey, TValue>(TopologyNode node) => (Emitter<TKey, TValue>)_emitters[node];
}
