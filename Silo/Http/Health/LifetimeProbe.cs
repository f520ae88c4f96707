namespace OrleansStreams.Silo.Http.Health;

/// <summary>Ready from the moment that every hosted service, the silo among them, has started, until the server is told to stop.</summary>
internal sealed class LifetimeProbe(IHostApplicationLifetime lifetime) : IReadinessProbe
{
    public string Name => "silo";

    public ValueTask<string?> CheckAsync(CancellationToken cancellationToken) => ValueTask.FromResult(
        lifetime.ApplicationStopping.IsCancellationRequested ? "The server is stopping."
        : lifetime.ApplicationStarted.IsCancellationRequested ? null
        : "The server is still starting; ask again in a moment.");
}
