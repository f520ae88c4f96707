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

        return new ApplicationPlan(name, topology, found);
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
            ExpectedEnds = [.. sub.InputTopics.Select(topic => Math.Max(1, _topology.SubTopologies.Count(other => other.File is not null && other.OutputTopics.Contains(topic))))],
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

    private int PartitionsOf(SubTopology sub) => sub.InputTopics.IsEmpty ? 1 : _topics[sub.InputTopics[0]].PartitionCount;
}
