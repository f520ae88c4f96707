namespace OrleansStreams.Silo.Hosting;

/// <summary>Knows whether the host's start is over, which decides who tells of a failure: before, the program in one line; after, the host's own log.</summary>
internal sealed class HostStart : IHostedLifecycleService
{
    private volatile bool isOver;

    public bool IsOver => isOver;

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
