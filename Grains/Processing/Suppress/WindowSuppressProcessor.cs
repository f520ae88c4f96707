using OrleansStreams.Processing.Operators;
using OrleansStreams.Processing.State;
using OrleansStreams.Processing.Tables;
using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.Processing.Suppress;

/// <summary>Holds back windows' results until their windows close, and tells them then by end, key bytes and start: as the windows themselves do with emit on close.</summary>
internal sealed class WindowSuppressProcessor<TKey, TValue>(
    TaskContext context, WindowSuppressNode<TKey, TValue> node, KeyBytes<TKey> keys, SuppressBuffer<TKey, TValue> buffer, Emitter<Windowed<TKey>, TValue> output)
    : Processor<Windowed<TKey>, TValue>, IEventTimeStep, IRestoredStep
{
    private readonly bool _keepsNull = node.Parents[0].KeepsNull;
    private readonly long _delay = node.CloseDelayMs;
    private readonly TimedStore<TKey, TValue> _store = buffer.Store;
    private readonly List<int> _closing = [];

    public long NextDue { get; private set; } = long.MaxValue;

    public override void Process(in RecordView raw, long timestamp, Windowed<TKey> key, TValue value)
    {
        var keyBytes = keys.Of(default, key.Key);
        if (value is null || (_keepsNull && context.ValueIsNull))
        {
            // A session that has grown is no more under its old bounds.
            if (_store.Find(keyBytes, key.WindowStartMs, key.WindowEndMs) is >= 0 and var entry)
            {
                buffer.Remove(entry);
            }

            return;
        }

        buffer.Put(keyBytes, key.WindowStartMs, key.WindowEndMs, value);
        NextDue = Math.Min(NextDue, key.WindowEndMs + _delay);

        // Nothing to do but to fail: a final result cannot be told early.
        _ = buffer.IsOverfull;
    }

    public void OnWatermark(long watermark)
    {
        while (_store.TakeExpired(watermark - _delay, _closing, out var end))
        {
            foreach (var entry in _closing)
            {
                output.Emit(default, end - 1, new Windowed<TKey>(_store.KeyOf(entry), _store.StartOf(entry), end), _store.ValueOf(entry));
            }

            buffer.Expire(_closing, end);
        }

        FindNextDue();
    }

    public void Restored()
    {
        buffer.Restored();
        FindNextDue();
    }

    private void FindNextDue()
    {
        var first = _store.NextExpiry;
        NextDue = first == long.MaxValue ? long.MaxValue : first + _delay;
    }
}
