using System.IO.Pipelines;
using System.Text;
using OrleansStreams.Silo.Http.Records;

namespace OrleansStreams.Silo.Tests.Http.Records;

public class LineReaderTests
{
    [Theory]
    [InlineData("", new string[0])]
    [InlineData("a", new[] { "a" })]
    [InlineData("a\n", new[] { "a" })]
    [InlineData("a\r\nb\n\nc", new[] { "a", "b", "", "c" })]
    public async Task Lines_end_with_a_line_feed_the_last_one_also_without(string text, string[] expected) => (await ReadAsync(text, 100)).ShouldBe(expected);

    [Fact]
    public async Task A_line_may_come_in_many_pieces()
    {
        var pipe = new Pipe();
        var reader = new LineReader(pipe.Reader, 100);
        var line = reader.ReadLineAsync(CancellationToken.None).AsTask();
        foreach (var letter in "pieces\n")
        {
            line.IsCompleted.ShouldBeFalse();
            await pipe.Writer.WriteAsync(new[] { (byte)letter });
        }

        Encoding.UTF8.GetString((await line)!).ShouldBe("pieces");
    }

    [Theory]
    [InlineData("ok\n0123456789x\n")]
    [InlineData("ok\n0123456789x")]
    public async Task A_line_that_is_too_long_is_refused_with_its_number(string text)
    {
        var error = await Should.ThrowAsync<StreamsException>(() => ReadAsync(text, 10));

        error.Code.ShouldBe(StreamsErrorCode.RecordTooLarge);
        error.Message.ShouldContain("Line 2 ");
    }

    private static async Task<List<string>> ReadAsync(string text, int maxLineBytes)
    {
        var reader = new LineReader(PipeReader.Create(new MemoryStream(Encoding.UTF8.GetBytes(text))), maxLineBytes);
        var lines = new List<string>();
        while (await reader.ReadLineAsync(CancellationToken.None) is { } line)
        {
            lines.Add(Encoding.UTF8.GetString(line));
            reader.LineNumber.ShouldBe(lines.Count);
        }

        return lines;
    }
}
