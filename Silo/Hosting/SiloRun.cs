namespace OrleansStreams.Silo.Hosting;

/// <summary>Runs a host until it is stopped.</summary>
internal static class SiloRun
{
    /// <summary>
    /// Runs the host to its end. A background service that fails stops the host, which by itself looks like an orderly end: it is told, and is not 0.
    /// </summary>
    /// <returns>The program's exit code: 0 after an orderly stop, 1 when a background service ended the host.</returns>
    public static async Task<int> RunToEndAsync(this IHost host, TextWriter errors)
    {
        // Asked for now: the services are gone when the host has run.
        var background = host.Services.GetServices<IHostedService>().OfType<BackgroundService>().ToArray();
        await StartAsync(host);
        await using ((IAsyncDisposable)host)
        {
            await host.WaitForShutdownAsync();
        }

        foreach (var service in background)
        {
            if (service.ExecuteTask is { IsFaulted: true, Exception.InnerException: var cause })
            {
                await errors.WriteLineAsync($"silo: stopped, because {service.GetType().Name} failed: {cause?.Message.Split('\n')[0].TrimEnd()} The log has the details; start the silo again");
                return 1;
            }
        }

        return 0;
    }

    private static async Task StartAsync(IHost host)
    {
        try
        {
            await host.StartAsync();
        }
        catch
        {
            if (host.Services.GetService<HostStart>() is { } start)
            {
                start.HasFailed = true;
            }

            await ((IAsyncDisposable)host).DisposeAsync();
            throw;
        }
    }
}
