using Orleans.Runtime.Providers;

namespace OrleansStreams.Streaming;

/// <summary>
/// How long an agent waits before it tries a delivery again, and when it has tried often enough. An agent by itself tries until a time is over; what ends it
/// after a number of tries is an exception from here.
/// </summary>
/// <remarks>Agents ask the same object after failures to reach the directory of subscriptions or a consumer's token; those have no end here.</remarks>
internal sealed class DeliveryBackoff(LogStreamOptions options) : IMessageDeliveryBackoffProvider
{
    // Set by the cursor in the flow of the agent's loop over one subscription, so that a question that comes from a delivery is told from others.
    private static readonly AsyncLocal<StreamDelivery?> s_delivery = new();

    /// <summary>Says that what follows in this flow is the delivery of this.</summary>
    public static void Enter(StreamDelivery delivery) => s_delivery.Value = delivery;

    /// <inheritdoc/>
    public TimeSpan Next(int attempt)
    {
        if (s_delivery.Value is { } delivery && (delivery.IsGroup || delivery.FailedAttempts >= options.DeliveryAttemptsMax))
        {
            throw new DeliveryFailedException(
                delivery.IsGroup
                    ? $"The delivery of {delivery.Records.Length} events from offset {delivery.FirstOffset} on failed; each is tried by itself: {delivery.LastError?.Message}"
                    : $"The event at offset {delivery.FirstOffset} failed {delivery.FailedAttempts} times and goes to the topic {options.DeadLetterTopic}: {delivery.LastError?.Message}",
                delivery.LastError);
        }

        var wait = Math.Min(options.DeliveryBackoffMaxMs, (double)options.DeliveryBackoffMs * Math.Pow(2, Math.Min(attempt, 30)));
        return TimeSpan.FromMilliseconds(wait);
    }
}

/// <summary>Ends an agent's tries. It reaches the log of the agent, never a consumer.</summary>
internal sealed class DeliveryFailedException(string message, Exception? inner) : Exception(message, inner);
