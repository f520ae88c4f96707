namespace OrleansStreams.Streaming;

/// <summary>
/// Sees each delivery that an agent of this silo makes, for what agents tell nobody: why a consumer's task failed, and whether a consumer refused an event
/// because it has had it.
/// </summary>
internal sealed class DeliveryWatch : IOutgoingGrainCallFilter
{
    // IStreamConsumerExtension.DeliverBatch(subscription, stream, batch, handshake token), which is internal to Orleans.
    private const int Arguments = 4;
    private const int SubscriptionArgument = 0;
    private const int BatchArgument = 2;

    // How a consumer says that it wants events from a token on, in contrast to having had them until there.
    private const string StartTokenType = "StartToken";

    public Task Invoke(IOutgoingGrainCallContext context) =>
        context.Request.GetArgumentCount() == Arguments && context.Request.GetArgument(BatchArgument) is IStreamDeliveryCarrier { Delivery: { } delivery }
            ? WatchAsync(context, delivery)
            : context.Invoke();

    private static async Task WatchAsync(IOutgoingGrainCallContext context, StreamDelivery delivery)
    {
        var subscription = context.Request.GetArgument(SubscriptionArgument) is GuidId id ? id.Guid : Guid.Empty;
        try
        {
            await context.Invoke();
        }
        catch (Exception error)
        {
            delivery.Failed(subscription, error);
            throw;
        }

        if (context.Result is { } answer && answer.GetType().Name != StartTokenType)
        {
            delivery.Refused(subscription);
        }
    }
}
