using System.Globalization;
using OrleansStreams.Records;

namespace OrleansStreams.Storage.Files;

/// <summary>Readers: memory first, then the segments.</summary>
internal sealed partial class FileLog
{
    // A reader that asks for more gets it in pieces of this size.
    private const int ReadBytesMax = 8 * 1024 * 1024;

    private const int ReadAheadBytes = 4 * 1024 * 1024;

    // As the index interval: a walk from an index entry to a batch is one read.
    private const int WalkBytes = 16 * 1024;

    // Made by the first reader that the cache does not serve: idle logs are many.
    private ReadHint?[]? _readHints;

    public ValueTask<LogRead> ReadAsync(long offset, int maxBytes, CancellationToken cancellationToken = default)
    {
        cancellationToken.ThrowIfCancellationRequested();
        try
        {
            lock (_gate)
            {
                CheckReadable();
                LogRules.CheckRead(Id, offset, _startOffset, _durableEndOffset);
                if (offset == _durableEndOffset)
                {
                    return ValueTask.FromResult(new LogRead(default, offset));
                }

                if (_chunks.Count > 0 && _chunks[0].BaseOffset <= offset && offset >= _rewrittenEndOffset)
                {
                    return ValueTask.FromResult(LogChunk.Find(_chunks, offset).Read(offset, maxBytes, _durableEndOffset));
                }
            }
        }
        catch (StreamsException exception)
        {
            return ValueTask.FromException<LogRead>(exception);
        }

        return new ValueTask<LogRead>(_shared.Readers.RunAsync(() => FromSegments((view, start, end, useHints) =>
        {
            LogRules.CheckRead(Id, offset, start, end);
            var segment = view[SegmentOf(view, offset)];
            return ReadSegment(segment, offset, maxBytes, Math.Min(end, segment.EndOffset), useHints);
        })));
    }

    public ValueTask<long?> FindBatchByTimestampAsync(long timestamp, CancellationToken cancellationToken = default)
    {
        cancellationToken.ThrowIfCancellationRequested();
        try
        {
            lock (_gate)
            {
                CheckReadable();
            }
        }
        catch (StreamsException exception)
        {
            return ValueTask.FromException<long?>(exception);
        }

        return new ValueTask<long?>(_shared.Readers.RunAsync(() => FromSegments<long?>((view, start, end, _) =>
        {
            foreach (var segment in view)
            {
                if (segment.EndOffset > start && segment.MaxTimestamp >= timestamp && FindTimestamp(segment, timestamp, start) is { } found)
                {
                    return found;
                }
            }

            return null;
        })));
    }

    private ReadHint?[] Hints => _readHints ?? Interlocked.CompareExchange(ref _readHints, new ReadHint?[16], null) ?? _readHints;

    /// <summary>Reads from what the segments are now; again when one of them was removed or the log closed meanwhile, which the checks then tell.</summary>
    private T FromSegments<T>(Func<List<SegmentView>, long, long, bool, T> read)
    {
        for (var attempt = 0; ; attempt++)
        {
            List<SegmentView> view;
            long start;
            long end;
            lock (_gate)
            {
                CheckReadable();
                view = _segments.ConvertAll(segment => new SegmentView(segment, segment.EndOffset, segment.Bytes, segment.MaxTimestamp));
                start = _startOffset;
                end = _durableEndOffset;
            }

            try
            {
                return read(view, start, end, attempt == 0);
            }
            catch (ObjectDisposedException) when (attempt < 100)
            {
                // Each time the view was newer, so this ends.
            }
            catch (Exception exception) when (exception is IOException or UnauthorizedAccessException or ObjectDisposedException)
            {
                throw LogRules.Failed(Id, WriteOutcome.NotAWrite, exception);
            }
        }
    }

    private LogRead ReadSegment(SegmentView view, long offset, int maxBytes, long limitOffset, bool useHints)
    {
        var hint = useHints ? Volatile.Read(ref Hints[HintSlot(offset)]) : null;
        var isGoingOn = hint is not null && hint.Offset == offset && hint.Segment == view.Segment;
        var position = isGoingOn ? hint!.Position : PositionOf(view, offset);
        var data = view.Segment.Data;
        var lent = Rent((int)Math.Min(view.Bytes - position, Math.Clamp(maxBytes, RecordBatchHeader.Size, ReadBytesMax)), out var bytes);
        var count = data.Read(position, bytes);
        var first = CheckFirst(view, bytes[..count], position, offset);
        if (first.TotalBytes > bytes.Length)
        {
            lent.Release();
            lent = Rent(first.TotalBytes, out bytes);
            count = data.Read(position, bytes);
        }

        var read = 0;
        var nextOffset = first.BaseOffset;
        while (nextOffset < limitOffset && count - read >= RecordBatchHeader.Size)
        {
            var header = RecordBatchHeader.Read(bytes[read..]);
            if (header.BaseOffset != nextOffset || !StoredBatch.IsHeader(header) || header.TotalBytes > count - read ||
                !StoredBatch.HasRightCrc(bytes.Slice(read, header.TotalBytes), header))
            {
                break;
            }

            read += header.TotalBytes;
            nextOffset = header.NextOffset;
        }

        if (read == 0)
        {
            // A damaged batch behind good ones is met by the next read.
            throw Damaged(view, position, offset, "fails its checksum");
        }

        if (isGoingOn)
        {
            // Somebody reads the log from end to end: while this piece is used the disk brings the next ones.
            data.Prefetch(position + read, Math.Min(ReadAheadBytes, view.Bytes - position - read));
        }

        Volatile.Write(ref Hints[HintSlot(nextOffset)], new ReadHint(nextOffset, view.Segment, position + read));
        return new LogRead(lent.Bytes.AsMemory(0, read), nextOffset, lent.HandOver());
    }

    private LentBuffer Rent(int length, out Span<byte> bytes)
    {
        var buffers = _shared.Cache.Buffers;
        var lent = new LentBuffer(buffers.Rent(length), buffers.Return);
        bytes = lent.Bytes.AsSpan(0, length);
        return lent;
    }

    /// <summary>Where the batch that holds an offset begins.</summary>
    private long PositionOf(SegmentView view, long offset)
    {
        using var cursor = new BatchCursor(view.Segment.Data, view.Segment.Index.FindOffset(offset).Position, view.Bytes, WalkBytes);
        while (cursor.TryReadHeader(out var header) && header.BaseOffset <= offset)
        {
            if (header.NextOffset > offset)
            {
                return cursor.Position;
            }

            cursor.MoveBy(header.TotalBytes);
        }

        throw Damaged(view, cursor.Position, offset, "is not where it must be");
    }

    private long? FindTimestamp(SegmentView view, long timestamp, long startOffset)
    {
        var index = view.Segment.Index;
        var from = Math.Max(index.FindTimestamp(timestamp).Position, startOffset <= view.Segment.BaseOffset ? 0 : index.FindOffset(startOffset).Position);
        using var cursor = new BatchCursor(view.Segment.Data, from, view.Bytes, WalkBytes);
        while (cursor.Position < view.Bytes)
        {
            if (!cursor.TryReadHeader(out var header))
            {
                throw Damaged(view, cursor.Position, view.Segment.BaseOffset, "or one behind it has no header");
            }

            if (header.NextOffset > startOffset && header.MaxTimestamp >= timestamp)
            {
                return header.BaseOffset;
            }

            cursor.MoveBy(header.TotalBytes);
        }

        return null;
    }

    private RecordBatchHeader CheckFirst(SegmentView view, ReadOnlySpan<byte> bytes, long position, long offset)
    {
        var header = bytes.Length < RecordBatchHeader.Size ? default : RecordBatchHeader.Read(bytes);
        return header.BaseOffset <= offset && header.NextOffset > offset && StoredBatch.IsHeader(header) && header.TotalBytes <= view.Bytes - position
            ? header
            : throw Damaged(view, position, offset, "has a bad header");
    }

    private StreamsException Damaged(SegmentView view, long position, long offset, string what) => LogRules.Corrupt(Id, string.Create(
        CultureInfo.InvariantCulture, $"the batch of offset {offset}, at position {position} of '{view.Segment.DataPath}', {what}"));

    private static int SegmentOf(List<SegmentView> view, long offset)
    {
        var low = 0;
        var high = view.Count - 1;
        while (low < high)
        {
            var middle = (low + high + 1) / 2;
            if (view[middle].Segment.BaseOffset <= offset)
            {
                low = middle;
            }
            else
            {
                high = middle - 1;
            }
        }

        return low;
    }

    // Consecutive reads begin at offsets that are multiples of the batch size, so the low bits alone would meet in few slots.
    private static int HintSlot(long offset) => (int)(((ulong)offset * 0x9E3779B97F4A7C15UL) >> 60);

    private readonly record struct SegmentView(LogSegment Segment, long EndOffset, long Bytes, long MaxTimestamp);

    /// <summary>Where a reader that reads on will begin: spares it the look-up.</summary>
    private sealed record ReadHint(long Offset, LogSegment Segment, long Position);
}
