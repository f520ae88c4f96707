using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.Processing.Windows;

/// <summary>
/// Aggregates events in sessions. An event joins all open sessions of its key that lie within the gap of it. Sessions that have closed are all older than those that are open and
/// never joined again: a session closes when the watermark is gap and grace after its last event, and what is not late then is younger than that event.
/// </summary>
internal sealed class SessionWindowProcessor<TKey, TValue, TAggregate>(
    WindowStep<TKey, TValue, TAggregate> step, SessionWindows windows, Func<TKey, TAggregate, TAggregate, TAggregate> merger)
    : TimedWindowProcessor<TKey, TValue, TAggregate>(step)
{
    private readonly long _gap = windows.GapMs;
    private readonly List<int> _met = [];

    public override void Process(in RecordView raw, long timestamp, TKey key, TValue value)
    {
        var keyBytes = KeyBytesOf(raw, key);
        var start = timestamp;
        var end = timestamp + 1;
        FindMet(keyBytes, timestamp);
        foreach (var session in _met)
        {
            start = Math.Min(start, Store.StartOf(session));
            end = Math.Max(end, Store.EndOf(session));
        }

        if (!IsOpen(end, RecordWatermark))
        {
            Late.Add(raw, timestamp, value, timestamp, timestamp + 1);
            return;
        }

        if (_met.Count == 0)
        {
            Update(raw, timestamp, keyBytes, key, value, Store.Touch(keyBytes, start, end, out _), isNew: true);
            return;
        }

        var aggregate = Store.ValueOf(_met[0]);
        for (var i = 1; i < _met.Count; i++)
        {
            aggregate = NotNull(merger(key, aggregate, Store.ValueOf(_met[i])));
        }

        aggregate = Next(key, value, aggregate);
        Replace(raw, timestamp, keyBytes, key, start, end, aggregate);
    }

    /// <summary>The open sessions that the event belongs to, by time.</summary>
    private void FindMet(ReadOnlySpan<byte> keyBytes, long timestamp)
    {
        _met.Clear();
        for (var entry = Store.Last(keyBytes); entry >= 0 && !Store.IsFinished(entry) && Store.EndOf(entry) - 1 >= timestamp - _gap; entry = Store.Previous(entry))
        {
            if (Store.StartOf(entry) <= timestamp + _gap)
            {
                _met.Add(entry);
            }
        }

        _met.Reverse();
    }

    /// <summary>Makes one session of those that were met.</summary>
    private void Replace(in RecordView raw, long timestamp, ReadOnlySpan<byte> keyBytes, TKey key, long start, long end, TAggregate aggregate)
    {
        var session = _met[0];
        var isNew = false;
        foreach (var old in _met)
        {
            var oldStart = Store.StartOf(old);
            var oldEnd = Store.EndOf(old);
            if (oldStart != start || oldEnd != end)
            {
                isNew = true;
                Output.Replaced(raw, timestamp, keyBytes, key, oldStart, oldEnd);
            }

            if (old != session)
            {
                Store.Remove(old);
            }
        }

        if (isNew)
        {
            Store.Move(session, start, end);
        }

        Store.Set(session, aggregate);
        Changed(raw, timestamp, keyBytes, key, session, isNew);
    }
}
