using System.Runtime.InteropServices;
using OrleansStreams.Errors;
using OrleansStreams.Log;
using OrleansStreams.Nexmark.Queries;
using OrleansStreams.Processing;
using OrleansStreams.Processing.Journal;
using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.Nexmark.Runs;

/// <summary>
/// All tasks of a query in one thread, over topics and journals in memory: the real engine with all that exactly-once needs. A task commits when it has changes of as many bytes as in a silo, its entry is
/// completed with its checksum and copied into the journal's memory, its results are delivered to topics that check each batch as a partition does, and the next tasks read them there.
/// </summary>
internal sealed class TopologyRun
{
    private const string Source = "source";

    private readonly NexmarkQuery _query;
    private readonly MemoryTopics _topics = new();
    private readonly List<RunTask> _tasks = [];
    private readonly long _commitBytes;

    public TopologyRun(NexmarkQuery query, int partitions = 1, long? commitBytes = null)
    {
        _query = query;
        var options = new ProcessingOptions();
        _commitBytes = commitBytes ?? options.CommitBytes;
        var builder = new StreamsBuilder();
        query.Describe(builder);
        _topics.Create(NexmarkQuery.EventTopic, partitions);
        _topics.Create(NexmarkQuery.SideTopic, 1);
        foreach (var topic in query.OutputTopics)
        {
            _topics.Create(topic, 1);
        }

        var plan = ApplicationPlan.ResolveAsync("nexmark", builder.Build(), _topics, create: true).GetAwaiter().GetResult();
        foreach (var id in plan.Tasks)
        {
            var task = plan.TaskOf(id, options);
            _tasks.Add(new RunTask(task with { Writers = [.. task.Writers.Select(writers => writers.Count > 0 ? writers : [Source])] }, _tasks.Count + 1, _topics));
        }
    }

    /// <summary>Bytes of all journals.</summary>
    public long JournalBytes => _tasks.Sum(task => task.JournalBytes);

    public long LateRecords => _tasks.Sum(task => task.Engine.Progress.LateRecords);

    /// <summary>Processes events to their end, all windows closed. The batches are given offsets and may be read again.</summary>
    /// <param name="batches">Of each partition; of <see cref="NexmarkInput.BatchEvents"/> events for the clock to be right.</param>
    public void Run(IReadOnlyList<byte[]>[] batches)
    {
        foreach (var batch in NexmarkInput.Batches(_query.Side))
        {
            _topics.Append(new TopicPartition(NexmarkQuery.SideTopic, 0), batch);
        }

        End(NexmarkQuery.SideTopic, 1);
        ProcessAll(commitAll: true);
        var longest = batches.Max(partition => partition.Count);
        for (var at = 0; at < longest; at++)
        {
            for (var partition = 0; partition < batches.Length; partition++)
            {
                if (at < batches[partition].Count)
                {
                    _topics.Append(new TopicPartition(NexmarkQuery.EventTopic, partition), batches[partition][at]);
                }
            }

            _tasks.ForEach(task => task.Engine.SetClock(NexmarkInput.ArrivalOf((long)at * NexmarkInput.BatchEvents)));
            ProcessAll(commitAll: false);
        }

        End(NexmarkQuery.EventTopic, batches.Length);
        ProcessAll(commitAll: true);
    }

    public ResultSet Results()
    {
        var results = new ResultSet(_query.IsTable);
        foreach (var batch in _query.OutputTopics.SelectMany(topic => _topics.Of(new TopicPartition(topic, 0))))
        {
            results.Add(batch);
        }

        return results;
    }

    private void End(string topic, int partitions)
    {
        for (var partition = 0; partition < partitions; partition++)
        {
            _topics.Append(new TopicPartition(topic, partition), WatermarkMarker.BuildBatch(Source, WatermarkMarker.EndOfInput, -1, -1, -1, 0));
        }
    }

    /// <summary>Processes whatever is there, and commits what is due, until nothing is left.</summary>
    private void ProcessAll(bool commitAll)
    {
        bool isDone;
        do
        {
            isDone = true;
            foreach (var task in _tasks)
            {
                while (task.TryProcess())
                {
                    isDone = false;
                    if (task.Engine.PendingBytes >= _commitBytes)
                    {
                        task.Commit();
                    }
                }

                if (commitAll && task.Engine.HasChanges)
                {
                    isDone = false;
                    task.Commit();
                }
            }
        }
        while (!isDone);
    }

    private sealed class RunTask
    {
        private readonly MemoryTopics _topics;
        private readonly List<ReadOnlyMemory<byte>>[] _inputs;
        private readonly int[] _next;
        private byte[] _journal = new byte[1024];

        public RunTask(TaskPlan plan, long producerId, MemoryTopics topics)
        {
            _topics = topics;
            Engine = new TaskEngine(plan);
            Engine.Begin(producerId, new long[plan.SubTopology.Sources.Length], null);
            _inputs = [.. plan.SubTopology.Sources.Select((_, input) => topics.Of(plan.PartitionOf(input)))];
            _next = new int[_inputs.Length];
        }

        public TaskEngine Engine { get; }

        public long JournalBytes { get; private set; }

        public bool TryProcess()
        {
            for (var input = 0; input < _inputs.Length; input++)
            {
                if (_next[input] < _inputs[input].Count)
                {
                    Engine.ProcessBatch(input, _inputs[input][_next[input]++]);
                    return true;
                }
            }

            return false;
        }

        public void Commit()
        {
            var commit = Engine.Drain();
            var entry = EntryBatch.Complete(commit.Entry, 0);
            JournalBytes += entry.Length;
            if (_journal.Length < entry.Length)
            {
                _journal = new byte[2 * entry.Length];
            }

            entry.CopyTo(_journal);
            _topics.Deliver(commit.Outbox);
        }
    }

    /// <summary>Topics as lists of batches.</summary>
    private sealed class MemoryTopics : ITaskTopics
    {
        private readonly Dictionary<string, TopicDescription> _descriptions = [];
        private readonly Dictionary<TopicPartition, (List<ReadOnlyMemory<byte>> Batches, long NextOffset)> _partitions = [];

        public void Create(string topic, int partitions) => _descriptions.Add(topic, new TopicDescription(topic, topic, partitions, TopicConfig.Default));

        public List<ReadOnlyMemory<byte>> Of(TopicPartition partition) =>
            (_partitions.TryGetValue(partition, out var found) ? found : _partitions[partition] = ([], 0)).Batches;

        public void Append(TopicPartition partition, ReadOnlyMemory<byte> batch)
        {
            var known = _partitions.GetValueOrDefault(partition, ([], 0));
            RecordBatch.StampOffsetAndEpoch(MemoryMarshal.AsMemory(batch).Span, known.NextOffset, 0);
            known.Batches.Add(batch);
            _partitions[partition] = (known.Batches, RecordBatchHeader.Read(batch.Span).NextOffset);
        }

        public void Deliver(IReadOnlyList<OutboxItem> outbox)
        {
            foreach (var item in outbox)
            {
                for (var rest = item.Batches; !rest.IsEmpty;)
                {
                    if (RecordBatch.Validate(rest.Span, out var header) != StreamsErrorCode.None)
                    {
                        throw new InvalidOperationException("A task has written a damaged batch.");
                    }

                    Append(item.Partition, rest[..header.TotalBytes]);
                    rest = rest[header.TotalBytes..];
                }
            }
        }

        public Task<TopicDescription> DescribeAsync(string topic) => _descriptions.TryGetValue(topic, out var found)
            ? Task.FromResult(found)
            : throw new StreamsException(StreamsErrorCode.UnknownTopicOrPartition, $"The query names no topic '{topic}'.");

        public Task<TopicDescription> CreateAsync(string topic, int partitions, TopicConfig config)
        {
            Create(topic, partitions);
            return DescribeAsync(topic);
        }

        public Task<FetchResult> FetchAsync(TopicPartition partition, FetchRequest request, CancellationToken cancellationToken) => throw NotAsked();

        public Task<ProduceResult> AppendAsync(TopicPartition partition, ReadOnlyMemory<byte> batches) => throw NotAsked();

        public Task<PartitionOffsets> GetOffsetsAsync(TopicPartition partition) => throw NotAsked();

        public Task DeleteRecordsAsync(TopicPartition partition, long beforeOffset) => throw NotAsked();

        public Task<long> AllocateProducerIdAsync() => throw NotAsked();

        private static InvalidOperationException NotAsked() => new("A plan is made of the topics' descriptions alone.");
    }
}
