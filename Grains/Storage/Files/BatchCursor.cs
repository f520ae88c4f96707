using System.Buffers;
using OrleansStreams.Records;

namespace OrleansStreams.Storage.Files;

/// <summary>Goes through a segment's file batch by batch with large reads into a pooled buffer.</summary>
internal sealed class BatchCursor(IStorageFile file, long position, long limit, int blockBytes) : IDisposable
{
    private byte[] _buffer = ArrayPool<byte>.Shared.Rent(blockBytes);
    private long _bufferedFrom = position;
    private int _buffered;

    /// <summary>Where the next batch begins.</summary>
    public long Position { get; private set; } = position;

    /// <summary>Reads the header at the position; false when the bytes up to the limit hold no whole batch by its header.</summary>
    public bool TryReadHeader(out RecordBatchHeader header)
    {
        header = default;
        if (limit - Position < RecordBatchHeader.Size || !Fill(RecordBatchHeader.Size))
        {
            return false;
        }

        header = RecordBatchHeader.Read(_buffer.AsSpan((int)(Position - _bufferedFrom)));
        return StoredBatch.IsHeader(header) && header.TotalBytes <= limit - Position;
    }

    /// <summary>The bytes of the batch whose header was read; empty when the file ends before it. Valid until the next call.</summary>
    public ReadOnlySpan<byte> ReadBatch(in RecordBatchHeader header) =>
        Fill(header.TotalBytes) ? _buffer.AsSpan((int)(Position - _bufferedFrom), header.TotalBytes) : default;

    public void MoveBy(int bytes) => Position += bytes;

    public void Dispose()
    {
        ArrayPool<byte>.Shared.Return(_buffer);
        _buffer = [];
    }

    private bool Fill(int bytes)
    {
        if (Position >= _bufferedFrom && Position + bytes <= _bufferedFrom + _buffered)
        {
            return true;
        }

        if (_buffer.Length < bytes)
        {
            ArrayPool<byte>.Shared.Return(_buffer);
            _buffer = ArrayPool<byte>.Shared.Rent(bytes);
        }

        _bufferedFrom = Position;
        _buffered = file.Read(Position, _buffer.AsSpan(0, (int)Math.Min(_buffer.Length, limit - Position)));
        return _buffered >= bytes;
    }
}
