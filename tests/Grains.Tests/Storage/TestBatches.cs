using System.Buffers.Binary;
using System.Text;
using OrleansStreams.Records;

namespace OrleansStreams.Tests.Storage;

/// <summary>Record batches for storage tests: their values name them, so that a mix-up shows.</summary>
internal static class TestBatches
{
    public static byte[] Of(string name, int records = 1, long timestamp = 1000, int valueBytes = 0)
    {
        var builder = new RecordBatchBuilder();
        for (var i = 0; i < records; i++)
        {
            builder.Append(timestamp, Encoding.UTF8.GetBytes(name), false, Encoding.UTF8.GetBytes($"{name}-{i}".PadRight(valueBytes, '.')), false);
        }

        return builder.Build();
    }

    /// <summary>The batch as the log must hold it.</summary>
    public static byte[] Stamped(byte[] batch, long baseOffset, int leaderEpoch)
    {
        var copy = batch.ToArray();
        RecordBatch.StampOffsetAndEpoch(copy, baseOffset, leaderEpoch);
        return copy;
    }

    /// <summary>A batch for a rewrite: it covers [from, end), and its records are those at the offsets given.</summary>
    public static byte[] Sparse(long from, long end, int leaderEpoch, long timestamp, params long[] offsets)
    {
        var records = new byte[offsets.Length * 64];
        var at = 0;
        foreach (var offset in offsets)
        {
            var delta = (int)(offset - from);
            var value = Encoding.UTF8.GetBytes($"{offset}");
            var body = 1 + 1 + Varint.SizeOf(delta) + Varint.SizeOf(-1) + Varint.SizeOf(value.Length) + value.Length + 1;
            at = Varint.Write(records, at, body);
            records[at++] = 0;
            at = Varint.Write(records, at, 0L);
            at = Varint.Write(records, at, delta);
            at = Varint.Write(records, at, -1);
            at = Varint.Write(records, at, value.Length);
            value.CopyTo(records, at);
            at += value.Length;
            records[at++] = 0;
        }

        var batch = new byte[RecordBatchHeader.Size + at];
        records.AsSpan(0, at).CopyTo(batch.AsSpan(RecordBatchHeader.Size));
        RecordBatch.StampOffsetAndEpoch(batch, from, leaderEpoch);
        BinaryPrimitives.WriteInt32BigEndian(batch.AsSpan(RecordBatchHeader.LengthAt), batch.Length - RecordBatchHeader.LeaderEpochAt);
        batch[RecordBatchHeader.MagicAt] = 2;
        BinaryPrimitives.WriteInt32BigEndian(batch.AsSpan(RecordBatchHeader.LastOffsetDeltaAt), (int)(end - from - 1));
        BinaryPrimitives.WriteInt64BigEndian(batch.AsSpan(RecordBatchHeader.BaseTimestampAt), timestamp);
        BinaryPrimitives.WriteInt64BigEndian(batch.AsSpan(RecordBatchHeader.MaxTimestampAt), timestamp);
        BinaryPrimitives.WriteInt32BigEndian(batch.AsSpan(RecordBatchHeader.RecordCountAt), offsets.Length);
        RecordBatch.StampProducer(batch, -1, -1, -1);
        return batch;
    }

    /// <summary>The batches in what was read, each checked.</summary>
    public static List<byte[]> Split(ReadOnlyMemory<byte> batches)
    {
        var split = new List<byte[]>();
        while (!batches.IsEmpty)
        {
            RecordBatch.Validate(batches.Span, out var header).ShouldBe(Errors.StreamsErrorCode.None);
            split.Add(batches[..header.TotalBytes].ToArray());
            batches = batches[header.TotalBytes..];
        }

        return split;
    }

    /// <summary>Everything in a log from an offset on, in as many reads as it takes; offsets are checked to be dense.</summary>
    public static async Task<List<byte[]>> ReadAllAsync(this OrleansStreams.Storage.ILog log, long? from = null, int maxBytes = 1 << 20)
    {
        var all = new List<byte[]>();
        var offset = from ?? log.StartOffset;
        while (offset < log.DurableEndOffset)
        {
            var read = await log.ReadAsync(offset, maxBytes);
            read.Batches.IsEmpty.ShouldBeFalse();
            foreach (var batch in Split(read.Batches))
            {
                var header = RecordBatchHeader.Read(batch);
                if (all.Count > 0)
                {
                    header.BaseOffset.ShouldBe(RecordBatchHeader.Read(all[^1]).NextOffset);
                }
                else
                {
                    offset.ShouldBeInRange(header.BaseOffset, header.LastOffset);
                }

                all.Add(batch);
            }

            read.NextOffset.ShouldBe(RecordBatchHeader.Read(all[^1]).NextOffset);
            offset = read.NextOffset;
        }

        return all;
    }

    public static ValueTask AppendAsync(this OrleansStreams.Storage.ILog log, params byte[][] batches) =>
        log.AppendAsync(log.NextOffset, [.. batches.Select(batch => (ReadOnlyMemory<byte>)batch)]);
}
