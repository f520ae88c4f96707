using System.Buffers;
using System.IO.Pipelines;

namespace OrleansStreams.Silo.Http.Records;

/// <summary>Cuts a stream into lines of bounded length, counting from 1; a line may end with \n or \r\n, the last one without.</summary>
internal sealed class LineReader(PipeReader input, int maxLineBytes)
{
    /// <summary>The number of the line read last.</summary>
    public long LineNumber { get; private set; }

    /// <summary>The next line's bytes in memory of its own, or null at the end.</summary>
    /// <exception cref="StreamsException">RecordTooLarge, with the line's number.</exception>
    public async ValueTask<byte[]?> ReadLineAsync(CancellationToken cancellationToken)
    {
        while (true)
        {
            var read = await input.ReadAsync(cancellationToken);
            var buffer = read.Buffer;
            var end = buffer.PositionOf((byte)'\n');
            if (end is { } position)
            {
                return Take(buffer.Slice(0, position), buffer.GetPosition(1, position));
            }

            if (read.IsCompleted)
            {
                return buffer.IsEmpty ? null : Take(buffer, buffer.End);
            }

            if (buffer.Length > maxLineBytes)
            {
                LineNumber++;
                throw TooLong();
            }

            input.AdvanceTo(buffer.Start, buffer.End);
        }
    }

    private byte[] Take(ReadOnlySequence<byte> line, SequencePosition next)
    {
        LineNumber++;
        if (line.Length > maxLineBytes)
        {
            throw TooLong();
        }

        var bytes = line.ToArray();
        input.AdvanceTo(next);
        return bytes is [.., (byte)'\r'] ? bytes[..^1] : bytes;
    }

    private StreamsException TooLong() => new(
        StreamsErrorCode.RecordTooLarge, $"Line {LineNumber} is longer than {maxLineBytes} bytes; split the value.", WriteOutcome.NotWritten);
}
