using OrleansStreams.Log;
using OrleansStreams.Processing.Operators;
using OrleansStreams.Records;

namespace OrleansStreams.Processing.Journal;

/// <summary>
/// The format of a task's journal: each entry is the value of the only record of one record batch, so it is written whole or not at all.
/// <code>
///  u8  kind: 1 commit (changes since the entry before), 2 full (everything: the first entry, and snapshots)
///  u8  version: 1
///  full only: text fingerprint of the sub-topology, i64 producer id
///  i64 position in the input partition     i64 watermark of the input
///  i64 × 4 file position: bytes, rows, length, checksum
///  i64 × 5 counters: records in, records out, late, skipped, commits
///  per store, in the order of the topology: i64 closed before, i64 evicted before,
///      i32 n × (i64 window start, blob key, blob value)
///  i32 n × (text topic, i32 partition, i32 next sequence)     full only: every sequence; else none
///  i32 n × (text topic, i32 partition, blob record batch)     the outbox
/// </code>
/// Integers are little-endian; texts and blobs carry a 32-bit length.
/// </summary>
internal static class JournalEntry
{
    private const byte Commit = 1;
    private const byte Full = 2;
    private const byte Version = 1;

    public static void WriteHead(EntryWriter writer, bool full, string fingerprint, long producerId)
    {
        writer.Byte(full ? Full : Commit);
        writer.Byte(Version);
        if (full)
        {
            writer.Text(fingerprint);
            writer.Long(producerId);
        }
    }

    public static bool ReadHead(ref EntryReader reader, string taskId, string fingerprint, ref long producerId)
    {
        var kind = reader.Byte();
        var version = reader.Byte();
        if (version != Version || kind is not (Commit or Full))
        {
            throw new StreamsException(StreamsErrorCode.IncompatibleState, $"the journal of task {taskId} has an entry of kind {kind}, version {version}, which this version cannot read; use the version that wrote it");
        }

        if (kind == Commit)
        {
            return false;
        }

        var written = reader.Text();
        if (written != fingerprint)
        {
            throw new StreamsException(
                StreamsErrorCode.IncompatibleState,
                $"the state of task {taskId} was made by another topology; start the changed application under another name. Then: {written}. Now: {fingerprint}");
        }

        producerId = reader.Long();
        return true;
    }

    public static void WriteSequences(EntryWriter writer, IReadOnlyCollection<TopicOutput> outputs)
    {
        var sequences = outputs.SelectMany(output => output.Sequences.Select(sequence => (output.Topic, sequence.Partition, sequence.NextSequence))).ToList();
        writer.Int(sequences.Count);
        foreach (var (topic, partition, next) in sequences)
        {
            writer.Text(topic);
            writer.Int(partition);
            writer.Int(next);
        }
    }

    public static void ReadSequences(ref EntryReader reader, IReadOnlyDictionary<string, TopicOutput> outputs)
    {
        for (var left = reader.Count(); left > 0; left--)
        {
            var output = outputs[reader.Text()];
            output.RestoreSequence(reader.Int(), reader.Int());
        }
    }

    public static void WriteOutbox(EntryWriter writer, IReadOnlyCollection<OutboxBatch> outbox)
    {
        writer.Int(outbox.Count);
        foreach (var (partition, batch) in outbox)
        {
            writer.Text(partition.Topic);
            writer.Int(partition.Partition);
            writer.Blob(batch.Span);
        }
    }

    /// <summary>Reads the outbox, whose batches also carry the sequences on.</summary>
    public static List<OutboxBatch> ReadOutbox(ref EntryReader reader, ReadOnlyMemory<byte> entry, IReadOnlyDictionary<string, TopicOutput> outputs)
    {
        var outbox = new List<OutboxBatch>();
        for (var left = reader.Count(); left > 0; left--)
        {
            var partition = new TopicPartition(reader.Text(), reader.Int());
            var batch = reader.Blob().ToArray();
            var header = RecordBatchHeader.Read(batch);
            outputs[partition.Topic].RestoreSequence(partition.Partition, (int)(((long)header.BaseSequence + header.LastOffsetDelta + 1) % (1L << 31)));
            outbox.Add(new OutboxBatch(partition, batch));
        }

        return outbox;
    }
}
