using System.Diagnostics;

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
}
