using System.Buffers.Binary;
using OrleansStreams.Records;

namespace OrleansStreams.Log.Compaction;

/// <summary>
/// Turns the batches of a range into those that remain of it: records that a later one of the same key supersedes are left out, tombstones too once
/// they have been readable for long enough, and what remains of neighbouring batches is put together. Every offset stays covered. Records keep their
/// offsets, timestamps and bytes; batches lose their producers, whose states are in the partition's checkpoint.
/// </summary>
internal sealed class CompactedBatches(CompactionPass pass, long deleteRetentionMs, long fromOffset, int batchBytesMax)
{
    // A batch of this size that loses nothing is taken over as it is.
    private const int WholeBatchBytes = 16 * 1024;
    private const long RangeMax = int.MaxValue; // what LastOffsetDelta can say
    private const int HeaderKindMask = ~SparseBatchBuilder.DeleteHorizonBit;

    private static readonly byte[] s_markerName = [0, .. "watermark"u8];

    private readonly SparseBatchBuilder _builder = new();
    private readonly List<byte[]> _done = [];
    private SparseBatch _open = new(fromOffset, fromOffset, -1, 0);
    private long _openLogAppendTime = -1;
    private bool _openHasTombstones;

    /// <summary>Records that were left out so far.</summary>
    public long RecordsRemoved { get; private set; }

    /// <summary>Whether anything differs from what was there.</summary>
    public bool HasChanges { get; private set; }

    private long NewHorizon => deleteRetentionMs > long.MaxValue - pass.Now ? long.MaxValue : pass.Now + deleteRetentionMs;

    /// <summary>What a record competes with its likes by: its key; for a watermark marker the task that it is from. Null: it stays whatever follows.</summary>
    public static UInt128? NameOf(in RawRecord record, bool isControl)
    {
        if (!isControl)
        {
            return KeyOffsetMap.HashOf(record.Key);
        }

        // The marker's value: version, length of the task's name, the name, the watermark (WatermarkMarker).
        if (!ControlRecord.TryReadType(record.Key, out var type) || type != ControlRecord.WatermarkType || record.Value.Length < 12)
        {
            return null;
        }

        var nameBytes = Math.Clamp((int)BinaryPrimitives.ReadInt16BigEndian(record.Value[2..]), 0, record.Value.Length - 12);
        return KeyOffsetMap.HashOf([.. s_markerName, .. record.Value.Slice(4, nameBytes)]);
    }

    /// <summary>Takes the next batch of the range.</summary>
    public void Add(ReadOnlyMemory<byte> batch)
    {
        var header = RecordBatchHeader.Read(batch.Span);
        if (header.BaseOffset > _open.End && _builder.Count == 0)
        {
            // Below the log start offset nothing can be read, and nothing has to be kept.
            CoverUpTo(header.BaseOffset, header.LeaderEpoch);
        }

        if (!TryKeep(batch, header, out var kept))
        {
            TakeWhole(batch, header);
            return;
        }

        RecordsRemoved += header.RecordCount - kept.Count;
        if (kept.Count == header.RecordCount && header.TotalBytes >= WholeBatchBytes && kept.Horizon == SparseBatchBuilder.DeleteHorizonOf(header))
        {
            TakeWhole(batch, header);
            return;
        }

        HasChanges |= kept.Count < header.RecordCount || kept.Horizon != SparseBatchBuilder.DeleteHorizonOf(header);
        Append(batch, header, kept);
    }

    /// <summary>The batches that are complete, back to back; empty when there are none yet.</summary>
    public ReadOnlyMemory<byte> Take()
    {
        if (_done.Count == 0)
        {
            return default;
        }

        var all = new byte[_done.Sum(batch => batch.Length)];
        var at = 0;
        foreach (var batch in _done)
        {
            batch.CopyTo(all, at);
            at += batch.Length;
        }

        _done.Clear();
        return all;
    }

    /// <summary>Completes the last batch, up to the end of the range.</summary>
    public void Finish(long endOffset)
    {
        CoverUpTo(endOffset, _open.LeaderEpoch);
        Close();
    }

    /// <summary>Judges a batch's records; false when they cannot be read (then they stay as they are).</summary>
    private bool TryKeep(ReadOnlyMemory<byte> batch, in RecordBatchHeader header, out Kept kept)
    {
        kept = new Kept([], SparseBatchBuilder.DeleteHorizonOf(header), false);
        try
        {
            var index = 0;
            var keeps = new bool[header.RecordCount];
            var count = 0;
            var hasTombstones = false;
            for (var records = new RawRecords(batch); records.TryRead(out var record); index++)
            {
                if (Keeps(record, header, out var isTombstone))
                {
                    keeps[index] = true;
                    count++;
                    hasTombstones |= isTombstone && record.Offset < pass.MapEndOffset;
                }
            }

            kept = new Kept(keeps, hasTombstones ? kept.Horizon ?? NewHorizon : kept.Horizon, hasTombstones) { Count = count };
            return true;
        }
        catch (StreamsException)
        {
            return false;
        }
    }

    private bool Keeps(in RawRecord record, in RecordBatchHeader header, out bool isTombstone)
    {
        isTombstone = header.IsControl
            ? ControlRecord.TryReadType(record.Key, out var type) && type is ControlRecord.AbortType or ControlRecord.CommitType
            : record.ValueIsNull;
        if (record.Offset >= pass.MapEndOffset)
        {
            return true;
        }

        // Those came in before the topic was compacted; there is nothing that they could be the latest of.
        if (record.KeyIsNull)
        {
            return false;
        }

        return !(NameOf(record, header.IsControl) is { } name && pass.Map.LatestOf(name) > record.Offset) &&
            !(isTombstone && SparseBatchBuilder.DeleteHorizonOf(header) is { } horizon && pass.Now > horizon);
    }

    private void Append(ReadOnlyMemory<byte> batch, in RecordBatchHeader header, in Kept kept)
    {
        if (kept.Count > 0 && _builder.Count > 0 && !Fits(header, kept))
        {
            Close();
        }

        if (header.NextOffset - _open.From > RangeMax)
        {
            Close();
        }

        if (kept.Count > 0)
        {
            if (_builder.Count == 0)
            {
                _open = _open with { Attributes = (short)(header.Attributes & HeaderKindMask), DeleteHorizon = null };
                _openHasTombstones = false;
                _openLogAppendTime = header.TimestampType == TimestampType.LogAppendTime ? header.MaxTimestamp : -1;
            }

            if (kept.HasTombstones || _open.DeleteHorizon is null)
            {
                _open = _open with { DeleteHorizon = kept.Horizon };
            }

            _openHasTombstones |= kept.HasTombstones;
            var index = 0;
            for (var records = new RawRecords(batch); records.TryRead(out var record); index++)
            {
                if (kept.Keeps[index])
                {
                    _builder.Add(record);
                }
            }
        }

        var isItsEpoch = kept.Count > 0 || _builder.Count == 0;
        _open = _open with { End = header.NextOffset, LeaderEpoch = isItsEpoch ? header.LeaderEpoch : _open.LeaderEpoch };
    }

    /// <summary>Whether the records may stand in the batch that is being put together.</summary>
    private bool Fits(in RecordBatchHeader header, in Kept kept) =>
        (short)(header.Attributes & HeaderKindMask) == _open.Attributes && !header.IsControl && header.LeaderEpoch == _open.LeaderEpoch &&
        _builder.RecordBytes + header.TotalBytes <= batchBytesMax &&
        (header.TimestampType != TimestampType.LogAppendTime || header.MaxTimestamp == _openLogAppendTime) &&
        (!kept.HasTombstones || !_openHasTombstones || kept.Horizon == _open.DeleteHorizon);

    private void TakeWhole(ReadOnlyMemory<byte> batch, in RecordBatchHeader header)
    {
        Close();
        _done.Add(batch.ToArray());
        _open = new SparseBatch(header.NextOffset, header.NextOffset, header.LeaderEpoch, 0);
    }

    /// <summary>Lengthens the open batch over offsets without a record.</summary>
    private void CoverUpTo(long endOffset, int leaderEpoch)
    {
        while (endOffset - _open.From > RangeMax)
        {
            _open = _open with { End = Math.Min(endOffset, _open.From + RangeMax) };
            Close();
        }

        _open = _open with { End = endOffset, LeaderEpoch = _builder.Count == 0 ? leaderEpoch : _open.LeaderEpoch };
    }

    private void Close()
    {
        if (_open.End > _open.From)
        {
            _done.Add(_builder.Build(_builder.Count == 0 ? _open with { Attributes = 0, DeleteHorizon = null } : _open));
        }

        _open = new SparseBatch(_open.End, _open.End, _open.LeaderEpoch, 0);
        _openHasTombstones = false;
    }

    private readonly record struct Kept(bool[] Keeps, long? Horizon, bool HasTombstones)
    {
        public int Count { get; init; }
    }
}
