using OrleansStreams.Records;

namespace OrleansStreams.Clients;

/// <summary>What a producer waits for.</summary>
public enum Acks
{
    /// <summary>Nothing: records may be lost (at most once).</summary>
    None,

    /// <summary>The durable append (at least once with retries; exactly once in the log with idempotence).</summary>
    All,
}

/// <summary>How a producer works. Names in comments are Kafka's.</summary>
public sealed record ProducerOptions
{
    /// <summary>linger.ms: how long a batch that is not full waits for more records.</summary>
    public int LingerMs { get; init; } = 5;

    /// <summary>batch.size: bytes at which a batch is sent.</summary>
    public int BatchBytes { get; init; } = 128 * 1024;

    /// <summary>compression.type.</summary>
    public CompressionType Compression { get; init; } = CompressionType.None;

    /// <summary>acks.</summary>
    public Acks Acks { get; init; } = Acks.All;

    /// <summary>enable.idempotence: each record stands in the log once, however often it was sent. Ignored with <see cref="Acks.None"/>.</summary>
    public bool EnableIdempotence { get; init; } = true;

    /// <summary>buffer.memory: bytes of records that were accepted and not yet acknowledged; at the bound <see cref="Producer{TKey, TValue}.EnqueueAsync"/> waits.</summary>
    public long MaxBufferedBytes { get; init; } = 32 * 1024 * 1024;

    /// <summary>max.block.ms: how long it waits for room, and for a topic's description.</summary>
    public int MaxBlockMs { get; init; } = 60_000;

    /// <summary>delivery.timeout.ms: how long a batch is tried.</summary>
    public int DeliveryTimeoutMs { get; init; } = 120_000;

    /// <summary>max.in.flight.requests: batches under way per partition, 1 to 5. Without idempotence always 1, so that a retry keeps the order.</summary>
    public int MaxInFlightPerPartition { get; init; } = 5;

    internal int InFlightMax => Acks == Acks.All && !EnableIdempotence ? 1 : MaxInFlightPerPartition;

    internal bool IsIdempotent => EnableIdempotence && Acks == Acks.All;

    internal void Validate()
    {
        Check(LingerMs is >= 0 and <= 60_000, nameof(LingerMs), "0 to 60000");
        Check(BatchBytes is >= 256 and <= 16 * 1024 * 1024, nameof(BatchBytes), "256 to 16777216");
        Check(MaxBufferedBytes >= BatchBytes, nameof(MaxBufferedBytes), "at least BatchBytes");
        Check(MaxBlockMs >= 0, nameof(MaxBlockMs), "0 or more");
        Check(DeliveryTimeoutMs > 0, nameof(DeliveryTimeoutMs), "more than 0");
        Check(MaxInFlightPerPartition is >= 1 and <= 5, nameof(MaxInFlightPerPartition), "1 to 5, because a partition remembers five batches per producer");
    }

    private static void Check(bool ok, string name, string allowed)
    {
        if (!ok)
        {
            throw new StreamsException(StreamsErrorCode.InvalidConfig, $"ProducerOptions.{name} must be {allowed}");
        }
    }
}
