using System.Buffers.Binary;

namespace OrleansStreams.Records;

/// <summary>
/// Builds a batch of records that keep offsets and bytes of their own, with gaps where others were left out: what compaction and the dropping of
/// duplicates leave. The batch covers a whole range of offsets whatever it holds, down to no record at all. Used again after <see cref="Build"/>.
/// A delete horizon (KIP-534) stands in the base timestamp, marked by bit 6 of the attributes; the timestamp deltas start from it.
/// </summary>
internal sealed class SparseBatchBuilder
{
    /// <summary>Attributes bit 6: the base timestamp is the time from which tombstones in the batch may go.</summary>
    public const short DeleteHorizonBit = 1 << 6;

    private const int CompressionMask = 7;

    private readonly List<Entry> _entries = [];
    private byte[] _tails = new byte[4096];
    private int _tailBytes;

    public int Count => _entries.Count;

    /// <summary>Bytes of the records added, before compression.</summary>
    public int RecordBytes => _tailBytes;

    /// <summary>The time from which on a batch's tombstones may go, or null when none was set.</summary>
    public static long? DeleteHorizonOf(in RecordBatchHeader header) => (header.Attributes & DeleteHorizonBit) != 0 ? header.BaseTimestamp : null;

    /// <summary>Adds a record; offsets must increase.</summary>
    public void Add(in RawRecord record)
    {
        if (_tailBytes + record.Tail.Length > _tails.Length)
        {
            Array.Resize(ref _tails, (int)Math.Min(Array.MaxLength, Math.Max(2L * _tails.Length, (long)_tailBytes + record.Tail.Length)));
        }

        record.Tail.CopyTo(_tails.AsSpan(_tailBytes));
        _entries.Add(new Entry(record.Offset, record.Timestamp, record.Attributes, _tailBytes, record.Tail.Length));
        _tailBytes += record.Tail.Length;
    }

    /// <summary>The batch over the offsets from <see cref="SparseBatch.From"/> to <see cref="SparseBatch.End"/>; the builder is empty afterwards.</summary>
    public byte[] Build(in SparseBatch shape)
    {
        var attributes = (short)((shape.Attributes & ~DeleteHorizonBit) | (shape.DeleteHorizon is null ? 0 : DeleteHorizonBit));
        var compression = (CompressionType)(attributes & CompressionMask);
        var baseTimestamp = shape.DeleteHorizon ?? (_entries.Count == 0 ? -1 : _entries[0].Timestamp);
        var maxTimestamp = -1L;
        foreach (var entry in _entries)
        {
            maxTimestamp = Math.Max(maxTimestamp, entry.Timestamp);
        }

        byte[] batch;
        if (_entries.Count == 0)
        {
            // Nothing compressed is no valid stream of every codec.
            attributes &= ~CompressionMask;
            batch = new byte[RecordBatchHeader.Size];
        }
        else
        {
            batch = Encode(shape.From, baseTimestamp);
            if (compression != CompressionType.None)
            {
                batch = Compression.Compress(compression, batch, RecordBatchHeader.Size, batch.Length - RecordBatchHeader.Size, RecordBatchHeader.Size);
            }
        }

        var to = batch.AsSpan();
        RecordBatch.StampOffsetAndEpoch(to, shape.From, shape.LeaderEpoch);
        BinaryPrimitives.WriteInt32BigEndian(to[RecordBatchHeader.LengthAt..], batch.Length - RecordBatchHeader.LeaderEpochAt);
        to[RecordBatchHeader.MagicAt] = 2;
        BinaryPrimitives.WriteInt16BigEndian(to[RecordBatchHeader.AttributesAt..], attributes);
        BinaryPrimitives.WriteInt32BigEndian(to[RecordBatchHeader.LastOffsetDeltaAt..], checked((int)(shape.End - shape.From - 1)));
        BinaryPrimitives.WriteInt64BigEndian(to[RecordBatchHeader.BaseTimestampAt..], baseTimestamp);
        BinaryPrimitives.WriteInt64BigEndian(to[RecordBatchHeader.MaxTimestampAt..], maxTimestamp);
        BinaryPrimitives.WriteInt32BigEndian(to[RecordBatchHeader.RecordCountAt..], _entries.Count);
        RecordBatch.StampProducer(to, shape.ProducerId, shape.ProducerEpoch, shape.BaseSequence); // computes the CRC, so it comes last
        _entries.Clear();
        _tailBytes = 0;
        return batch;
    }

    private byte[] Encode(long from, long baseTimestamp)
    {
        var size = RecordBatchHeader.Size;
        foreach (var entry in _entries)
        {
            var length = LengthOf(entry, from, baseTimestamp);
            size = checked(size + Varint.SizeOf(length) + length);
        }

        var batch = GC.AllocateUninitializedArray<byte>(size);
        var at = RecordBatchHeader.Size;
        foreach (var entry in _entries)
        {
            at = Varint.Write(batch, at, LengthOf(entry, from, baseTimestamp));
            batch[at++] = entry.Attributes;
            at = Varint.Write(batch, at, unchecked(entry.Timestamp - baseTimestamp));
            at = Varint.Write(batch, at, (int)(entry.Offset - from));
            _tails.AsSpan(entry.TailAt, entry.TailBytes).CopyTo(batch.AsSpan(at));
            at += entry.TailBytes;
        }

        return batch;
    }

    private static int LengthOf(in Entry entry, long from, long baseTimestamp) =>
        1 + Varint.SizeOf(unchecked(entry.Timestamp - baseTimestamp)) + Varint.SizeOf((int)(entry.Offset - from)) + entry.TailBytes;

    private readonly record struct Entry(long Offset, long Timestamp, byte Attributes, int TailAt, int TailBytes);
}

/// <summary>What a sparse batch is besides its records.</summary>
/// <param name="From">The first offset that it covers.</param>
/// <param name="End">The offset after the last that it covers.</param>
/// <param name="LeaderEpoch">The leader epoch.</param>
/// <param name="Attributes">Compression, timestamp type and flags.</param>
internal readonly record struct SparseBatch(long From, long End, int LeaderEpoch, short Attributes)
{
    public long? DeleteHorizon { get; init; }

    public long ProducerId { get; init; } = RecordBatchHeader.NoProducerId;

    public short ProducerEpoch { get; init; } = -1;

    public int BaseSequence { get; init; } = -1;
}
