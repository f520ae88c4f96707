using OrleansStreams.Storage;

namespace OrleansStreams.Silo.Hosting;

/// <summary>Makes the storage at start, so that a data folder in use or unwritable stops the host with its own clear error.</summary>
internal sealed class StorageStarter(IServiceProvider services) : IHostedService
{
    public async Task StartAsync(CancellationToken cancellationToken) =>
        await services.GetRequiredService<ILogStorage>().ListAsync(string.Empty, cancellationToken);

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
}
