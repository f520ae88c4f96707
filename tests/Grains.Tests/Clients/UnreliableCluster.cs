using Orleans;
using OrleansStreams.Errors;
using System.Collections.Concurrent;
using OrleansStreams.Groups;
using OrleansStreams.Hosts;
using OrleansStreams.Log;
using OrleansStreams.Storage;

namespace OrleansStreams.Tests.Clients;

/// <summary>
/// Real partition logs behind a way that loses requests, loses answers and lets calls overtake each other, as a seed says; what clients must survive.
/// </summary>
internal sealed class UnreliableCluster
{
    private readonly ConcurrentDictionary<string, object> _grains = new(StringComparer.Ordinal);
    private readonly Random _random;
    private readonly double _faults;
    private long _producerIds;
    private int _fetches;

    public UnreliableCluster(int seed, int partitions, double faults)
    {
        _random = new Random(seed);
        _faults = faults;
        Grains = PlayedGrains.Of((type, key) => _grains.GetOrAdd(key, _ => type.Name switch
        {
            nameof(ITopicGrain) => new Topic(key, partitions),
            nameof(IProducerIdGrain) => new ProducerIds(this),
            nameof(IPartitionGrain) => new Partition(this, key),
            nameof(IConsumerGroupGrain) => Group!,
            var other => throw new InvalidOperationException(other),
        }));
    }

    /// <summary>The way to it.</summary>
    public IGrainFactory Grains { get; }

    public MemoryLogStorage Storage { get; } = new();

    /// <summary>Ends all faults.</summary>
    public bool Calm { get; set; }

    /// <summary>Whether appends are written and their answers lost, whatever else holds.</summary>
    public bool LoseAnswers { get; set; }

    /// <summary>The failure that the next appends meet, if any.</summary>
    public Func<StreamsException?>? Refuse { get; set; }

    /// <summary>Sees the batches of calls whose caller gets no answer: somebody may read that memory at any later time.</summary>
    public Action<ReadOnlyMemory<byte>>? Unanswered { get; set; }

    /// <summary>The failure that the next questions for offsets meet, if any.</summary>
    public Func<StreamsException?>? RefuseOffsets { get; set; }

    /// <summary>Makes the answer to a fetch out of what the log said.</summary>
    public Func<FetchResult, FetchResult>? Answering { get; set; }

    /// <summary>The consumer group of any name.</summary>
    public IConsumerGroupGrain? Group { get; init; }

    /// <summary>Fetches that were asked for.</summary>
    public int Fetches => Volatile.Read(ref _fetches);

    private double Next()
    {
        lock (_random)
        {
            return _random.NextDouble();
        }
    }

    private sealed class Topic(string name, int partitions) : ITopicGrain
    {
        public Task<TopicDescription> DescribeAsync() => name == "missing"
            ? throw new StreamsException(StreamsErrorCode.UnknownTopicOrPartition, "no such topic")
            : Task.FromResult(new TopicDescription(name, "id", partitions, TopicConfig.Default));

        public Task<TopicDescription> CreateAsync(int partitionCount, TopicConfig config) => throw new InvalidOperationException();

        public Task<TopicDescription> IncreasePartitionsAsync(int partitionCount) => throw new InvalidOperationException();

        public Task<TopicDescription?> AlterAsync(TopicAlteration alteration) => throw new InvalidOperationException();

        public Task<TopicDescription> AlterConfigAsync(TopicConfig config) => throw new InvalidOperationException();

        public Task DeleteAsync() => throw new InvalidOperationException();
    }

    private sealed class ProducerIds(UnreliableCluster cluster) : IProducerIdGrain
    {
        public Task<long> AllocateAsync() => Task.FromResult(Interlocked.Increment(ref cluster._producerIds));
    }

    /// <summary>Runs its log's calls one at a time, as a grain does.</summary>
    private sealed class Partition(UnreliableCluster cluster, string key) : IPartitionGrain
    {
        private readonly TaskFactory _turns = new(new ConcurrentExclusiveSchedulerPair().ExclusiveScheduler);
        private PartitionLog? _log;

        public Task<ProduceResult> AppendAsync(ProduceRequest request) => TurnAsync(async log =>
        {
            var fault = cluster.Calm ? 1 : cluster.Next();
            if (fault < faultsEach)
            {
                cluster.Unanswered?.Invoke(request.Batches);
                throw new TimeoutException("the request was lost");
            }

            for (var delays = cluster.Calm ? 0 : (int)(cluster.Next() * 4); delays > 0; delays--)
            {
                await Task.Yield();
            }

            if (cluster.Refuse?.Invoke() is { } refusal)
            {
                throw refusal;
            }

            var result = await log.AppendAsync(request.Batches);
            if (fault < 2 * faultsEach || cluster.LoseAnswers)
            {
                cluster.Unanswered?.Invoke(request.Batches);
                throw new TimeoutException("the answer was lost");
            }

            return result;
        });

        private double faultsEach => cluster.Faults / 2;

        public Task AppendOneWayAsync(ProduceRequest request)
        {
            cluster.Unanswered?.Invoke(request.Batches);
            return TurnAsync(log => log.AppendAsync(request.Batches));
        }

        public Task<FetchResult> FetchAsync(FetchRequest request, CancellationToken cancellationToken) => TurnAsync(log => Interlocked.Increment(ref cluster._fetches) > 0 && cluster.Next() < cluster.Faults && !cluster.Calm
            ? throw new TimeoutException("the answer was lost")
            : AnswerAsync(log.FetchAsync(request, cancellationToken)));

        private async Task<FetchResult> AnswerAsync(Task<FetchResult> read) => cluster.Answering?.Invoke(await read) ?? await read;

        public Task<PartitionOffsets> GetOffsetsAsync() => TurnAsync(log => cluster.RefuseOffsets?.Invoke() is { } refusal ? throw refusal : Task.FromResult(log.Offsets));

        public Task<TimestampOffset> OffsetForTimestampAsync(long timestamp) => TurnAsync(log => log.OffsetForTimestampAsync(timestamp));

        public Task<long> DeleteRecordsAsync(long beforeOffset) => TurnAsync(log => log.DeleteRecordsAsync(beforeOffset));

        public Task TopicChangedAsync(TopicDescription? topic) => Task.CompletedTask;

        public Task WakeAsync() => Task.CompletedTask;

        private Task<T> TurnAsync<T>(Func<PartitionLog, Task<T>> call) => _turns.StartNew(async () =>
        {
            _log ??= await PartitionLog.OpenAsync(cluster.Storage, new LogId("topics/" + key), TopicConfig.Default, new StreamsOptions(), TimeProvider.System);
            return await call(_log);
        }).Unwrap();
    }

    private double Faults => _faults;
}
