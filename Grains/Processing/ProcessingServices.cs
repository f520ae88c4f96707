using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using OrleansStreams.Processing.Sources;
using OrleansStreams.Topologies;

namespace OrleansStreams.Processing;

/// <summary>Registers stream applications in a silo.</summary>
public static class ProcessingServices
{
    /// <summary>Adds what stream applications need; called by <see cref="AddStreamApplication"/>, and harmless when called again. Register <see cref="ProcessingOptions"/> as
    /// a singleton before to set limits.</summary>
    public static IServiceCollection AddStreamProcessing(this IServiceCollection services)
    {
        ArgumentNullException.ThrowIfNull(services);
        services.TryAddSingleton(new ProcessingOptions());
        services.TryAddSingleton<ISourceFiles, PhysicalSourceFiles>();
        services.TryAddSingleton<StreamApplicationRegistry>();
        services.TryAddSingleton<IApplicationCatalog>(provider => provider.GetRequiredService<StreamApplicationRegistry>());
        return services;
    }

    /// <summary>Registers an application. It runs from its first <see cref="IStreamApplicationGrain.StartAsync"/> on.</summary>
    /// <param name="services">The silo's services.</param>
    /// <param name="name">The application's name: 1 to 249 letters, digits, '.', '_' or '-'.</param>
    /// <param name="describe">Describes the topology for given parameters; the same parameters must give the same topology, in every silo.</param>
    /// <param name="options">Guarantee, commit interval and bound of state, where they are others than the silo's; null for the silo's.</param>
    /// <exception cref="StreamsException">InvalidConfig for a name or an option that cannot be used.</exception>
    public static IServiceCollection AddStreamApplication(
        this IServiceCollection services, string name, Action<StreamsBuilder, ApplicationParameters> describe, StreamApplicationOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(describe);
        TopologyNames.Check(name, "application");
        options ??= new StreamApplicationOptions();
        options.Check(name);
        services.AddStreamProcessing();
        services.AddSingleton(new StreamApplicationRegistration(name, describe, options));
        return services;
    }
}

/// <summary>
/// Brings up the applications that are meant to run, at silo start and again every few seconds: a call revives an application's grain whose silo has died. Host
/// it after the silo, in every silo.
/// </summary>
public sealed class ApplicationStarter : BackgroundService
{
    private static readonly TimeSpan s_interval = TimeSpan.FromSeconds(5);

    private readonly IGrainFactory _grains;
    private readonly TimeProvider _time;
    private readonly ILogger<ApplicationStarter> _logger;
    private readonly StreamApplicationRegistry _registry;

    /// <summary>Creates the service.</summary>
    public ApplicationStarter(IGrainFactory grains, TimeProvider time, ILogger<ApplicationStarter> logger, IServiceProvider services)
    {
        _grains = grains;
        _time = time;
        _logger = logger;
        _registry = services.GetRequiredService<StreamApplicationRegistry>();
    }

    /// <inheritdoc/>
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        try
        {
            while (true)
            {
                foreach (var name in await NamesAsync())
                {
                    await EnsureRunningAsync(name);
                }

                await Task.Delay(s_interval, _time, stoppingToken);
            }
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
            // The silo stops.
        }
    }

    /// <summary>What is registered, and the versions of it that were started.</summary>
    private async Task<IReadOnlyList<string>> NamesAsync()
    {
        try
        {
            return await _grains.GetGrain<IApplicationDirectoryGrain>(IApplicationDirectoryGrain.Key).ListAsync();
        }
        catch (Exception error)
        {
            _logger.ApplicationNotUp(IApplicationDirectoryGrain.Key, error.Message);
            return _registry.Names;
        }
    }

    private async Task EnsureRunningAsync(string name)
    {
        try
        {
            await _grains.GetGrain<IStreamApplicationGrain>(name).EnsureRunningAsync();
        }
        catch (Exception error)
        {
            _logger.ApplicationNotUp(name, error.Message);
        }
    }
}
