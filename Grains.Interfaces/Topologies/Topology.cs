using System.Collections.Immutable;
using System.Globalization;
using System.Text;

namespace OrleansStreams.Topologies;

/// <summary>A finished topology: its sub-topologies are the connected parts, each run by one task per partition of its source.</summary>
public sealed class Topology
{
    internal Topology(IEnumerable<TopologyNode> nodes)
    {
        TopologyNode[] all = [.. nodes];
        var stores = all.OfType<IStoreNode>().Select(node => node.Store).ToList();
        StreamsBuilder.Check(stores.Distinct(StringComparer.Ordinal).Count() == stores.Count, "two stores have the same name; name them apart");
        SubTopologies = [.. all.Where(node => node.Parent is null).Select((source, index) => new SubTopology(index, source))];
    }

    /// <summary>The sub-topologies by number.</summary>
    public ImmutableArray<SubTopology> SubTopologies { get; }

    /// <summary>The topology as text.</summary>
    public string Describe()
    {
        var text = new StringBuilder();
        foreach (var sub in SubTopologies)
        {
            text.Append(CultureInfo.InvariantCulture, $"sub-topology {sub.Number}\n");
            Describe(sub.Source, 1, text);
        }

        return text.ToString();
    }

    private static void Describe(TopologyNode node, int depth, StringBuilder text)
    {
        text.Append(' ', 2 * depth).Append(node.Name).Append('\n');
        foreach (var child in node.Children)
        {
            Describe(child, depth + 1, text);
        }
    }
}

/// <summary>A connected part of a topology with one source.</summary>
public sealed class SubTopology
{
    internal SubTopology(int number, TopologyNode source)
    {
        Number = number;
        Source = source;
        Nodes = [.. Below(source)];
    }

    /// <summary>Its number.</summary>
    public int Number { get; }

    /// <summary>The topic that it reads, or null for a file source.</summary>
    public string? InputTopic => (Source as ITopicSource)?.Topic;

    /// <summary>The topics that it writes to, each once, in ordinal order.</summary>
    public ImmutableArray<string> OutputTopics => [.. Nodes.SelectMany(node => node.OutputTopics).Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal)];

    /// <summary>The stores that it keeps.</summary>
    public ImmutableArray<string> Stores => [.. Nodes.OfType<IStoreNode>().Select(node => node.Store)];

    /// <summary>What its state depends on: another fingerprint means state that cannot be read.</summary>
    public string Fingerprint => string.Join(" > ", Nodes.Select(node => node.Name));

    internal TopologyNode Source { get; }

    internal ImmutableArray<TopologyNode> Nodes { get; }

    private static IEnumerable<TopologyNode> Below(TopologyNode node) => node.Children.SelectMany(Below).Prepend(node);
}
