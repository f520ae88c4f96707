using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Orleans;
using OrleansStreams.Clients;
using OrleansStreams.Log;
using OrleansStreams.Silo.Hosting;

namespace OrleansStreams.Benchmarks.Log;

/// <summary>The product's silo in this process, used at its partitions: what a client does beside is not in these figures.</summary>
internal sealed class LogSilo : IAsyncDisposable
{
    private readonly IHost _host;
    private readonly bool _keepsFolder;

    private LogSilo(IHost host, string folder, bool keepsFolder)
    {
        _host = host;
        _keepsFolder = keepsFolder;
        Folder = folder;
    }

    public string Folder { get; }

    public IServiceProvider Services => _host.Services;

    public StreamsClient Client => Services.GetRequiredService<StreamsClient>();

    /// <summary>Starts it on a folder of its own, or on a given one, which stays.</summary>
    public static async Task<LogSilo> StartAsync(string? folder = null, StreamsOptions? options = null)
    {
        var path = folder ?? Directory.CreateTempSubdirectory("streams-scaling-").FullName;
        var builder = Host.CreateApplicationBuilder(new HostApplicationBuilderSettings { DisableDefaults = true, ContentRootPath = AppContext.BaseDirectory });
        builder.Logging.ClearProviders().AddConsole().SetMinimumLevel(LogLevel.Error);
        if (options is not null)
        {
            builder.Services.AddSingleton(options);
        }

        builder.AddStreamsSilo(new SiloSettings { DataPath = path });
        var host = builder.Build();
        await host.StartAsync();
        return new LogSilo(host, path, folder is not null);
    }

    public PartitionMaintenance Maintenance => Services.GetRequiredService<PartitionMaintenance>();

    public IPartitionGrain Partition(string topic, int partition) =>
        Services.GetRequiredService<IGrainFactory>().GetGrain<IPartitionGrain>(new TopicPartition(topic, partition).GrainKey);

    public async ValueTask DisposeAsync()
    {
        await _host.StopAsync();
        _host.Dispose();
        if (!_keepsFolder)
        {
            Directory.Delete(Folder, recursive: true);
        }
    }
}
