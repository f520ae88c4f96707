using System.Collections.Immutable;
using System.Text;
using EmbeddedOrleans;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;
using Orleans;
using Orleans.Runtime;
using OrleansStreams.Errors;
using OrleansStreams.Log;
using OrleansStreams.Log.Compaction;
using OrleansStreams.Records;
using OrleansStreams.Storage;
using OrleansStreams.Storage.Files;
using OrleansStreams.Topologies;

namespace OrleansStreams.Processing;

/// <summary>Silos that run one application over one storage, which outlives them.</summary>
internal sealed class ProcessingCluster : IAsyncDisposable
{
    public const string Application = "app";

    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(60);

    private readonly string _folder = Directory.CreateTempSubdirectory("streams-processing-").FullName;
    private readonly EmbeddedCluster _cluster;

    public ProcessingCluster(Action<StreamsBuilder, ApplicationParameters> describe, int silos = 1, bool files = false)
    {
        Storage = files
            ? new FileLogStorage(new FileLogStorageOptions { RootPath = Path.Combine(_folder, "logs") }, TimeProvider.System, NullLogger<FileLogStorage>.Instance)
            : new MemoryLogStorage();
        var options = new EmbeddedClusterOptions { TimeProvider = TimeProvider.System, Random = new Random(7) }
            .AddGrainAssembly(typeof(PartitionLog).Assembly)
            .AddMemoryGrainStorage("streams")
            .ConfigureServices(services => services
                .AddSingleton<ILogStorage>(new SharedStorage(Storage))
                .AddSingleton(new StreamsOptions())
                .AddSingleton<PartitionMaintenance>()
                .AddSingleton<CompactionSlots>()
                .AddSingleton(new ProcessingOptions
                {
                    CommitInterval = TimeSpan.FromMilliseconds(5),
                    SupervisionInterval = TimeSpan.FromMilliseconds(20),
                    FetchWait = TimeSpan.FromMilliseconds(50),
                    FetchBytes = 4096,
                    SnapshotBytesMin = 20_000,
                    PurgeInterval = TimeSpan.FromMilliseconds(20),
                    FileBlockBytes = 4096,
                })
                .AddStreamApplication(Application, describe));
        _cluster = EmbeddedCluster.Create(options);
        for (var i = 0; i < silos; i++)
        {
            _cluster.AddSilo();
        }
    }

    public ILogStorage Storage { get; }

    public IGrainFactory Grains => _cluster.GrainFactory;

    public IStreamApplicationGrain App => Grains.GetGrain<IStreamApplicationGrain>(Application);

    public static ImmutableDictionary<string, string> NoParameters => ImmutableDictionary<string, string>.Empty;

    public string FileOf(string name, IEnumerable<string> lines)
    {
        var path = Path.Combine(_folder, name);
        File.WriteAllLines(path, lines);
        return path;
    }

    public Task CreateTopicAsync(string topic, int partitions) =>
        Grains.GetGrain<ITopicGrain>(topic).CreateAsync(partitions, new TopicConfig { RetentionMs = -1 });

    public void CrashOne(Random random)
    {
        _cluster.CrashSilo(_cluster.Silos[random.Next(_cluster.Silos.Count)]);
        _cluster.AddSilo();
    }

    /// <summary>Calls until the condition holds; fails, and says what was seen last, when it never does.</summary>
    public static async Task<T> EventuallyAsync<T>(Func<Task<T>> call, Func<T, bool> holds)
    {
        var began = TimeProvider.System.GetTimestamp();
        object? last = null;
        while (TimeProvider.System.GetElapsedTime(began) < s_patience)
        {
            try
            {
                var seen = await call();
                last = seen;
                if (holds(seen))
                {
                    return seen;
                }
            }
            catch (Exception error) when (error is StreamsException { IsRetriable: true } or OrleansException or TimeoutException)
            {
                last = error;
            }

            await Task.Yield();
        }

        throw new TimeoutException($"It never came; last seen: {last}");
    }

    public Task<StreamApplicationStatus> UntilAsync(Func<StreamApplicationStatus, bool> holds) => EventuallyAsync(App.GetStatusAsync, holds);

    /// <summary>Every data record of a topic, as "partition:key=value".</summary>
    public async Task<List<string>> ReadAsync(string topic, int partitions)
    {
        var texts = new List<string>();
        for (var partition = 0; partition < partitions; partition++)
        {
            var grain = Grains.GetGrain<IPartitionGrain>(new TopicPartition(topic, partition).GrainKey);
            for (var offset = 0L; ;)
            {
                var at = offset;
                var result = await EventuallyAsync(() => grain.FetchAsync(new FetchRequest(at, 1 << 20, 0, 0), CancellationToken.None), _ => true);
                if (result.Batches.IsEmpty)
                {
                    break;
                }

                for (var rest = result.Batches; !rest.IsEmpty;)
                {
                    var reader = new RecordBatchReader(rest);
                    while (!reader.Header.IsControl && reader.TryRead(out var record))
                    {
                        texts.Add($"{partition}:{Encoding.UTF8.GetString(record.Key)}={Encoding.UTF8.GetString(record.Value)}");
                    }

                    rest = rest[reader.Header.TotalBytes..];
                }

                offset = result.NextOffset;
            }
        }

        return texts;
    }

    public async ValueTask DisposeAsync()
    {
        await _cluster.DisposeAsync();
        await Storage.DisposeAsync();
        Directory.Delete(_folder, recursive: true);
    }

    /// <summary>A silo disposes of its services, but the storage is shared.</summary>
    private sealed class SharedStorage(ILogStorage storage) : ILogStorage
    {
        public ValueTask<ILog> OpenAsync(LogId id, LogOptions options, CancellationToken cancellationToken = default) => storage.OpenAsync(id, options, cancellationToken);

        public ValueTask DeleteAsync(LogId id, CancellationToken cancellationToken = default) => storage.DeleteAsync(id, cancellationToken);

        public ValueTask<IReadOnlyList<LogId>> ListAsync(string prefix, CancellationToken cancellationToken = default) => storage.ListAsync(prefix, cancellationToken);

        public ValueTask DisposeAsync() => ValueTask.CompletedTask;
    }
}
