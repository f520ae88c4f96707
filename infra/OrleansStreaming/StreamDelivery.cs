using Orleans.Concurrency;
using Orleans.Providers.Streams.Common;
using Orleans.Serialization;

namespace OrleansStreams.Streaming;

/// <summary>What is known of handing some records to one subscription. It stays with the agent: <see cref="DeliveryWatch"/> writes it, the cursor reads it.</summary>
internal sealed class StreamDelivery(StreamRecord[] records)
{
    public StreamRecord[] Records => records;

    public long FirstOffset => records[0].Offset;

    public bool IsGroup => records.Length > 1;

    public Guid SubscriptionId { get; private set; }

    /// <summary>Tries that failed.</summary>
    public int FailedAttempts { get; private set; }

    public Exception? LastError { get; private set; }

    /// <summary>Whether the consumer took nothing and named the last token that it has had.</summary>
    public bool WasHadAlready { get; private set; }

    /// <summary>Whether the agent gave up.</summary>
    public bool IsFailed { get; set; }

    /// <summary>Whether the dead-letter topic has it.</summary>
    public bool IsDeadLetter { get; set; }

    public void Refused(Guid subscription)
    {
        SubscriptionId = subscription;
        WasHadAlready = true;
    }

    public void Failed(Guid subscription, Exception error)
    {
        SubscriptionId = subscription;
        FailedAttempts++;
        LastError = error;
    }
}

/// <summary>What an agent hands to a consumer, and what is known of it.</summary>
internal interface IStreamDeliveryCarrier : IBatchContainer
{
    /// <summary>Null where the container is a copy that came from another silo.</summary>
    StreamDelivery? Delivery { get; }
}

/// <summary>The events of one record, on their way to a consumer, who deserializes them: each consumer and each try has objects of its own.</summary>
[GenerateSerializer]
[Immutable]
[Alias("streams.orleans-record")]
[SerializationCallbacks(typeof(OnDeserializedCallbacks))]
internal sealed class StreamRecordContainer : IStreamDeliveryCarrier, IOnDeserialized
{
    [Id(0)]
    private readonly StreamId _stream;

    [Id(1)]
    private readonly long _offset;

    // Events below it are left out: somebody resumed from the middle of a batch.
    [Id(2)]
    private readonly int _firstIndex;

    [Id(3)]
    private readonly byte[] _events;

    [Id(4)]
    private readonly byte[]? _requestContext;

    [NonSerialized]
    private readonly StreamDelivery? _delivery;

    [NonSerialized]
    private StreamRecordFormat _format;

    public StreamRecordContainer(StreamRecord record, int firstIndex, StreamRecordFormat format, StreamDelivery? delivery)
    {
        _stream = record.Stream;
        _offset = record.Offset;
        _firstIndex = firstIndex;
        _events = record.Events;
        _requestContext = record.RequestContext;
        _format = format;
        _delivery = delivery;
    }

    public StreamId StreamId => _stream;

    public StreamSequenceToken SequenceToken => new EventSequenceTokenV2(_offset, _firstIndex);

    public StreamDelivery? Delivery => _delivery;

    public IEnumerable<Tuple<T, StreamSequenceToken>> GetEvents<T>()
    {
        var events = _format.ReadEvents(_events);
        for (var i = _firstIndex; i < events.Count; i++)
        {
            if (Is<T>(events[i], out var wanted))
            {
                yield return new Tuple<T, StreamSequenceToken>(wanted, new EventSequenceTokenV2(_offset, i));
            }
        }
    }

    public bool ImportRequestContext()
    {
        if (_requestContext is null)
        {
            return false;
        }

        RequestContextExtensions.Import(_format.ReadContext(_requestContext));
        return true;
    }

    void IOnDeserialized.OnDeserialized(DeserializationContext context) =>
        _format = new StreamRecordFormat(context.ServiceProvider.GetRequiredService<Serializer>());

    private static bool Is<T>(object? item, out T wanted)
    {
        wanted = item is T typed ? typed : default!;
        return item is T || (item is null && default(T) is null);
    }
}

/// <summary>
/// Several records for one call. Its token is that of the last one: a consumer remembers it as the end of what it has, and an agent that takes the queue over
/// groups anew from there.
/// </summary>
[GenerateSerializer]
[Immutable]
[Alias("streams.orleans-records")]
internal sealed class StreamRecordGroup : IStreamDeliveryCarrier, IBatchContainerBatch
{
    [Id(0)]
    private readonly List<IBatchContainer> _containers;

    [NonSerialized]
    private readonly StreamDelivery? _delivery;

    public StreamRecordGroup(List<IBatchContainer> containers, StreamDelivery? delivery)
    {
        _containers = containers;
        _delivery = delivery;
    }

    public List<IBatchContainer> BatchContainers => _containers;

    public StreamId StreamId => _containers[0].StreamId;

    public StreamSequenceToken SequenceToken => _containers[^1].SequenceToken;

    public StreamDelivery? Delivery => _delivery;

    public IEnumerable<Tuple<T, StreamSequenceToken>> GetEvents<T>() => _containers.SelectMany(container => container.GetEvents<T>());

    public bool ImportRequestContext() => _containers[0].ImportRequestContext();
}

/// <summary>Tells an agent that a stream has something to deliver again, or a new subscription, and is never delivered itself: the queue's cache leaves it out.</summary>
internal sealed class StreamWakeUp(StreamId stream, long offset) : IBatchContainer
{
    public StreamId StreamId => stream;

    public StreamSequenceToken SequenceToken { get; } = new EventSequenceTokenV2(offset);

    public IEnumerable<Tuple<T, StreamSequenceToken>> GetEvents<T>() => [];

    public bool ImportRequestContext() => false;
}

/// <summary>A record on its way from the receiver to the agent and the cache.</summary>
internal sealed class ReceivedRecord(StreamRecord record) : IBatchContainer
{
    public StreamRecord Record => record;

    public StreamId StreamId => record.Stream;

    public StreamSequenceToken SequenceToken { get; } = new EventSequenceTokenV2(record.Offset);

    public IEnumerable<Tuple<T, StreamSequenceToken>> GetEvents<T>() => [];

    public bool ImportRequestContext() => false;
}
