using System.Buffers.Binary;
using System.Globalization;

namespace OrleansStreams.Processing.Sources;

/// <summary>Cuts a source file into lines, from any position on.</summary>
internal sealed class SourceLines(ISourceFile file, string path, int blockBytes) : IDisposable
{
    private const int IdentityBlockBytes = 64 * 1024;

    private readonly byte[] _block = new byte[blockBytes];
    private int _start;
    private int _end;
    private bool _isAtEnd;

    /// <summary>The position of a file's beginning.</summary>
    public static async ValueTask<FilePosition> IdentifyAsync(ISourceFile file, CancellationToken cancellationToken)
    {
        var length = file.Length;
        var block = new byte[IdentityBlockBytes];
        var hash = 14695981039346656037UL;
        foreach (var at in (long[])[0, Math.Max(0, length - IdentityBlockBytes)])
        {
            var read = await FillAsync(file, at, block, cancellationToken);
            hash = HashOf(block.AsSpan(0, read), hash);
        }

        return new FilePosition(0, 0, length, hash);
    }

    /// <summary>Checks that a journal's position belongs to this file.</summary>
    /// <exception cref="StreamsException">IncompatibleState.</exception>
    public static void Check(FilePosition journaled, FilePosition identity, string path)
    {
        if (journaled.Length != identity.Length || journaled.Hash != identity.Hash)
        {
            throw new StreamsException(
                StreamsErrorCode.IncompatibleState,
                string.Create(CultureInfo.InvariantCulture, $"The source file {path} is not the one that {journaled.Line} lines were read from (it had {journaled.Length} bytes, this one has {identity.Length}): put the old file back, or read the new one under another application name."));
        }
    }

    /// <summary>Makes sure that a whole line, or the end of the file, stands in the block.</summary>
    /// <param name="offset">The file offset of the next line.</param>
    /// <param name="line">The number of lines before it.</param>
    /// <param name="cancellationToken">Stops reading.</param>
    /// <exception cref="StreamsException">InvalidInput for a line longer than a block.</exception>
    public async ValueTask FillAsync(long offset, long line, CancellationToken cancellationToken)
    {
        if (_isAtEnd || _block.AsSpan(_start, _end - _start).Contains((byte)'\n'))
        {
            return;
        }

        var rest = _end - _start;
        if (rest == _block.Length)
        {
            throw new StreamsException(
                StreamsErrorCode.InvalidInput,
                string.Create(CultureInfo.InvariantCulture, $"Line {line + 1} of file {path} is longer than {_block.Length} bytes: is it a file of lines?"));
        }

        _block.AsSpan(_start, rest).CopyTo(_block);
        _start = 0;
        var read = await FillAsync(file, offset + rest, _block.AsMemory(rest), cancellationToken);
        _end = rest + read;
        _isAtEnd = _end < _block.Length;
    }

    /// <summary>Takes the next line that stands in the block.</summary>
    /// <param name="line">The line, without its line break and a carriage return before it.</param>
    /// <param name="bytes">What it takes in the file.</param>
    /// <returns>False when the block holds no further whole line.</returns>
    public bool TryTake(out ReadOnlySpan<byte> line, out int bytes)
    {
        var rest = _block.AsSpan(_start, _end - _start);
        var length = rest.IndexOf((byte)'\n');
        bytes = length + 1;
        if (length < 0)
        {
            // The last line may lack its line break.
            length = bytes = rest.Length;
            if (!_isAtEnd || length == 0)
            {
                line = default;
                return false;
            }
        }

        line = rest[..length];
        line = line is [.., (byte)'\r'] ? line[..^1] : line;
        _start += bytes;
        return true;
    }

    /// <summary>Whether every line was taken.</summary>
    public bool IsAtEnd => _isAtEnd && _start == _end;

    public void Dispose() => file.Dispose();

    private static async ValueTask<int> FillAsync(ISourceFile file, long offset, Memory<byte> buffer, CancellationToken cancellationToken)
    {
        var filled = 0;
        while (filled < buffer.Length)
        {
            var read = await file.ReadAsync(offset + filled, buffer[filled..], cancellationToken);
            if (read == 0)
            {
                break;
            }

            filled += read;
        }

        return filled;
    }

    private static ulong HashOf(ReadOnlySpan<byte> block, ulong hash)
    {
        unchecked
        {
            for (; block.Length >= 8; block = block[8..])
            {
                hash = (hash ^ BinaryPrimitives.ReadUInt64LittleEndian(block)) * 1099511628211UL;
                hash ^= hash >> 31;
            }

            foreach (var b in block)
            {
                hash = (hash ^ b) * 1099511628211UL;
            }

            return hash;
        }
    }
}
