using OrleansStreams.Records;

namespace OrleansStreams.Log;

/// <summary>
/// What a produce request comes to, decided before anything is written: the batches that are new, and where the first record of the
/// request stands when that is known already. Any batch that is refused refuses the whole request.
/// </summary>
internal readonly struct AppendPlan
{
    private AppendPlan(PlannedBatch[] batches, int freshCount, long freshBytes)
    {
        Batches = batches;
        FreshCount = freshCount;
        FreshBytes = freshBytes;
    }

    public PlannedBatch[] Batches { get; }

    public int FreshCount { get; }

    public long FreshBytes { get; }

    /// <summary>Checks a request against the limits and the producers' sequences.</summary>
    /// <exception cref="StreamsException">InvalidRequest, CorruptBatch, UnsupportedCompressionType, RecordTooLarge, OutOfOrderSequence, InvalidProducerEpoch; nothing was written.</exception>
    public static AppendPlan Make(ReadOnlyMemory<byte> request, int maxBatchBytes, int maxBatches, ProducerStates producers)
    {
        if (request.IsEmpty)
        {
            throw Refused(StreamsErrorCode.InvalidRequest, "The produce request holds no record batch: send at least one.");
        }

        // One batch a request is the rule, so that is what the first array is for.
        var batches = new PlannedBatch[1];
        var count = 0;
        var freshCount = 0;
        var freshBytes = 0L;
        while (!request.IsEmpty)
        {
            if (count == maxBatches)
            {
                throw Refused(StreamsErrorCode.InvalidRequest, $"The produce request holds more than {maxBatches} record batches: send fewer at a time.");
            }

            if (count == batches.Length)
            {
                Array.Resize(ref batches, count * 2);
            }

            var header = Check(request.Span, maxBatchBytes);
            ref var planned = ref batches[count];
            planned.Header = header;
            planned.Memory = request[..header.TotalBytes];
            planned.Verdict = header.HasProducer ? Judge(header, batches.AsSpan(0, count), producers, out planned.Original) : SequenceVerdict.Next;
            if (planned.Verdict == SequenceVerdict.Next)
            {
                freshCount++;
                freshBytes += header.TotalBytes;
            }

            count++;
            request = request[header.TotalBytes..];
        }

        if (count < batches.Length)
        {
            Array.Resize(ref batches, count);
        }

        return new AppendPlan(batches, freshCount, freshBytes);
    }

    /// <summary>The memory of the new batches.</summary>
    public ReadOnlyMemory<byte>[] FreshMemory()
    {
        if (Batches.Length == 1)
        {
            return Batches[0].Verdict == SequenceVerdict.Next ? [Batches[0].Memory] : [];
        }

        var fresh = new ReadOnlyMemory<byte>[FreshCount];
        var at = 0;
        foreach (ref readonly var batch in Batches.AsSpan())
        {
            if (batch.Verdict == SequenceVerdict.Next)
            {
                fresh[at++] = batch.Memory;
            }
        }

        // Fewer than were planned when idempotency keys were known.
        return at == fresh.Length ? fresh : fresh[..at];
    }

    private static RecordBatchHeader Check(ReadOnlySpan<byte> data, int maxBatchBytes)
    {
        switch (RecordBatch.Validate(data, out var header))
        {
            case StreamsErrorCode.None:
                break;
            case StreamsErrorCode.UnsupportedCompressionType:
                throw Refused(StreamsErrorCode.UnsupportedCompressionType, $"The record batch is compressed with {header.Compression}: use none, gzip or snappy.");
            default:
                throw Refused(StreamsErrorCode.CorruptBatch, "The record batch is damaged (its length, counts or CRC-32C do not fit): build it again and send it again.");
        }

        if (header.TotalBytes > maxBatchBytes)
        {
            throw Refused(
                StreamsErrorCode.RecordTooLarge,
                $"The record batch has {header.TotalBytes} bytes, the topic takes {maxBatchBytes}: send smaller batches or raise the topic's max.message.bytes.");
        }

        // Only compaction may leave gaps; a producer's offsets are dense, and the log's depend on it.
        if (header.RecordCount != header.LastOffsetDelta + 1)
        {
            throw Refused(StreamsErrorCode.CorruptBatch, $"The record batch counts {header.RecordCount} records but covers {header.LastOffsetDelta + 1L} offsets: build it again.");
        }

        if (header.HasProducer && (header.BaseSequence < 0 || header.ProducerEpoch < 0))
        {
            throw Refused(StreamsErrorCode.InvalidRequest, $"The record batch of producer {header.ProducerId} has no sequence or epoch: stamp both, or neither and no producer id.");
        }

        return header;
    }

    private static SequenceVerdict Judge(in RecordBatchHeader header, ReadOnlySpan<PlannedBatch> before, ProducerStates producers, out RememberedBatch original)
    {
        var verdict = JudgeWithinRequest(header, before);
        original = default;
        verdict ??= producers.Judge(header, out original);
        return verdict.Value switch
        {
            SequenceVerdict.OutOfOrder => throw Refused(
                StreamsErrorCode.OutOfOrderSequence,
                $"The batch of producer {header.ProducerId} (epoch {header.ProducerEpoch}) begins with sequence {header.BaseSequence}, which does not continue its last batch: send the missing batches first, or take a new producer id."),
            SequenceVerdict.StaleEpoch => throw Refused(
                StreamsErrorCode.InvalidProducerEpoch,
                $"Producer {header.ProducerId} sent epoch {header.ProducerEpoch}, but a newer instance of it has taken over: stop this one or take a new producer id."),
            var fine => fine,
        };
    }

    /// <summary>A producer's second batch in one request continues the first, which the producer states do not know yet.</summary>
    private static SequenceVerdict? JudgeWithinRequest(in RecordBatchHeader header, ReadOnlySpan<PlannedBatch> before)
    {
        for (var i = before.Length - 1; i >= 0; i--)
        {
            ref readonly var earlier = ref before[i];
            if (earlier.Header.ProducerId != header.ProducerId)
            {
                continue;
            }

            if (earlier.Verdict != SequenceVerdict.Next)
            {
                return null;
            }

            if (header.ProducerEpoch != earlier.Header.ProducerEpoch)
            {
                return header.ProducerEpoch < earlier.Header.ProducerEpoch ? SequenceVerdict.StaleEpoch
                    : header.BaseSequence == 0 ? SequenceVerdict.Next : SequenceVerdict.OutOfOrder;
            }

            return header.BaseSequence == Sequences.Next(earlier.Header.LastSequence) ? SequenceVerdict.Next : SequenceVerdict.OutOfOrder;
        }

        return null;
    }

    private static StreamsException Refused(StreamsErrorCode code, string message) => new(code, message, WriteOutcome.NotWritten);
}

/// <summary>One batch of a produce request.</summary>
internal struct PlannedBatch
{
    public RecordBatchHeader Header;
    public ReadOnlyMemory<byte> Memory;
    public SequenceVerdict Verdict;
    public RememberedBatch Original;
}
