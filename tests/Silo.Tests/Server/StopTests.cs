using System.Diagnostics;
using System.Globalization;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;

namespace OrleansStreams.Silo.Tests.Server;

/// <summary>SIGTERM: an orderly end.</summary>
[Collection(ServerCollection.Name)]
public sealed class StopTests : IDisposable
{
    private const string Topic = "orders";

    private static readonly TimeSpan Prompt = TimeSpan.FromSeconds(10);

    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Fact]
    public async Task A_termination_signal_ends_the_silo_at_once_with_exit_code_0_while_a_tail_a_long_poll_and_producers_are_under_way()
    {
        var acknowledged = new Dictionary<long, string>();
        await using (var silo = await SiloProcess.StartedAsync(folder.In("data")))
        {
            await silo.PostAsync("/topics", new { name = Topic, partitions = 2 });
            using var tail = new StreamReader(await silo.Http.GetStreamAsync($"/topics/{Topic}/tail"));
            (await tail.ReadLineAsync()).ShouldNotBeNull();
            var longPoll = silo.FetchAsync(Topic, partition: 1, offset: 0, maxWaitMs: 20_000);
            var some = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            var producer = ProduceUntilTheEndAsync(silo, acknowledged, some);
            await Task.WhenAny(some.Task, producer).WaitAsync(TimeSpan.FromSeconds(60));
            longPoll.IsCompleted.ShouldBeFalse("the long poll waits for a record");

            var watch = Stopwatch.StartNew();
            silo.Terminate();
            var (exitCode, output, errors) = await silo.EndAsync();

            watch.Elapsed.ShouldBeLessThan(Prompt);
            exitCode.ShouldBe(0, errors + output);
            errors.ShouldBeEmpty();
            output.ShouldNotContain("   at ");
            await producer;
            await Task.WhenAny(longPoll).WaitAsync(Prompt);
            while (await NextLineAsync(tail) is not null)
            {
            }
        }

        await using var again = await SiloProcess.StartedAsync(folder.In("data"));
        var there = (await again.ReadAllAsync(Topic, 0)).ToDictionary(record => record.Offset, record => record.Value);
        acknowledged.Count.ShouldBeGreaterThanOrEqualTo(20);
        acknowledged.Where(record => there.GetValueOrDefault(record.Key) != record.Value).ShouldBeEmpty("acknowledged, but not there");
        again.Terminate();
        (await again.EndAsync()).ExitCode.ShouldBe(0);
    }

    [Fact]
    public async Task A_termination_signal_ends_an_upload_under_way_with_what_it_delivered_and_the_silo_stops_at_once()
    {
        const int Lines = 3;
        await using (var silo = await SiloProcess.StartedAsync(folder.In("data")))
        {
            await silo.PostAsync("/topics", new { name = Topic, partitions = 1 });
            using var upload = await EndlessUpload.BeginAsync(silo.Http.BaseAddress!, $"/topics/{Topic}/records");
            for (var line = 0; line < Lines; line++)
            {
                await upload.SendAsync($$"""{"value":"{{line}}"}""");
            }

            for (var next = 0L; next < Lines;)
            {
                next = (await silo.FetchAsync(Topic, 0, next, maxWaitMs: 20_000)).NextOffset;
            }

            var watch = Stopwatch.StartNew();
            silo.Terminate();
            var answer = await upload.AnswerAsync();
            var (exitCode, output, errors) = await silo.EndAsync();

            watch.Elapsed.ShouldBeLessThan(Prompt);
            exitCode.ShouldBe(0, errors + output);
            errors.ShouldBeEmpty();
            answer.ShouldStartWith("HTTP/1.1 503 ");
            var problem = JsonDocument.Parse(answer[answer.IndexOf('{', StringComparison.Ordinal)..(answer.LastIndexOf('}') + 1)]).RootElement;
            problem.GetProperty("line").GetInt64().ShouldBe(Lines + 1);
            problem.GetProperty("delivered").GetInt64().ShouldBe(Lines);
            problem.GetProperty("retriable").GetBoolean().ShouldBeTrue();
        }

        await using var again = await SiloProcess.StartedAsync(folder.In("data"));
        (await again.ReadAllAsync(Topic, 0)).ShouldBe(Enumerable.Range(0, Lines).Select(line => ((long)line, $"{line}")));
    }

    [Fact]
    public async Task A_request_that_was_refused_while_its_body_is_still_open_does_not_hold_up_the_stop()
    {
        await using var silo = await SiloProcess.StartedAsync(folder.In("data"));
        using var upload = await EndlessUpload.BeginAsync(silo.Http.BaseAddress!, "/topics/nowhere/records");
        await upload.SendAsync("""{"value":"1"}""");
        await upload.AnsweredAsync();

        var watch = Stopwatch.StartNew();
        silo.Terminate();
        var (exitCode, output, errors) = await silo.EndAsync();

        watch.Elapsed.ShouldBeLessThan(Prompt);
        exitCode.ShouldBe(0, errors + output);
        errors.ShouldBeEmpty();
    }

    private static async Task ProduceUntilTheEndAsync(SiloProcess silo, Dictionary<long, string> acknowledged, TaskCompletionSource some)
    {
        for (var number = 0; ; number++)
        {
            try
            {
                var answer = await silo.PostAsync($"/topics/{Topic}/records", new { partition = 0, value = $"{number}" });
                acknowledged.Add(answer[0].GetProperty("offset").GetInt64(), $"{number}");
            }
            catch (Exception error) when (error is HttpRequestException or System.Net.Sockets.SocketException or IOException or OperationCanceledException)
            {
                return;
            }

            if (acknowledged.Count == 20)
            {
                some.SetResult();
            }
        }
    }

    /// <summary>The next line, or null when the server has ended the stream, in whatever way.</summary>
    private static async Task<string?> NextLineAsync(StreamReader reader)
    {
        try
        {
            return await reader.ReadLineAsync().WaitAsync(Prompt);
        }
        catch (Exception error) when (error is IOException or HttpRequestException)
        {
            return null;
        }
    }

    /// <summary>JSON lines as they come, without an end, over a connection of its own: an HTTP client would first want to send all of it.</summary>
    private sealed class EndlessUpload : IDisposable
    {
        private readonly TcpClient connection;

        private EndlessUpload(TcpClient connection) => this.connection = connection;

        public static async Task<EndlessUpload> BeginAsync(Uri address, string path)
        {
            var connection = new TcpClient();
            await connection.ConnectAsync(address.Host, address.Port);
            var upload = new EndlessUpload(connection);
            await upload.WriteAsync($"POST {path} HTTP/1.1\r\nHost: {address.Authority}\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n");
            return upload;
        }

        /// <summary>Sends a line as a chunk (RFC 9112, 7.1).</summary>
        public Task SendAsync(string line) => WriteAsync(string.Create(CultureInfo.InvariantCulture, $"{line.Length + 1:x}\r\n{line}\n\r\n"));

        /// <summary>Waits for the first of the answer.</summary>
        public async Task AnsweredAsync() => (await connection.GetStream().ReadAsync(new byte[1]).AsTask().WaitAsync(Prompt)).ShouldBe(1);

        /// <summary>All that the server answers until it closes the connection.</summary>
        public async Task<string> AnswerAsync()
        {
            using var answer = new MemoryStream();
            try
            {
                await connection.GetStream().CopyToAsync(answer).WaitAsync(Prompt);
            }
            catch (IOException)
            {
                // Reset: the body was not read to its end.
            }

            return Encoding.UTF8.GetString(answer.ToArray());
        }

        public void Dispose() => connection.Dispose();

        private async Task WriteAsync(string text) => await connection.GetStream().WriteAsync(Encoding.UTF8.GetBytes(text));
    }
}
