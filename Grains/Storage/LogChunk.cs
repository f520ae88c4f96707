using System.Buffers.Binary;
using OrleansStreams.Records;

namespace OrleansStreams.Storage;

/// <summary>
/// A piece of a log in memory: whole record batches back to back, appended at its end, never changed once they can be read.
/// Not safe for concurrent use (its log's lock guards it); the memory that it hands out may be read by anybody for as long as they like.
/// </summary>
internal class LogChunk
{
    // One entry per 4 KiB: a lookup walks at most that much, which is a few dozen headers of the smallest batches.
    private const int SparseBytes = 4 * 1024;

    private readonly List<(long Offset, int Position)> _sparse = [];
    private readonly LentBuffer? _lent;
    private byte[] _buffer;

    /// <summary>A chunk whose memory is never used again for other bytes.</summary>
    public LogChunk(byte[] buffer, long baseOffset)
    {
        _buffer = buffer;
        BaseOffset = EndOffset = baseOffset;
    }

    /// <summary>A chunk whose memory is given back once it was released and nobody reads it any more.</summary>
    public LogChunk(byte[] buffer, long baseOffset, Action<byte[]> giveBack)
        : this(buffer, baseOffset)
    {
        _lent = new LentBuffer(buffer, giveBack);
    }

    /// <summary>The first batch's base offset.</summary>
    public long BaseOffset { get; }

    /// <summary>The offset after the last batch.</summary>
    public long EndOffset { get; private set; }

    /// <summary>Bytes used.</summary>
    public int Length { get; private set; }

    /// <summary>Bytes there are.</summary>
    public int Capacity => _buffer.Length;

    /// <summary>The largest timestamp of the batches appended.</summary>
    public long MaxTimestamp { get; private set; } = long.MinValue;

    /// <summary>Whether a batch of this size fits behind the last one.</summary>
    public bool HasRoomFor(int bytes) => _buffer.Length - Length >= bytes;

    /// <summary>The chunk that holds an offset, of chunks that follow each other; the offset is not below the first.</summary>
    public static T Find<T>(List<T> chunks, long offset)
        where T : LogChunk
    {
        var low = 0;
        var high = chunks.Count - 1;
        while (low < high)
        {
            var middle = (low + high + 1) / 2;
            if (chunks[middle].BaseOffset <= offset)
            {
                low = middle;
            }
            else
            {
                high = middle - 1;
            }
        }

        return chunks[low];
    }

    /// <summary>Copies a batch and stamps the copy; returns the copy's header.</summary>
    public RecordBatchHeader Append(ReadOnlySpan<byte> batch, long baseOffset, int leaderEpoch, long? logAppendTime)
    {
        if (baseOffset != EndOffset)
        {
            throw new InvalidOperationException($"A chunk that ends at offset {EndOffset} was given a batch for offset {baseOffset}.");
        }

        var copy = _buffer.AsSpan(Length, batch.Length);
        batch.CopyTo(copy);
        RecordBatch.StampOffsetAndEpoch(copy, baseOffset, leaderEpoch);
        if (logAppendTime is { } time)
        {
            RecordBatch.StampLogAppendTime(copy, time);
        }

        var header = RecordBatchHeader.Read(copy);
        if (_sparse.Count == 0 || Length - _sparse[^1].Position >= SparseBytes)
        {
            _sparse.Add((baseOffset, Length));
        }

        Length += batch.Length;
        EndOffset = header.NextOffset;
        MaxTimestamp = Math.Max(MaxTimestamp, header.MaxTimestamp);
        return header;
    }

    /// <summary>Takes back everything from <paramref name="endOffset"/> on; only bytes that nobody was ever shown.</summary>
    public void CutBack(long endOffset)
    {
        if (endOffset >= EndOffset)
        {
            return;
        }

        Length = endOffset <= BaseOffset ? 0 : PositionOf(endOffset);
        EndOffset = Math.Max(endOffset, BaseOffset);
        _sparse.RemoveAll(entry => entry.Position >= Length);
    }

    /// <summary>The bytes of some batches in it, for writing them.</summary>
    public ReadOnlyMemory<byte> Slice(int start, int length) => _buffer.AsMemory(start, length);

    /// <summary>Whole batches from the one that holds <paramref name="offset"/>, at least one, below <paramref name="limitOffset"/>.</summary>
    public LogRead Read(long offset, int maxBytes, long limitOffset)
    {
        var start = PositionOf(offset);
        var end = start;
        var nextOffset = offset;

        // Skips by the sparse entries that surely fit, then goes batch by batch.
        var skip = LastEntryBefore((long)start + maxBytes, limitOffset);
        if (skip.Position > start)
        {
            (nextOffset, end) = skip;
        }

        while (end < Length)
        {
            var batch = _buffer.AsSpan(end);
            var bytes = SizeAt(batch);
            if (BaseOffsetAt(batch) >= limitOffset || (end > start && end + bytes - start > maxBytes))
            {
                break;
            }

            end += bytes;
            nextOffset = NextOffsetAt(batch);
        }

        return new LogRead(_buffer.AsMemory(start, end - start), nextOffset, end > start ? _lent?.Lend() : null);
    }

    /// <summary>
    /// The base offset of the first batch that reaches above <paramref name="fromOffset"/>, lies below <paramref name="limitOffset"/> and
    /// has a timestamp of at least <paramref name="timestamp"/>.
    /// </summary>
    public long? FindTimestamp(long timestamp, long fromOffset, long limitOffset)
    {
        for (var position = 0; position < Length;)
        {
            var batch = _buffer.AsSpan(position);
            if (BaseOffsetAt(batch) >= limitOffset)
            {
                return null;
            }

            if (NextOffsetAt(batch) > fromOffset && BinaryPrimitives.ReadInt64BigEndian(batch[RecordBatchHeader.MaxTimestampAt..]) >= timestamp)
            {
                return BaseOffsetAt(batch);
            }

            position += SizeAt(batch);
        }

        return null;
    }

    /// <summary>Lets go of the buffer, once.</summary>
    public void Release()
    {
        _buffer = [];
        Length = 0;
        _sparse.Clear();
        _lent?.Release();
    }

    private int PositionOf(long offset)
    {
        var low = 0;
        var high = _sparse.Count - 1;
        while (low < high)
        {
            var middle = (low + high + 1) / 2;
            if (_sparse[middle].Offset <= offset)
            {
                low = middle;
            }
            else
            {
                high = middle - 1;
            }
        }

        var position = _sparse[low].Position;
        while (NextOffsetAt(_buffer.AsSpan(position)) <= offset)
        {
            position += SizeAt(_buffer.AsSpan(position));
        }

        return position;
    }

    private (long Offset, int Position) LastEntryBefore(long position, long limitOffset)
    {
        var low = 0;
        var high = _sparse.Count - 1;
        while (low < high)
        {
            var middle = (low + high + 1) / 2;
            if (_sparse[middle].Position <= position && _sparse[middle].Offset < limitOffset)
            {
                low = middle;
            }
            else
            {
                high = middle - 1;
            }
        }

        return _sparse[low];
    }

    private static int SizeAt(ReadOnlySpan<byte> batch) =>
        RecordBatchHeader.LengthAt + 4 + BinaryPrimitives.ReadInt32BigEndian(batch[RecordBatchHeader.LengthAt..]);

    private static long BaseOffsetAt(ReadOnlySpan<byte> batch) => BinaryPrimitives.ReadInt64BigEndian(batch);

    private static long NextOffsetAt(ReadOnlySpan<byte> batch) =>
        BaseOffsetAt(batch) + BinaryPrimitives.ReadInt32BigEndian(batch[RecordBatchHeader.LastOffsetDeltaAt..]) + 1;
}
