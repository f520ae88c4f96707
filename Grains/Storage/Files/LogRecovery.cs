using System.Buffers;
using System.Globalization;
using Microsoft.Extensions.Logging;
using OrleansStreams.Records;

namespace OrleansStreams.Storage.Files;

/// <summary>What recovery found, ready to go on.</summary>
internal sealed record RecoveredLog(List<LogSegment> Segments, long StartOffset, LogCheckpoint? Checkpoint, int LeaderEpoch);

/// <summary>
/// Opens a log's folder after anything: finishes a truncation, cuts a torn tail, makes lost indexes anew and raises the leader epoch.
/// Every byte that was acknowledged stays; where one is damaged it says so and changes nothing of the log.
/// </summary>
internal sealed class LogRecovery(FileHandles handles, ILogger logger, LogId id, string folder, LogOptions options)
{
    private readonly IFileSystem _files = handles.Files;

    private const int BlockBytes = 1024 * 1024;

    public RecoveredLog Run()
    {
        SegmentSwap.Recover(_files, folder);
        RemoveLeftovers();
        var epoch = ReadState(LogPaths.EpochFile);
        var start = ReadState(LogPaths.StartFile);
        var checkpoint = ReadState(LogPaths.CheckpointFile);
        var startOffset = start?.Number ?? 0;
        var segments = new List<LogSegment>();
        try
        {
            RecoverSegments(segments, startOffset);
            var isEmpty = segments.TrueForAll(segment => segment.Bytes == 0);
            if ((epoch is null && !isEmpty) || (segments.Count == 0 && (start is not null || checkpoint is not null)))
            {
                throw LogRules.Corrupt(id, $"files are missing from '{folder}' ({(epoch is null ? LogPaths.EpochFile : "all segments")})");
            }

            var endOffset = segments.Count == 0 ? startOffset : segments[^1].EndOffset;
            if (startOffset > endOffset || (checkpoint?.Number ?? 0) > endOffset)
            {
                throw LogRules.Corrupt(id, $"it ends at offset {endOffset}, before its start {startOffset} or its checkpoint {checkpoint?.Number ?? 0}");
            }

            var leaderEpoch = checked((int)((epoch?.Number ?? 0) + 1));
            StateFile.Write(_files, Path.Join(folder, LogPaths.EpochFile), leaderEpoch, default);
            if (segments.Count == 0)
            {
                segments.Add(LogSegment.Create(handles, folder, startOffset));
            }

            return new RecoveredLog(segments, startOffset, checkpoint is { } found ? new LogCheckpoint(found.Number, found.Blob) : null, leaderEpoch);
        }
        catch
        {
            segments.ForEach(segment => segment.Dispose());
            throw;
        }
    }

    private void RecoverSegments(List<LogSegment> segments, long startOffset)
    {
        var bases = _files.ListFiles(folder).Select(name => LogPaths.BaseOffsetOf(name, LogPaths.SegmentSuffix)).OfType<long>().Order().ToList();

        // A truncation that a crash interrupted: what lies wholly below the start is not missed, whatever of it is left.
        while (bases.Count > 1 && bases[1] <= startOffset)
        {
            _files.DeleteFile(LogPaths.SegmentFile(folder, bases[0]));
            _files.DeleteFile(LogPaths.IndexFile(folder, bases[0]));
            bases.RemoveAt(0);
        }

        if (bases.Count > 0 && bases[0] > startOffset)
        {
            throw LogRules.Corrupt(id, $"the segment with offset {startOffset} is missing from '{folder}'");
        }

        for (var i = 0; i < bases.Count; i++)
        {
            segments.Add(i < bases.Count - 1 ? RecoverSealed(bases[i], bases[i + 1]) : RecoverActive(bases[i]));
        }
    }

    /// <summary>A segment before the last was flushed with its index when it was sealed: an index that agrees with the file is believed.</summary>
    private LogSegment RecoverSealed(long baseOffset, long endOffset)
    {
        var indexPath = LogPaths.IndexFile(folder, baseOffset);
        using var data = _files.Open(LogPaths.SegmentFile(folder, baseOffset), FileOpening.Read);
        var length = data.Length;
        if (SegmentIndex.LoadMark(_files, indexPath, baseOffset) is { } mark && mark.Position == length && mark.EndOffset == endOffset)
        {
            return LogSegment.Sealed(handles, folder, baseOffset, mark);
        }

        logger.IndexRebuilt(id, baseOffset);
        var index = new SegmentIndex(baseOffset);
        var scan = Scan(data, length, index);
        if (scan.Mark.Position != length || scan.Mark.EndOffset != endOffset)
        {
            throw Damaged(baseOffset, scan.Mark);
        }

        using var indexFile = _files.Open(indexPath, FileOpening.Create);
        index.PersistAll(indexFile, scan.Mark);
        return LogSegment.Sealed(handles, folder, baseOffset, scan.Mark);
    }

    private LogSegment RecoverActive(long baseOffset)
    {
        var indexPath = LogPaths.IndexFile(folder, baseOffset);
        var index = SegmentIndex.Load(_files, indexPath, baseOffset);
        var data = handles.Open(LogPaths.SegmentFile(folder, baseOffset), FileOpening.ReadWrite);
        IStorageFile? indexFile = null;
        try
        {
            var length = data.Length;
            var durable = index.LoadedMark?.Position ?? 0;
            if (Math.Max(durable, index.Last.Position) > length)
            {
                throw LogRules.Corrupt(id, $"segment {baseOffset} in '{folder}' has {length} bytes, but more were flushed");
            }

            var lastEntry = index.Last.Position;
            var scan = Scan(data, length, index);
            if (scan.Mark.Position < length)
            {
                // Below the mark, and in a batch that the index names, stood only flushed bytes.
                if (scan.Mark.Position < durable || (lastEntry > 0 && scan.Mark.Position <= lastEntry) ||
                    IsFollowedByAcknowledged(data, length, scan, index.LoadedMark is not null))
                {
                    throw Damaged(baseOffset, scan.Mark);
                }

                logger.TailCut(id, length - scan.Mark.Position, baseOffset, scan.Mark.Position);
                data.Truncate(scan.Mark.Position);
            }

            if (scan.Mark.Position > durable || scan.Mark.Position < length)
            {
                MakeDurable(data, durable, scan.Mark.Position);
            }

            if (index.LoadedMark is null)
            {
                logger.IndexRebuilt(id, baseOffset);
                indexFile = handles.Open(indexPath, FileOpening.Create, isWatched: false);
                index.PersistAll(indexFile, scan.Mark);
                _files.FlushDirectory(folder);
            }
            else
            {
                indexFile = handles.Open(indexPath, FileOpening.ReadWrite, isWatched: false);
                index.Persist(indexFile, scan.Mark, 0);
                indexFile.Truncate(index.FileBytes);
            }

            return LogSegment.Active(handles, folder, baseOffset, scan.Mark, index, data, indexFile);
        }
        catch
        {
            data.Dispose();
            indexFile?.Dispose();
            throw;
        }
    }

    /// <summary>Goes through the batches behind the index's last entry, checking all, and completes the index.</summary>
    private (DurableMark Mark, int LeaderEpoch) Scan(IStorageFile data, long length, SegmentIndex index)
    {
        var from = index.Last;
        var nextOffset = from.Offset;
        var maxTimestamp = from.MaxTimestampBefore;
        var leaderEpoch = int.MaxValue;
        using var cursor = new BatchCursor(data, from.Position, length, BlockBytes);
        while (cursor.TryReadHeader(out var header) && header.BaseOffset == nextOffset)
        {
            var batch = cursor.ReadBatch(header);
            if (batch.IsEmpty || !StoredBatch.HasRightCrc(batch, header))
            {
                break;
            }

            if (cursor.Position - index.Last.Position >= options.IndexIntervalBytes)
            {
                index.Add(new IndexEntry(header.BaseOffset, cursor.Position, maxTimestamp));
            }

            nextOffset = header.NextOffset;
            maxTimestamp = Math.Max(maxTimestamp, header.MaxTimestamp);
            leaderEpoch = header.LeaderEpoch;
            cursor.MoveBy(header.TotalBytes);
        }

        return (new DurableMark(cursor.Position, nextOffset, maxTimestamp), leaderEpoch);
    }

    /// <summary>
    /// Whether a whole batch behind a bad one proves that the bad one was acknowledged. Batches of one write may reach the disk in any
    /// order, so a whole one behind a torn one means nothing by itself; but one of a later leader does (that leader's opening flushed all
    /// before), and without an index, which would have told how far flushes reached, we rather refuse than cut.
    /// </summary>
    private static bool IsFollowedByAcknowledged(IStorageFile data, long length, (DurableMark Mark, int LeaderEpoch) scan, bool hasMark)
    {
        using var block = MemoryPool<byte>.Shared.Rent(BlockBytes);
        var (position, endOffset) = (scan.Mark.Position + 1, scan.Mark.EndOffset);
        while (length - position >= RecordBatchHeader.Size)
        {
            var bytes = block.Memory.Span[..(int)Math.Min(block.Memory.Length, length - position)];
            bytes = bytes[..data.Read(position, bytes)];
            var candidates = bytes.Length - RecordBatchHeader.Size + 1;
            if (candidates <= 0)
            {
                return false;
            }

            for (var i = 0; i < candidates; i++)
            {
                if (bytes[i + RecordBatchHeader.MagicAt] == 2 && IsLaterBatch(data, length, position + i, bytes[i..], endOffset, out var header) &&
                    (!hasMark || header.LeaderEpoch > scan.LeaderEpoch))
                {
                    return true;
                }
            }

            position += candidates;
        }

        return false;
    }

    private static bool IsLaterBatch(IStorageFile data, long length, long position, ReadOnlySpan<byte> bytes, long endOffset, out RecordBatchHeader header)
    {
        header = RecordBatchHeader.Read(bytes);
        if (!StoredBatch.IsHeader(header) || header.TotalBytes > length - position || header.BaseOffset <= endOffset)
        {
            return false;
        }

        var batch = new byte[header.TotalBytes];
        return data.Read(position, batch) == batch.Length && StoredBatch.HasRightCrc(batch, header);
    }

    /// <summary>
    /// Makes the tail durable whose flush nobody saw succeed. It is written again, not only flushed: after a failed flush the system may hold
    /// such bytes as clean although the disk never got them.
    /// </summary>
    private static void MakeDurable(IStorageFile data, long from, long to)
    {
        var block = ArrayPool<byte>.Shared.Rent(BlockBytes);
        try
        {
            for (var position = from; position < to;)
            {
                var count = data.Read(position, block.AsSpan(0, (int)Math.Min(block.Length, to - position)));
                if (count == 0)
                {
                    break;
                }

                data.Write(position, [block.AsMemory(0, count)]);
                position += count;
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(block);
        }

        data.Flush();
    }

    private void RemoveLeftovers()
    {
        foreach (var name in _files.ListFiles(folder))
        {
            var isOrphan = LogPaths.BaseOffsetOf(name, LogPaths.IndexSuffix) is { } offset && !_files.FileExists(LogPaths.SegmentFile(folder, offset));
            if (isOrphan || name.EndsWith(StateFile.TemporarySuffix, StringComparison.Ordinal))
            {
                _files.DeleteFile(Path.Join(folder, name));
            }
        }
    }

    private (long Number, byte[] Blob)? ReadState(string name)
    {
        try
        {
            return StateFile.Read(_files, Path.Join(folder, name));
        }
        catch (InvalidDataException exception)
        {
            throw LogRules.Corrupt(id, exception.Message);
        }
    }

    private StreamsException Damaged(long baseOffset, DurableMark mark) => LogRules.Corrupt(id, string.Create(
        CultureInfo.InvariantCulture,
        $"the batch of offset {mark.EndOffset}, at position {mark.Position} of '{LogPaths.SegmentFile(folder, baseOffset)}', was acknowledged and fails its checks"));
}
