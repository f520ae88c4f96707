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
    private readonly MarkedInputs _marked;

    private ApplicationPlan(string name, Topology topology, Dictionary<string, TopicDescription> topics)
    {
        _name = name;
        _topology = topology;
        _topics = topics;
        Tasks = [.. topology.SubTopologies.SelectMany(sub => Enumerable.Range(0, PartitionsOf(sub)).Select(partition => IdOf(sub.Id, partition)))];
        _marked = new MarkedInputs(name, topology, topic => WritersOf(topic).Count);
    }

    /// <summary>The ids of all tasks.</summary>
    public ImmutableArray<string> Tasks { get; }

    /// <summary>Looks up every topic that the topology names.</summary>
    /// <param name="name">The application's name.</param>
    /// <param name="topology">Its topology.</param>
    /// <param name="topics">The topics.</param>
    /// <param name="create">Whether repartition topics are made that don't exist: by the application, before any of its tasks runs.</param>
    /// <param name="isAnew">Whether repartition topics are taken for what they will be when they are made anew, whatever they are now.</param>
    /// <exception cref="StreamsException">UnknownTopicOrPartition, naming the topic; InvalidPartitions when topics that meet in one sub-topology differ in partitions, or when a repartition
    /// topic exists with others than it should have; InvalidConfig when the topology needs watermarks that there cannot be.</exception>
    public static async Task<ApplicationPlan> ResolveAsync(string name, Topology topology, ITaskTopics topics, bool create = false, bool isAnew = false)
    {
        var made = topology.SubTopologies.SelectMany(sub => sub.Sources).Where(source => source.Internal is not null).Select(source => source.Topic).ToHashSet(StringComparer.Ordinal);
        var found = new Dictionary<string, TopicDescription>(StringComparer.Ordinal);
        foreach (var topic in topology.SubTopologies.SelectMany(sub => sub.InputTopics.Concat(sub.OutputTopics).Concat(sub.DeadLetterTopics)).Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal))
        {
            if (!made.Contains(topic))
            {
                found.Add(topic, await DescribeAsync(name, topic, topics));
            }
        }

        var counts = RepartitionCounts.Of(name, topology, found.ToDictionary(topic => topic.Key, topic => topic.Value.PartitionCount, StringComparer.Ordinal));
        foreach (var (topic, count) in counts.OrderBy(topic => topic.Key, StringComparer.Ordinal))
        {
            var own = RepartitionTopic.NameIn(name, topic);
            found.Add(topic, isAnew ? new TopicDescription(own, string.Empty, count, TopicConfig.Default) : await RepartitionTopics.ResolveAsync(name, own, count, topics, create));
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
            InputTopics = [.. sub.InputTopics.Select(topic => _topics[topic].Name)],
            FedTopics = FedBy(sub),
            ByMarkers = [.. sub.InputTopics.Select(topic => _marked.Contains(sub, topic))],
            Outputs = [.. sub.OutputTopics.Select(OutputOf), .. sub.DeadLetterTopics.Select(topic => OutputOf(topic) with { IsDeadLetter = true })],
            Writers = [.. sub.InputTopics.Select(WritersOf)],
            TableWriters = sub.Sources.Index().Where(source => source.Item.IsBroadcast).ToDictionary(source => source.Index, source => TableWritersOf(source.Item.Topic)),
            Guarantee = options.Guarantee,
            SnapshotBytesMin = options.SnapshotBytesMin,
        };
    }

    /// <summary>The tasks with sources that are not to run ahead of others.</summary>
    public IEnumerable<string> AlignedTasks => _topology.SubTopologies.Where(sub => sub.Sources.Any(source => source.Watermarks.MaxDriftMs is not null))
        .SelectMany(sub => Enumerable.Range(0, PartitionsOf(sub)).Select(partition => IdOf(sub.Id, partition)));

    /// <summary>The sub-topology that keeps a store, and its partitions: one for a store that every task has whole.</summary>
    /// <exception cref="StreamsException">StoreNotFound.</exception>
    public (int SubTopology, int Partitions) PlaceOf(string store)
    {
        foreach (var sub in _topology.SubTopologies)
        {
            if (sub.Stores.Contains(store))
            {
                // Every task has a global table whole: the first one answers for all.
                return (sub.Id, sub.IsGlobal(store) ? 1 : PartitionsOf(sub));
            }
        }

        var stores = _topology.SubTopologies.SelectMany(sub => sub.Stores).ToArray();
        throw new StreamsException(
            StreamsErrorCode.StoreNotFound, $"Application '{_name}' has no store '{store}': it has {(stores.Length == 0 ? "none" : string.Join(", ", stores))}.");
    }

    /// <summary>The topics as they are called that a sub-topology reads.</summary>
    public IEnumerable<string> InputsOf(int subTopology) => _topology.SubTopologies[subTopology].InputTopics.Select(topic => _topics[topic].Name);

    /// <summary>The topics as they are called that a sub-topology writes, with their partitions.</summary>
    public IEnumerable<(string Topic, int Partitions)> OutputsOf(int subTopology) =>
        _topology.SubTopologies[subTopology].OutputTopics.Select(topic => (_topics[topic].Name, _topics[topic].PartitionCount));

    /// <summary>The sub-topologies that read a topic.</summary>
    public IEnumerable<int> ReadersOf(string topic) => _topology.SubTopologies.Where(sub => InputsOf(sub.Id).Contains(topic)).Select(sub => sub.Id);

    /// <summary>Whether what one sub-topology writes reaches another, or it is that one.</summary>
    public bool Reaches(int from, int to) => Reaches(from, to, []);

    /// <summary>Whether what a sub-topology writes comes back to it by way of others.</summary>
    public bool FeedsItself(int subTopology) => OutputsOf(subTopology).SelectMany(output => ReadersOf(output.Topic)).Any(next => Reaches(next, subTopology));

    /// <summary>The topics that are read, with their partitions: tasks and the places of keys depend on them.</summary>
    public IEnumerable<(string Topic, int Partitions)> Inputs =>
        _topology.SubTopologies.SelectMany(sub => sub.InputTopics).Distinct(StringComparer.Ordinal).Select(topic => (_topics[topic].Name, _topics[topic].PartitionCount));

    /// <summary>Whether it reads a file.</summary>
    public bool HasFiles => _topology.SubTopologies.Any(sub => sub.File is not null);

    /// <summary>The topics that only others write, with their partitions.</summary>
    public IEnumerable<(string Topic, int Partitions)> OuterInputs => Inputs.Where(input => WritersOf(input.Topic).Count == 0 && !InternalTopics.Contains(input.Topic));

    /// <summary>The topics of the user that the application writes and reads, with their partitions.</summary>
    public IEnumerable<(string Topic, int Partitions)> LoopedTopics => Inputs.Where(input => WritersOf(input.Topic).Count > 0 && !InternalTopics.Contains(input.Topic));

    /// <summary>The topics that the application makes for itself.</summary>
    public IEnumerable<string> InternalTopics => _topology.SubTopologies.SelectMany(sub => sub.Sources).Where(source => source.Internal is not null).Select(source => _topics[source.Topic].Name);

    private bool Reaches(int from, int to, HashSet<int> seen) =>
        from == to || (seen.Add(from) && OutputsOf(from).SelectMany(output => ReadersOf(output.Topic)).Any(next => Reaches(next, to, seen)));

    private static async Task<TopicDescription> DescribeAsync(string name, string topic, ITaskTopics topics)
    {
        try
        {
            return await topics.DescribeAsync(topic);
        }
        catch (StreamsException error) when (error.Code == StreamsErrorCode.UnknownTopicOrPartition)
        {
            throw new StreamsException(
                StreamsErrorCode.UnknownTopicOrPartition, $"Application '{name}' needs topic '{topic}', which does not exist: create it with 'topics create {topic} --partitions N', then start the application.", inner: error);
        }
    }

    /// <summary>The topics that a sub-topology writes, itself or by way of others.</summary>
    private HashSet<string> FedBy(SubTopology sub)
    {
        var fed = new HashSet<string>(sub.OutputTopics, StringComparer.Ordinal);
        for (var before = 0; before < fed.Count;)
        {
            before = fed.Count;
            fed.UnionWith(_topology.SubTopologies.Where(other => other.InputTopics.Any(fed.Contains)).SelectMany(other => other.OutputTopics).ToArray());
        }

        return fed;
    }

    private OutputTopic OutputOf(string topic) => new(_topics[topic].Name, _topics[topic].PartitionCount, _topics[topic].Config.MaxMessageBytes)
    {
        Name = topic,
        IsCompacted = (_topics[topic].Config.CleanupPolicy & CleanupPolicy.Compact) != 0,
        CarriesWatermarks = _marked.CarriesWatermarks(topic),
    };

    private IReadOnlyCollection<string> WritersOf(string topic) =>
    [
        .. _topology.SubTopologies.Where(sub => sub.OutputTopics.Contains(topic))
            .SelectMany(sub => Enumerable.Range(0, PartitionsOf(sub)).Select(partition => TaskPlan.NameOf(_name, IdOf(sub.Id, partition)))),
    ];

    private IReadOnlyList<TableWriterTask> TableWritersOf(string topic) =>
    [
        .. _topology.SubTopologies.Where(sub => sub.OutputTopics.Contains(topic)).SelectMany(sub => Enumerable.Range(0, PartitionsOf(sub))
            .Select(partition => new TableWriterTask(TaskPlan.NameOf(_name, IdOf(sub.Id, partition)), new TopicPartition(_topics[sub.InputTopics[0]].Name, partition)))),
    ];

    private int PartitionsOf(SubTopology sub) => sub.InputTopics.IsEmpty ? 1 : _topics[sub.InputTopics[0]].PartitionCount;
}
