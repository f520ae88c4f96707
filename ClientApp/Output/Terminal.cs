using System.Text;
using System.Text.Json;
using Microsoft.Win32.SafeHandles;
using Spectre.Console;

namespace OrleansStreams.ClientApp.Output;

/// <summary>Standard output: tables with frames and colours on a terminal, plain aligned text anywhere else. Buffered: flush before waiting.</summary>
internal sealed class Terminal : IAsyncDisposable
{
    private const int BrokenPipe = 32;

    private readonly StreamWriter writer = new(OpenOutput(), new UTF8Encoding(encoderShouldEmitUTF8Identifier: false), 64 * 1024) { NewLine = "\n" };

    /// <summary>Whether a person looks at it.</summary>
    public bool IsInteractive { get; } = !Console.IsOutputRedirected;

    public void WriteLine(string text) => Guard(() => writer.WriteLine(IsInteractive ? Harmless(text) : text));

    /// <summary>JSON on one line, as the server sent it.</summary>
    public void WriteJson(JsonElement json) => Guard(() => writer.WriteLine(json.GetRawText()));

    public void WriteJson(object json) => Guard(() => writer.WriteLine(JsonSerializer.Serialize(json, JsonSerializerOptions.Web)));

    public void WriteTable(string[] headers, IReadOnlyList<string[]> rows, params int[] rightAligned)
    {
        if (IsInteractive)
        {
            Flush();
            WriteFramed(headers, rows, rightAligned);
        }
        else
        {
            WritePlain(headers, rows, rightAligned);
        }
    }

    /// <summary>Something for people only; never mixed into the output.</summary>
    public void Note(string text)
    {
        Flush();
        Console.Error.WriteLine(text);
    }

    public void Flush() => Guard(writer.Flush);

    public async ValueTask DisposeAsync()
    {
        try
        {
            await writer.DisposeAsync();
        }
        catch (IOException)
        {
            // Reported at the flush that came before, or the reader has gone while we fail for another reason.
        }
    }

    /// <summary>A record's value must not be able to steer the terminal.</summary>
    internal static string Harmless(string text)
    {
        if (!text.Any(letter => char.IsControl(letter) && letter != '\t'))
        {
            return text;
        }

        var harmless = new StringBuilder(text.Length);
        foreach (var letter in text)
        {
            harmless.Append(char.IsControl(letter) && letter != '\t' ? $"\\u{(int)letter:x4}" : letter.ToString());
        }

        return harmless.ToString();
    }

    /// <summary>
    /// The console's own stream swallows a broken pipe, and a consumer would go on for nobody; a file stream tells. For files the console's stream is
    /// right, because a file stream would not move the offset that we share with others ("(a; b) > file").
    /// </summary>
    private static Stream OpenOutput()
    {
        if (!OperatingSystem.IsWindows() && Console.IsOutputRedirected)
        {
            try
            {
                var stream = new FileStream(new SafeFileHandle(1, ownsHandle: false), FileAccess.Write, bufferSize: 0);
                if (!stream.CanSeek)
                {
                    return stream;
                }
            }
            catch (Exception exception) when (exception is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException)
            {
                // Standard output is closed or something special: the console knows how to deal with it.
            }
        }

        return Console.OpenStandardOutput();
    }

    private static void Guard(Action write)
    {
        try
        {
            write();
        }
        catch (IOException exception) when (exception.HResult == BrokenPipe)
        {
            throw new BrokenPipeException(exception);
        }
    }

    private static void WriteFramed(string[] headers, IReadOnlyList<string[]> rows, int[] rightAligned)
    {
        var table = new Table { Border = TableBorder.Rounded };
        for (var i = 0; i < headers.Length; i++)
        {
            var column = new TableColumn(new Text(headers[i], new Style(decoration: Decoration.Bold)));
            table.AddColumn(rightAligned.Contains(i) ? column.RightAligned() : column);
        }

        foreach (var row in rows)
        {
            table.AddRow(row.Select(cell => new Text(Harmless(cell))));
        }

        AnsiConsole.Write(table);
    }

    private void WritePlain(string[] headers, IReadOnlyList<string[]> rows, int[] rightAligned)
    {
        var widths = headers.Select((header, column) => rows.Select(row => row[column].Length).Append(header.Length).Max()).ToArray();
        foreach (var row in rows.Prepend(headers))
        {
            var cells = row.Select((cell, column) => rightAligned.Contains(column) ? cell.PadLeft(widths[column]) : cell.PadRight(widths[column]));
            Guard(() => writer.WriteLine(string.Join("  ", cells).TrimEnd()));
        }
    }
}
