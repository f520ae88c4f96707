namespace OrleansStreams.Streaming;

/// <summary>
/// Sees each explicit subscription that is made from here. An agent looks for a stream's subscriptions when an event of it comes; so that a subscription with
/// an old token is served also when none comes, a wake-up (see <see cref="StreamRecordFormat"/>) is written to the stream.
/// </summary>
internal sealed class SubscriptionWatch(IServiceProvider services) : IOutgoingGrainCallFilter
{
    // IPubSubRendezvousGrain.RegisterConsumer(subscription, stream, consumer, filter data), which is internal to Orleans.
    private const string Method = "RegisterConsumer";
    private const int Arguments = 4;
    private const int StreamArgument = 1;

    public Task Invoke(IOutgoingGrainCallContext context) =>
        context.Request.GetArgumentCount() == Arguments && context.Request.GetArgument(StreamArgument) is QualifiedStreamId stream
            && context.Request.GetMethodName() == Method && services.GetKeyedService<IQueueAdapterFactory>(stream.ProviderName) is LogStreamAdapterFactory provider
            ? RegisterAsync(context, stream.StreamId, provider)
            : context.Invoke();

    private static async Task RegisterAsync(IOutgoingGrainCallContext context, StreamId stream, LogStreamAdapterFactory provider)
    {
        await context.Invoke();

        // In the background: the subscription stands, with or without it.
        _ = provider.WakeAsync(stream);
    }
}
