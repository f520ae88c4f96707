using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using OrleansStreams.Clients;

namespace OrleansStreams.Processing;

/// <summary>
/// Brings up, with every silo, the applications that are meant to run, and looks after them from then on: an application grain whose silo died has
/// nobody else to wake it.
/// </summary>
internal sealed class ApplicationStarter(IGrainFactory grains, StreamApplicationRegistry registry, TimeProvider time, ILogger<ApplicationStarter> logger) : BackgroundService
{
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(5);

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(Interval, time);
        do
        {
            foreach (var name in registry.Names)
            {
                try
                {
                    await grains.GetGrain<IStreamApplicationGrain>(name).EnsureRunningAsync();
                }
                catch (Exception error) when (error is StreamsException || ClientRetry.IsTransient(error))
                {
                    ProcessingLog.SupervisionFailed(logger, name, error.Message);
                }
            }
        }
        while (await NextAsync(timer, stoppingToken));
    }

    private static async Task<bool> NextAsync(PeriodicTimer timer, CancellationToken stoppingToken)
    {
        try
        {
            return await timer.WaitForNextTickAsync(stoppingToken);
        }
        catch (OperationCanceledException)
        {
            return false;
        }
    }
}
