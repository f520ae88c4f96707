using System.Collections.Concurrent;
using Microsoft.Extensions.Options;
using Orleans.Serialization;
using OrleansStreams.Clients;
using OrleansStreams.Groups;
using OrleansStreams.Log;

namespace OrleansStreams.Streaming;

/// <summary>Makes, for one provider, all that Orleans' persistent streams ask for.</summary>
internal sealed class LogStreamAdapterFactory : IQueueAdapterFactory, IQueueAdapter, IQueueAdapterCache, IDisposable
{
    private readonly string _provider;
    private readonly LogStreamOptions _options;
    private readonly IGrainFactory _grains;
    private readonly StreamRecordFormat _format;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly LogStreamTopics _topics;
    private readonly LogStreamWriter _writer;
    private readonly DeadLetters _deadLetters;
    private readonly LogStreamQueueMapper _mapper;
    private readonly ConcurrentDictionary<QueueId, PartitionQueue> _queues = new();

    public LogStreamAdapterFactory(string provider, LogStreamOptions options, IGrainFactory grains, Serializer serializer, TimeProvider time, ILogger<LogStreamAdapterFactory> logger)
    {
        _provider = provider;
        _options = options;
        _grains = grains;
        _format = new StreamRecordFormat(serializer);
        _time = time;
        _logger = logger;
        var client = new StreamsClient(grains, time, new Random());
        _topics = new LogStreamTopics(client.Admin, options, provider);
        _writer = new LogStreamWriter(client, _topics, options.Producer);
        _deadLetters = new DeadLetters(_writer, options);
        _mapper = new LogStreamQueueMapper(options.Topic!, options.Partitions);
    }

    /// <inheritdoc/>
    public string Name => _provider;

    /// <inheritdoc/>
    public bool IsRewindable => true;

    /// <inheritdoc/>
    public StreamProviderDirection Direction => StreamProviderDirection.ReadWrite;

    /// <summary>The topics of the provider.</summary>
    public LogStreamTopics Topics => _topics;

    /// <summary>Makes the factory of a named provider.</summary>
    public static LogStreamAdapterFactory Create(IServiceProvider services, string name) => new(
        name,
        OptionsOf(services, name),
        services.GetRequiredService<IGrainFactory>(),
        services.GetRequiredService<Serializer>(),
        services.GetService<TimeProvider>() ?? TimeProvider.System,
        services.GetRequiredService<ILogger<LogStreamAdapterFactory>>());

    /// <summary>A named provider's options, complete and checked.</summary>
    public static LogStreamOptions OptionsOf(IServiceProvider services, string name) => services.GetRequiredService<IOptionsMonitor<LogStreamOptions>>().Get(name).Resolve(name);

    /// <inheritdoc/>
    public Task<IQueueAdapter> CreateAdapter() => Task.FromResult<IQueueAdapter>(this);

    /// <inheritdoc/>
    public IQueueAdapterCache GetQueueAdapterCache() => this;

    /// <inheritdoc/>
    public IStreamQueueMapper GetStreamQueueMapper() => _mapper;

    /// <inheritdoc/>
    public Task<IStreamFailureHandler> GetDeliveryFailureHandler(QueueId queueId) =>
        Task.FromResult<IStreamFailureHandler>(new DeliveryFailureHandler(() => _queues.GetValueOrDefault(queueId), _deadLetters, _options, _time, _logger));

    /// <inheritdoc/>
    public Task QueueMessageBatchAsync<T>(StreamId streamId, IEnumerable<T> events, StreamSequenceToken? token, Dictionary<string, object>? requestContext)
    {
        if (token is not null)
        {
            throw new ArgumentException("The log gives events their tokens: send without one.", nameof(token));
        }

        // Serialized before anything is awaited: the sender may change its events afterwards.
        var value = _format.Write(events.Cast<object>());
        var context = _format.WriteContext(requestContext);
        return WriteAsync(streamId, value, context);
    }

    /// <summary>Has the stream's agent look for its subscriptions.</summary>
    public async Task WakeAsync(StreamId streamId)
    {
        try
        {
            await WriteAsync(streamId, value: null, requestContext: null);
        }
        catch (Exception error)
        {
            _logger.WakeUpFailed(error, streamId);
        }
    }

    /// <inheritdoc/>
    public IQueueCache CreateQueueCache(QueueId queueId)
    {
        // Each time an agent takes a queue it asks for a cache first, then for a receiver.
        var queue = new PartitionQueue(PartitionOf(queueId), _options, _format);
        _queues[queueId] = queue;
        return queue;
    }

    /// <inheritdoc/>
    public IQueueAdapterReceiver CreateReceiver(QueueId queueId)
    {
        var partition = PartitionOf(queueId);
        var group = _grains.GetGrain<IConsumerGroupGrain>(_options.CheckpointGroup!);
        var checkpoint = new QueueCheckpoint(group, partition, _options, _time, _logger);
        return new QueueReceiver(_queues[queueId], _grains.GetGrain<IPartitionGrain>(partition.GrainKey), checkpoint, _topics, _deadLetters, _time, _logger);
    }

    /// <inheritdoc/>
    public void Dispose() => _writer.Dispose();

    private Task<RecordMetadata> WriteAsync(StreamId stream, byte[]? value, byte[]? requestContext)
    {
        var key = StreamRecordFormat.KeyOf(stream);
        return _writer.WriteAsync(new ProducerRecord<byte[], byte[]>(_options.Topic!, key, value)
        {
            Partition = _mapper.PartitionOf(key),
            Headers = StreamRecordFormat.HeadersOf(stream, requestContext),
        });
    }

    private TopicPartition PartitionOf(QueueId queue) => new(_options.Topic!, LogStreamQueueMapper.PartitionOf(queue));
}
