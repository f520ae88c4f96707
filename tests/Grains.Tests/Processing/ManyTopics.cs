using System.Text;
using OrleansStreams.Log;
using OrleansStreams.Records;

namespace OrleansStreams.Processing;

/// <summary>
/// Any number of topics for real tasks, which drop by producer and sequence what they have. A fetch answers a batch, or none after its wait on the test's clock; the answers of a topic
/// can be held back.
/// </summary>
internal sealed class ManyTopics(TimeProvider time) : ITaskTopics
{
    private readonly Dictionary<TopicPartition, List<byte[]>> _batches = [];
    private readonly Dictionary<(TopicPartition Partition, long Producer), int> _sequences = [];
    private readonly HashSet<string> _held = [];
    private TaskCompletionSource _changed = NewSource();
    private long _producers;

    /// <summary>What happens before a fetch is answered.</summary>
    public Func<TopicPartition, Task> Answering { get; set; } = _ => Task.CompletedTask;

    public void Add(string topic, params (string? Key, long Time)[] records) => Append(new TopicPartition(topic, 0), EngineFixture.Batch(0, records));

    /// <summary>Appends a batch of texts.</summary>
    public void AddTexts(string topic, params (string Key, string? Value, long Time)[] records)
    {
        var builder = new RecordBatchBuilder();
        foreach (var (key, value, timestamp) in records)
        {
            builder.Append(timestamp, Encoding.UTF8.GetBytes(key), false, value is null ? default : Encoding.UTF8.GetBytes(value), value is null);
        }

        Append(new TopicPartition(topic, 0), builder.Build());
    }

    public void End(string topic) => Append(new TopicPartition(topic, 0), EngineFixture.End(0));

    /// <summary>Answers no fetch of a topic until it is let go.</summary>
    public void Hold(string topic) => _held.Add(topic);

    public void LetGo(string topic)
    {
        _held.Remove(topic);
        Changed();
    }

    public long EndOf(string topic, int partition = 0) => EndOf(new TopicPartition(topic, partition));

    /// <summary>The records of a topic, partition by partition, as "key value".</summary>
    public List<string> Records(string topic)
    {
        var texts = new List<string>();
        foreach (var (_, batches) in _batches.Where(pair => pair.Key.Topic == topic).OrderBy(pair => pair.Key.Partition))
        {
            batches.ForEach(batch => ModelPartition.ReadBatches(batch, texts));
        }

        return texts;
    }

    /// <summary>What the tasks that write a topic have told, marker by marker of one partition.</summary>
    public List<(long Watermark, bool IsIdle)> Markers(string topic)
    {
        var markers = new List<(long, bool)>();
        foreach (var batch in _batches.GetValueOrDefault(new TopicPartition(topic, 0), []))
        {
            if (WatermarkMarker.TryRead(batch, out _, out var watermark, out var isIdle))
            {
                markers.Add((watermark, isIdle));
            }
        }

        return markers;
    }

    public async Task<FetchResult> FetchAsync(TopicPartition partition, FetchRequest request, CancellationToken cancellationToken)
    {
        await Answering(partition);
        var began = time.GetTimestamp();
        while (true)
        {
            cancellationToken.ThrowIfCancellationRequested();
            var batch = _batches.GetValueOrDefault(partition, []).Find(batch => RecordBatchHeader.Read(batch).NextOffset > request.Offset);
            if (!_held.Contains(partition.Topic))
            {
                if (batch is not null)
                {
                    return new FetchResult(batch, RecordBatchHeader.Read(batch).NextOffset, EndOf(partition), 0);
                }

                if (time.GetElapsedTime(began).TotalMilliseconds >= request.MaxWaitMs)
                {
                    return new FetchResult(default, request.Offset, EndOf(partition), 0);
                }
            }

            using var waiting = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
            var left = TimeSpan.FromMilliseconds(Math.Max(1, request.MaxWaitMs)) - time.GetElapsedTime(began);
            await Task.WhenAny(_changed.Task, Task.Delay(left > TimeSpan.Zero ? left : Timeout.InfiniteTimeSpan, time, waiting.Token));
            await waiting.CancelAsync();
        }
    }

    public Task<ProduceResult> AppendAsync(TopicPartition partition, ReadOnlyMemory<byte> batches)
    {
        for (var rest = batches; !rest.IsEmpty;)
        {
            var header = RecordBatchHeader.Read(rest.Span);
            var next = _sequences.GetValueOrDefault((partition, header.ProducerId));
            header.BaseSequence.ShouldBeLessThanOrEqualTo(next, "a sequence was left out");
            if (header.BaseSequence == next)
            {
                _sequences[(partition, header.ProducerId)] = next + header.RecordCount;
                Append(partition, rest[..header.TotalBytes].ToArray());
            }

            rest = rest[header.TotalBytes..];
        }

        return Task.FromResult(new ProduceResult(0, -1, 0, false));
    }

    public Task<PartitionOffsets> GetOffsetsAsync(TopicPartition partition) => Task.FromResult(new PartitionOffsets(0, EndOf(partition), EndOf(partition), 0, 1));

    public Task<TopicDescription> DescribeAsync(string topic) => throw new InvalidOperationException("a task describes no topics");

    public Task<TopicDescription> CreateAsync(string topic, int partitions, TopicConfig config) => throw new InvalidOperationException("a task creates no topics");

    public Task DeleteRecordsAsync(TopicPartition partition, long beforeOffset) => Task.CompletedTask;

    public Task<long> AllocateProducerIdAsync() => Task.FromResult(++_producers);

    private void Append(TopicPartition partition, byte[] batch)
    {
        RecordBatch.StampOffsetAndEpoch(batch, EndOf(partition), 0);
        (_batches.TryGetValue(partition, out var found) ? found : _batches[partition] = []).Add(batch);
        Changed();
    }

    private long EndOf(TopicPartition partition) => _batches.TryGetValue(partition, out var batches) ? RecordBatchHeader.Read(batches[^1]).NextOffset : 0;

    private void Changed()
    {
        var changed = _changed;
        _changed = NewSource();
        changed.SetResult();
    }

    private static TaskCompletionSource NewSource() => new(TaskCreationOptions.RunContinuationsAsynchronously);
}
