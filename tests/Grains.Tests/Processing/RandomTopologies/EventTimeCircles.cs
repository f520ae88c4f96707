using OrleansStreams.Processing.Watermarks;
using OrleansStreams.Topologies;

namespace OrleansStreams.Processing.RandomTopologies;

/// <summary>
/// Topologies in which a window's watermark would have to wait for what it emits. By way of a repartition topic they are refused (<see cref="MarkedInputs"/>). By way of a topic of
/// the user's that one task writes they are not: who feeds results back knows why, and lets that input step aside as idle. But they never end.
/// </summary>
internal static class EventTimeCircles
{
    public static bool IsIn(Topology topology)
    {
        var edges = topology.SubTopologies.SelectMany(sub => OutputPath.Of(sub).SelectMany(path => path.Inputs.Select(input => (From: sub.InputTopics[input], To: path.Topic)))).ToLookup(edge => edge.From, edge => edge.To);
        return edges.Any(edge => Reaches(edges, edge.Key));
    }

    private static bool Reaches(ILookup<string, string> edges, string topic)
    {
        var seen = new HashSet<string>();
        var next = new Queue<string>(edges[topic]);
        while (next.TryDequeue(out var at))
        {
            if (at == topic)
            {
                return true;
            }

            foreach (var fed in seen.Add(at) ? edges[at] : [])
            {
                next.Enqueue(fed);
            }
        }

        return false;
    }
}
