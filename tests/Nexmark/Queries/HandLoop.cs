using OrleansStreams.Nexmark.Events;
using OrleansStreams.Processing;
using OrleansStreams.Records;

namespace OrleansStreams.Nexmark.Queries;

/// <summary>
/// A query as one would write it by hand, in one thread, over the same record batches: it decodes the same parts of the same bytes by the same serdes and makes record batches of the same
/// results, and does nothing else: no keys of records, no partitions, no journal, nothing that a crash would leave behind.
/// </summary>
internal abstract class HandLoop
{
    /// <summary>The wall clock, as far as the query looks at it.</summary>
    public long ClockMs { get; set; }

    /// <summary>Batches of results.</summary>
    public abstract IReadOnlyList<byte[]> Results { get; }

    public abstract void Run(byte[] batch);

    /// <summary>The events have ended.</summary>
    public abstract void Finish();
}

/// <inheritdoc cref="HandLoop"/>
internal abstract class HandLoop<TKey, TValue> : HandLoop
{
    private const int ResultBytes = 1024 * 1024;

    private readonly RecordBatchBuilder _builder = new(initialBytes: ResultBytes + 4096);
    private readonly List<byte[]> _results = [];
    private readonly ByteBuffer _key = new();
    private readonly ByteBuffer _value = new();
    private EventSerde _events = null!;
    private ISerde<TKey> _keySerde = null!;
    private ISerde<TValue> _valueSerde = null!;

    public override IReadOnlyList<byte[]> Results => _results;

    public void Begin(EventSerde events, ISerde<TKey> keySerde, ISerde<TValue> valueSerde)
    {
        _events = events;
        _keySerde = keySerde;
        _valueSerde = valueSerde;
    }

    public override void Run(byte[] batch)
    {
        var reader = new RecordBatchReader(batch);
        while (reader.TryRead(out var record))
        {
            Take(_events.Deserialize(record.Value), record.Timestamp);
        }
    }

    public override void Finish()
    {
        End();
        if (_builder.Count > 0)
        {
            _results.Add(_builder.Build());
        }
    }

    protected abstract void Take(in Event item, long time);

    protected virtual void End()
    {
    }

    protected void Emit(long timestamp, TKey key, in TValue value)
    {
        _key.Clear();
        _value.Clear();
        _keySerde.Serialize(key, _key);
        _valueSerde.Serialize(value, _value);
        _builder.Append(timestamp, _key.Span, false, _value.Span, false);
        if (_builder.SizeBytes >= ResultBytes)
        {
            _results.Add(_builder.Build());
        }
    }
}
