using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Orleans;

namespace EmbeddedOrleans.Hosting;

/// <summary>Puts a silo into an application.</summary>
public static class EmbeddedOrleansHostingExtensions
{
    /// <summary>
    /// Runs one silo in this application. Its grains get the application's services injected, and <see cref="IGrainFactory"/> joins them.
    /// The silo runs before any hosted service starts and until all have stopped, so that they may call grains in both.
    /// </summary>
    /// <param name="builder">The application's builder.</param>
    /// <param name="configure">Says where the grains are and where their state is kept.</param>
    public static TBuilder UseEmbeddedOrleans<TBuilder>(this TBuilder builder, Action<EmbeddedClusterOptions> configure)
        where TBuilder : IHostApplicationBuilder
    {
        ArgumentNullException.ThrowIfNull(configure);
        var options = new EmbeddedClusterOptions();
        configure(options);
        IServiceCollection services = builder.Services;
        options.ServiceConfiguration?.Invoke(services);
        services.TryAddSingleton(options.TimeProvider ?? TimeProvider.System);
        services.TryAddSingleton(options.Random ?? Random.Shared);
        services.AddSingleton(provider =>
        {
            options.TimeProvider ??= provider.GetRequiredService<TimeProvider>();
            options.Random ??= provider.GetRequiredService<Random>();
            options.LoggerFactory ??= provider.GetRequiredService<ILoggerFactory>();
            return EmbeddedCluster.Create(options);
        });
        services.AddSingleton(provider => provider.GetRequiredService<EmbeddedCluster>().GrainFactory);
        services.AddHostedService<EmbeddedSiloService>();
        return builder;
    }
}

/// <summary>Starts the silo first and stops it last.</summary>
internal sealed class EmbeddedSiloService(EmbeddedCluster cluster, IServiceProvider services) : IHostedLifecycleService
{
    private EmbeddedSilo? _silo;

    public Task StartingAsync(CancellationToken cancellationToken)
    {
        _silo = cluster.AddSilo("silo", services, ownsServices: false);
        return Task.CompletedTask;
    }

    public Task StartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StartedAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StoppingAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StoppedAsync(CancellationToken cancellationToken) =>
        _silo is null ? Task.CompletedTask : cluster.StopSiloAsync(_silo, cancellationToken);
}
