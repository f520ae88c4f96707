using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Orleans.Configuration;
using Orleans.Storage;
using OrleansStreams.Storage;

namespace OrleansStreams.Streaming.Fixture;

/// <summary>Silos of the official runtime in this process, which share a log and grain state that outlive them, and a client outside of them.</summary>
public sealed class StreamSilos : IAsyncDisposable
{
    private readonly MemoryLogStorage _logs = new();
    private readonly ConcurrentDictionary<string, (BinaryData State, string ETag)> _states = new();
    private readonly List<IHost> _silos = [];
    private readonly string _cluster = $"cluster-{Guid.NewGuid():N}";
    private readonly Action<ISiloBuilder> _configureSilo;
    private readonly Action<IClientBuilder> _configureClient;
    private IPEndPoint? _primary;
    private int _primaryGateway;
    private IHost? _client;

    private StreamSilos(Action<ISiloBuilder> configureSilo, Action<IClientBuilder> configureClient)
    {
        _configureSilo = configureSilo;
        _configureClient = configureClient;
    }

    public IClusterClient Client => _client!.Services.GetRequiredService<IClusterClient>();

    public StreamsClient Log => new(Client, TimeProvider.System, new Random(1));

    public IReadOnlyList<IHost> Silos => _silos;

    public static Task<StreamSilos> StartAsync(int silos, string provider, Action<LogStreamOptions>? configure = null) =>
        StartAsync(silos, silo => silo.AddLogStreams(provider, configure), client => client.AddLogStreams(provider, configure));

    public static async Task<StreamSilos> StartAsync(int silos, Action<ISiloBuilder> configureSilo, Action<IClientBuilder> configureClient)
    {
        var cluster = new StreamSilos(configureSilo, configureClient);
        for (var i = 0; i < silos; i++)
        {
            await cluster.AddSiloAsync();
        }

        var builder = Host.CreateApplicationBuilder(new HostApplicationBuilderSettings { DisableDefaults = true });
        builder.UseOrleansClient(client =>
        {
            client.UseLocalhostClustering(cluster._primaryGateway, "streams", cluster._cluster);
            cluster._configureClient(client);
        });
        cluster._client = builder.Build();
        await cluster._client.StartAsync();
        return cluster;
    }

    public async Task<IHost> AddSiloAsync()
    {
        var host = BuildSilo();
        await host.StartAsync();
        _silos.Add(host);
        return host;
    }

    /// <summary>A silo that is not started.</summary>
    public IHost BuildSilo()
    {
        var ports = FreePorts(2);
        var endpoint = new IPEndPoint(IPAddress.Loopback, ports[0]);
        _primary ??= endpoint;
        _primaryGateway = _primaryGateway == 0 ? ports[1] : _primaryGateway;
        var builder = Host.CreateApplicationBuilder(new HostApplicationBuilderSettings { DisableDefaults = true });
        builder.Logging.ClearProviders();
        if (Environment.GetEnvironmentVariable("STREAMING_TESTS_LOG") is { } file)
        {
            builder.Logging.AddProvider(new FileLog(file));
        }

        builder.Services.AddSingleton(TimeProvider.System).AddSingleton(new Random(1)).AddSingleton<ILogStorage>(_logs).AddStreamsGrains();
        builder.UseOrleans(silo =>
        {
            silo.UseLocalhostClustering(ports[0], ports[1], _primary, "streams", _cluster);
            silo.Configure<ClusterMembershipOptions>(options =>
            {
                options.ProbeTimeout = TimeSpan.FromMilliseconds(500);
                options.NumMissedProbesLimit = 2;
                options.NumVotesForDeathDeclaration = 1;
                options.TableRefreshTimeout = TimeSpan.FromSeconds(2);
            });
            silo.Configure<SiloMessagingOptions>(options => options.ResponseTimeout = TimeSpan.FromSeconds(10));
            silo.Services.AddKeyedSingleton<IGrainStorage>("streams", (_, _) => new SharedGrainStorage(_states, new PlainJson()));
            silo.Services.AddKeyedSingleton<IGrainStorage>("PubSubStore", (services, _) => new SharedGrainStorage(_states, services.GetRequiredService<IGrainStorageSerializer>()));

            _configureSilo(silo);
        });
        return builder.Build();
    }

    /// <summary>Ends a silo as a crash would: nothing is handed over.</summary>
    public async Task KillAsync(IHost silo)
    {
        _silos.Remove(silo);
        await silo.StopAsync(new CancellationToken(canceled: true));
        silo.Dispose();
    }

    public async Task StopAsync(IHost silo)
    {
        _silos.Remove(silo);
        await silo.StopAsync();
        silo.Dispose();
    }

    public IAsyncStream<T> Stream<T>(string provider, string ns, string key) => Client.GetStreamProvider(provider).GetStream<T>(StreamId.Create(ns, key));

    /// <summary>The committed checkpoint of a queue, or -1.</summary>
    public async Task<long> CheckpointAsync(string provider, int partition = 0)
    {
        var offsets = await Client.GetGrain<Groups.IConsumerGroupGrain>($"orleans-streams-{provider}").FetchOffsetsAsync([new TopicPartition($"streams-{provider}", partition)]);
        return offsets.IsEmpty ? -1 : offsets[0].Offset;
    }

    public async Task<long> EndAsync(string provider, int partition = 0) => (await Log.Admin.GetOffsetsAsync(new TopicPartition($"streams-{provider}", partition))).HighWatermark;

    public async ValueTask DisposeAsync()
    {
        if (_client is not null)
        {
            await _client.StopAsync();
            _client.Dispose();
        }

        foreach (var silo in Enumerable.Reverse(_silos))
        {
            await silo.StopAsync();
            silo.Dispose();
        }
    }

    private static int[] FreePorts(int count)
    {
        var listeners = Enumerable.Range(0, count).Select(_ => new TcpListener(IPAddress.Loopback, 0)).ToList();
        listeners.ForEach(listener => listener.Start());
        int[] ports = [.. listeners.Select(listener => ((IPEndPoint)listener.LocalEndpoint).Port)];
        listeners.ForEach(listener => listener.Dispose());
        return ports;
    }

    /// <summary>What the silos log, for looking into a failure: STREAMING_TESTS_LOG=file.</summary>
    private sealed class FileLog(string path) : ILoggerProvider, ILogger
    {
        private static readonly Lock s_gate = new();

        public ILogger CreateLogger(string categoryName) => this;

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => logLevel >= LogLevel.Information;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            lock (s_gate)
            {
                File.AppendAllText(path, $"{DateTime.UtcNow:HH:mm:ss.fff} {logLevel} {formatter(state, exception)} {exception}\n");
            }
        }

        public void Dispose()
        {
        }
    }
}
