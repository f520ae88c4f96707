using System.Collections.Concurrent;
using EmbeddedOrleans.Storage;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;
using Orleans;
using Orleans.Runtime;
using OrleansStreams.Clients;
using OrleansStreams.Errors;
using OrleansStreams.Hosts;
using OrleansStreams.Log.Compaction;
using OrleansStreams.Storage;
using OrleansStreams.Storage.Files;

namespace OrleansStreams.Log;

/// <summary>Silos in this process over one storage, which outlives them.</summary>
internal sealed class ClusterFixture : IAsyncDisposable
{
    private readonly string? _folder;
    private readonly GrainClusterSetup _setup;
    private GrainCluster _cluster = null!;

    private ClusterFixture(bool files, StreamsOptions? options, TimeProvider? time, bool countsTurns)
    {
        Options = options ?? new StreamsOptions();
        Time = time ?? TimeProvider.System;
        if (files)
        {
            _folder = Directory.CreateTempSubdirectory("streams-").FullName;
        }

        Memory = new MemoryLogStorage();
        LogStorage = new GatedLogStorage(_folder is null
            ? Memory
            : new FileLogStorage(new FileLogStorageOptions { RootPath = _folder }, TimeProvider.System, NullLogger<FileLogStorage>.Instance));
        _setup = new GrainClusterSetup(States, services => services
            .AddSingleton<ILogStorage>(new SharedLogStorage(LogStorage)).AddSingleton(Options).AddSingleton<CompactionSlots>().AddSingleton<PartitionMaintenance>())
        {
            Time = Time,
            CountsTurns = countsTurns,
        };
    }

    public StreamsOptions Options { get; }

    public TimeProvider Time { get; }

    public MemoryLogStorage Memory { get; }

    public GatedLogStorage LogStorage { get; }

    /// <summary>The first silo's.</summary>
    public PartitionMaintenance Maintenance => _cluster.Services.GetRequiredService<PartitionMaintenance>();

    public GatedStateStore States { get; } = new();

    public IGrainFactory Grains => _cluster.Grains;

    public StreamsClient Client => new(Grains, TimeProvider.System, new Random(1));

    public static async Task<ClusterFixture> StartAsync(int silos = 1, bool files = false, StreamsOptions? options = null, TimeProvider? time = null, bool countsTurns = false)
    {
        var fixture = new ClusterFixture(files, options, time, countsTurns);
        fixture._cluster = await GrainCluster.StartAsync(fixture._setup, silos);
        return fixture;
    }

    public ITopicGrain Topic(string name) => Grains.GetGrain<ITopicGrain>(name);

    public IPartitionGrain Partition(string topic, int partition = 0) => Grains.GetGrain<IPartitionGrain>(new TopicPartition(topic, partition).GrainKey);

    /// <summary>Crashes a silo and starts another in its place.</summary>
    public Task CrashOneAsync(Random random) => _cluster.CrashOneAsync(random);

    /// <summary>Crashes everything and starts anew over what is stored.</summary>
    public async Task RestartAsync(int silos = 1)
    {
        await _cluster.CrashAsync();
        _cluster = await GrainCluster.StartAsync(_setup, silos);
    }

    /// <summary>Completes when no grain has anything to do until a call or the clock brings something.</summary>
    public Task IdleAsync() => _cluster.IdleAsync();

    /// <summary>Calls until the call is not met by a passing failure, as clients do.</summary>
    public static async Task<T> EventuallyAsync<T>(Func<Task<T>> call)
    {
        for (var began = TimeProvider.System.GetTimestamp(); ;)
        {
            try
            {
                return await call();
            }
            catch (Exception exception) when (TimeProvider.System.GetElapsedTime(began) < TimeSpan.FromMinutes(1) && exception is StreamsException { IsRetriable: true } or OrleansException)
            {
                await Task.Yield();
            }
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _cluster.DisposeAsync();
        await LogStorage.DisposeAsync();
        if (_folder is not null)
        {
            Directory.Delete(_folder, recursive: true);
        }
    }
}

/// <summary>A silo disposes of its services, but the storage is shared.</summary>
internal sealed class SharedLogStorage(ILogStorage storage) : ILogStorage
{
    public ValueTask<ILog> OpenAsync(LogId id, LogOptions options, CancellationToken cancellationToken = default) => storage.OpenAsync(id, options, cancellationToken);

    public ValueTask DeleteAsync(LogId id, CancellationToken cancellationToken = default) => storage.DeleteAsync(id, cancellationToken);

    public ValueTask<IReadOnlyList<LogId>> ListAsync(string prefix, CancellationToken cancellationToken = default) => storage.ListAsync(prefix, cancellationToken);

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;
}

/// <summary>Storage whose deletions a test may hold back.</summary>
internal sealed class GatedLogStorage(ILogStorage storage) : ILogStorage
{
    private int _opened;

    public Func<LogId, Task>? BeforeDelete { get; set; }

    /// <summary>How often a log was opened.</summary>
    public int Opened => Volatile.Read(ref _opened);

    public ValueTask<ILog> OpenAsync(LogId id, LogOptions options, CancellationToken cancellationToken = default)
    {
        Interlocked.Increment(ref _opened);
        return storage.OpenAsync(id, options, cancellationToken);
    }

    public async ValueTask DeleteAsync(LogId id, CancellationToken cancellationToken = default)
    {
        await (BeforeDelete?.Invoke(id) ?? Task.CompletedTask);
        await storage.DeleteAsync(id, cancellationToken);
    }

    public ValueTask<IReadOnlyList<LogId>> ListAsync(string prefix, CancellationToken cancellationToken = default) => storage.ListAsync(prefix, cancellationToken);

    public ValueTask DisposeAsync() => storage.DisposeAsync();
}

/// <summary>Grain state in memory, whatever crashes, whose writes a test may hold back or fail.</summary>
internal sealed class GatedStateStore : IGrainStateStore
{
    private readonly ConcurrentDictionary<GrainStateAddress, StoredGrainState> _states = new();

    public Func<GrainStateAddress, Task>? BeforeWrite { get; set; }

    public IEnumerable<GrainStateAddress> Addresses => _states.Keys;

    public ValueTask<StoredGrainState?> ReadAsync(GrainStateAddress address) => ValueTask.FromResult(_states.GetValueOrDefault(address));

    public async ValueTask<string> WriteAsync(GrainStateAddress address, ReadOnlyMemory<byte> json, string? expectedEtag)
    {
        await (BeforeWrite?.Invoke(address) ?? Task.CompletedTask);
        var etag = expectedEtag + "+";
        var isCurrent = expectedEtag is null
            ? _states.TryAdd(address, new StoredGrainState(json.ToArray(), etag))
            : _states.TryGetValue(address, out var stored) && stored.Etag == expectedEtag && _states.TryUpdate(address, new StoredGrainState(json.ToArray(), etag), stored);
        return isCurrent ? etag : throw new Orleans.Storage.InconsistentStateException($"{address} was changed by another writer");
    }

    public ValueTask ClearAsync(GrainStateAddress address, string? expectedEtag)
    {
        _states.TryRemove(address, out _);
        return ValueTask.CompletedTask;
    }
}
