using System.Diagnostics;

namespace OrleansStreams.Tests.Cluster;

/// <summary>A silo as a user starts it, a process of its own, which can be killed, paused and stopped.</summary>
internal sealed class SiloProcess : IDisposable
{
    private const string StartedLine = "HTTP API on ";
    private const int LinesKept = 2_000;

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(90);

    private readonly Process _process;
    private readonly Queue<string> _lines = new();
    private readonly TaskCompletionSource<Uri?> _address = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Task _reading;

    public SiloProcess(string name, int port, IEnumerable<string> arguments)
    {
        Name = name;
        Port = port;
        _process = Process.Start(new ProcessStartInfo("dotnet", ["exec", Path.Combine(AppContext.BaseDirectory, "Silo.dll"), .. arguments])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        })!;
        _reading = Task.WhenAll(ReadAsync(_process.StandardOutput), ReadAsync(_process.StandardError));
        _ = _reading.ContinueWith(_ => _address.TrySetResult(null), TaskScheduler.Default);
    }

    public string Name { get; }

    /// <summary>Its port for other silos, by which the cluster knows it.</summary>
    public int Port { get; }

    public int Id => _process.Id;

    public bool HasExited => _process.HasExited;

    /// <summary>The last lines that it printed.</summary>
    public string Log
    {
        get
        {
            lock (_lines)
            {
                return string.Join('\n', _lines);
            }
        }
    }

    /// <summary>Waits until it serves.</summary>
    public async Task<Uri> ReadyAsync() => await WithinPatienceAsync(_address.Task, "serve") ?? throw new InvalidOperationException($"{Name} ended before it served:\n{Log}");

    /// <summary>SIGKILL; when this returns the process may still be going.</summary>
    public void Kill() => _process.Kill();

    /// <summary>SIGSTOP: it is there and does nothing.</summary>
    public void Pause() => Signal("-STOP");

    /// <summary>SIGCONT.</summary>
    public void Resume() => Signal("-CONT");

    /// <summary>SIGTERM, as a service manager stops it.</summary>
    public void Terminate() => Signal("-TERM");

    /// <summary>Waits until it is gone; answers its exit code.</summary>
    public async Task<int> EndedAsync()
    {
        await WithinPatienceAsync(_process.WaitForExitAsync().ContinueWith(_ => true, TaskScheduler.Default), "end");
        return _process.ExitCode;
    }

    public void Dispose()
    {
        if (!_process.HasExited)
        {
            _process.Kill();
            _process.WaitForExit(TimeSpan.FromSeconds(10));
        }

        _process.Dispose();
    }

    private void Signal(string signal)
    {
        using var kill = Process.Start("kill", [signal, $"{_process.Id}"]);
        kill.WaitForExit();
        if (kill.ExitCode != 0)
        {
            throw new InvalidOperationException($"{Name} is not there any more for kill {signal}:\n{Log}");
        }
    }

    private async Task ReadAsync(StreamReader reader)
    {
        while (await reader.ReadLineAsync() is { } line)
        {
            lock (_lines)
            {
                _lines.Enqueue(line);
                if (_lines.Count > LinesKept)
                {
                    _lines.Dequeue();
                }
            }

            if (line.IndexOf(StartedLine, StringComparison.Ordinal) is var at and >= 0)
            {
                _address.TrySetResult(new Uri(line[(at + StartedLine.Length)..].Trim()));
            }
        }
    }

    private async Task<T> WithinPatienceAsync<T>(Task<T> task, string what)
    {
        try
        {
            return await task.WaitAsync(Patience);
        }
        catch (TimeoutException)
        {
            throw new TimeoutException($"{Name} did not {what} within {Patience}:\n{Log}");
        }
    }
}
