using OrleansStreams.Log;
using OrleansStreams.Processing;
using OrleansStreams.Records;

namespace OrleansStreams.Testing;

/// <summary>The topics of a test driver, made when the topology names them.</summary>
internal sealed class TestTopics(TopologyTestDriverOptions options) : ITaskTopics
{
    /// <summary>How the driver calls itself in the end markers of topics.</summary>
    public const string DriverTask = "test-driver";

    private readonly Dictionary<string, TestTopic> _topics = new(StringComparer.Ordinal);
    private long _lastProducer;
    private long _lastSequence;

    public TestTopic Get(string topic) => _topics.TryGetValue(topic, out var found) ? found : throw new StreamsException(
        StreamsErrorCode.UnknownTopicOrPartition, $"The topology neither reads nor writes a topic '{topic}': it has {string.Join(", ", _topics.Keys.Order(StringComparer.Ordinal))}.");

    public long AllocateProducerId() => ++_lastProducer;

    public long NextSequence() => ++_lastSequence;

    public void Deliver(IEnumerable<OutboxItem> outbox)
    {
        foreach (var item in outbox)
        {
            for (var rest = item.Batches; !rest.IsEmpty;)
            {
                var bytes = RecordBatchHeader.Read(rest.Span).TotalBytes;
                Get(item.Partition.Topic).Append(item.Partition.Partition, rest[..bytes].ToArray());
                rest = rest[bytes..];
            }
        }
    }

    /// <summary>Makes a topic that a user would have made.</summary>
    public void Create(string topic) => Create(topic, options.TopicPartitions.GetValueOrDefault(topic, options.Partitions));

    public Task<TopicDescription> DescribeAsync(string topic) => Task.FromResult(DescriptionOf(Get(topic)));

    public Task<TopicDescription> CreateAsync(string topic, int partitions, TopicConfig config) => Task.FromResult(DescriptionOf(Create(topic, partitions)));

    public Task DeleteRecordsAsync(TopicPartition partition, long beforeOffset) => Task.CompletedTask;

    public Task<FetchResult> FetchAsync(TopicPartition partition, FetchRequest request, CancellationToken cancellationToken) => throw NotAsked();

    public Task<ProduceResult> AppendAsync(TopicPartition partition, ReadOnlyMemory<byte> batches) => throw NotAsked();

    public Task<PartitionOffsets> GetOffsetsAsync(TopicPartition partition) => throw NotAsked();

    public Task<long> AllocateProducerIdAsync() => Task.FromResult(AllocateProducerId());

    private TestTopic Create(string topic, int partitions)
    {
        var created = new TestTopic(topic, partitions, this);
        _topics.Add(topic, created);
        return created;
    }

    private static TopicDescription DescriptionOf(TestTopic topic) => new(topic.Name, topic.Name, topic.PartitionCount, TopicConfig.Default);

    private static InvalidOperationException NotAsked() => new("A plan is made of the topics' descriptions alone.");
}

/// <summary>A topic in memory.</summary>
internal sealed class TestTopic(string name, int partitionCount, TestTopics topics)
{
    private readonly TestPartition[] _partitions = [.. Enumerable.Range(0, partitionCount).Select(_ => new TestPartition())];

    public string Name => name;

    public int PartitionCount => partitionCount;

    public void Append(int partition, byte[] batch)
    {
        if ((uint)partition >= (uint)partitionCount)
        {
            throw new StreamsException(StreamsErrorCode.UnknownTopicOrPartition, $"Topic '{name}' has no partition {partition}: it has {partitionCount}.");
        }

        _partitions[partition].Append(batch, topics.NextSequence());
    }

    /// <summary>Tells the tasks that the driver writes nothing more.</summary>
    public void AppendEnd(long nowMs)
    {
        for (var partition = 0; partition < partitionCount; partition++)
        {
            Append(partition, WatermarkMarker.BuildBatch(TestTopics.DriverTask, WatermarkMarker.EndOfInput, -1, -1, -1, nowMs));
        }
    }

    /// <summary>The batch that holds an offset or begins behind it, or null.</summary>
    public TestBatch? BatchAt(int partition, long offset) => _partitions[partition].BatchAt(offset);

    /// <summary>The batches behind a sequence, over all partitions, in the order in which they were written.</summary>
    public IEnumerable<(int Partition, TestBatch Batch)> After(long sequence) => _partitions
        .SelectMany((partition, number) => partition.Batches.Where(batch => batch.Sequence > sequence).Select(batch => (number, batch)))
        .OrderBy(pair => pair.batch.Sequence);
}

/// <summary>A batch in a topic.</summary>
/// <param name="Bytes">The batch.</param>
/// <param name="NextOffset">The offset behind it.</param>
/// <param name="Sequence">When it was written, counted over all topics.</param>
internal sealed record TestBatch(byte[] Bytes, long NextOffset, long Sequence);

/// <summary>A partition in memory, which drops what it has by sequence as a real one does.</summary>
internal sealed class TestPartition
{
    private readonly Dictionary<long, int> _nextSequences = [];

    public List<TestBatch> Batches { get; } = [];

    public void Append(byte[] bytes, long sequence)
    {
        var header = RecordBatchHeader.Read(bytes);
        if (header.ProducerId >= 0)
        {
            var next = _nextSequences.GetValueOrDefault(header.ProducerId);
            if (header.BaseSequence < next)
            {
                return;
            }

            if (header.BaseSequence > next)
            {
                throw new StreamsException(StreamsErrorCode.OutOfOrderSequence, $"A task has left out sequences {next} to {header.BaseSequence - 1} of a partition: this is a fault of the product.");
            }

            _nextSequences[header.ProducerId] = next + header.RecordCount;
        }

        var offset = Batches.Count == 0 ? 0 : Batches[^1].NextOffset;
        RecordBatch.StampOffsetAndEpoch(bytes, offset, 0);
        Batches.Add(new TestBatch(bytes, RecordBatchHeader.Read(bytes).NextOffset, sequence));
    }

    public TestBatch? BatchAt(long offset)
    {
        var (low, high) = (0, Batches.Count);
        while (low < high)
        {
            var middle = (low + high) / 2;
            if (Batches[middle].NextOffset <= offset)
            {
                low = middle + 1;
            }
            else
            {
                high = middle;
            }
        }

        return low < Batches.Count ? Batches[low] : null;
    }
}
