using System.Globalization;
using System.Text;
using OrleansStreams.Clients;
using OrleansStreams.Log;
using OrleansStreams.Records;

namespace OrleansStreams.Streaming;

/// <summary>
/// Writes what could not be delivered to the dead-letter topic: the record as it was, with its key, value and headers, and these headers besides, as UTF-8:
/// <code>
///  dead-letter-stream        the stream, namespace/key
///  dead-letter-subscription  the subscription's id (Guid, "D"); empty for a record that is no event
///  dead-letter-topic         where it stood
///  dead-letter-partition
///  dead-letter-offset
///  dead-letter-attempts      how often it was tried
///  dead-letter-exception     the full name of the last failure's type
///  dead-letter-message       its message, cut at 4096 characters
/// </code>
/// An agent that crashes between this and its next checkpoint writes it again.
/// </summary>
internal sealed class DeadLetters(LogStreamWriter writer, LogStreamOptions options)
{
    private const int MessageCharactersMax = 4096;

    /// <summary>Writes an event that a subscription could not take.</summary>
    /// <exception cref="StreamsException">What the topic answers.</exception>
    public Task WriteAsync(TopicPartition from, StreamRecord record, StreamDelivery delivery)
    {
        var headers = StreamRecordFormat.HeadersOf(record.Stream, record.RequestContext);
        Describe(headers, from, record.Offset, StreamRecordFormat.NameOf(record.Stream), delivery.SubscriptionId.ToString("D"), delivery.FailedAttempts, delivery.LastError);
        return WriteAsync(StreamRecordFormat.KeyOf(record.Stream), record.Events, headers);
    }

    /// <summary>Writes a record that is no event of this provider.</summary>
    /// <exception cref="StreamsException">What the topic answers.</exception>
    public Task WriteAsync(TopicPartition from, ForeignRecord record)
    {
        var headers = record.Headers.ToList();
        var error = new StreamsException(
            StreamsErrorCode.InvalidRecord,
            $"The record is no event of a stream: it lacks the header '{StreamRecordFormat.VersionHeader}' = 1, its key names no stream, or it has no value. Write to the topic through the stream provider.");
        Describe(headers, from, record.Offset, "", "", 0, error);
        return WriteAsync(record.Key, record.Value, headers);
    }

    private static void Describe(List<RecordHeader> headers, TopicPartition from, long offset, string stream, string subscription, int attempts, Exception? error)
    {
        var message = error?.Message ?? "";
        Add("dead-letter-stream", stream);
        Add("dead-letter-subscription", subscription);
        Add("dead-letter-topic", from.Topic);
        Add("dead-letter-partition", from.Partition.ToString(CultureInfo.InvariantCulture));
        Add("dead-letter-offset", offset.ToString(CultureInfo.InvariantCulture));
        Add("dead-letter-attempts", attempts.ToString(CultureInfo.InvariantCulture));
        Add("dead-letter-exception", error?.GetType().FullName ?? "");
        Add("dead-letter-message", message.Length > MessageCharactersMax ? message[..MessageCharactersMax] : message);

        void Add(string name, string value) => headers.Add(new RecordHeader(name, Encoding.UTF8.GetBytes(value)));
    }

    private Task WriteAsync(byte[]? key, byte[]? value, List<RecordHeader> headers) =>
        writer.WriteAsync(new ProducerRecord<byte[], byte[]>(options.DeadLetterTopic!, key, value) { Headers = headers });
}

/// <summary>A record of the topic that is no event, copied out of what was fetched.</summary>
internal sealed record ForeignRecord(long Offset, byte[]? Key, byte[]? Value, RecordHeader[] Headers)
{
    public static ForeignRecord Of(in RecordView view) => new(
        view.Offset,
        view.KeyIsNull ? null : view.Key.ToArray(),
        view.ValueIsNull ? null : view.Value.ToArray(),
        Array.ConvertAll(view.GetHeaders(), header => new RecordHeader(header.Key, header.Value is { } value ? value.ToArray() : default(ReadOnlyMemory<byte>?))));
}

/// <summary>What an agent calls when it gives up: an event that had all its tries goes to the dead letters; only then is it done.</summary>
internal sealed class DeliveryFailureHandler(Func<PartitionQueue?> queue, DeadLetters deadLetters, LogStreamOptions options, TimeProvider time, ILogger logger) : IStreamFailureHandler
{
    /// <inheritdoc/>
    public bool ShouldFaultSubsriptionOnError => false;

    /// <inheritdoc/>
    public async Task OnDeliveryFailure(GuidId subscriptionId, string streamProviderName, StreamId streamIdentity, StreamSequenceToken? sequenceToken)
    {
        if (queue() is not { } owner || owner.FailedDelivery(streamIdentity, subscriptionId.Guid) is not { } delivery
            || delivery.IsGroup || delivery.FailedAttempts < options.DeliveryAttemptsMax)
        {
            return;
        }

        try
        {
            await deadLetters.WriteAsync(owner.Partition, delivery.Records[0], delivery);
            delivery.IsDeadLetter = true;
            logger.DeadLetter(delivery.LastError, owner.Partition, delivery.FirstOffset, streamIdentity, subscriptionId.Guid, delivery.FailedAttempts, options.DeadLetterTopic!);
        }
        catch (Exception error)
        {
            // The event stays, and is tried again: neither lost nor in a hurry.
            logger.DeadLetterFailed(error, owner.Partition, delivery.FirstOffset, options.DeadLetterTopic!);
            await Task.Delay(TimeSpan.FromMilliseconds(Math.Max(options.DeliveryBackoffMaxMs, 100)), time);
        }
    }

    /// <inheritdoc/>
    public Task OnSubscriptionFailure(GuidId subscriptionId, string streamProviderName, StreamId streamIdentity, StreamSequenceToken? sequenceToken) => Task.CompletedTask;
}
