using OrleansStreams.Log;

namespace OrleansStreams.Processing;

/// <summary>What a task asks of topics. The grain answers through partition grains; tests answer as they like.</summary>
internal interface ITaskTopics
{
    Task<FetchResult> FetchAsync(TopicPartition partition, FetchRequest request, CancellationToken cancellationToken);

    Task<ProduceResult> AppendAsync(TopicPartition partition, ReadOnlyMemory<byte> batches);

    Task<PartitionOffsets> GetOffsetsAsync(TopicPartition partition);

    Task<TopicDescription> DescribeAsync(string topic);

    Task<TopicDescription> CreateAsync(string topic, int partitions, TopicConfig config);

    Task DeleteRecordsAsync(TopicPartition partition, long beforeOffset);

    Task<long> AllocateProducerIdAsync();
}

/// <summary>What a task asks of those that write what it reads.</summary>
internal interface IUpstreamTasks
{
    /// <summary>Waits until a task has processed a record, its commit is durable and what it made of it is delivered.</summary>
    /// <exception cref="StreamsException">RequestTimedOut, TaskNotReady, ApplicationNotRunning.</exception>
    Task ReflectAsync(string task, InputOffset input, TimeSpan wait);
}

/// <summary>Tasks behind grains.</summary>
internal sealed class GrainUpstreamTasks(IGrainFactory grains) : IUpstreamTasks
{
    public Task ReflectAsync(string task, InputOffset input, TimeSpan wait) => grains.GetGrain<IStreamTaskGrain>(task).ReflectAsync(input, (int)wait.TotalMilliseconds);
}

/// <summary>Topics behind grains.</summary>
internal sealed class GrainTopics(IGrainFactory grains) : ITaskTopics
{
    public Task<FetchResult> FetchAsync(TopicPartition partition, FetchRequest request, CancellationToken cancellationToken) =>
        grains.GetGrain<IPartitionGrain>(partition.GrainKey).FetchAsync(request, cancellationToken);

    public Task<ProduceResult> AppendAsync(TopicPartition partition, ReadOnlyMemory<byte> batches) =>
        grains.GetGrain<IPartitionGrain>(partition.GrainKey).AppendAsync(new ProduceRequest(batches));

    public Task<PartitionOffsets> GetOffsetsAsync(TopicPartition partition) => grains.GetGrain<IPartitionGrain>(partition.GrainKey).GetOffsetsAsync();

    public Task<TopicDescription> DescribeAsync(string topic) => grains.GetGrain<ITopicGrain>(topic).DescribeAsync();

    public Task<TopicDescription> CreateAsync(string topic, int partitions, TopicConfig config) => grains.GetGrain<ITopicGrain>(topic).CreateAsync(partitions, config);

    public Task DeleteRecordsAsync(TopicPartition partition, long beforeOffset) => grains.GetGrain<IPartitionGrain>(partition.GrainKey).DeleteRecordsAsync(beforeOffset);

    public Task<long> AllocateProducerIdAsync() => grains.GetGrain<IProducerIdGrain>(IProducerIdGrain.Key).AllocateAsync();
}
