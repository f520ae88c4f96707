using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Options;
using Orleans.Configuration;
using Orleans.Hosting;
using Orleans.Runtime.Providers;

namespace OrleansStreams.Streaming;

/// <summary>Adds a persistent stream provider of Orleans whose events stand in a topic of the durable log.</summary>
public static class LogStreamsExtensions
{
    // An empty read has waited at the partition already.
    private static readonly TimeSpan s_pollPeriod = TimeSpan.FromMilliseconds(20);

    /// <summary>
    /// Adds the stream provider <paramref name="name"/> to a silo that runs the log's grains. <c>IAsyncStream&lt;T&gt;</c>, explicit and implicit
    /// subscriptions, batches and tokens work as Orleans documents them; a <see cref="StreamSequenceToken"/> is an offset of the topic's partition and the index
    /// of the event in its batch.
    /// </summary>
    /// <remarks>
    /// Explicit subscriptions are kept in the grain storage named <c>PubSubStore</c> (or <paramref name="name"/>): give the silo one that lasts, such as
    /// <c>AddAdoNetGrainStorage("PubSubStore", ...)</c>. With implicit subscriptions only, none is needed:
    /// <c>streams => streams.ConfigureStreamPubSub(StreamPubSubType.ImplicitOnly)</c>.
    /// </remarks>
    /// <param name="silo">The silo.</param>
    /// <param name="name">The provider's name.</param>
    /// <param name="configure">Sets options.</param>
    /// <param name="configureStreams">Sets what Orleans offers for every persistent stream provider: publish and subscribe, life cycle, balancing (for example
    /// <c>streams.UseLeaseBasedQueueBalancer()</c>; without it queues are spread evenly over the active silos), pulling agents.</param>
    /// <exception cref="StreamsException">When the silo starts: InvalidConfig for options out of bounds, for <c>StreamPullingAgentOptions.BatchContainerBatchSize</c>
    /// above 1, and for a topic with another number of partitions.</exception>
    public static ISiloBuilder AddLogStreams(
        this ISiloBuilder silo, string name, Action<LogStreamOptions>? configure = null, Action<ISiloPersistentStreamConfigurator>? configureStreams = null)
    {
        ArgumentNullException.ThrowIfNull(silo);
        ArgumentException.ThrowIfNullOrWhiteSpace(name);
        silo.Services.Configure<LogStreamOptions>(name, options => configure?.Invoke(options));
        silo.Services.TryAddEnumerable(ServiceDescriptor.Singleton<IOutgoingGrainCallFilter, DeliveryWatch>());
        silo.Services.TryAddEnumerable(ServiceDescriptor.Singleton<IOutgoingGrainCallFilter, SubscriptionWatch>());
        silo.Services.AddSingleton<IConfigurationValidator>(services => new LogStreamValidator(services, name));
        var streams = new SiloPersistentStreamConfigurator(name, services => services(silo.Services), LogStreamAdapterFactory.Create);
        streams.ConfigurePullingAgent(agents => agents.Configure(options => options.GetQueueMsgsTimerPeriod = s_pollPeriod));
        streams.ConfigurePartitionBalancing(EvenQueueBalancer.Create);
        Func<IServiceProvider, string, IMessageDeliveryBackoffProvider> backoff = (services, provider) => new DeliveryBackoff(LogStreamAdapterFactory.OptionsOf(services, provider));
        streams.ConfigureBackoffProvider(backoff);
        silo.Services.AddSingleton<ILifecycleParticipant<ISiloLifecycle>>(services => new LogStreamStart(services, name));
        configureStreams?.Invoke(streams);
        return silo;
    }

    /// <summary>
    /// Adds the stream provider <paramref name="name"/> to a client of silos that have it. It writes to the topic by itself; subscriptions of the client are
    /// served by the silos.
    /// </summary>
    /// <param name="client">The client.</param>
    /// <param name="name">The provider's name.</param>
    /// <param name="configure">Sets options, the same as in the silos.</param>
    /// <param name="configureStreams">Sets what Orleans offers for every persistent stream provider.</param>
    /// <exception cref="StreamsException">When the client starts: InvalidConfig for options out of bounds.</exception>
    public static IClientBuilder AddLogStreams(
        this IClientBuilder client, string name, Action<LogStreamOptions>? configure = null, Action<IClusterClientPersistentStreamConfigurator>? configureStreams = null)
    {
        ArgumentNullException.ThrowIfNull(client);
        ArgumentException.ThrowIfNullOrWhiteSpace(name);
        client.Services.Configure<LogStreamOptions>(name, options => configure?.Invoke(options));
        client.Services.TryAddEnumerable(ServiceDescriptor.Singleton<IOutgoingGrainCallFilter, SubscriptionWatch>());
        var streams = new ClusterClientPersistentStreamConfigurator(name, client, LogStreamAdapterFactory.Create);
        configureStreams?.Invoke(streams);
        return client;
    }

    /// <summary>Checks before anything starts.</summary>
    private sealed class LogStreamValidator(IServiceProvider services, string name) : IConfigurationValidator
    {
        public void ValidateConfiguration()
        {
            LogStreamAdapterFactory.OptionsOf(services, name);
            var agents = services.GetRequiredService<IOptionsMonitor<StreamPullingAgentOptions>>().Get(name);
            if (agents.BatchContainerBatchSize > 1)
            {
                throw new StreamsException(
                    StreamsErrorCode.InvalidConfig,
                    $"StreamPullingAgentOptions.BatchContainerBatchSize of the stream provider '{name}' must be 1, not {agents.BatchContainerBatchSize}: "
                    + "set LogStreamOptions.DeliveryBatchMax instead, which keeps checkpoints and tokens right for batches");
            }
        }
    }

    /// <summary>Makes the topic with the silo's start, so that a wrong number of partitions is a start that fails.</summary>
    private sealed class LogStreamStart(IServiceProvider services, string name) : ILifecycleParticipant<ISiloLifecycle>
    {
        public void Participate(ISiloLifecycle observer) => observer.Subscribe(
            $"{nameof(LogStreamsExtensions)}.{name}",
            ServiceLifecycleStage.Active,
            cancellation => ((LogStreamAdapterFactory)services.GetRequiredKeyedService<IQueueAdapterFactory>(name)).Topics.EnsureTopicAsync(cancellation));
    }
}
