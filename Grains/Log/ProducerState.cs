using OrleansStreams.Records;

namespace OrleansStreams.Log;

/// <summary>What a partition remembers of one batch of an idempotent producer.</summary>
/// <param name="BaseSequence">The first record's sequence.</param>
/// <param name="LastSequence">The last record's sequence.</param>
/// <param name="BaseOffset">The first record's offset.</param>
/// <param name="LogAppendTime">The append time that was answered, or -1.</param>
internal readonly record struct RememberedBatch(int BaseSequence, int LastSequence, long BaseOffset, long LogAppendTime)
{
    public long NextOffset => BaseOffset + Sequences.Count(BaseSequence, LastSequence);
}

/// <summary>Arithmetic on sequences, which count up to int.MaxValue and go on with 0.</summary>
internal static class Sequences
{
    private const long Modulus = 1L << 31;

    public static int Next(int sequence) => Add(sequence, 1);

    public static int Add(int sequence, int count) => (int)((sequence + (long)count) % Modulus);

    public static long Count(int baseSequence, int lastSequence) => Distance(baseSequence, lastSequence) + 1;

    /// <summary>Steps from one sequence forward to another.</summary>
    public static long Distance(int from, int to) => ((long)to - from + Modulus) % Modulus;
}

/// <summary>One idempotent producer in one partition: its epoch and its last batches, oldest first.</summary>
internal sealed class ProducerState(long producerId)
{
    public const int BatchesRemembered = 5;

    private readonly RememberedBatch[] _batches = new RememberedBatch[BatchesRemembered];
    private int _count;

    public long ProducerId { get; } = producerId;

    public short Epoch { get; private set; } = -1;

    /// <summary>Records accepted in this epoch since the partition began to track it: what lies further back was never seen here.</summary>
    public long RecordsTracked { get; set; }

    /// <summary>When it last appended, ms since the Unix epoch; by the partition's clock, not the records'.</summary>
    public long LastSeen { get; set; }

    /// <summary>Neighbours in the order of <see cref="LastSeen"/>.</summary>
    public ProducerState? Older { get; set; }

    public ProducerState? Newer { get; set; }

    public ReadOnlySpan<RememberedBatch> Batches => _batches.AsSpan(0, _count);

    public int LastSequence => _batches[_count - 1].LastSequence;

    public void Add(short epoch, in RememberedBatch batch)
    {
        if (epoch != Epoch)
        {
            Epoch = epoch;
            _count = 0;
            RecordsTracked = 0;
        }

        if (_count == BatchesRemembered)
        {
            _batches.AsSpan(1).CopyTo(_batches);
            _count--;
        }

        _batches[_count++] = batch;
        RecordsTracked += Sequences.Count(batch.BaseSequence, batch.LastSequence);
    }

    public SequenceVerdict Judge(in RecordBatchHeader header, out RememberedBatch original)
    {
        original = default;
        if (header.ProducerEpoch < Epoch)
        {
            return SequenceVerdict.StaleEpoch;
        }

        if (header.ProducerEpoch > Epoch)
        {
            return header.BaseSequence == 0 ? SequenceVerdict.Next : SequenceVerdict.OutOfOrder;
        }

        foreach (ref readonly var batch in Batches)
        {
            if (batch.BaseSequence == header.BaseSequence && batch.LastSequence == header.LastSequence)
            {
                original = batch;
                return SequenceVerdict.Duplicate;
            }
        }

        var expected = Sequences.Next(LastSequence);
        if (header.BaseSequence == expected)
        {
            return SequenceVerdict.Next;
        }

        // A batch counts as an old duplicate only when the whole of it lies within what was accepted here. One from before the tracking
        // began may never have been written, and to acknowledge it would lose it.
        var behind = Sequences.Distance(header.BaseSequence, expected);
        return behind <= RecordsTracked && header.LastOffsetDelta < behind ? SequenceVerdict.ForgottenDuplicate : SequenceVerdict.OutOfOrder;
    }
}

/// <summary>How a batch's producer fields stand to what the partition remembers.</summary>
internal enum SequenceVerdict
{
    /// <summary>It continues the producer's sequence (or the producer is not known, and may begin anywhere).</summary>
    Next,

    /// <summary>It stands in the log, at a remembered offset.</summary>
    Duplicate,

    /// <summary>It stands in the log, but its offset is forgotten.</summary>
    ForgottenDuplicate,

    /// <summary>Batches before it are missing.</summary>
    OutOfOrder,

    /// <summary>A newer instance of the producer has taken over.</summary>
    StaleEpoch,

    /// <summary>All its records have idempotency keys that are known, and it has no sequence that the log would have to keep.</summary>
    AllKeysKnown,
}
