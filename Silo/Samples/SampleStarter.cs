using OrleansStreams.Clients;
using OrleansStreams.Silo.Hosting;

namespace OrleansStreams.Silo.Samples;

/// <summary>Runs the sample in a server: on a new data folder with the shipped flights; on one that knows the application, it is left as it was.</summary>
internal sealed class SampleStarter(StreamsClient client, SiloSettings settings, IHostApplicationLifetime lifetime, ILogger<SampleStarter> logger) : BackgroundService
{
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        // A silo that cannot start, because its port is in use for example, leaves nothing behind.
        var started = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var registration = lifetime.ApplicationStarted.Register(started.SetResult);
        try
        {
            await started.Task.WaitAsync(stoppingToken);

            // By the client, which tries again: a silo may join while another dies.
            var known = await client.Applications.GetStatusAsync(FlightDelays.Name, stoppingToken);
            var sample = new FlightDelaysSettings { Input = FlightDelaysSettings.ShippedInput, DataPath = settings.DataPath, Rate = settings.SampleRate };
            if (known.Parameters.IsEmpty)
            {
                await FlightDelaysRun.StartAsync(client, sample, stoppingToken);
            }
            else if (known.Parameters.GetValueOrDefault("file") is { } file && Path.Combine(settings.DataPath, file) == ArrivalOrder.FileIn(sample.Folder))
            {
                // Its state may be in a database and this machine a new one: the input, made from what ships with the silo, is the same every time.
                await Task.Run(() => ArrivalOrder.Prepare(sample.Input, sample.Folder, stoppingToken), stoppingToken);
            }
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
            // The silo stops before the sample was up; the next start goes on.
        }
        catch (Exception error)
        {
            // Whatever it is (a full disk, a file that something else holds), a server must not end because its sample cannot run.
            SiloLog.SampleFailed(logger, error.Message);
        }
    }
}
