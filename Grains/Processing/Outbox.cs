using System.Text;
using OrleansStreams.Log;
using OrleansStreams.Records;

namespace OrleansStreams.Processing;

/// <summary>A topic that a task writes.</summary>
/// <param name="Topic">Its name.</param>
/// <param name="PartitionCount">Its partitions.</param>
/// <param name="MaxMessageBytes">The largest batch that it takes.</param>
internal sealed record OutputTopic(string Topic, int PartitionCount, int MaxMessageBytes)
{
    /// <summary>What the topology calls it.</summary>
    public string Name { get; init; } = Topic;

    /// <summary>Whether it is compacted, and hence refuses records without a key.</summary>
    public bool IsCompacted { get; init; }

    /// <summary>Whether it takes poison records. Journals know such topics by their names: they may be others at the next start.</summary>
    public bool IsDeadLetter { get; init; }

    /// <summary>Whether tasks of the application read it and wait for its writers' watermarks.</summary>
    public bool CarriesWatermarks { get; init; }
}

/// <summary>Whole batches for one partition, with the task's producer id and sequences.</summary>
/// <param name="Partition">Where they go.</param>
/// <param name="Records">Their records.</param>
/// <param name="Batches">The batches back to back.</param>
internal sealed record OutboxItem(TopicPartition Partition, int Records, ReadOnlyMemory<byte> Batches);

/// <summary>What a run sends under that does not process exactly once.</summary>
/// <param name="ProducerId">Its producer id.</param>
/// <param name="Next">The next sequences of the partitions that it has sent to, by topic and partition.</param>
internal sealed record RunSequences(long ProducerId, IReadOnlyDictionary<(int Topic, int Partition), int> Next)
{
    public RunSequences(long producerId)
        : this(producerId, new Dictionary<(int Topic, int Partition), int>())
    {
    }
}

/// <summary>
/// What a task has written since its last commit. Every batch carries the task's producer id and a sequence that is counted per partition and journaled, so
/// that the same commit delivered twice, or by a stale activation, is the same bytes with the same sequences, of which a partition keeps one. That is why the producer's epoch
/// is always 0: a zombie can deliver nothing but what the journal holds, which is to be delivered anyway; it cannot append to the journal any more.
/// </summary>
internal sealed class Outbox
{
    private const short ProducerEpoch = 0;
    private const int InitialBatchBytes = 1024;

    private readonly OutputTopic[] _topics;
    private readonly OutputPartition?[][] _partitions;
    private readonly List<OutputPartition> _pending = [];
    private readonly int _taskPartition;
    private readonly Dictionary<TopicPartition, int> _otherDeadLetters = [];
    private long _pendingBytes;
    private long _runProducerId = -1;

    public Outbox(IReadOnlyList<OutputTopic> topics, int taskPartition)
    {
        _topics = [.. topics];
        _partitions = [.. topics.Select(topic => new OutputPartition?[topic.PartitionCount])];
        _taskPartition = taskPartition;
    }

    /// <summary>The task's producer id, allocated once for its life.</summary>
    public long ProducerId { get; set; } = -1;

    public long Records { get; set; }

    private bool IsOfRun => _runProducerId >= 0;

    private long SenderId => IsOfRun ? _runProducerId : ProducerId;

    /// <summary>
    /// Sends under a producer id that is good for this run alone, with sequences of its own. A request that is repeated still stands in its partition once; what an earlier run has sent
    /// and the journal does not know is not taken for the same, as it would be under the same sequences.
    /// </summary>
    public void SendAs(RunSequences run)
    {
        _runProducerId = run.ProducerId;
        foreach (var ((topic, number), next) in run.Next)
        {
            (_partitions[topic][number] ??= new OutputPartition(topic, number)).ContinueRun(next);
        }
    }

    /// <summary>What this run sends under as of the last drain; null without <see cref="SendAs"/>.</summary>
    public RunSequences? RunSequences => !IsOfRun ? null : new RunSequences(
        _runProducerId,
        _partitions.SelectMany(partitions => partitions).OfType<OutputPartition>().ToDictionary(partition => (partition.Topic, partition.Partition), partition => partition.DrainedRunSequence));

    public long PendingBytes => _pendingBytes;

    public int IndexOf(string topic) => Array.FindIndex(_topics, output => output.Name == topic);

    /// <summary>Adds a record; its partition is that of Kafka's default partitioner, and the task's own number for a null key.</summary>
    /// <exception cref="StreamsException">RecordTooLarge, InvalidRecord: what the topic would refuse. Nothing has changed then: what is once in a commit must be deliverable.</exception>
    public void Append(int topic, long timestamp, ReadOnlySpan<byte> key, bool keyIsNull, ReadOnlySpan<byte> value, bool valueIsNull, RecordHeader[]? headers)
    {
        var count = _partitions[topic].Length;
        AppendTo(topic, PartitionFor(key, keyIsNull, count), timestamp, key, keyIsNull, value, valueIsNull, headers);
    }

    /// <summary>Adds a record to every partition.</summary>
    /// <exception cref="StreamsException">RecordTooLarge, InvalidRecord.</exception>
    public void AppendToAll(int topic, long timestamp, ReadOnlySpan<byte> key, bool keyIsNull, ReadOnlySpan<byte> value, bool valueIsNull, RecordHeader[]? headers)
    {
        for (var number = 0; number < _partitions[topic].Length; number++)
        {
            AppendTo(topic, number, timestamp, key, keyIsNull, value, valueIsNull, headers);
        }
    }

    /// <summary>Tells every partition of a topic how far this task's event time has come.</summary>
    public void AppendMarker(int topic, string taskName, long watermark, bool isIdle, long timestamp)
    {
        for (var number = 0; number < _partitions[topic].Length; number++)
        {
            var partition = PartitionOf(topic, number);
            Seal(partition);
            var marker = WatermarkMarker.BuildBatch(taskName, watermark, SenderId, ProducerEpoch, partition.SequenceOf(IsOfRun), timestamp, isIdle);
            partition.Add(marker, 1, isRecord: false, IsOfRun);
            _pendingBytes += marker.Length;
        }
    }

    /// <summary>Everything that was written since the last call, in the order of topics and partitions.</summary>
    public List<OutboxItem> Drain()
    {
        _pending.Sort(static (x, y) => x.Topic != y.Topic ? x.Topic.CompareTo(y.Topic) : x.Partition.CompareTo(y.Partition));
        var items = new List<OutboxItem>(_pending.Count);
        foreach (var partition in _pending)
        {
            Seal(partition);
            items.Add(partition.Take(_topics[partition.Topic].Topic));
        }

        _pending.Clear();
        _pendingBytes = 0;
        return items;
    }

    /// <summary>The sequences that the items of a drain leave behind, or all of them: those of dead-letter topics by name behind the others.</summary>
    public void WriteSequences(ByteBuffer to, IReadOnlyList<OutboxItem>? changed)
    {
        var countAt = to.Length;
        var count = 0;
        to.WriteInt32(0);
        foreach (var partition in Written(isDeadLetter: false, changed))
        {
            to.WriteInt32(partition.Topic);
            to.WriteInt32(partition.Partition);
            to.WriteInt32(partition.NextSequence);
            count++;
        }

        to.PatchInt32(countAt, count);
        countAt = to.Length;
        count = 0;
        to.WriteInt32(0);
        foreach (var partition in Written(isDeadLetter: true, changed))
        {
            WriteDeadLetters(to, new TopicPartition(_topics[partition.Topic].Topic, partition.Partition), partition.NextSequence);
            count++;
        }

        foreach (var (partition, next) in changed is null ? _otherDeadLetters : [])
        {
            WriteDeadLetters(to, partition, next);
            count++;
        }

        to.PatchInt32(countAt, count);
    }

    public void ReadSequences(ref ByteReader from)
    {
        for (var count = from.ReadCount(12); count > 0; count--)
        {
            var topic = from.ReadInt32();
            var number = from.ReadInt32();
            var next = from.ReadInt32();
            if ((uint)topic >= (uint)_partitions.Length || (uint)number >= (uint)_partitions[topic].Length || next < 0)
            {
                throw ByteReader.Damaged();
            }

            (_partitions[topic][number] ??= new OutputPartition(topic, number)).NextSequence = next;
        }

        for (var count = from.ReadCount(12); count > 0; count--)
        {
            var partition = new TopicPartition(Encoding.UTF8.GetString(from.ReadBlock()), from.ReadInt32());
            ReadDeadLetters(partition, from.ReadInt32());
        }
    }

    private static void WriteDeadLetters(ByteBuffer to, TopicPartition partition, int next)
    {
        to.WriteBlock(Encoding.UTF8.GetBytes(partition.Topic));
        to.WriteInt32(partition.Partition);
        to.WriteInt32(next);
    }

    private void ReadDeadLetters(TopicPartition partition, int next)
    {
        var topic = Array.FindIndex(_topics, output => output.IsDeadLetter && output.Topic == partition.Topic);
        if (partition.Partition < 0 || next < 0)
        {
            throw ByteReader.Damaged();
        }

        if (topic < 0 || partition.Partition >= _partitions[topic].Length)
        {
            // Another policy was chosen since. It may be chosen again, and the partition remembers the sequences.
            _otherDeadLetters[partition] = next;
            return;
        }

        (_partitions[topic][partition.Partition] ??= new OutputPartition(topic, partition.Partition)).NextSequence = next;
    }

    /// <summary>The partitions that were ever written, or those of a drain's items.</summary>
    private IEnumerable<OutputPartition> Written(bool isDeadLetter, IReadOnlyList<OutboxItem>? changed)
    {
        for (var topic = 0; topic < _partitions.Length; topic++)
        {
            for (var number = 0; number < _partitions[topic].Length && _topics[topic].IsDeadLetter == isDeadLetter; number++)
            {
                if (_partitions[topic][number] is { } partition &&
                    (changed is null || changed.Any(item => item.Partition.Partition == number && item.Partition.Topic == _topics[topic].Topic)))
                {
                    yield return partition;
                }
            }
        }
    }

    private int PartitionFor(ReadOnlySpan<byte> key, bool keyIsNull, int count) =>
        count == 1 ? 0 : keyIsNull ? _taskPartition % count : KeyHash.PartitionFor(key, count);

    private void AppendTo(int topic, int number, long timestamp, ReadOnlySpan<byte> key, bool keyIsNull, ReadOnlySpan<byte> value, bool valueIsNull, RecordHeader[]? headers)
    {
        if (keyIsNull && _topics[topic].IsCompacted)
        {
            throw new StreamsException(
                StreamsErrorCode.InvalidRecord,
                $"A result for topic '{_topics[topic].Topic}' has no key, but the topic is compacted (cleanup.policy has compact): give every result a key, or take compact from the topic's cleanup.policy.",
                WriteOutcome.NotWritten);
        }

        var partition = _partitions[topic][number] ??= new OutputPartition(topic, number);
        var bytes = RecordBatchBuilder.MaxRecordBytes(key.Length, value.Length, headers);
        var builder = partition.Builder;
        var max = _topics[topic].MaxMessageBytes;
        if (builder.Count > 0 && builder.SizeBytes + (long)bytes > max)
        {
            Seal(partition);
        }

        var before = builder.SizeBytes;
        builder.Append(timestamp, key, keyIsNull, value, valueIsNull, headers);
        if (builder.SizeBytes is var size && size > max)
        {
            // It is alone in its batch: any before it are sealed.
            builder.Reset();
            throw new StreamsException(
                StreamsErrorCode.RecordTooLarge,
                $"A result for topic '{_topics[topic].Topic}' needs a batch of {size} bytes, the topic takes {max}: raise its max.message.bytes or make results smaller.",
                WriteOutcome.NotWritten);
        }

        MarkPending(partition);
        _pendingBytes += builder.SizeBytes - before;
        Records++;
    }

    private OutputPartition PartitionOf(int topic, int number)
    {
        var partition = _partitions[topic][number] ??= new OutputPartition(topic, number);
        MarkPending(partition);
        return partition;
    }

    private void MarkPending(OutputPartition partition)
    {
        if (!partition.IsPending)
        {
            partition.IsPending = true;
            _pending.Add(partition);
        }
    }

    private void Seal(OutputPartition partition)
    {
        var records = partition.Builder.Count;
        if (records > 0)
        {
            partition.Add(partition.Builder.Build(SenderId, ProducerEpoch, partition.SequenceOf(IsOfRun)), records, isRecord: true, IsOfRun);
        }
    }

    private sealed class OutputPartition(int topic, int partition)
    {
        private readonly List<byte[]> _batches = [];
        private int _records;
        private int _runSequence;

        public int Topic { get; } = topic;

        public int Partition { get; } = partition;

        public RecordBatchBuilder Builder { get; } = new(CompressionType.None, InitialBatchBytes);

        public int NextSequence { get; set; }

        /// <summary>The run's next sequence as of the last drain.</summary>
        public int DrainedRunSequence { get; private set; }

        public bool IsPending { get; set; }

        public void ContinueRun(int next) => DrainedRunSequence = _runSequence = next;

        public int SequenceOf(bool isOfRun) => isOfRun ? _runSequence : NextSequence;

        public void Add(byte[] batch, int sequences, bool isRecord, bool isOfRun)
        {
            _batches.Add(batch);
            _records += isRecord ? sequences : 0;
            if (isOfRun)
            {
                _runSequence = Sequences.Add(_runSequence, sequences);
            }
            else
            {
                NextSequence = Sequences.Add(NextSequence, sequences);
            }
        }

        public OutboxItem Take(string topicName)
        {
            var item = new OutboxItem(new TopicPartition(topicName, Partition), _records, _batches.Count == 1 ? _batches[0] : Joined());
            _batches.Clear();
            _records = 0;
            DrainedRunSequence = _runSequence;
            IsPending = false;
            return item;
        }

        private byte[] Joined()
        {
            var joined = GC.AllocateUninitializedArray<byte>(_batches.Sum(batch => batch.Length));
            var at = 0;
            foreach (var batch in _batches)
            {
                batch.CopyTo(joined, at);
                at += batch.Length;
            }

            return joined;
        }
    }
}
