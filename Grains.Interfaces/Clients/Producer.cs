using System.Buffers;
using System.Collections.Concurrent;
using OrleansStreams.Log;
using OrleansStreams.Records;

namespace OrleansStreams.Clients;

/// <summary>
/// Sends records. Safe for concurrent use; records that one caller enqueues one after the other stand in their partition in that order.
/// Made by <see cref="StreamsClient.CreateProducer{TKey, TValue}"/>.
/// </summary>
public sealed class Producer<TKey, TValue> : IAsyncDisposable
{
    private readonly IGrainFactory _grains;
    private readonly ClientRetry _retry;
    private readonly ProducerOptions _options;
    private readonly ISerializer<TKey> _keySerializer;
    private readonly ISerializer<TValue> _valueSerializer;
    private readonly IRawSerializer<TKey>? _rawKeySerializer;
    private readonly IRawSerializer<TValue>? _rawValueSerializer;
    private readonly BufferMemory _memory;
    private readonly ConcurrentDictionary<string, TopicSenders> _topics = new(StringComparer.Ordinal);
    private readonly SemaphoreSlim _lookup = new(1, 1);
    private long _producerId = RecordBatchHeader.NoProducerId;
    private volatile bool _closed;

    // The topic of the last record: most producers write to one.
    private volatile TopicSenders? _lastTopic;

    internal Producer(IGrainFactory grains, ClientRetry retry, ProducerOptions options, ISerializer<TKey> keySerializer, ISerializer<TValue> valueSerializer)
    {
        options.Validate();
        _grains = grains;
        _retry = retry;
        _options = options;
        _keySerializer = keySerializer;
        _valueSerializer = valueSerializer;
        _rawKeySerializer = keySerializer as IRawSerializer<TKey>;
        _rawValueSerializer = valueSerializer as IRawSerializer<TValue>;
        _memory = new BufferMemory(options.MaxBufferedBytes, retry.Time);
    }

    /// <summary>Accepts a record into the buffer and answers its pending delivery; waits only for room (backpressure) and, once per topic, for its description.</summary>
    /// <exception cref="StreamsException">UnknownTopicOrPartition; InvalidRequest for a partition that the topic does not have; BufferExhausted; Closed; SerializationFailed.</exception>
    public ValueTask<PendingDelivery> EnqueueAsync(in ProducerRecord<TKey, TValue> record, CancellationToken cancellationToken = default)
    {
        if (_closed)
        {
            return ValueTask.FromException<PendingDelivery>(new StreamsException(StreamsErrorCode.Closed, "the producer is closed; make another one", WriteOutcome.NotWritten));
        }

        // Nearly always there is room and the topic is known: then the call ends here, without an await.
        return Find(record.Topic) is { } topic && TryEnqueue(topic, record, out var delivery)
            ? new ValueTask<PendingDelivery>(delivery)
            : EnqueueSlowAsync(record, cancellationToken);
    }

    /// <summary>Sends a record and waits for its acknowledgement.</summary>
    /// <exception cref="StreamsException">As <see cref="EnqueueAsync"/>, and what the partition answers.</exception>
    public async ValueTask<RecordMetadata> ProduceAsync(ProducerRecord<TKey, TValue> record, CancellationToken cancellationToken = default) =>
        await await EnqueueAsync(record, cancellationToken);

    /// <summary>Sends what is in the buffer without lingering and waits until all of it is acknowledged.</summary>
    /// <exception cref="StreamsException">The first failure among these deliveries, or one since the last flush that nobody waited for.</exception>
    public Task FlushAsync() => Task.WhenAll(_topics.Values.SelectMany(topic => topic.Senders).Select(sender => sender.FlushAsync()));

    /// <summary>Flushes and closes. A delivery that fails meanwhile is thrown here.</summary>
    public async ValueTask DisposeAsync()
    {
        if (_closed)
        {
            return;
        }

        _closed = true;
        try
        {
            await FlushAsync();
        }
        finally
        {
            await Task.WhenAll(_topics.Values.SelectMany(topic => topic.Senders).Select(sender => sender.DrainAsync()));
            _lookup.Dispose();
        }
    }

    private TopicSenders? Find(string name)
    {
        var last = _lastTopic;
        return last is not null && last.Topic == name ? last : _topics.TryGetValue(name, out var topic) ? _lastTopic = topic : null;
    }

    private bool TryEnqueue(TopicSenders topic, in ProducerRecord<TKey, TValue> record, out PendingDelivery delivery)
    {
        var scratch = Serialize(record, out var key, out var value);
        long bytes = RecordBatchBuilder.MaxRecordBytes(key.Length, value.Length, record.Headers);
        var sender = topic.SenderFor(record.Partition, key, record.Key is null, record.Headers, bytes);
        var taken = _memory.TryTake(bytes);
        delivery = taken ? Append(sender, record, key, value, bytes) : default;
        if (scratch is not null)
        {
            SerializationScratch.Return(scratch);
        }

        return taken;
    }

    private async ValueTask<PendingDelivery> EnqueueSlowAsync(ProducerRecord<TKey, TValue> record, CancellationToken cancellationToken)
    {
        var topic = await TopicAsync(record.Topic, cancellationToken);
        var bytes = BytesOf(record);
        await _memory.TakeAsync(bytes, TimeSpan.FromMilliseconds(_options.MaxBlockMs), cancellationToken);
        return AppendTaken(topic, record, bytes);
    }

    private long BytesOf(in ProducerRecord<TKey, TValue> record)
    {
        var scratch = Serialize(record, out var key, out var value);
        var bytes = RecordBatchBuilder.MaxRecordBytes(key.Length, value.Length, record.Headers);
        if (scratch is not null)
        {
            SerializationScratch.Return(scratch);
        }

        return bytes;
    }

    private PendingDelivery AppendTaken(TopicSenders topic, in ProducerRecord<TKey, TValue> record, long bytes)
    {
        PartitionSender sender;
        scoped ReadOnlySpan<byte> key;
        scoped ReadOnlySpan<byte> value;
        ArrayBufferWriter<byte>? scratch;
        try
        {
            scratch = Serialize(record, out key, out value);
            sender = topic.SenderFor(record.Partition, key, record.Key is null, record.Headers, bytes);
        }
        catch
        {
            _memory.Release(bytes);
            throw;
        }

        var delivery = Append(sender, record, key, value, bytes);
        if (scratch is not null)
        {
            SerializationScratch.Return(scratch);
        }

        return delivery;
    }

    private PendingDelivery Append(PartitionSender sender, in ProducerRecord<TKey, TValue> record, ReadOnlySpan<byte> key, ReadOnlySpan<byte> value, long bytes)
    {
        try
        {
            return sender.Append(
                _producerId, record.Timestamp ?? _retry.Time.GetUtcNow().ToUnixTimeMilliseconds(), key, record.Key is null, value, record.Value is null, record.Headers, bytes);
        }
        catch
        {
            _memory.Release(bytes);
            throw;
        }
    }

    /// <summary>The bytes of key and value. Values that are bytes are taken in place; others are written into the scratch, to be returned after use.</summary>
    private ArrayBufferWriter<byte>? Serialize(scoped in ProducerRecord<TKey, TValue> record, out ReadOnlySpan<byte> key, out ReadOnlySpan<byte> value)
    {
        ArrayBufferWriter<byte>? scratch = null;
        if (record.Key is not null && _rawKeySerializer is null)
        {
            scratch = SerializationScratch.Take();
            _keySerializer.Serialize(record.Key, scratch);
        }

        var keyBytes = scratch?.WrittenCount ?? 0;
        if (record.Value is not null && _rawValueSerializer is null)
        {
            scratch ??= SerializationScratch.Take();
            _valueSerializer.Serialize(record.Value, scratch);
        }

        // Only now, because the scratch may have grown with the value.
        var written = scratch is null ? default : scratch.WrittenSpan;
        key = record.Key is not null && _rawKeySerializer is not null ? _rawKeySerializer.BytesOf(record.Key) : written[..keyBytes];
        value = record.Value is not null && _rawValueSerializer is not null ? _rawValueSerializer.BytesOf(record.Value) : written[keyBytes..];
        return scratch;
    }

    private async ValueTask<TopicSenders> TopicAsync(string name, CancellationToken cancellationToken)
    {
        if (_topics.TryGetValue(name, out var known))
        {
            return known;
        }

        await _lookup.WaitAsync(cancellationToken);
        try
        {
            if (_topics.TryGetValue(name, out known))
            {
                return known;
            }

            var timeout = TimeSpan.FromMilliseconds(_options.MaxBlockMs);
            if (_options.IsIdempotent && _producerId < 0)
            {
                _producerId = await _retry.RunAsync(NewProducerIdAsync, timeout, cancellationToken);
            }

            var topic = await _retry.RunAsync(() => _grains.Topic(name).DescribeAsync(), timeout, cancellationToken);
            return _topics[name] = new TopicSenders(topic, _grains, _options, _retry, _memory, NewProducerIdAsync);
        }
        finally
        {
            _lookup.Release();
        }
    }

    private Task<long> NewProducerIdAsync() => _grains.GetGrain<IProducerIdGrain>(IProducerIdGrain.Key).AllocateAsync();
}
