using System.Diagnostics;
using System.Reflection;
using System.Text;

namespace OrleansStreams.ClientApp.Tests;

/// <summary>The command line as a real process.</summary>
public sealed class Cli : IDisposable
{
    /// <summary>A hung process fails its test with what it had printed, instead of hanging the run.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(90);

    private readonly StringBuilder output = new();
    private readonly StringBuilder errors = new();
    private readonly List<(string Text, TaskCompletionSource Seen)> awaited = [];
    private readonly string commandLine;

    private Cli(string server, string[] arguments)
    {
        commandLine = string.Join(' ', arguments);
        var start = new ProcessStartInfo("dotnet")
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            StandardInputEncoding = new UTF8Encoding(false),
        };
        start.ArgumentList.Add(Assembly);
        foreach (var argument in arguments)
        {
            start.ArgumentList.Add(argument);
        }

        start.Environment["STREAMS_SERVER"] = server;
        Process = new Process { StartInfo = start };
        Process.OutputDataReceived += (_, line) => Take(output, line.Data);
        Process.ErrorDataReceived += (_, line) => Take(errors, line.Data);
        Process.Start();
        Process.BeginOutputReadLine();
        Process.BeginErrorReadLine();
    }

    /// <summary>The program as it was built, with its own dependencies, beside this test's output.</summary>
    public static string Assembly { get; } = Path.Combine(
        Path.GetDirectoryName(typeof(Cli).Assembly.Location)!, "..", "..", "ClientApp", ConfigurationFolder(), "ClientApp.dll");

    public Process Process { get; }

    public static Cli Start(TestSilo silo, params string[] arguments) => new(silo.Address, arguments);

    public static async Task<Result> RunAsync(string server, string input, params string[] arguments)
    {
        using var cli = new Cli(server, arguments);
        return await cli.FinishAsync(input);
    }

    public static Task<Result> RunAsync(TestSilo silo, params string[] arguments) => RunAsync(silo.Address, string.Empty, arguments);

    /// <summary>Waits until a text stands in the output, on either stream.</summary>
    public async Task SeenAsync(string text)
    {
        var seen = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        lock (awaited)
        {
            awaited.Add((text, seen));
        }

        Check();
        try
        {
            await seen.Task.WaitAsync(Patience);
        }
        catch (TimeoutException)
        {
            throw new TimeoutException($"'{commandLine}' never printed '{text}', but: {Printed()}");
        }
    }

    /// <summary>Sends a signal, as Ctrl-C (INT) or a service manager (TERM) does.</summary>
    public void Signal(string name)
    {
        using var kill = Process.Start("kill", [$"-{name}", $"{Process.Id}"]);
        kill.WaitForExit();
        kill.ExitCode.ShouldBe(0);
    }

    /// <summary>Gives the input, closes it and waits for the end.</summary>
    public async Task<Result> FinishAsync(string input = "")
    {
        try
        {
            await Process.StandardInput.WriteAsync(input);
            Process.StandardInput.Close();
        }
        catch (IOException)
        {
            // It ended without reading its input.
        }

        return await EndAsync();
    }

    /// <summary>Waits for the end.</summary>
    public async Task<Result> EndAsync()
    {
        using var timeout = new CancellationTokenSource(Patience);
        try
        {
            await Process.WaitForExitAsync(timeout.Token);
        }
        catch (OperationCanceledException)
        {
            Process.Kill();
            throw new TimeoutException($"'{commandLine}' did not end, and had printed: {Printed()}");
        }

        lock (output)
        {
            return new Result(Process.ExitCode, output.ToString(), errors.ToString());
        }
    }

    public void Dispose()
    {
        if (!Process.HasExited)
        {
            Process.Kill();
        }

        Process.Dispose();
    }

    private static string ConfigurationFolder() => new DirectoryInfo(Path.GetDirectoryName(typeof(Cli).Assembly.Location)!).Name;

    private string Printed()
    {
        lock (output)
        {
            return $"{output}{errors}";
        }
    }

    private void Take(StringBuilder where, string? line)
    {
        if (line is null)
        {
            return;
        }

        lock (output)
        {
            where.Append(line).Append('\n');
        }

        Check();
    }

    private void Check()
    {
        var printed = Printed();
        lock (awaited)
        {
            foreach (var (text, seen) in awaited.Where(wanted => printed.Contains(wanted.Text, StringComparison.Ordinal)))
            {
                seen.TrySetResult();
            }
        }
    }

    /// <summary>What a run left behind.</summary>
    public sealed record Result(int ExitCode, string Output, string Errors)
    {
        public string[] Lines => Output.Split('\n', StringSplitOptions.RemoveEmptyEntries);

        /// <summary>Asserts success with nothing on stderr.</summary>
        public Result Fine()
        {
            Errors.ShouldBeEmpty();
            ExitCode.ShouldBe(0, Output);
            return this;
        }

        /// <summary>Asserts a failure: the exit code, one line on stderr with the text, no stack trace.</summary>
        public Result Failed(int exitCode, string message)
        {
            ExitCode.ShouldBe(exitCode, Output + Errors);
            Errors.ShouldStartWith("error: ");
            Errors.ShouldContain(message);
            Errors.Trim().Split('\n').Length.ShouldBe(1, Errors);
            Errors.ShouldNotContain("   at ");
            return this;
        }
    }
}
