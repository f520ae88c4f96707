using OrleansStreams.Clients;
using OrleansStreams.Log;

namespace OrleansStreams.Processing;

/// <summary>Reaches partitions by grain calls, again and again while the failure is a passing one: a task has nothing better to do than wait for its partitions.</summary>
internal sealed class GrainTransport(IGrainFactory grains, ClientRetry retry) : ITaskTransport
{
    private const int FetchBytes = 1024 * 1024;
    private const int FetchWaitMs = 500;
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(5);

    public Task<long> AllocateProducerIdAsync() =>
        retry.RunAsync(grains.GetGrain<IProducerIdGrain>(IProducerIdGrain.Key).AllocateAsync, Patience, CancellationToken.None);

    public Task<PartitionOffsets> GetOffsetsAsync(TopicPartition partition) =>
        retry.RunAsync(Partition(partition).GetOffsetsAsync, Patience, CancellationToken.None);

    public Task<FetchResult> FetchAsync(TopicPartition partition, long offset, CancellationToken cancellationToken)
    {
        var request = new FetchRequest(offset, FetchBytes, MinBytes: 1, FetchWaitMs);
        return retry.RunAsync(() => Partition(partition).FetchAsync(request, cancellationToken), Patience, cancellationToken);
    }

    public Task DeliverAsync(TopicPartition partition, ReadOnlyMemory<byte> batch, CancellationToken cancellationToken)
    {
        var request = new ProduceRequest(batch);
        return retry.RunAsync(() => Partition(partition).AppendAsync(request), Patience, cancellationToken);
    }

    private IPartitionGrain Partition(TopicPartition partition) => grains.GetGrain<IPartitionGrain>(partition.GrainKey);
}
