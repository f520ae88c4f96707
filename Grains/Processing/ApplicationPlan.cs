using System.Collections.Immutable;
using System.Globalization;
using OrleansStreams.Log;
using OrleansStreams.Topologies;

namespace OrleansStreams.Processing;

/// <summary>An application's tasks: its topology met with the topics as they are.</summary>
internal sealed class ApplicationPlan
{
    private readonly string _name;
    private readonly Topology _topology;
    private readonly Dictionary<string, TopicDescription> _topics;

    private ApplicationPlan(string name, Topology topology, Dictionary<string, TopicDescription> topics)
    {
        _name = name;
        _topology = topology;
        _topics = topics;
        Tasks = [.. topology.SubTopologies.SelectMany(sub => Enumerable.Range(0, PartitionsOf(sub)).Select(partition => IdOf(sub.Id, partition)))];
    }

    /// <summary>The ids of all tasks.</summary>
    public ImmutableArray<string> Tasks { get; }

    /// <summary>Looks up every topic that the topology names.</summary>
    /// <exception cref="StreamsException">UnknownTopicOrPartition, naming the topic; InvalidPartitions when topics that meet in one sub-topology differ in partitions.</exception>
    public static async Task<ApplicationPlan> ResolveAsync(string name, Topology topology, ITaskTopics topics)
    {
        var found = new Dictionary<string, TopicDescription>(StringComparer.Ordinal);
        foreach (var topic in topology.SubTopologies.SelectMany(sub => sub.InputTopics.Concat(sub.OutputTopics)).Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal))
        {
            try
            {
                found.Add(topic, await topics.DescribeAsync(topic));
            }
            catch (StreamsException error) when (error.Code == StreamsErrorCode.UnknownTopicOrPartition)
            {
                throw new StreamsException(
                    StreamsErrorCode.UnknownTopicOrPartition, $"Application '{name}' needs topic '{topic}', which does not exist: create it with 'topics create {topic} --partitions N', then start the application.", inner: error);
            }
        }

        foreach (var sub in topology.SubTopologies)
        {
            if (sub.InputTopics.Select(topic => found[topic].PartitionCount).Distinct().Count() > 1)
            {
                throw new StreamsException(
                    StreamsErrorCode.InvalidPartitions,
                    $"Application '{name}' merges topics of different partition counts ({string.Join(", ", sub.InputTopics.Select(topic => $"{topic}: {found[topic].PartitionCount}"))}): equal keys would lie in different tasks. Give them equally many partitions.");
            }
        }

        var plan = new ApplicationPlan(name, topology, found);
        plan.CheckWindowedInputs();
        return plan;
    }

    public static string IdOf(int subTopology, int partition) => string.Create(CultureInfo.InvariantCulture, $"{subTopology}_{partition}");

    /// <summary>The plan of one task.</summary>
    /// <exception cref="StreamsException">InvalidRequest when there is no such task.</exception>
    public TaskPlan TaskOf(string taskId, ProcessingOptions options)
    {
        if (!Tasks.Contains(taskId))
        {
            throw new StreamsException(StreamsErrorCode.InvalidRequest, $"Application '{_name}' has no task '{taskId}': its tasks are {string.Join(", ", Tasks)}.");
        }

        var parts = taskId.Split('_');
        var sub = _topology.SubTopologies[int.Parse(parts[0], CultureInfo.InvariantCulture)];
        return new TaskPlan
        {
            Application = _name,
            SubTopology = sub,
            Partition = int.Parse(parts[1], CultureInfo.InvariantCulture),
            Outputs = [.. sub.OutputTopics.Select(topic => new OutputTopic(topic, _topics[topic].PartitionCount, _topics[topic].Config.MaxMessageBytes))],
            Writers = [.. sub.InputTopics.Select(WritersOf)],
            SnapshotBytesMin = options.SnapshotBytesMin,
        };
    }

    /// <summary>The task that keeps a key of a store.</summary>
    /// <exception cref="StreamsException">StoreNotFound.</exception>
    public string TaskOf(string store, ReadOnlySpan<byte> key)
    {
        foreach (var sub in _topology.SubTopologies)
        {
            if (sub.Stores.Contains(store))
            {
                return IdOf(sub.Id, Records.KeyHash.PartitionFor(key, PartitionsOf(sub)));
            }
        }

        var stores = _topology.SubTopologies.SelectMany(sub => sub.Stores).ToArray();
        throw new StreamsException(
            StreamsErrorCode.StoreNotFound, $"Application '{_name}' has no store '{store}': it has {(stores.Length == 0 ? "none" : string.Join(", ", stores))}.");
    }

    /// <summary>The topics that are read, with their partitions: tasks and the places of keys depend on them.</summary>
    public IEnumerable<(string Topic, int Partitions)> Inputs =>
        _topology.SubTopologies.SelectMany(sub => sub.InputTopics).Distinct(StringComparer.Ordinal).Select(topic => (topic, _topics[topic].PartitionCount));

    private IReadOnlyCollection<string> WritersOf(string topic) =>
    [
        .. _topology.SubTopologies.Where(sub => sub.OutputTopics.Contains(topic))
            .SelectMany(sub => Enumerable.Range(0, PartitionsOf(sub)).Select(partition => TaskPlan.NameOf(_name, IdOf(sub.Id, partition)))),
    ];

    /// <summary>
    /// Several tasks that write one topic are ahead of each other by chance, and after a crash by much: a watermark that follows the fastest would make the others'
    /// records late, differently in every run. Until upstream watermarks travel with the records, windows over such a topic are refused.
    /// </summary>
    private void CheckWindowedInputs()
    {
        foreach (var (sub, topic) in _topology.SubTopologies.Where(sub => sub.Stores.Any()).SelectMany(sub => sub.InputTopics.Select(topic => (sub, topic))))
        {
            if (WritersOf(topic).Count > 1)
            {
                throw new StreamsException(
                    StreamsErrorCode.InvalidConfig,
                    $"Application '{_name}' windows topic '{topic}', which {WritersOf(topic).Count} of its own tasks write: which records are late would depend on chance. Write it by one task (one file source, or a step that reads a topic of one partition), or window it in an application of its own.",
                    WriteOutcome.NotWritten);
            }
        }
    }

    private int PartitionsOf(SubTopology sub) => sub.InputTopics.IsEmpty ? 1 : _topics[sub.InputTopics[0]].PartitionCount;
}
