namespace OrleansStreams.Silo.Hosting;

/// <summary>Knows whether the host's start is over, which decides who tells of a failure: before, the program in one line; after, the host's own log.</summary>
internal sealed class HostStart : IHostedLifecycleService
{
    private volatile bool isOver;
    private volatile bool hasFailed;

    public bool IsOver => isOver;

    /// <summary>Whether it has failed: what the actor runtime logs of its own end then would bury the line that says why.</summary>
    public bool HasFailed
    {
        get => hasFailed;
        set => hasFailed = value;
    }

    public Task StartingAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StartedAsync(CancellationToken cancellationToken)
    {
        isOver = true;
        return Task.CompletedTask;
    }

    public Task StoppingAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StoppedAsync(CancellationToken cancellationToken) => Task.CompletedTask;
}
