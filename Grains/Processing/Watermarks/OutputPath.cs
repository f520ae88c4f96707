using System.Collections.Immutable;
using OrleansStreams.Topologies;

namespace OrleansStreams.Processing.Watermarks;

/// <summary>How event time comes from a sub-topology's inputs to a topic that it writes.</summary>
/// <param name="Topic">The topic, as the topology calls it.</param>
/// <param name="Inputs">
/// The inputs that it depends on: those that feed it, and all of them when a step on the way emits by the task's watermark. A file is input 0. That an input which does not feed a topic
/// is no part of its watermark is what lets two sub-topologies answer each other. A table that is only looked up feeds nothing.
/// </param>
/// <param name="DelayMs">How far behind those inputs' watermark a record may be that is still to come: what the steps on the way hold back.</param>
internal sealed record OutputPath(string Topic, ImmutableArray<int> Inputs, long DelayMs)
{
    /// <summary>The paths of a sub-topology, in the order of its output topics.</summary>
    public static ImmutableArray<OutputPath> Of(SubTopology sub)
    {
        var nodes = new Dictionary<TopologyNode, (SortedSet<int> Inputs, long DelayMs)>();
        var all = Enumerable.Range(0, Math.Max(1, sub.Sources.Length)).ToArray();
        foreach (var node in sub.Nodes)
        {
            TopologyNode[] feeding = [.. node.Parents.Where(parent => parent != node.LookedUp)];
            var inputs = new SortedSet<int>(node.EmitDelayMs is null ? feeding.SelectMany(parent => nodes[parent].Inputs) : all);
            if (node is TopicSourceNode source)
            {
                inputs.Add(sub.Sources.IndexOf(source));
            }
            else if (node is FileSourceNode)
            {
                inputs.Add(0);
            }

            var before = feeding.Length == 0 ? 0 : feeding.Max(parent => nodes[parent].DelayMs);
            nodes.Add(node, (inputs, before + (node.EmitDelayMs ?? 0)));
        }

        return
        [
            .. sub.OutputTopics.Select(topic =>
            {
                var writers = sub.Nodes.Where(node => node.Writes.Contains(topic)).Select(node => nodes[node]).ToArray();
                return new OutputPath(topic, [.. writers.SelectMany(writer => writer.Inputs).Distinct().Order()], writers.Max(writer => writer.DelayMs));
            }),
        ];
    }
}
