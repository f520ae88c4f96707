using OrleansStreams.Processing.Operators;
using OrleansStreams.Processing.State;
using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.Processing.Tables;

/// <summary>A user's order, in which the serialized bytes decide between values that it holds for equal.</summary>
internal sealed class TotalOrder<TValue>(IComparer<TValue> order, ISerializer<TValue> serializer) : IComparer<TValue>
{
    private readonly ByteBuffer _x = new();
    private readonly ByteBuffer _y = new();

    public int Compare(TValue? x, TValue? y)
    {
        var compared = order.Compare(x, y);
        if (compared != 0)
        {
            return compared;
        }

        _x.Clear();
        _y.Clear();
        serializer.Serialize(x!, _x);
        serializer.Serialize(y!, _y);
        return _x.Span.SequenceCompareTo(_y.Span);
    }
}

/// <summary>Keeps the first values of each group in an order. A value that is none of them costs a look-up and a comparison.</summary>
internal sealed class TopNProcessor<TKey, TValue>(
    TaskContext context,
    TopNNode<TKey, TValue> node,
    KeyBytes<TKey> keys,
    KeyValueStore<TKey, IReadOnlyList<TValue>> store,
    TableWriter<TKey, IReadOnlyList<TValue>> table) : Processor<TKey, TValue>
{
    private readonly bool _keepsNull = node.Parents[0].KeepsNull;
    private readonly TotalOrder<TValue> _order = new(node.Order, node.ElementSerde);

    public override void Process(in RecordView raw, long timestamp, TKey key, TValue value)
    {
        var keyBytes = keys.Of(raw, key);
        if (value is null || (_keepsNull && context.ValueIsNull))
        {
            return;
        }

        var slot = store.Find(keyBytes);
        if (slot < 0)
        {
            table.Set(raw, timestamp, keyBytes, key, [value]);
            return;
        }

        var list = store.ValueOf(slot);
        if (list.Count < node.Count || _order.Compare(value, list[^1]) < 0)
        {
            table.Update(raw, timestamp, slot, key, Inserted(list, value));
        }
    }

    /// <summary>A new list: the old one is told to what follows.</summary>
    private TValue[] Inserted(IReadOnlyList<TValue> list, TValue value)
    {
        var (first, last) = (0, list.Count);
        while (first < last)
        {
            var middle = (first + last) / 2;
            if (_order.Compare(value, list[middle]) < 0)
            {
                last = middle;
            }
            else
            {
                first = middle + 1;
            }
        }

        var inserted = new TValue[Math.Min(list.Count + 1, node.Count)];
        for (var index = 0; index < inserted.Length; index++)
        {
            inserted[index] = index < first ? list[index] : index == first ? value : list[index - 1];
        }

        return inserted;
    }
}
