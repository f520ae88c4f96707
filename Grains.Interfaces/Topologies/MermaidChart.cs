using System.Globalization;
using System.Text;

namespace OrleansStreams.Topologies;

/// <summary>Draws a topology as a Mermaid flow chart (https://mermaid.js.org/syntax/flowchart.html): topics are stadiums, stores cylinders, steps boxes.</summary>
internal sealed class MermaidChart
{
    private readonly StringBuilder _text = new("flowchart TD\n");
    private readonly StringBuilder _edges = new();
    private readonly Dictionary<string, string> _topics = new(StringComparer.Ordinal);
    private readonly Dictionary<string, string> _stores = new(StringComparer.Ordinal);

    public static string Of(Topology topology, Func<string, string> nameOf)
    {
        var chart = new MermaidChart();
        foreach (var topic in topology.SubTopologies.SelectMany(sub => sub.InputTopics.Concat(sub.OutputTopics).Concat(sub.DeadLetterTopics)).Distinct(StringComparer.Ordinal))
        {
            chart.AddTopic(topic, nameOf(topic));
        }

        foreach (var sub in topology.SubTopologies)
        {
            chart.AddSubTopology(sub);
        }

        return chart._text.Append(chart._edges).ToString();
    }

    private void AddTopic(string topic, string shown)
    {
        _topics.Add(topic, string.Create(CultureInfo.InvariantCulture, $"topic{_topics.Count}"));
        Line(_text, $"    {_topics[topic]}([\"{Label(shown)}\"])");
    }

    private void AddSubTopology(SubTopology sub)
    {
        Line(_text, $"    subgraph sub{sub.Id}[\"Sub-topology {sub.Id}\"]");
        foreach (var node in sub.Nodes)
        {
            Line(_text, $"        node{node.Id}[\"{Label(node.Name)}{Detail(node)}\"]");
            if (node is TopicSourceNode source)
            {
                Line(_edges, $"    {_topics[source.Topic]} --> node{node.Id}");
                AddDeadLetters(node, sub.Errors[sub.Sources.IndexOf(source)]);
            }

            if (node is FileSourceNode)
            {
                AddDeadLetters(node, sub.Errors[0]);
            }

            foreach (var parent in node.Parents)
            {
                Line(_edges, $"    node{parent.Id} --> node{node.Id}");
            }

            var stores = 0;
            foreach (var store in node.Stores)
            {
                Line(_text, $"        store{node.Id}_{stores}[(\"{Label(store)}\")]");
                Line(_edges, $"    node{node.Id} --- store{node.Id}_{stores}");
                _stores.Add(store, string.Create(CultureInfo.InvariantCulture, $"store{node.Id}_{stores++}"));
            }

            foreach (var store in node.SharedStores)
            {
                Line(_edges, $"    node{node.Id} --- {_stores[store]}");
            }

            foreach (var topic in node.Writes)
            {
                Line(_edges, $"    node{node.Id} --> {_topics[topic]}");
            }
        }

        Line(_text, $"    end");
    }

    private void AddDeadLetters(TopologyNode node, ErrorPolicy policy)
    {
        if (policy.Topic is { } topic)
        {
            Line(_edges, $"    node{node.Id} -. errors .-> {_topics[topic]}");
        }
    }

    /// <summary>What the name and the lines do not say already.</summary>
    private static string Detail(TopologyNode node) =>
        node is TopicSourceNode or SinkNode || node.Name.StartsWith(node.Shape, StringComparison.Ordinal) ? string.Empty : $"<br/>{Label(node.Shape)}";

    private static string Label(string text) =>
        text.Replace("&", "#amp;", StringComparison.Ordinal).Replace("\"", "#quot;", StringComparison.Ordinal).Replace("<", "#lt;", StringComparison.Ordinal).Replace(">", "#gt;", StringComparison.Ordinal);

    private static void Line(StringBuilder to, FormattableString line) => to.Append(line.ToString(CultureInfo.InvariantCulture)).Append('\n');
}
