using OrleansStreams.Topologies;

namespace OrleansStreams.Processing;

/// <summary>
/// How many partitions each topic has that an application makes for itself. Topics that meet in one sub-topology must have equally many, because equal keys have to meet in
/// one task: those of the user and those with a number of their own decide; without any, the largest of the sub-topologies that write them does.
/// </summary>
internal sealed class RepartitionCounts
{
    private readonly string _application;
    private readonly Topology _topology;
    private readonly IReadOnlyDictionary<string, int> _userTopics;
    private readonly int?[] _counts;
    private readonly bool[] _isUnderWay;

    private RepartitionCounts(string application, Topology topology, IReadOnlyDictionary<string, int> userTopics)
    {
        _application = application;
        _topology = topology;
        _userTopics = userTopics;
        _counts = new int?[topology.SubTopologies.Length];
        _isUnderWay = new bool[topology.SubTopologies.Length];
    }

    /// <summary>The partitions of every repartition topic, by the name that the topology gives it.</summary>
    /// <param name="application">The application's name, for messages.</param>
    /// <param name="topology">The topology.</param>
    /// <param name="userTopics">The partitions of all other topics that it reads.</param>
    /// <exception cref="StreamsException">InvalidPartitions when topics that meet in one sub-topology differ.</exception>
    public static Dictionary<string, int> Of(string application, Topology topology, IReadOnlyDictionary<string, int> userTopics)
    {
        var counts = new RepartitionCounts(application, topology, userTopics);
        var found = new Dictionary<string, int>(StringComparer.Ordinal);
        foreach (var sub in topology.SubTopologies)
        {
            var count = counts.CountOf(sub);
            foreach (var source in sub.Sources.Where(source => source.Internal is not null))
            {
                found.Add(source.Topic, count);
            }
        }

        return found;
    }

    private int CountOf(SubTopology sub)
    {
        if (_counts[sub.Id] is { } known)
        {
            return known;
        }

        // A sub-topology that feeds itself by way of others adds nothing of its own.
        _isUnderWay[sub.Id] = true;
        var decided = sub.Sources
            .Where(source => source.Internal is null or { Partitions: not null })
            .Select(source => (source.Topic, Count: source.Internal?.Partitions ?? _userTopics[source.Topic])).Distinct().ToArray();
        if (decided.Select(topic => topic.Count).Distinct().Count() > 1)
        {
            throw new StreamsException(
                StreamsErrorCode.InvalidPartitions,
                $"Application '{_application}' merges or joins topics of different partition counts ({string.Join(", ", decided.Select(topic => $"{topic.Topic}: {topic.Count}"))}): equal keys would lie in different tasks. Give them equally many partitions, or repartition one of them with .Repartition(...).",
                WriteOutcome.NotWritten);
        }

        var count = decided.Length > 0 ? decided[0].Count : sub.Sources.Select(source => LargestWriterOf(source.Topic)).DefaultIfEmpty(1).Max();
        _isUnderWay[sub.Id] = false;
        _counts[sub.Id] = count;
        return count;
    }

    private int LargestWriterOf(string topic) =>
        _topology.SubTopologies.Where(sub => sub.OutputTopics.Contains(topic) && !_isUnderWay[sub.Id]).Select(CountOf).DefaultIfEmpty(1).Max();
}
