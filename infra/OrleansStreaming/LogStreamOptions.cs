using OrleansStreams.Clients;
using OrleansStreams.Log;

namespace OrleansStreams.Streaming;

/// <summary>How a stream provider on the durable log works. Silos and clients of one provider must agree on <see cref="Topic"/> and <see cref="Partitions"/>.</summary>
public sealed class LogStreamOptions
{
    /// <summary>The topic that holds the events; null for <c>streams-</c> and the provider's name. It is made when it is missing.</summary>
    public string? Topic { get; set; }

    /// <summary>
    /// Queues of the provider, each a partition of the topic, 1 to 10000. A stream lives in one of them, so the number stays as it is for as long as the topic
    /// has events that somebody wants: with a topic of another number of partitions the silo doesn't start (InvalidConfig).
    /// </summary>
    public int Partitions { get; set; } = 8;

    /// <summary>The configuration of the topic when it is made here, retention above all: what is gone by retention cannot be rewound to.</summary>
    public TopicConfig TopicConfig { get; set; } = TopicConfig.Default;

    /// <summary>The consumer group under which the queues' checkpoints are kept; null for <c>orleans-</c> and the topic's name. It has no members.</summary>
    public string? CheckpointGroup { get; set; }

    /// <summary>Ms between two commits of a queue's checkpoint, 10 to 3600000. An agent that crashes repeats what was completed since; one that stops commits first.</summary>
    public int CheckpointIntervalMs { get; set; } = 1_000;

    /// <summary>
    /// Events (records of the topic) that one call hands to a consumer at most, 1 to 10000. More is faster, above all for consumers of batches. When the delivery of
    /// several fails, each of them is delivered once more by itself, with all of <see cref="DeliveryAttemptsMax"/>.
    /// </summary>
    public int DeliveryBatchMax { get; set; } = 1;

    /// <summary>Tries of an event, 1 to 1000, after which it goes to the dead-letter topic and its stream goes on.</summary>
    public int DeliveryAttemptsMax { get; set; } = 5;

    /// <summary>Ms before the second try of an event, 0 to 60000; it doubles with each further one.</summary>
    public int DeliveryBackoffMs { get; set; } = 100;

    /// <summary>Ms between two tries of an event at most, at least <see cref="DeliveryBackoffMs"/> and at most 60000.</summary>
    public int DeliveryBackoffMaxMs { get; set; } = 5_000;

    /// <summary>The topic for events that no try could deliver; null for the topic's name and <c>-dead</c>. It is made when the first one is due.</summary>
    public string? DeadLetterTopic { get; set; }

    /// <summary>Bytes of the newest events that a queue keeps in memory for its consumers, 65536 to 1 GiB. Consumers further behind read the log.</summary>
    public long CacheBytesMax { get; set; } = 8 * 1024 * 1024;

    /// <summary>
    /// Bytes that a queue reads ahead for consumers that are further behind than the cache, all of them together, 65536 to 1 GiB; beside it each of them may always
    /// have one event.
    /// </summary>
    public long ReadAheadBytesMax { get; set; } = 8 * 1024 * 1024;

    /// <summary>Bytes that a queue reads of its partition at a time, 1024 to 16 MiB.</summary>
    public int FetchBytes { get; set; } = 1024 * 1024;

    /// <summary>Ms for which an idle queue waits for the next event in one request to its partition, 1 to 20000.</summary>
    public int FetchWaitMs { get; set; } = 1_000;

    /// <summary>How events are written.</summary>
    public ProducerOptions Producer { get; set; } = new() { LingerMs = 0 };

    /// <summary>Fills the names that follow from others, and checks.</summary>
    /// <exception cref="StreamsException">InvalidConfig, naming the option, its bounds and the value.</exception>
    internal LogStreamOptions Resolve(string provider)
    {
        var resolved = (LogStreamOptions)MemberwiseClone();
        resolved.Topic ??= $"streams-{provider}";
        resolved.DeadLetterTopic ??= $"{resolved.Topic}-dead";
        resolved.CheckpointGroup ??= $"orleans-{resolved.Topic}";
        resolved.Check(provider);
        return resolved;
    }

    private void Check(string provider)
    {
        if (Topic == DeadLetterTopic)
        {
            throw Invalid(provider, nameof(DeadLetterTopic), "another topic than Topic", DeadLetterTopic!);
        }

        Between(nameof(Partitions), Partitions, 1, 10_000);
        Between(nameof(CheckpointIntervalMs), CheckpointIntervalMs, 10, 3_600_000);
        Between(nameof(DeliveryBatchMax), DeliveryBatchMax, 1, 10_000);
        Between(nameof(DeliveryAttemptsMax), DeliveryAttemptsMax, 1, 1_000);
        Between(nameof(DeliveryBackoffMs), DeliveryBackoffMs, 0, 60_000);
        Between(nameof(DeliveryBackoffMaxMs), DeliveryBackoffMaxMs, DeliveryBackoffMs, 60_000);
        Between(nameof(CacheBytesMax), CacheBytesMax, 64 * 1024, 1024 * 1024 * 1024);
        Between(nameof(ReadAheadBytesMax), ReadAheadBytesMax, 64 * 1024, 1024 * 1024 * 1024);
        Between(nameof(FetchBytes), FetchBytes, 1024, 16 * 1024 * 1024);
        Between(nameof(FetchWaitMs), FetchWaitMs, 1, 20_000);

        void Between(string option, long value, long least, long most)
        {
            if (value < least || value > most)
            {
                throw Invalid(provider, option, $"{least} to {most}", value);
            }
        }
    }

    private static StreamsException Invalid(string provider, string option, string allowed, object value) =>
        new(StreamsErrorCode.InvalidConfig, $"LogStreamOptions.{option} of the stream provider '{provider}' must be {allowed}, not {value}");
}
