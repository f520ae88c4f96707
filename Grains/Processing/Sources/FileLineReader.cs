using OrleansStreams.Records;

namespace OrleansStreams.Processing.Sources;

/// <summary>Reads a file's lines from a position on, a chunk at a time; a line ends with LF, CR LF, or the file.</summary>
internal sealed class FileLineReader(ISourceFile file, string path) : IDisposable
{
    private const int ChecksumBytes = 64 * 1024;
    private const int LineBytesMax = 16 * 1024 * 1024;

    private byte[] _buffer = new byte[256 * 1024];
    private int _start;
    private int _end;
    private long _offset;
    private bool _atEnd;

    public long Length => file.Length;

    /// <summary>Looks at the file: a new position is identified, a known one must be in the same file. Then reading begins there.</summary>
    /// <exception cref="StreamsException">IncompatibleState when the file is another one now.</exception>
    public async Task<FilePosition> SeekAsync(FilePosition position, CancellationToken cancellationToken)
    {
        var length = file.Length;
        var checksum = await ChecksumAsync(length, cancellationToken);
        if (position.IsIdentified && (position.Length != length || position.Checksum != checksum))
        {
            throw new StreamsException(
                StreamsErrorCode.IncompatibleState, $"the source file {path} has changed since it was begun, so line {position.Row + 1} may be another; put the old file back, or start the application under another name");
        }

        _offset = position.Bytes;
        return position with { Length = length, Checksum = checksum };
    }

    /// <summary>Makes sure that a line is at hand; false at the file's end.</summary>
    public async ValueTask<bool> FillAsync(CancellationToken cancellationToken)
    {
        while (!HasLine())
        {
            if (_atEnd)
            {
                return _start < _end;
            }

            MakeRoom();
            var read = await file.ReadAsync(_buffer.AsMemory(_end), _offset, cancellationToken);
            _atEnd = read == 0;
            _end += read;
            _offset += read;
        }

        return true;
    }

    /// <summary>Takes the line at hand; false when there is none in memory.</summary>
    public bool TryTake(out ReadOnlySpan<byte> line, out int bytesWithBreak)
    {
        var rest = _buffer.AsSpan(_start, _end - _start);
        var lineBreak = rest.IndexOf((byte)'\n');
        if (lineBreak < 0 && (!_atEnd || rest.IsEmpty))
        {
            line = default;
            bytesWithBreak = 0;
            return false;
        }

        bytesWithBreak = lineBreak < 0 ? rest.Length : lineBreak + 1;
        line = lineBreak < 0 ? rest : rest[..lineBreak];
        line = line.Length > 0 && line[^1] == '\r' ? line[..^1] : line;
        _start += bytesWithBreak;
        return true;
    }

    public void Dispose() => file.Dispose();

    private bool HasLine() => _buffer.AsSpan(_start, _end - _start).Contains((byte)'\n');

    private void MakeRoom()
    {
        _buffer.AsSpan(_start, _end - _start).CopyTo(_buffer);
        _end -= _start;
        _start = 0;
        if (_end == _buffer.Length)
        {
            if (_buffer.Length >= LineBytesMax)
            {
                throw new StreamsException(StreamsErrorCode.InvalidInput, $"{path}: a line is longer than {LineBytesMax / (1024 * 1024)} MiB");
            }

            Array.Resize(ref _buffer, _buffer.Length * 2);
        }
    }

    private async Task<long> ChecksumAsync(long length, CancellationToken cancellationToken)
    {
        var first = await BlockAsync(0, cancellationToken);
        var last = await BlockAsync(Math.Max(0, length - ChecksumBytes), cancellationToken);
        return ((long)Crc32C.Compute(first) << 32) | Crc32C.Compute(last);
    }

    private async Task<byte[]> BlockAsync(long offset, CancellationToken cancellationToken)
    {
        var block = new byte[ChecksumBytes];
        var filled = 0;
        while (filled < block.Length && await file.ReadAsync(block.AsMemory(filled), offset + filled, cancellationToken) is var read and > 0)
        {
            filled += read;
        }

        return block[..filled];
    }
}
