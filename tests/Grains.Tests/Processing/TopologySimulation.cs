using OrleansStreams.Log;
using OrleansStreams.Processing.Watermarks;
using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.Processing;

/// <summary>
/// All tasks of an application over topics in memory, one random step at a time: batches cut anywhere, tasks interleaved anyhow, crashes before, amid and after deliveries. Checks as it
/// goes that no watermark goes back, and that none passes a record by that comes behind it. With a timeout of idleness there is a clock, which never goes on so far that an input would be
/// idle which still has records, or whose task tells its readers: what follows then would be late there, and results would be chance.
/// </summary>
internal sealed class TopologySimulation
{
    private const string Source = "source/0_0";

    private readonly Random _random;
    private readonly Dictionary<string, List<SimulatedRecord>[]> _sources;
    private readonly MemoryTopics _topics;
    private readonly List<SimulatedTask> _tasks = [];
    private readonly SimulationOptions _options;
    private bool _holdsBack;
    private long _clock;

    private TopologySimulation(Random random, Dictionary<string, List<SimulatedRecord>[]> sources, MemoryTopics topics, SimulationOptions options)
    {
        _random = random;
        _sources = sources;
        _topics = topics;
        _options = options;
        _holdsBack = options.HeldBack.Count > 0;
    }

    public IEnumerable<string> TaskNames => _tasks.Select(task => task.Plan.Name);

    /// <summary>How often an input became idle.</summary>
    public int IdleInputs { get; private set; }

    public long LateRecords => _tasks.Sum(task => task.Engine.Progress.LateRecords);

    /// <summary>The stores of all tasks, and how many entries they have.</summary>
    public IEnumerable<(string Store, long Entries)> Stores => _tasks.SelectMany(task => task.Engine.Stores).Select(store => (store.Name, store.Entries));

    public static async Task<TopologySimulation> CreateAsync(
        Topology topology, Dictionary<string, List<SimulatedRecord>[]> sources, Dictionary<string, int> otherTopics, Random random, SimulationOptions? options = null)
    {
        var topics = new MemoryTopics();
        foreach (var (name, partitions) in sources.Select(source => (source.Key, source.Value.Length)).Concat(otherTopics.Select(topic => (topic.Key, topic.Value))))
        {
            await topics.CreateAsync(name, partitions, TopicConfig.Default with { MaxMessageBytes = 300 });
        }

        var plan = await ApplicationPlan.ResolveAsync("app", topology, topics, create: true);
        var simulation = new TopologySimulation(random, sources, topics, options ?? new SimulationOptions());
        foreach (var id in plan.Tasks)
        {
            var task = plan.TaskOf(id, new ProcessingOptions { SnapshotBytesMin = 300 });
            var writers = task.Writers.Select((names, input) => sources.ContainsKey(task.InputTopics[input]) ? [Source] : names);
            var slowness = random.Next(3) == 0 ? random.Next(1, 40) : 1;
            simulation._tasks.Add(new SimulatedTask(task with { Writers = [.. writers] }, simulation._tasks.Count + 1, slowness)
            {
                EndsAt = random.Next((int)(6 * simulation._options.IdlenessMs) + 1),
            });
        }

        return simulation;
    }

    /// <summary>Runs until every task has ended.</summary>
    /// <param name="what">What a failure is told with.</param>
    public void Run(string what = "")
    {
        for (var steps = 0; _tasks.Exists(task => !task.Engine.IsCompleted || task.Engine.HasChanges); steps++)
        {
            steps.ShouldBeLessThan(200_000, "some task never ends: " + string.Join(", ", _tasks.Where(task => !task.Engine.IsCompleted).Select(task => task.Plan.Name)) + what);
            if (_holdsBack && steps % 32 == 0 && IsQuiet())
            {
                _holdsBack = false;
            }

            var task = NextTask();
            var before = task.Engine.Watermarks.Watermark;
            var dice = _random.Next(100);
            if (dice < 75)
            {
                ProcessSome(task);
                task.Engine.Watermarks.Watermark.ShouldBeGreaterThanOrEqualTo(before);
            }
            else if (dice < 97)
            {
                Tick(task);
                Commit(task);
            }
            else
            {
                task.Restore(_topics);
                task.Engine.Watermarks.Watermark.ShouldBe(task.CommittedWatermark);
            }
        }
    }

    /// <summary>The records of a topic, as "key value".</summary>
    public List<string> Read(string topic) => _topics.Read(topic);

    /// <summary>The records of a topic, partition by partition.</summary>
    public List<SimulatedRecord> ReadRecords(string topic) => _topics.ReadRecords(topic);

    public int PartitionsOf(string topic) => _topics.PartitionsOf(topic);

    /// <summary>Any task, but each run has its slow ones, so that others are far ahead of them.</summary>
    private SimulatedTask NextTask()
    {
        while (true)
        {
            var task = _tasks[_random.Next(_tasks.Count)];
            if (task.Slowness == 1 || _random.Next(task.Slowness) == 0)
            {
                return task;
            }
        }
    }

    private void Commit(SimulatedTask task)
    {
        if (!task.Engine.HasChanges)
        {
            return;
        }

        var outbox = task.Commit();
        if (_random.Next(8) > 0)
        {
            _topics.Deliver(outbox, task.Plan.Name);
            return;
        }

        _topics.Deliver(outbox.Take(_random.Next(outbox.Count + 1)), task.Plan.Name);
        task.Restore(_topics);
    }

    private void ProcessSome(SimulatedTask task)
    {
        var input = _random.Next(task.Plan.SubTopology.Sources.Length);
        if (task.Engine.IsInputAhead(input))
        {
            // What waits to be read is no silence.
            task.Engine.MarkActive(input);
            task.IdleAt[input] = long.MaxValue;
            return;
        }

        if (!CanRead(task, input))
        {
            FallSilent(task, input);
            return;
        }

        var at = task.Engine.PositionOf(input);
        var partition = task.Plan.PartitionOf(input);
        if (!_sources.TryGetValue(partition.Topic, out var source))
        {
            task.Engine.ProcessBatch(input, _topics.BatchAt(partition, at)!);
        }
        else if (_options.IdlenessMs > 0 && at < source[partition.Partition].Count && _random.Next(8) == 0)
        {
            // Nothing has come for a while.
            task.Engine.MarkSilent(input, _clock);
            task.IdleAt[input] = Math.Min(task.IdleAt[input], _clock + _options.IdlenessMs);
        }
        else
        {
            task.IdleAt[input] = long.MaxValue;
            task.Engine.ProcessBatch(input, SourceBatch(source[partition.Partition], (int)at));
        }
    }

    private bool CanRead(SimulatedTask task, int input)
    {
        if (task.Engine.IsInputEnded(input) || task.Engine.IsInputAhead(input))
        {
            return false;
        }

        var partition = task.Plan.PartitionOf(input);
        return _sources.TryGetValue(partition.Topic, out var source)
            ? !(_holdsBack && _options.HeldBack.Contains(partition.Topic)) && (task.Engine.PositionOf(input) < source[partition.Partition].Count || _clock >= task.EndsAt)
            : _topics.BatchAt(partition, task.Engine.PositionOf(input)) is not null;
    }

    /// <summary>An input of which no record will come any more becomes idle, if that is not told to others who wait for what its records have left behind.</summary>
    private void FallSilent(SimulatedTask task, int input)
    {
        var partition = task.Plan.PartitionOf(input);
        if (_options.IdlenessMs > 0 && _sources.TryGetValue(partition.Topic, out var source) && task.Engine.PositionOf(input) == source[partition.Partition].Count
            && (source[partition.Partition].Count == 0 || !task.Plan.Outputs.Any(output => output.CarriesWatermarks)))
        {
            task.Engine.MarkSilent(input, _clock);
        }
    }

    private void Tick(SimulatedTask task)
    {
        if (_options.IdlenessMs == 0)
        {
            return;
        }

        _clock = Math.Min(_clock + 1 + _random.Next((int)_options.IdlenessMs), _tasks.Min(other => other.IdleAt.Min()) - 1);
        var inputs = Enumerable.Range(0, task.IdleAt.Length).Where(input => !task.Engine.Watermarks.IsEnded(input) && !task.Engine.Watermarks.IsIdle(input)).ToArray();
        task.Engine.AdvanceTime(_clock);
        IdleInputs += inputs.Count(task.Engine.Watermarks.IsIdle);
    }

    /// <summary>Whether nothing is left but what is held back.</summary>
    private bool IsQuiet() => !_tasks.Exists(task => task.Engine.HasChanges || Enumerable.Range(0, task.IdleAt.Length).Any(input => CanRead(task, input)));

    private byte[] SourceBatch(List<SimulatedRecord> events, int at)
    {
        if (at == events.Count)
        {
            return EngineFixture.End(at);
        }

        // A fetch begins with the batch that holds the offset, so records before it may come again.
        var from = Math.Max(0, at - _random.Next(3));
        var builder = new RecordBatchBuilder();
        foreach (var (key, value, time) in events.Skip(from).Take(at - from + _random.Next(1, 15)))
        {
            builder.Append(time, key, false, value, value is null);
        }

        var batch = builder.Build();
        RecordBatch.StampOffsetAndEpoch(batch, from, 0);
        return batch;
    }

    private sealed class SimulatedTask
    {
        private readonly List<(byte[] Entry, bool Begins)> _journal = [];
        private int _snapshotAt;
        private int _lastBegin;

        public SimulatedTask(TaskPlan plan, long producerId, int slowness)
        {
            Plan = plan;
            Slowness = slowness;
            ProducerId = producerId;
            IdleAt = [.. plan.SubTopology.Sources.Select(_ => long.MaxValue)];
            Engine = new TaskEngine(plan);
            Engine.Begin(producerId, new long[plan.SubTopology.Sources.Length], null);
        }

        public TaskPlan Plan { get; }

        public long ProducerId { get; }

        public int Slowness { get; }

        /// <summary>When the ends of its sources are known, by the clock.</summary>
        public long EndsAt { get; init; }

        /// <summary>Per input, when it would be idle although it has records.</summary>
        public long[] IdleAt { get; }

        public TaskEngine Engine { get; private set; }

        public long CommittedWatermark { get; private set; } = WatermarkTracker.None;

        public IReadOnlyList<OutboxItem> Commit()
        {
            var commit = Engine.Drain();
            _journal.Add((commit.Entry.Span.ToArray(), commit.BeginsSnapshot));
            _lastBegin = commit.BeginsSnapshot ? _journal.Count - 1 : _lastBegin;
            _snapshotAt = commit.EndsSnapshot ? _lastBegin : _snapshotAt;
            CommittedWatermark = Engine.Watermarks.Watermark;
            return commit.Outbox;
        }

        public void Restore(MemoryTopics topics)
        {
            Engine = new TaskEngine(Plan);
            Array.Fill(IdleAt, long.MaxValue);
            if (_journal.Count == 0)
            {
                Engine.Begin(ProducerId, new long[Plan.SubTopology.Sources.Length], null);
                return;
            }

            foreach (var (entry, _) in _journal.Skip(_snapshotAt))
            {
                Engine.Restore(entry);
            }

            topics.Deliver(Engine.Undelivered, Plan.Name);
        }
    }
}

/// <summary>What a simulation does besides.</summary>
internal sealed record SimulationOptions
{
    /// <summary>Sources that are not read before everything else has been processed.</summary>
    public IReadOnlySet<string> HeldBack { get; init; } = new HashSet<string>();

    /// <summary>The timeout of idleness that the sources have; 0 without one.</summary>
    public long IdlenessMs { get; init; }
}

/// <summary>A record of a topic.</summary>
internal sealed record SimulatedRecord(byte[] Key, byte[]? Value, long Time);

/// <summary>Topics that drop what they have by sequence, and check what markers promise.</summary>
internal sealed class MemoryTopics : ITaskTopics
{
    private readonly Dictionary<string, TopicDescription> _descriptions = [];
    private readonly Dictionary<TopicPartition, List<(long NextOffset, byte[] Batch)>> _batches = [];
    private readonly Dictionary<(TopicPartition, long Producer), int> _sequences = [];
    private readonly Dictionary<(TopicPartition, string Task), long> _watermarks = [];

    public Task<TopicDescription> DescribeAsync(string topic) => _descriptions.TryGetValue(topic, out var found)
        ? Task.FromResult(found)
        : throw new Errors.StreamsException(Errors.StreamsErrorCode.UnknownTopicOrPartition, $"no topic '{topic}'");

    public Task<TopicDescription> CreateAsync(string topic, int partitions, TopicConfig config)
    {
        _descriptions.Add(topic, new TopicDescription(topic, topic, partitions, config with { MaxMessageBytes = 300 }));
        return DescribeAsync(topic);
    }

    public int PartitionsOf(string topic) => _descriptions[topic].PartitionCount;

    public byte[]? BatchAt(TopicPartition partition, long offset) =>
        _batches.TryGetValue(partition, out var batches) ? batches.FirstOrDefault(batch => batch.NextOffset > offset).Batch : null;

    public List<string> Read(string topic)
    {
        var texts = new List<string>();
        foreach (var (_, batches) in _batches.Where(pair => pair.Key.Topic == topic))
        {
            batches.ForEach(batch => ModelPartition.ReadBatches(batch.Batch, texts));
        }

        return texts;
    }

    public List<SimulatedRecord> ReadRecords(string topic)
    {
        var records = new List<SimulatedRecord>();
        foreach (var batch in _batches.Where(pair => pair.Key.Topic == topic).SelectMany(pair => pair.Value))
        {
            var reader = new RecordBatchReader(batch.Batch);
            while (!reader.Header.IsControl && reader.TryRead(out var record))
            {
                records.Add(new SimulatedRecord(record.Key.ToArray(), record.ValueIsNull ? null : record.Value.ToArray(), record.Timestamp));
            }
        }

        return records;
    }

    public void Deliver(IEnumerable<OutboxItem> outbox, string task)
    {
        foreach (var item in outbox)
        {
            for (var rest = item.Batches; !rest.IsEmpty;)
            {
                var header = RecordBatchHeader.Read(rest.Span);
                Append(item.Partition, rest[..header.TotalBytes].ToArray(), header, task);
                rest = rest[header.TotalBytes..];
            }
        }
    }

    public Task<FetchResult> FetchAsync(TopicPartition partition, FetchRequest request, CancellationToken cancellationToken) => throw new NotSupportedException();

    public Task<ProduceResult> AppendAsync(TopicPartition partition, ReadOnlyMemory<byte> batches) => throw new NotSupportedException();

    public Task<PartitionOffsets> GetOffsetsAsync(TopicPartition partition) => throw new NotSupportedException();

    public Task DeleteRecordsAsync(TopicPartition partition, long beforeOffset) => throw new NotSupportedException();

    public Task<long> AllocateProducerIdAsync() => throw new NotSupportedException();

    private void Append(TopicPartition partition, byte[] batch, RecordBatchHeader header, string task)
    {
        var next = _sequences.GetValueOrDefault((partition, header.ProducerId));
        header.BaseSequence.ShouldBeLessThanOrEqualTo(next, "a sequence was left out");
        if (header.BaseSequence < next)
        {
            return;
        }

        _sequences[(partition, header.ProducerId)] = next + header.RecordCount;
        var batches = _batches.TryGetValue(partition, out var known) ? known : _batches[partition] = [];
        RecordBatch.StampOffsetAndEpoch(batch, batches.Count == 0 ? 0 : batches[^1].NextOffset, 0);
        header = RecordBatchHeader.Read(batch);
        batches.Add((header.NextOffset, batch));
        Check(partition, batch, task);
    }

    /// <summary>A task's watermark only rises, and nothing that it writes behind it is as old as it.</summary>
    private void Check(TopicPartition partition, byte[] batch, string task)
    {
        var told = _watermarks.GetValueOrDefault((partition, task), WatermarkTracker.None);
        if (WatermarkMarker.TryRead(batch, out var name, out var watermark))
        {
            name.ShouldBe(task);
            watermark.ShouldBeGreaterThanOrEqualTo(told);
            _watermarks[(partition, task)] = watermark;
            return;
        }

        var reader = new RecordBatchReader(batch);
        while (reader.TryRead(out var record))
        {
            record.Timestamp.ShouldBeGreaterThan(told, $"{task} had told its watermark in {partition}");
        }
    }
}
