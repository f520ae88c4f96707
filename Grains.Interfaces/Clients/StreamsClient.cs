using OrleansStreams.Records;

namespace OrleansStreams.Clients;

/// <summary>
/// The way in for applications: producers, consumers, administration, stream applications. One instance serves a process; it holds no connection of its own
/// but calls grains through an <see cref="IGrainFactory"/>, inside a silo or from an Orleans client.
/// </summary>
public sealed class StreamsClient
{
    private readonly IGrainFactory _grains;
    private readonly ClientRetry _retry;

    /// <summary>Creates a client.</summary>
    /// <param name="grains">Reaches the grains.</param>
    /// <param name="time">The clock for lingering, timeouts and timestamps.</param>
    /// <param name="random">For member ids and backoff.</param>
    public StreamsClient(IGrainFactory grains, TimeProvider time, Random random)
    {
        ArgumentNullException.ThrowIfNull(grains);
        ArgumentNullException.ThrowIfNull(time);
        ArgumentNullException.ThrowIfNull(random);
        _grains = grains;
        _retry = new ClientRetry(time, random);
        Admin = new AdminClient(grains, _retry);
        Applications = new ApplicationClient(grains, _retry);
    }

    /// <summary>Topics and groups.</summary>
    public AdminClient Admin { get; }

    /// <summary>Stream applications and their state.</summary>
    public ApplicationClient Applications { get; }

    /// <summary>Makes a producer; dispose it to flush.</summary>
    /// <exception cref="StreamsException">InvalidConfig.</exception>
    public Producer<TKey, TValue> CreateProducer<TKey, TValue>(ISerializer<TKey> keySerializer, ISerializer<TValue> valueSerializer, ProducerOptions? options = null) =>
        new(_grains, _retry, options ?? new ProducerOptions(), keySerializer, valueSerializer);

    /// <summary>Makes a consumer; dispose it to commit and leave its group.</summary>
    /// <exception cref="StreamsException">InvalidConfig.</exception>
    public Consumer<TKey, TValue> CreateConsumer<TKey, TValue>(IDeserializer<TKey> keyDeserializer, IDeserializer<TValue> valueDeserializer, ConsumerOptions? options = null) =>
        new(_grains, _retry, options ?? new ConsumerOptions(), keyDeserializer, valueDeserializer);
}
