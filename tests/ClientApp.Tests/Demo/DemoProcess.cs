using System.Diagnostics;
using System.Text.Json;

namespace OrleansStreams.ClientApp.Tests.Demo;

/// <summary>The demo as a user starts it: a process of its own, which can be killed.</summary>
internal sealed class DemoProcess : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(3);

    private readonly Process _process;
    private readonly List<JsonElement> _status = [];
    private readonly TaskCompletionSource _firstProgress = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Task<string> _errors;
    private readonly Task _lines;

    public DemoProcess(params string[] arguments)
    {
        var dll = Path.Combine(AppContext.BaseDirectory, "ClientApp.dll");
        _process = Process.Start(new ProcessStartInfo("dotnet", ["exec", dll, "demo", "--json", .. arguments]) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        _errors = _process.StandardError.ReadToEndAsync();
        _lines = ReadLinesAsync();
    }

    public bool HasExited => _process.HasExited;

    /// <summary>Completes when the first row has come through, or the process has ended.</summary>
    public Task FirstProgress => _firstProgress.Task.WaitAsync(Patience);

    /// <summary>SIGKILL.</summary>
    public async Task KillAsync()
    {
        _process.Kill();
        await _process.WaitForExitAsync().WaitAsync(Patience);
    }

    /// <summary>Waits for the end.</summary>
    public async Task<(int ExitCode, IReadOnlyList<JsonElement> Status, string Errors)> EndAsync()
    {
        await _process.WaitForExitAsync().WaitAsync(Patience);
        await _lines.WaitAsync(Patience);
        return (_process.ExitCode, _status, await _errors.WaitAsync(Patience));
    }

    public void Dispose()
    {
        if (!_process.HasExited)
        {
            _process.Kill();
        }

        _process.Dispose();
    }

    private async Task ReadLinesAsync()
    {
        while (await _process.StandardOutput.ReadLineAsync() is { } line)
        {
            JsonElement status;
            try
            {
                status = JsonDocument.Parse(line).RootElement;
            }
            catch (JsonException)
            {
                // Cut off by the kill.
                continue;
            }

            _status.Add(status);
            if (status.GetProperty("status").GetString() == "progress" && status.GetProperty("row").GetInt64() > 0)
            {
                _firstProgress.TrySetResult();
            }
        }

        _firstProgress.TrySetResult();
    }
}
