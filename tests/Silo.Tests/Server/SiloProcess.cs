using System.Diagnostics;
using System.Net;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json;

namespace OrleansStreams.Silo.Tests.Server;

/// <summary>The silo as a user starts it: a process of its own, on a port that the system picks, which can be killed.</summary>
internal sealed class SiloProcess : IAsyncDisposable
{
    private const string StartedLine = "HTTP API on ";

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private readonly Process process;
    private readonly StringBuilder output = new();
    private readonly List<(string Text, TaskCompletionSource Printed)> awaited = [];
    private readonly Task<string> errors;
    private readonly Task lines;
    private readonly TaskCompletionSource<string?> address = new(TaskCreationOptions.RunContinuationsAsynchronously);

    private SiloProcess(string[] arguments, IReadOnlyDictionary<string, string>? variables = null)
    {
        var dll = Path.Combine(AppContext.BaseDirectory, "Silo.dll");
        var start = new ProcessStartInfo("dotnet", ["exec", dll, .. arguments]) { RedirectStandardOutput = true, RedirectStandardError = true };

        // Of the orleans build; several silos run on one machine.
        start.Environment["STREAMS_SILO_PORT"] = start.Environment["STREAMS_GATEWAY_PORT"] = "0";
        foreach (var (name, value) in variables ?? new Dictionary<string, string>())
        {
            start.Environment[name] = value;
        }

        process = Process.Start(start)!;
        errors = process.StandardError.ReadToEndAsync();
        lines = ReadLinesAsync();
    }

    /// <summary>There once <see cref="ReadyAsync"/> has returned.</summary>
    public HttpClient Http { get; } = new() { Timeout = Patience };

    public static SiloProcess Run(params string[] arguments) => new(arguments);

    public static SiloProcess Run(IReadOnlyDictionary<string, string> variables, params string[] arguments) => new(arguments, variables);

    /// <summary>Starts a silo that is told by its environment alone.</summary>
    public static SiloProcess Run(IReadOnlyDictionary<string, string> variables) => new([], variables);

    /// <summary>Starts a silo and does not wait for anything.</summary>
    public static SiloProcess Start(string data, bool sample = false, params string[] more) =>
        new(["--data", data, "--urls", "http://127.0.0.1:0", "--sample", sample ? "true" : "false", .. more]);

    public static async Task<SiloProcess> StartedAsync(string data, bool sample = false, params string[] more)
    {
        var silo = Start(data, sample, more);
        await silo.ReadyAsync();
        return silo;
    }

    /// <summary>Waits until it has printed a text.</summary>
    public async Task PrintedAsync(string text)
    {
        var printed = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        lock (output)
        {
            awaited.Add((text, printed));
            TellPrinted();
        }

        await WithinPatience(printed.Task, $"print '{text}'");
    }

    /// <summary>Waits until it listens.</summary>
    public async Task ReadyAsync()
    {
        if (await WithinPatience(address.Task, "listen") is not { } url)
        {
            var (exitCode, printed, wrong) = await EndAsync();
            throw new InvalidOperationException($"The silo ended with {exitCode} before it listened: {wrong}{printed}");
        }

        Http.BaseAddress ??= new Uri(url);
    }

    /// <summary>SIGKILL.</summary>
    public async Task KillAsync()
    {
        process.HasExited.ShouldBeFalse("it ended before the kill");
        process.Kill();
        await process.WaitForExitAsync().WaitAsync(Patience);
    }

    /// <summary>SIGTERM, as a service manager stops it; answers at once.</summary>
    public void Terminate()
    {
        using var kill = Process.Start("kill", ["-TERM", $"{process.Id}"]);
        kill.WaitForExit();
        kill.ExitCode.ShouldBe(0);
    }

    /// <summary>Waits for the end.</summary>
    public async Task<(int ExitCode, string Output, string Errors)> EndAsync()
    {
        await WithinPatience(lines, "end");
        await process.WaitForExitAsync().WaitAsync(Patience);
        return (process.ExitCode, Printed(), await errors.WaitAsync(Patience));
    }

    public async Task<JsonElement> GetAsync(string path, CancellationToken cancellation = default) => await AnswerAsync(await Http.GetAsync(path, cancellation), path);

    public async Task<JsonElement> PostAsync(string path, object body) => await AnswerAsync(await Http.PostAsJsonAsync(path, body), path);

    /// <summary>Reads a page of a partition, waiting for a first record as long as is said.</summary>
    public async Task<(List<(long Offset, string Value)> Records, long NextOffset, long HighWatermark)> FetchAsync(
        string topic, int partition, long offset, int maxWaitMs = 0, CancellationToken cancellation = default)
    {
        var page = await GetAsync($"/topics/{topic}/records?partition={partition}&offset={offset}&limit=10000&maxWaitMs={maxWaitMs}", cancellation);
        var records = page.GetProperty("records").EnumerateArray().Select(record => (record.GetProperty("offset").GetInt64(), record.GetProperty("value").GetString()!)).ToList();
        return (records, page.GetProperty("nextOffset").GetInt64(), page.GetProperty("highWatermark").GetInt64());
    }

    /// <summary>Reads all that a partition holds.</summary>
    public async Task<List<(long Offset, string Value)>> ReadAllAsync(string topic, int partition)
    {
        var all = new List<(long Offset, string Value)>();
        for (var next = 0L; ;)
        {
            var (records, nextOffset, highWatermark) = await FetchAsync(topic, partition, next);
            all.AddRange(records);
            if (nextOffset >= highWatermark)
            {
                return all;
            }

            nextOffset.ShouldBeGreaterThan(next, $"{topic}-{partition} cannot be read on");
            next = nextOffset;
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (!process.HasExited)
        {
            process.Kill();
            await process.WaitForExitAsync();
        }

        process.Dispose();
        Http.Dispose();
    }

    private static async Task<JsonElement> AnswerAsync(HttpResponseMessage response, string path)
    {
        using (response)
        {
            var text = await response.Content.ReadAsStringAsync();
            if (!response.IsSuccessStatusCode)
            {
                throw new HttpRequestException($"{path}: {text}", null, response.StatusCode);
            }

            return response.StatusCode == HttpStatusCode.NoContent ? default : JsonDocument.Parse(text).RootElement;
        }
    }

    private async Task ReadLinesAsync()
    {
        while (await process.StandardOutput.ReadLineAsync() is { } line)
        {
            lock (output)
            {
                output.Append(line).Append('\n');
                TellPrinted();
            }

            if (line.IndexOf(StartedLine, StringComparison.Ordinal) is var at and >= 0)
            {
                address.TrySetResult(line[(at + StartedLine.Length)..].Trim());
            }
        }

        address.TrySetResult(null);
    }

    private void TellPrinted()
    {
        foreach (var (_, printed) in awaited.Where(wanted => output.ToString().Contains(wanted.Text, StringComparison.Ordinal)))
        {
            printed.TrySetResult();
        }
    }

    private async Task<T> WithinPatience<T>(Task<T> task, string what)
    {
        await WithinPatience((Task)task, what);
        return await task;
    }

    private async Task WithinPatience(Task task, string what)
    {
        try
        {
            await task.WaitAsync(Patience);
        }
        catch (TimeoutException)
        {
            throw new TimeoutException($"The silo did not {what} within {Patience}, and had printed: {Printed()}");
        }
    }

    private string Printed()
    {
        lock (output)
        {
            return output.ToString();
        }
    }
}

/// <summary>A folder that goes with its test.</summary>
internal sealed class TemporaryFolder : IDisposable
{
    private readonly string path = Directory.CreateTempSubdirectory("silo-server-").FullName;

    public string In(string name) => Path.Combine(path, name);

    public void Dispose() => Directory.Delete(path, recursive: true);
}

/// <summary>Tests with processes run one after the other: they measure time, and a machine that builds has few cores.</summary>
[CollectionDefinition(Name)]
public sealed class ServerCollection
{
    public const string Name = "silo processes";
}
