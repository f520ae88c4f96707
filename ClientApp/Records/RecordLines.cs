using System.Text;
using OrleansStreams.ClientApp.Commands;

namespace OrleansStreams.ClientApp.Records;

/// <summary>Reads lines of bounded length from a stream of UTF-8, counting from 1.</summary>
internal sealed class RecordLines(Stream input) : IDisposable
{
    /// <summary>Longer lines are no records; the bound keeps a file without line breaks from filling the memory.</summary>
    public const int LineCharsMax = 8 * 1024 * 1024;

    private static readonly UTF8Encoding Strict = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    private readonly StreamReader reader = new(input, Strict, detectEncodingFromByteOrderMarks: true, 64 * 1024, leaveOpen: true);
    private readonly char[] buffer = new char[32 * 1024];
    private readonly StringBuilder line = new();
    private int at;
    private int count;

    public long LineNumber { get; private set; }

    /// <summary>The next line, or null at the end; \n or \r\n ends one.</summary>
    public async ValueTask<string?> ReadAsync(CancellationToken cancellation)
    {
        line.Clear();
        while (true)
        {
            var end = Array.IndexOf(buffer, '\n', at, count - at);
            line.Append(buffer, at, (end < 0 ? count : end) - at);
            if (line.Length > LineCharsMax)
            {
                throw new CommandFailedException($"line {LineNumber + 1} is longer than {LineCharsMax} characters; split the value.");
            }

            if (end >= 0)
            {
                at = end + 1;
                return Take();
            }

            at = count = 0;
            try
            {
                count = await reader.ReadAsync(buffer.AsMemory(), cancellation);
            }
            catch (DecoderFallbackException)
            {
                throw new CommandFailedException($"the input is not UTF-8 at or after line {LineNumber + 1}; send bytes as JSON lines with \"valueEncoding\": \"base64\".");
            }

            if (count == 0)
            {
                return line.Length == 0 ? null : Take();
            }
        }
    }

    public void Dispose() => reader.Dispose();

    private string Take()
    {
        LineNumber++;
        if (line.Length > 0 && line[^1] == '\r')
        {
            line.Length--;
        }

        return line.ToString();
    }
}
