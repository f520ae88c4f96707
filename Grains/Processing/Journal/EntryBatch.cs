using OrleansStreams.Records;

namespace OrleansStreams.Processing.Journal;

/// <summary>
/// Makes a journal entry the only record of a record batch (see <see cref="RecordBatchBuilder"/>) where it stands: an entry may be megabytes long, and a copy of
/// it per commit would be most of what a task allocates. What comes before the entry is as long as its lengths' varints, so it is written backward from it.
/// </summary>
internal static class EntryBatch
{
    /// <summary>The room that a buffer must leave in front of an entry.</summary>
    public const int Headroom = RecordBatchHeader.Size + (2 * Varint.MaxBytes32) + FixedBytes;

    /// <summary>Attributes, timestamp delta, offset delta, and the null key: a byte each.</summary>
    private const int FixedBytes = 4;

    /// <summary>Completes the batch of the entry that was written into <paramref name="buffer"/>; nothing more may be written until it is cleared.</summary>
    /// <returns>The batch, in the buffer's memory.</returns>
    public static ReadOnlyMemory<byte> Complete(ByteBuffer buffer, long timestamp)
    {
        var entryBytes = buffer.Length - Headroom;
        buffer.WriteByte(0); // no headers
        var recordBytes = FixedBytes + Varint.SizeOf(entryBytes) + entryBytes + 1;
        var batch = buffer.From(Headroom - FixedBytes - Varint.SizeOf(entryBytes) - Varint.SizeOf(recordBytes) - RecordBatchHeader.Size);
        var to = batch.Span;
        var at = Varint.Write(to, RecordBatchHeader.Size, recordBytes);
        to[at++] = 0;
        to[at++] = 0;
        to[at++] = 0;
        at = Varint.Write(to, at, -1);
        Varint.Write(to, at, entryBytes);
        RecordBatch.WriteHeader(to, attributes: 0, count: 1, timestamp, timestamp, producerId: RecordBatchHeader.NoProducerId, producerEpoch: -1, baseSequence: -1);
        return batch;
    }
}
