using OrleansStreams.Processing.State;
using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.Processing.Suppress;

/// <summary>
/// What a step holds back, and whether it is more than it may be. Bytes are counted as they are serialized, never as memory: what a task does when its buffer is full must be the same again after a
/// crash.
/// </summary>
/// <param name="step">The step's name, for messages.</param>
/// <param name="store">The entries.</param>
/// <param name="values">The serde of their values.</param>
/// <param name="config">The bounds.</param>
internal sealed class SuppressBuffer<TKey, TValue>(string step, TimedStore<TKey, TValue> store, ISerde<TValue> values, BufferConfig config)
{
    private const int TimesBytes = 2 * sizeof(long);
    private const long NotCounted = -1;

    private readonly ByteBuffer _value = new();
    private readonly bool _hasBytesMax = config.BytesMax != long.MaxValue;
    private long _bytes = NotCounted;

    public TimedStore<TKey, TValue> Store => store;

    /// <summary>Whether it has to tell its oldest entries.</summary>
    /// <exception cref="StreamsException">StateTooLarge when it must not.</exception>
    public bool IsOverfull
    {
        get
        {
            var isOverfull = store.OpenEntries > config.RecordsMax || (_hasBytesMax && Bytes > config.BytesMax);
            return isOverfull && config is StrictBufferConfig ? throw Full() : isOverfull;
        }
    }

    private long Bytes
    {
        get
        {
            if (_bytes == NotCounted)
            {
                _bytes = 0;
                foreach (var entry in store.All())
                {
                    _bytes += BytesOf(entry);
                }
            }

            return _bytes;
        }
    }

    /// <summary>Adds an entry, or sets its value.</summary>
    public void Put(ReadOnlySpan<byte> key, long start, long end, TValue value)
    {
        if (!_hasBytesMax)
        {
            store.Put(key, start, end, value);
            return;
        }

        var bytes = Bytes - (store.Find(key, start, end) is >= 0 and var before ? BytesOf(before) : 0);
        _bytes = bytes + BytesOf(store.Put(key, start, end, value));
    }

    public void Set(int entry, TValue value)
    {
        Count(entry, -1);
        store.Set(entry, value);
        Count(entry, +1);
    }

    public void Remove(int entry)
    {
        Count(entry, -1);
        store.Remove(entry);
    }

    /// <summary>Removes what <see cref="TimedStore{TKey, TValue}.TakeExpired"/> gave.</summary>
    public void Expire(List<int> entries, long time)
    {
        foreach (var entry in entries)
        {
            Count(entry, -1);
        }

        store.Expire(entries, time);
    }

    /// <summary>The store was changed from outside.</summary>
    public void Restored() => _bytes = NotCounted;

    private void Count(int entry, int sign)
    {
        if (_hasBytesMax)
        {
            _bytes = Bytes + (sign * BytesOf(entry));
        }
    }

    private long BytesOf(int entry)
    {
        _value.Clear();
        values.Serialize(store.ValueOf(entry), _value);
        return store.KeyBytesOf(entry).Length + _value.Span.Length + TimesBytes;
    }

    private StreamsException Full() => new(
        StreamsErrorCode.StateTooLarge,
        $"'{step}' would hold back {(store.OpenEntries > config.RecordsMax ? $"{store.OpenEntries} records, but may {config.RecordsMax}" : $"{Bytes} bytes, but may {config.BytesMax}")}: raise the bound of its buffer, use more partitions, or hold back for a shorter time.",
        WriteOutcome.NotWritten);
}
