using OrleansStreams.Processing.Joins;
using OrleansStreams.Processing.State;
using OrleansStreams.Processing.Tables;
using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.Processing.Operators;

/// <summary>Joins by foreign keys.</summary>
internal sealed partial class TaskGraph
{
    public void Visit<TKey, TValue, TForeignKey>(ForeignKeySubscribeNode<TKey, TValue, TForeignKey> node) => Feed(
        node, new ForeignKeySubscribeProcessor<TKey, TValue, TForeignKey>(node, KeysOf(node, node.KeySerde), Output<TForeignKey, ForeignKeySubscription>(node)));

    public void Visit<TForeignKey, TOther>(ForeignKeyLookupNode<TForeignKey, TOther> node)
    {
        var subscriptions = new ForeignKeySubscriptions(Keep(new KeyValueStore<byte[], Nothing>(node.SubscriptionStore, Serdes.Bytes, new NothingSerde())));
        var output = Output<byte[], ForeignKeyAnswer<TOther>>(node);
        var (subscribed, changed) = (new KeyBytes<TForeignKey>(node.ForeignKeySerde, node.Parents[0].KeepsKey), new KeyBytes<TForeignKey>(node.ForeignKeySerde, node.Parents[1].KeepsKey));
        FeedFrom(node.Parents[0], new ForeignKeyLookupProcessor<TForeignKey, TOther>(subscribed, subscriptions, TableOf<TForeignKey, TOther>(node.Parents[1]), output));
        FeedFrom(node.Parents[1], new ForeignKeyChangeProcessor<TForeignKey, TOther>(changed, subscriptions, output));
    }

    public void Visit<TKey, TValue, TForeignKey, TOther, TResult>(ForeignKeyJoinNode<TKey, TValue, TForeignKey, TOther, TResult> node)
    {
        var (_, table) = KeepTable(node, node.Materialized!);
        var (row, answer) = (new KeyBytes<TKey>(node.KeySerde, node.Parents[0].KeepsKey), new KeyBytes<TKey>(node.KeySerde, node.Parents[1].KeepsKey));
        FeedFrom(node.Parents[0], new ForeignKeyRowProcessor<TKey, TValue, TForeignKey, TOther, TResult>(node, row, table));
        FeedFrom(node.Parents[1], new ForeignKeyAnswerProcessor<TKey, TValue, TForeignKey, TOther, TResult>(node, answer, TableOf<TKey, TValue>(node.Parents[0]), table));
    }
}
