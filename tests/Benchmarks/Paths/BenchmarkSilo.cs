using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using OrleansStreams.Clients;
using OrleansStreams.Silo.Hosting;
using OrleansStreams.Storage;

namespace OrleansStreams.Benchmarks.Paths;

/// <summary>The product's own silo in this process, on a temporary data folder.</summary>
internal sealed class BenchmarkSilo : IAsyncDisposable
{
    private readonly IHost _host;

    private BenchmarkSilo(IHost host, string folder)
    {
        _host = host;
        Folder = folder;
    }

    public string Folder { get; }

    public StreamsClient Client => _host.Services.GetRequiredService<StreamsClient>();

    public IServiceProvider Services => _host.Services;

    /// <summary>Starts it.</summary>
    /// <param name="flush">When an acknowledged append has reached the disk.</param>
    /// <param name="configure">Registers more, for example applications or another <see cref="ILogStorage"/>: the last registration counts.</param>
    public static Task<BenchmarkSilo> StartAsync(FlushMode flush = FlushMode.Always, Action<IServiceCollection>? configure = null) =>
        StartAsync(folder => new SiloSettings { DataPath = folder, Flush = flush }, configure);

    /// <summary>Starts it with settings of one's own.</summary>
    public static async Task<BenchmarkSilo> StartAsync(Func<string, SiloSettings> settings, Action<IServiceCollection>? configure = null)
    {
        var folder = Directory.CreateTempSubdirectory("streams-benchmark-").FullName;
        var builder = Host.CreateApplicationBuilder(new HostApplicationBuilderSettings { DisableDefaults = true, ContentRootPath = AppContext.BaseDirectory });
        builder.Logging.ClearProviders().AddConsole().SetMinimumLevel(LogLevel.Warning);
        builder.AddStreamsSilo(settings(folder));
        configure?.Invoke(builder.Services);
        var host = builder.Build();
        await host.OpenStorageAsync();
        await host.StartAsync();
        return new BenchmarkSilo(host, folder);
    }

    /// <summary>Starts it with logs in memory: what client, host and partition come to without any disk.</summary>
    public static Task<BenchmarkSilo> StartInMemoryAsync() => StartAsync(configure: services => services.AddSingleton<ILogStorage>(new MemoryLogStorage()));

    public async ValueTask DisposeAsync()
    {
        await _host.StopAsync();
        _host.Dispose();
        Directory.Delete(Folder, recursive: true);
    }
}
