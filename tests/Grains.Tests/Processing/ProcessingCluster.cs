using System.Collections.Immutable;
using System.Text;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;
using Orleans;
using Orleans.Runtime;
using OrleansStreams.Errors;
using OrleansStreams.Hosts;
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
    private readonly GrainClusterSetup _setup;
    private GrainCluster _cluster = null!;

    private ProcessingCluster(Action<StreamsBuilder, ApplicationParameters> describe, bool files, StreamApplicationOptions? options)
    {
        Storage = files
            ? new FileLogStorage(new FileLogStorageOptions { RootPath = Path.Combine(_folder, "logs") }, TimeProvider.System, NullLogger<FileLogStorage>.Instance)
            : new MemoryLogStorage();
        _setup = new GrainClusterSetup(States, services => services
                .AddSingleton<ILogStorage>(new SharedLogStorage(Storage))
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
                .AddStreamApplication(Application, describe, options));
    }

    public ILogStorage Storage { get; }

    /// <summary>What grains store; a test may hold a write or let it fail.</summary>
    public GatedStateStore States { get; } = new();

    public IGrainFactory Grains => _cluster.Grains;

    public IStreamApplicationGrain App => Grains.GetGrain<IStreamApplicationGrain>(Application);

    public static ImmutableDictionary<string, string> NoParameters => ImmutableDictionary<string, string>.Empty;

    public static async Task<ProcessingCluster> StartAsync(Action<StreamsBuilder, ApplicationParameters> describe, int silos = 1, bool files = false, StreamApplicationOptions? options = null)
    {
        var processing = new ProcessingCluster(describe, files, options);
        processing._cluster = await GrainCluster.StartAsync(processing._setup, silos);
        return processing;
    }

    public string FileOf(string name, IEnumerable<string> lines)
    {
        // Whole at once: a task that waits for the file must not meet a part of it.
        var path = Path.Combine(_folder, name);
        File.WriteAllLines(path + ".part", lines);
        File.Move(path + ".part", path, overwrite: true);
        return path;
    }

    public Task CreateTopicAsync(string topic, int partitions) =>
        Grains.GetGrain<ITopicGrain>(topic).CreateAsync(partitions, new TopicConfig { RetentionMs = -1 });

    public Task CrashOneAsync(Random random) => _cluster.CrashOneAsync(random);

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
}
