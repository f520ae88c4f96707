using System.Buffers;
using OrleansStreams.Log;
using OrleansStreams.Records;

namespace OrleansStreams.Processing.Operators;

/// <summary>A batch of a task's outbox, stamped and ready to be delivered any number of times.</summary>
/// <param name="Partition">Where to.</param>
/// <param name="Batch">One whole record batch with the task's producer id and sequence.</param>
internal readonly record struct OutboxBatch(TopicPartition Partition, ReadOnlyMemory<byte> Batch);

/// <summary>Collects what a task writes to one topic until the next commit.</summary>
internal sealed class TopicOutput
{
    private const int BatchBytesMax = 512 * 1024;

    private readonly PartitionOutput[] _partitions;
    private readonly ArrayBufferWriter<byte> _scratch = new(1024);
    private readonly int _batchBytes;
    private int _roundRobin;

    public TopicOutput(TopicDescription topic)
    {
        Topic = topic.Name;
        _batchBytes = Math.Min(BatchBytesMax, topic.Config.MaxMessageBytes);
        _partitions = [.. Enumerable.Range(0, topic.PartitionCount).Select(partition => new PartitionOutput(new TopicPartition(topic.Name, partition)))];
    }

    public string Topic { get; }

    /// <summary>Records since the last drain.</summary>
    public long Records { get; private set; }

    /// <summary>Bytes since the last drain.</summary>
    public long Bytes { get; private set; }

    /// <summary>The next sequence of each partition that was ever written to.</summary>
    public IEnumerable<(int Partition, int NextSequence)> Sequences =>
        _partitions.Where(partition => partition.NextSequence > 0).Select(partition => (partition.Partition.Partition, partition.NextSequence));

    public void Append<TKey, TValue>(
        TKey key, ISerializer<TKey> keySerializer, TValue value, ISerializer<TValue> valueSerializer, long timestamp, IReadOnlyList<RecordHeader> headers)
    {
        _scratch.ResetWrittenCount();
        if (key is not null)
        {
            keySerializer.Serialize(key, _scratch);
        }

        var keyBytes = _scratch.WrittenCount;
        if (value is not null)
        {
            valueSerializer.Serialize(value, _scratch);
        }

        var keySpan = _scratch.WrittenSpan[..keyBytes];
        var valueSpan = _scratch.WrittenSpan[keyBytes..];
        var partition = key is null ? _roundRobin = (_roundRobin + 1) % _partitions.Length : KeyHash.PartitionFor(keySpan, _partitions.Length);
        var bytes = RecordBatchBuilder.MaxRecordBytes(keySpan.Length, valueSpan.Length, headers);
        _partitions[partition].Append(timestamp, keySpan, key is null, valueSpan, value is null, headers, bytes, _batchBytes);
        Records++;
        Bytes += bytes;
    }

    /// <summary>Says to every partition that this task writes no more.</summary>
    public void AppendEndOfInput(string taskId)
    {
        foreach (var partition in _partitions)
        {
            partition.AppendEndOfInput(taskId);
        }

        Records++;
    }

    /// <summary>Takes out what was collected, stamped with the producer id and each partition's sequences.</summary>
    public void Drain(long producerId, List<OutboxBatch> outbox)
    {
        foreach (var partition in _partitions)
        {
            partition.Drain(producerId, outbox);
        }

        Records = 0;
        Bytes = 0;
    }

    /// <summary>Takes up a partition's sequence from the journal.</summary>
    public void RestoreSequence(int partition, int nextSequence)
    {
        if (partition >= _partitions.Length)
        {
            throw new StreamsException(StreamsErrorCode.IncompatibleState, $"the journal wrote to partition {partition} of topic {Topic}, which has {_partitions.Length}; was the topic deleted and made anew?");
        }

        _partitions[partition].NextSequence = nextSequence;
    }

    private sealed class PartitionOutput(TopicPartition partition)
    {
        private readonly List<(byte[] Batch, int Records)> _sealed = [];
        private RecordBatchBuilder? _builder;
        private string? _endedBy;

        public TopicPartition Partition => partition;

        public int NextSequence { get; set; }

        public void Append(
            long timestamp, ReadOnlySpan<byte> key, bool keyIsNull, ReadOnlySpan<byte> value, bool valueIsNull, IReadOnlyList<RecordHeader> headers, int bytes, int batchBytes)
        {
            _builder ??= new RecordBatchBuilder(initialBytes: 4096);
            if (_builder.Count > 0 && _builder.SizeBytes + bytes > batchBytes)
            {
                Seal();
            }

            _builder.Append(timestamp, key, keyIsNull, value, valueIsNull, headers);
        }

        public void AppendEndOfInput(string taskId) => _endedBy = taskId;

        public void Drain(long producerId, List<OutboxBatch> outbox)
        {
            if (_builder is { Count: > 0 })
            {
                Seal();
            }

            foreach (var (batch, records) in _sealed)
            {
                RecordBatch.StampProducer(batch, producerId, 0, NextSequence);
                Advance(records);
                outbox.Add(new OutboxBatch(partition, batch));
            }

            _sealed.Clear();
            if (_endedBy is { } taskId)
            {
                _endedBy = null;
                outbox.Add(new OutboxBatch(partition, WatermarkMarker.BuildBatch(taskId, WatermarkMarker.EndOfInput, producerId, 0, NextSequence, timestamp: 0)));
                Advance(1);
            }
        }

        private void Seal()
        {
            var records = _builder!.Count;
            _sealed.Add((_builder.Build(), records));
        }

        // Kafka's rule: sequences wrap to 0 after int.MaxValue.
        private void Advance(int records) => NextSequence = (int)(((long)NextSequence + records) % (1L << 31));
    }
}
