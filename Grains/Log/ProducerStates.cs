using System.Buffers.Binary;
using OrleansStreams.Records;

namespace OrleansStreams.Log;

/// <summary>
/// The idempotent producers of one partition. Bounded: past <paramref name="max"/> the one that was silent for longest is forgotten.
/// Checkpoint form (little-endian), which holds batches below the checkpoint's offset only:
/// <code>
///  version int32 = 1 | producer count int32
///  per producer, silent longest first: id int64 | epoch int16 | last seen int64 | records tracked int64 | batch count int32
///    per batch, oldest first: base sequence int32 | last sequence int32 | base offset int64 | log append time int64
/// </code>
/// </summary>
internal sealed class ProducerStates(int max)
{
    private const int Version = 1;
    private const int ProducerBytes = 30;
    private const int BatchBytes = 24;

    private readonly Dictionary<long, ProducerState> _producers = [];
    private ProducerState? _oldest;
    private ProducerState? _newest;

    public int Count => _producers.Count;

    public SequenceVerdict Judge(in RecordBatchHeader header, out RememberedBatch original)
    {
        if (_producers.TryGetValue(header.ProducerId, out var producer))
        {
            return producer.Judge(header, out original);
        }

        original = default;
        return SequenceVerdict.Next;
    }

    /// <summary>Takes over a batch that was judged to be next, or that stands in the log.</summary>
    public void Add(in RecordBatchHeader header, long baseOffset, long logAppendTime, long now)
    {
        if (_producers.TryGetValue(header.ProducerId, out var producer))
        {
            Unlink(producer);
        }
        else
        {
            if (_producers.Count >= max && _oldest is { } silent)
            {
                Forget(silent);
            }

            producer = new ProducerState(header.ProducerId);
            _producers.Add(header.ProducerId, producer);
        }

        producer.Add(header.ProducerEpoch, new RememberedBatch(header.BaseSequence, header.LastSequence, baseOffset, logAppendTime));
        producer.LastSeen = now;
        LinkNewest(producer);
    }

    /// <summary>Forgets producers that were silent since before a time.</summary>
    public void Expire(long before)
    {
        while (_oldest is { } silent && silent.LastSeen < before)
        {
            Forget(silent);
        }
    }

    public byte[] Serialize(long belowOffset)
    {
        var size = 8;
        for (var producer = _oldest; producer is not null; producer = producer.Newer)
        {
            size += ProducerBytes + (producer.Batches.Length * BatchBytes);
        }

        var blob = new byte[size];
        var count = 0;
        var at = 8;
        for (var producer = _oldest; producer is not null; producer = producer.Newer)
        {
            if (producer.Batches[0].NextOffset <= belowOffset)
            {
                at = Write(blob, at, producer, belowOffset);
                count++;
            }
        }

        BinaryPrimitives.WriteInt32LittleEndian(blob, Version);
        BinaryPrimitives.WriteInt32LittleEndian(blob.AsSpan(4), count);
        return blob[..at];
    }

    /// <summary>Reads a checkpoint; false, with nothing changed, when the blob is none (then the log itself has to be scanned).</summary>
    public bool TryRestore(ReadOnlySpan<byte> blob)
    {
        if (blob.Length < 8 || BinaryPrimitives.ReadInt32LittleEndian(blob) != Version)
        {
            return false;
        }

        var read = new List<ProducerState>();
        var left = BinaryPrimitives.ReadInt32LittleEndian(blob[4..]);
        for (blob = blob[8..]; left > 0; left--)
        {
            if (ReadProducer(ref blob) is not { } producer)
            {
                return false;
            }

            read.Add(producer);
        }

        foreach (var producer in read)
        {
            if (_producers.TryAdd(producer.ProducerId, producer))
            {
                LinkNewest(producer);
            }
        }

        return true;
    }

    private static int Write(Span<byte> blob, int at, ProducerState producer, long belowOffset)
    {
        var to = blob[at..];
        var batches = 0;
        var tracked = producer.RecordsTracked;
        var end = ProducerBytes;
        foreach (ref readonly var batch in producer.Batches)
        {
            if (batch.NextOffset > belowOffset)
            {
                tracked -= Sequences.Count(batch.BaseSequence, batch.LastSequence);
                continue;
            }

            BinaryPrimitives.WriteInt32LittleEndian(to[end..], batch.BaseSequence);
            BinaryPrimitives.WriteInt32LittleEndian(to[(end + 4)..], batch.LastSequence);
            BinaryPrimitives.WriteInt64LittleEndian(to[(end + 8)..], batch.BaseOffset);
            BinaryPrimitives.WriteInt64LittleEndian(to[(end + 16)..], batch.LogAppendTime);
            end += BatchBytes;
            batches++;
        }

        BinaryPrimitives.WriteInt64LittleEndian(to, producer.ProducerId);
        BinaryPrimitives.WriteInt16LittleEndian(to[8..], producer.Epoch);
        BinaryPrimitives.WriteInt64LittleEndian(to[10..], producer.LastSeen);
        BinaryPrimitives.WriteInt64LittleEndian(to[18..], tracked);
        BinaryPrimitives.WriteInt32LittleEndian(to[26..], batches);
        return at + end;
    }

    private static ProducerState? ReadProducer(ref ReadOnlySpan<byte> blob)
    {
        if (blob.Length < ProducerBytes)
        {
            return null;
        }

        var batches = BinaryPrimitives.ReadInt32LittleEndian(blob[26..]);
        if (batches is < 1 or > ProducerState.BatchesRemembered || blob.Length < ProducerBytes + (batches * BatchBytes))
        {
            return null;
        }

        var producer = new ProducerState(BinaryPrimitives.ReadInt64LittleEndian(blob));
        var epoch = BinaryPrimitives.ReadInt16LittleEndian(blob[8..]);
        var lastSeen = BinaryPrimitives.ReadInt64LittleEndian(blob[10..]);
        var tracked = BinaryPrimitives.ReadInt64LittleEndian(blob[18..]);
        blob = blob[ProducerBytes..];
        for (; batches > 0; batches--)
        {
            producer.Add(epoch, new RememberedBatch(
                BinaryPrimitives.ReadInt32LittleEndian(blob),
                BinaryPrimitives.ReadInt32LittleEndian(blob[4..]),
                BinaryPrimitives.ReadInt64LittleEndian(blob[8..]),
                BinaryPrimitives.ReadInt64LittleEndian(blob[16..])));
            blob = blob[BatchBytes..];
        }

        producer.LastSeen = lastSeen;
        producer.RecordsTracked = tracked;
        return producer;
    }

    private void Forget(ProducerState producer)
    {
        Unlink(producer);
        _producers.Remove(producer.ProducerId);
    }

    private void LinkNewest(ProducerState producer)
    {
        producer.Older = _newest;
        producer.Newer = null;
        if (_newest is null)
        {
            _oldest = producer;
        }
        else
        {
            _newest.Newer = producer;
        }

        _newest = producer;
    }

    private void Unlink(ProducerState producer)
    {
        if (producer.Older is null)
        {
            _oldest = producer.Newer;
        }
        else
        {
            producer.Older.Newer = producer.Newer;
        }

        if (producer.Newer is null)
        {
            _newest = producer.Older;
        }
        else
        {
            producer.Newer.Older = producer.Older;
        }

        producer.Older = producer.Newer = null;
    }
}
