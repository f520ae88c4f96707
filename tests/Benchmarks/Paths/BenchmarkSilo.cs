using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using OrleansStreams.Clients;
using OrleansStreams.Processing;
using OrleansStreams.Silo.Hosting;

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

    /// <summary>Starts it with count applications <c>count-RUN</c>, which read topic <paramref name="countTopic"/>.</summary>
    public static async Task<BenchmarkSilo> StartAsync(string countTopic, int countApplications)
    {
        var folder = Directory.CreateTempSubdirectory("streams-benchmark-").FullName;
        var builder = Host.CreateApplicationBuilder(new HostApplicationBuilderSettings { DisableDefaults = true, ContentRootPath = AppContext.BaseDirectory });
        builder.Logging.ClearProviders().AddConsole().SetMinimumLevel(LogLevel.Warning);
        builder.AddStreamsSilo(new SiloSettings { DataPath = folder });
        for (var run = 0; run < countApplications; run++)
        {
            var name = $"count-{run}";
            builder.Services.AddStreamApplication(name, (topology, _) => PathBenchmarks.BuildCount(topology, countTopic, "counts"));
        }

        var host = builder.Build();
        await host.StartAsync();
        return new BenchmarkSilo(host, folder);
    }

    public async ValueTask DisposeAsync()
    {
        await _host.StopAsync();
        _host.Dispose();
        Directory.Delete(Folder, recursive: true);
    }
}
