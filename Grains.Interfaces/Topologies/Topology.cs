using System.Collections.Immutable;
using System.Globalization;
using System.Text;

namespace OrleansStreams.Topologies;

/// <summary>A checked topology: sub-topologies that are joined by nothing but topics.</summary>
public sealed class Topology
{
    private Topology(ImmutableArray<SubTopology> subTopologies, ImmutableArray<string> changeableParameters)
    {
        SubTopologies = subTopologies;
        ChangeableParameters = changeableParameters;
    }

    /// <summary>The sub-topologies, numbered in the order in which their first source was described.</summary>
    public ImmutableArray<SubTopology> SubTopologies { get; }

    /// <summary>The stores of results, in ordinal order: without those that steps need besides.</summary>
    internal IEnumerable<string> ResultStores => SubTopologies.SelectMany(sub => sub.Nodes).SelectMany(node => node.ResultStores).Order(StringComparer.Ordinal);

    /// <summary>The topics of the user that it writes: results, late and poison records.</summary>
    internal IEnumerable<string> UserOutputs => SubTopologies.SelectMany(sub => sub.OutputTopics.Concat(sub.DeadLetterTopics)).Except(Made, StringComparer.Ordinal);

    /// <summary>The topics of the user that it reads.</summary>
    internal IEnumerable<string> UserInputs => SubTopologies.SelectMany(sub => sub.InputTopics).Except(Made, StringComparer.Ordinal);

    private HashSet<string> Made => SubTopologies.SelectMany(sub => sub.Sources).Where(source => source.Internal is not null).Select(source => source.Topic).ToHashSet(StringComparer.Ordinal);

    /// <summary>The parameters that change no result and hence may change from start to start, in ordinal order.</summary>
    public ImmutableArray<string> ChangeableParameters { get; }

    /// <summary>The topology as text: each sub-topology's nodes, what they do and what they feed.</summary>
    public string Describe() => Describe(topic => topic);

    /// <summary>The topology as text, with the topics that an application of this name makes for itself called as they are.</summary>
    /// <param name="application">The application's name.</param>
    public string Describe(string application) => Describe(NamesIn(application));

    /// <summary>
    /// The topology as a Mermaid flow chart: a subgraph per sub-topology with its steps and stores, and between them the topics. What runs it shows it at once: paste it into
    /// Markdown between <c>```mermaid</c> lines.
    /// </summary>
    public string ToMermaid() => MermaidChart.Of(this, topic => topic);

    /// <summary>The flow chart, with the topics that an application of this name makes for itself called as they are.</summary>
    /// <param name="application">The application's name.</param>
    public string ToMermaid(string application) => MermaidChart.Of(this, NamesIn(application));

    private string Describe(Func<string, string> nameOf)
    {
        var text = new StringBuilder();
        foreach (var subTopology in SubTopologies)
        {
            subTopology.DescribeTo(text, nameOf);
        }

        return text.ToString();
    }

    private Func<string, string> NamesIn(string application)
    {
        var made = Made;
        return topic => made.Contains(topic) ? RepartitionTopic.NameIn(application, topic) : topic;
    }

    internal static Topology Of(ImmutableArray<TopologyNode> nodes, ImmutableArray<string> changeableParameters, ErrorPolicy errors)
    {
        if (nodes.IsEmpty)
        {
            throw Invalid("The topology has no source: begin with builder.Stream(topic, ...) or builder.FileSource(...).");
        }

        var stores = new HashSet<string>(StringComparer.Ordinal);
        foreach (var store in nodes.SelectMany(node => node.Stores))
        {
            if (!stores.Add(store))
            {
                throw Invalid($"Two steps keep their state in a store named '{store}': give each its own name with Materialized.As or Stores, or, to processors that share it, the same definition.");
            }
        }

        CheckRepartitionTopics(nodes);

        // Parents stand before their children, so one pass finds the components: each node joins those of its parents.
        var component = new int[nodes.Length];
        foreach (var node in nodes)
        {
            component[node.Id] = node.Parents.Count == 0 ? node.Id : node.Parents.Min(parent => component[parent.Id]);
            foreach (var parent in node.Parents)
            {
                Rename(component, component[parent.Id], component[node.Id]);
            }
        }

        CheckSharedStores(nodes, component);
        var subTopologies = nodes.GroupBy(node => component[node.Id]).OrderBy(group => group.Key).Select((group, index) => SubTopology.Of(index, [.. group], errors));
        var topology = new Topology([.. subTopologies], changeableParameters);
        CheckDeadLetterTopics(topology);
        return topology;
    }

    private static void CheckDeadLetterTopics(Topology topology)
    {
        var used = topology.SubTopologies.SelectMany(sub => sub.InputTopics.Concat(sub.OutputTopics)).ToHashSet(StringComparer.Ordinal);
        if (topology.SubTopologies.SelectMany(sub => sub.DeadLetterTopics).FirstOrDefault(used.Contains) is { } topic)
        {
            throw Invalid($"The dead-letter topic '{topic}' is one that the application reads or writes otherwise: name one of its own in ErrorPolicy.DeadLetter, and process what comes there by another application.");
        }
    }

    private static void CheckRepartitionTopics(ImmutableArray<TopologyNode> nodes)
    {
        var sinks = nodes.OfType<SinkNode>().ToArray();
        var user = nodes.SelectMany(node => node.Writes).Except(sinks.Where(sink => sink.Internal is not null).Select(sink => sink.Topic), StringComparer.Ordinal)
            .Concat(nodes.OfType<TopicSourceNode>().Where(source => source.Internal is null).Select(source => source.Topic)).ToHashSet(StringComparer.Ordinal);
        var names = new HashSet<string>(StringComparer.Ordinal);
        foreach (var sink in sinks.Where(sink => sink.Internal is not null))
        {
            if (!names.Add(sink.Topic) || user.Contains(sink.Topic))
            {
                throw Invalid($"Two topics of the topology would be called '{sink.Topic}': give the repartitioning another name with WithName.");
            }
        }
    }

    private static void CheckSharedStores(ImmutableArray<TopologyNode> nodes, int[] component)
    {
        foreach (var node in nodes)
        {
            foreach (var store in node.SharedStores)
            {
                var owner = nodes.First(other => other.Stores.Contains(store));
                if (component[owner.Id] != component[node.Id])
                {
                    throw Invalid($"'{owner.Name}' and '{node.Name}' share the store '{store}', but stand in different sub-topologies, whose tasks have no state in common: give each a store of its own, or merge their streams before.");
                }
            }
        }
    }

    internal static StreamsException Invalid(string message) => new(StreamsErrorCode.InvalidConfig, message);

    private static void Rename(int[] component, int from, int to)
    {
        for (var i = 0; i < component.Length; i++)
        {
            if (component[i] == from)
            {
                component[i] = to;
            }
        }
    }
}

/// <summary>A part of a topology that one task per partition runs.</summary>
public sealed class SubTopology
{
    private SubTopology(int id, ImmutableArray<TopologyNode> nodes, ErrorPolicy errors)
    {
        Id = id;
        Nodes = nodes;
        Sources = [.. nodes.OfType<TopicSourceNode>()];
        File = nodes.OfType<FileSourceNode>().SingleOrDefault();
        Stores = [.. nodes.SelectMany(node => node.Stores)];
        OutputTopics = [.. nodes.SelectMany(node => node.Writes).Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal)];
        Errors = File is not null ? [errors] : [.. Sources.Select(source => source.Errors ?? errors)];
        DeadLetterTopics = [.. Errors.Select(policy => policy.Topic).OfType<string>().Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal)];
    }

    /// <summary>Its number.</summary>
    public int Id { get; }

    /// <summary>The topics that it reads, in order of their inputs; those that the application makes for itself without the application's name.</summary>
    public ImmutableArray<string> InputTopics => [.. Sources.Select(source => source.Topic)];

    /// <summary>The topics that it writes, in ordinal order.</summary>
    public ImmutableArray<string> OutputTopics { get; }

    /// <summary>The state stores that it keeps.</summary>
    public ImmutableArray<string> Stores { get; }

    /// <summary>The topics that it writes poison records to, in ordinal order. Whoever reads one is not told of this application's event time.</summary>
    public ImmutableArray<string> DeadLetterTopics { get; }

    internal ImmutableArray<TopologyNode> Nodes { get; }

    /// <summary>Per input what becomes of its poison records; a file is input 0.</summary>
    internal ImmutableArray<ErrorPolicy> Errors { get; }

    internal ImmutableArray<TopicSourceNode> Sources { get; }

    internal FileSourceNode? File { get; }

    /// <summary>
    /// Everything that stored state depends on: the nodes' kinds and order, topics, stores, serdes. Functions cannot be seen; changing one is the user's
    /// own decision about what old state means.
    /// </summary>
    internal string Shape
    {
        get
        {
            var shape = new StringBuilder();
            foreach (var node in Nodes)
            {
                shape.Append(CultureInfo.InvariantCulture, $"{node.Shape} <{string.Join(',', node.Parents.Select(parent => Nodes.IndexOf(parent)))}>\n");
            }

            return shape.ToString();
        }
    }

    /// <summary>Whether records of its topics are taken in order of their event times: a stream's record meets a table as it was at its time. A global table is read before everything else.</summary>
    internal bool ReadsByTime => Sources.Length > 1 && Nodes.Any(node => node.LookedUp is { } table && table.Parents is not [TopicSourceNode { IsBroadcast: true }]);

    /// <summary>
    /// Whether what a source feeds is only looked up, by a join with a table, and nothing on the way there waits for event time. Results then don't wait for it: a table that hardly ever
    /// changes would hold them up for ever.
    /// </summary>
    internal bool IsOnlyLookedUp(TopicSourceNode source)
    {
        var (reached, isLookedUp) = (new HashSet<TopologyNode> { source }, false);
        foreach (var node in Nodes)
        {
            // Parents stand before their children.
            var isLookUp = node.LookedUp is { } table && reached.Contains(table);
            isLookedUp |= isLookUp;
            var fed = isLookUp ? node.Parents.Where(parent => parent != node.LookedUp) : node.Parents;
            if (fed.Any(reached.Contains))
            {
                if (!node.IgnoresTime)
                {
                    return false;
                }

                reached.Add(node);
            }
        }

        return isLookedUp;
    }

    /// <summary>Whether an input is read for nothing but the rows of tables.</summary>
    internal bool IsTable(int input)
    {
        var readers = Nodes.Where(node => node.Parents.Contains(Sources[input])).ToArray();
        return readers.Length > 0 && readers.All(node => node.TakesRows);
    }

    /// <summary>Whether a store is the copy of a global table, which every task has whole.</summary>
    internal bool IsGlobal(string store) => Nodes.Any(node => node.Stores.Contains(store) && node.Parents is [TopicSourceNode { IsBroadcast: true }]);

    internal static SubTopology Of(int id, ImmutableArray<TopologyNode> nodes, ErrorPolicy errors)
    {
        var files = nodes.OfType<FileSourceNode>().Count();
        if (files > 1 || (files == 1 && nodes.OfType<TopicSourceNode>().Any()))
        {
            throw Topology.Invalid("A file source is merged with another source: write the file to a topic of its own with .To(topic, ...) and merge the topics.");
        }

        return new SubTopology(id, nodes, errors);
    }

    internal void DescribeTo(StringBuilder text, Func<string, string> nameOf)
    {
        text.Append(CultureInfo.InvariantCulture, $"Sub-topology {Id}\n");
        foreach (var node in Nodes)
        {
            var children = Nodes.Where(other => other.Parents.Contains(node)).Select(other => other.Name).ToArray();
            var what = node switch
            {
                FileSourceNode file => $"file {file.Path}",
                TopicSourceNode source => node.Shape.Replace(source.Topic, nameOf(source.Topic), StringComparison.Ordinal),
                SinkNode sink => node.Shape.Replace(sink.Topic, nameOf(sink.Topic), StringComparison.Ordinal),
                _ => node.Shape,
            };
            text.Append(CultureInfo.InvariantCulture, $"  {node.Name}: {what}{ErrorsOf(node)}{(children.Length == 0 ? string.Empty : " -> " + string.Join(", ", children))}\n");
        }
    }

    private string ErrorsOf(TopologyNode node)
    {
        var input = node is FileSourceNode ? 0 : node is TopicSourceNode source ? Sources.IndexOf(source) : -1;
        return input >= 0 && Errors[input].TakesOut ? $", on error {Errors[input]}" : string.Empty;
    }
}
