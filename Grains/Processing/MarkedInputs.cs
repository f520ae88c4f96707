using OrleansStreams.Processing.Watermarks;
using OrleansStreams.Topologies;

namespace OrleansStreams.Processing;

/// <summary>
/// Which inputs take their watermarks from the markers of the tasks that write them: all repartition topics, and topics of the user that several tasks of the application write. Those
/// are ahead of each other by chance, and after a crash by much: a watermark that follows the fastest would make the others' records late, differently in
/// every run. A topic that one task writes needs none: its records stand in that task's order.
/// </summary>
internal sealed class MarkedInputs
{
    private readonly Topology _topology;
    private readonly HashSet<(int Sub, string Topic)> _marked = [];

    /// <param name="application">The application's name, for messages.</param>
    /// <param name="topology">Its topology.</param>
    /// <param name="writers">How many tasks write a topic.</param>
    /// <exception cref="StreamsException">InvalidConfig when watermarks are needed that there cannot be.</exception>
    public MarkedInputs(string application, Topology topology, Func<string, int> writers)
    {
        _topology = topology;
        foreach (var sub in topology.SubTopologies)
        {
            foreach (var source in sub.Sources.Where(source => source.Internal is not null || (writers(source.Topic) > 1 && !source.HasOwnTime)))
            {
                _marked.Add((sub.Id, source.Topic));
            }
        }

        foreach (var (sub, topic) in _marked.Where(FeedsItself).ToArray())
        {
            if (topology.SubTopologies[sub].Sources.Any(source => source.Topic == topic && source.Internal is not null))
            {
                throw new StreamsException(
                    StreamsErrorCode.InvalidConfig,
                    $"Application '{application}' repartitions a stream into '{topic}' and lets it meet what it was made of by way of a window: each would wait for the other's time. Write one of them to a topic with .To(topic, ...) and read it in an application of its own.",
                    WriteOutcome.NotWritten);
            }

            _marked.Remove((sub, topic));
        }

        var unmarked = topology.SubTopologies
            .Where(sub => sub.Stores.Any() || sub.OutputTopics.Any(CarriesWatermarks))
            .SelectMany(sub => sub.InputTopics).FirstOrDefault(topic => writers(topic) > 1 && !CarriesWatermarks(topic));
        if (unmarked is not null)
        {
            throw new StreamsException(
                StreamsErrorCode.InvalidConfig,
                $"Application '{application}' windows topic '{unmarked}', which {writers(unmarked)} of its own tasks write, with event times of its own or in a circle: which records are late would depend on chance. Leave out WithEventTime and WithWatermarkGenerator, write the topic by one task, or window it in an application of its own.",
                WriteOutcome.NotWritten);
        }
    }

    public bool Contains(SubTopology sub, string topic) => _marked.Contains((sub.Id, topic));

    /// <summary>Whether the tasks that write a topic tell their watermarks in it.</summary>
    public bool CarriesWatermarks(string topic) => _marked.Any(input => input.Topic == topic);

    /// <summary>Whether an input's watermark would wait for itself.</summary>
    private bool FeedsItself((int Sub, string Topic) input)
    {
        var seen = new HashSet<(int, string)>();
        var next = new Queue<(int Sub, string Topic)>([input]);
        while (next.TryDequeue(out var at))
        {
            foreach (var fed in FedBy(at))
            {
                if (fed == input)
                {
                    return true;
                }

                if (seen.Add(fed))
                {
                    next.Enqueue(fed);
                }
            }
        }

        return false;
    }

    private IEnumerable<(int Sub, string Topic)> FedBy((int Sub, string Topic) input)
    {
        var index = _topology.SubTopologies[input.Sub].InputTopics.IndexOf(input.Topic);
        var topics = OutputPath.Of(_topology.SubTopologies[input.Sub]).Where(path => path.Inputs.Contains(index)).Select(path => path.Topic).ToHashSet(StringComparer.Ordinal);
        return _marked.Where(other => topics.Contains(other.Topic));
    }
}
