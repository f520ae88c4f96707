using OrleansStreams.Log;
using OrleansStreams.Records;

namespace OrleansStreams.Clients;

/// <summary>
/// One batch from its first record to its acknowledgement; one object for all of its records.
/// <code>
///  open --Seal--> sealed --Finish--> under way (called, perhaps several times) --> Succeed | Fail
/// </code>
/// Its records stand in a buffer of the shared pool, which belongs to the batch until the acknowledgement and is sent as it is, without a copy. It goes
/// back to the pool only when the one call that was made with it has succeeded: after a lost call somebody may still read it, and it is left to the collector.
/// </summary>
internal sealed class PendingBatch(TopicPartition partition, RecordBatchBuilder builder, long openedAt)
{
    private readonly TaskCompletionSource<ProduceResult> _completion = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private RecordBatchBuilder? _builder = builder;
    private int _calls;

    public TopicPartition Partition => partition;

    /// <summary>The producer's clock when the first record came.</summary>
    public long OpenedAt => openedAt;

    /// <summary>The records, as long as they are not finished.</summary>
    public RecordBatchBuilder Builder => _builder!;

    public Task<ProduceResult> Completion => _completion.Task;

    /// <summary>Whether somebody waits for one of its records, and so learns of a failure.</summary>
    public bool IsObserved { get; set; }

    /// <summary>Bytes accounted to the producer's buffer.</summary>
    public long BufferedBytes { get; set; }

    /// <summary>The batch as it is sent; empty until it is finished.</summary>
    public ReadOnlyMemory<byte> Bytes { get; private set; }

    public int RecordCount { get; private set; }

    /// <summary>Whether the last call was made while earlier batches were under way, which may have been overtaken or refused.</summary>
    public bool SentBehindOthers { get; set; }

    /// <summary>Whether a call ended in a way that leaves open whether the partition wrote it.</summary>
    public bool MayBeWritten { get; set; }

    /// <summary>The call under way.</summary>
    public Task<ProduceResult>? Call { get; private set; }

    /// <summary>Compresses, writes the header and computes the CRC: once, over the finished batch.</summary>
    public void Finish(long producerId, short producerEpoch, int baseSequence)
    {
        RecordCount = Builder.Count;
        Bytes = Builder.BuildInPlace(producerId, producerEpoch, baseSequence);
    }

    /// <summary>Numbers it anew, in memory of its own: a call that was lost may still read the old bytes.</summary>
    public void Renumber(long producerId, short producerEpoch, int baseSequence)
    {
        _builder = null;
        var copy = Bytes.ToArray();
        RecordBatch.StampProducer(copy, producerId, producerEpoch, baseSequence);
        Bytes = copy;
    }

    public void Called(Task<ProduceResult> call, bool behindOthers)
    {
        _calls++;
        Call = call;
        SentBehindOthers = behindOthers;
    }

    public void Succeed(ProduceResult result, bool isAnswered)
    {
        if (isAnswered && _calls == 1)
        {
            _builder?.ReturnBuffer();
        }

        _builder = null;
        Bytes = default;
        _completion.TrySetResult(result);
    }

    public void Fail(Exception error)
    {
        _builder = null;
        Bytes = default;
        if (_completion.TrySetException(error))
        {
            // Seen by FlushAsync and by whoever awaits the delivery; not by the finalizer of a task that nobody asked about.
            _ = _completion.Task.Exception;
        }
    }
}
