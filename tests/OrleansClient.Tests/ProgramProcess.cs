using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Runtime.CompilerServices;

namespace OrleansStreams.Cluster.Tests;

/// <summary>One of the programs as a process: a silo, the command line, a sample.</summary>
internal sealed class ProgramProcess : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private readonly string name;
    private readonly Process process;
    private readonly List<string> lines = [];
    private readonly Task reading;
    private TaskCompletionSource printed = new(TaskCreationOptions.RunContinuationsAsynchronously);

    private ProgramProcess(string name, IReadOnlyDictionary<string, string> variables, IEnumerable<string> arguments)
    {
        this.name = name;

        // As it was built, with its own dependencies, beside this test's output.
        var output = new DirectoryInfo(AppContext.BaseDirectory);
        var start = new ProcessStartInfo("dotnet", [Path.Combine(output.Parent!.Parent!.FullName, name, output.Name, $"{name}.dll"), .. arguments])
        {
            RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true,
        };
        foreach (var (variable, value) in variables)
        {
            start.Environment[variable] = value;
        }

        process = Process.Start(start)!;
        reading = Task.WhenAll(ReadAsync(process.StandardOutput), ReadAsync(process.StandardError));
    }

    /// <summary>All that it printed, on both streams.</summary>
    public IReadOnlyList<string> Lines
    {
        get
        {
            lock (lines)
            {
                return [.. lines];
            }
        }
    }

    public static ProgramProcess Start(string name, IReadOnlyDictionary<string, string> variables, params IEnumerable<string> arguments) => new(name, variables, arguments);

    /// <summary>A port that was free a moment ago, for a program that is to be started on it twice.</summary>
    public static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    /// <summary>Waits until what it printed holds.</summary>
    public async Task UntilAsync(Func<IReadOnlyList<string>, bool> holds, [CallerArgumentExpression(nameof(holds))] string what = "")
    {
        using var patience = new CancellationTokenSource(Patience);
        while (true)
        {
            Task next;
            lock (lines)
            {
                if (holds(lines))
                {
                    return;
                }

                next = printed.Task;
            }

            if (reading.IsCompleted || await Task.WhenAny(next, reading, Task.Delay(Timeout.Infinite, patience.Token)) is { IsCanceled: true })
            {
                throw new TimeoutException($"{name} never came to '{what}', and {(reading.IsCompleted ? "ended" : "runs")} with: {string.Join('\n', Lines.TakeLast(40))}");
            }
        }
    }

    public Task PrintedAsync(string text) => UntilAsync(all => all.Any(line => line.Contains(text, StringComparison.Ordinal)), $"print {text}");

    /// <summary>Gives it an input, and waits for its end.</summary>
    public async Task<(int ExitCode, string Output)> EndAsync(string input = "")
    {
        await process.StandardInput.WriteAsync(input);
        process.StandardInput.Close();
        await process.WaitForExitAsync().WaitAsync(Patience);
        await reading.WaitAsync(Patience);
        return (process.ExitCode, string.Join('\n', Lines));
    }

    /// <summary>KILL, STOP, CONT or TERM.</summary>
    public void Signal(string signal)
    {
        using var kill = Process.Start("kill", [$"-{signal}", $"{process.Id}"]);
        kill.WaitForExit();
        kill.ExitCode.ShouldBe(0);
    }

    /// <summary>SIGKILL; returns when it is gone.</summary>
    public async Task KillAsync()
    {
        process.Kill();
        await process.WaitForExitAsync().WaitAsync(Patience);
    }

    public void Dispose()
    {
        if (!process.HasExited)
        {
            process.Kill();
            process.WaitForExit();
        }

        process.Dispose();
    }

    private async Task ReadAsync(StreamReader from)
    {
        while (await from.ReadLineAsync() is { } line)
        {
            lock (lines)
            {
                lines.Add(line);
                printed.SetResult();
                printed = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            }
        }
    }
}
