using System.Globalization;
using OrleansStreams.Records;

namespace OrleansStreams.Topologies;

/// <summary>
/// Describes a topology in the terms of Kafka Streams. It only describes: nothing is read, written or run by it, so that the same description can be
/// checked, printed, fingerprinted and run anywhere.
/// </summary>
/// <example>
/// <code>
/// builder.Stream("flights", Consumed.With(Serdes.Utf8, flightSerde).WithWatermarks(WatermarkStrategy.BoundedOutOfOrderness(TimeSpan.FromHours(2))))
///     .GroupByKey()
///     .WindowedBy(TumblingWindows.Of(TimeSpan.FromHours(1)).Grace(TimeSpan.FromHours(1)))
///     .Count(Materialized.As("counts", Serdes.Int64))
///     .Map((windowed, count) => (windowed.Key, count))
///     .To("counts-by-airport", Produced.With(Serdes.Utf8, Serdes.Int64));
/// </code>
/// </example>
public sealed partial class StreamsBuilder
{
    private readonly List<TopologyNode> _nodes = [];
    private readonly SortedSet<string> _changeable = new(StringComparer.Ordinal) { ApplicationParameters.Rate };

    /// <summary>Reads a topic, from its beginning.</summary>
    /// <param name="topic">The topic, which must exist when the application starts.</param>
    /// <param name="consumed">Serdes, event time and watermarks.</param>
    /// <param name="name">A name for the source, or null for one made of the topic.</param>
    public KStream<TKey, TValue> Stream<TKey, TValue>(string topic, Consumed<TKey, TValue> consumed, string? name = null)
    {
        ArgumentNullException.ThrowIfNull(consumed);
        TopologyNames.Check(topic, "topic");
        var node = Add(new TopicSourceNode<TKey, TValue>(NextId, name ?? NameOf("source"), topic, consumed));
        return new KStream<TKey, TValue>(this, node, consumed.KeySerde);
    }

    /// <summary>Reads a topic as a table: the last value of a key is its value, a null value deletes the key.</summary>
    /// <param name="topic">The topic, which must exist when the application starts; best one that is compacted.</param>
    /// <param name="consumed">Serdes, event time and watermarks.</param>
    /// <param name="materialized">The store's name and serde; null for a name made of the topic and the topic's serde.</param>
    public KTable<TKey, TValue> Table<TKey, TValue>(string topic, Consumed<TKey, TValue> consumed, Materialized<TValue>? materialized = null) =>
        Stream(topic, consumed).ToTable(materialized ?? Materialized.As(NameOf(topic.Length <= 200 ? topic : topic[..200]), consumed.ValueSerde));

    /// <summary>
    /// Reads a file of lines once, by a task of its own whose position is part of its journal. At the end of the file every partition of the topics that it writes is
    /// told that its input has ended. Empty lines are skipped.
    /// </summary>
    /// <param name="name">The source's name.</param>
    /// <param name="path">The file.</param>
    /// <param name="parser">Reads a line; an exception from it stops the task with InvalidInput, naming file and line.</param>
    /// <param name="rowsPerSecond">Rows per second at most; null takes the application parameter <see cref="ApplicationParameters.Rate"/>, 0 is no bound.</param>
    /// <param name="watermarks">How the watermark follows from the rows' timestamps, for those who read what is repartitioned from this stream; null when only the end of the
    /// file tells them that nothing earlier comes.</param>
    public KStream<TKey, TValue> FileSource<TKey, TValue>(
        string name, string path, FileLineParser<TKey, TValue> parser, double? rowsPerSecond = null, WatermarkStrategy? watermarks = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        ArgumentNullException.ThrowIfNull(parser);
        TopologyNames.Check(name, "file source");
        var node = Add(new FileSourceNode<TKey, TValue>(NextId, name, path, rowsPerSecond, parser, watermarks));
        return new KStream<TKey, TValue>(this, node, null);
    }

    /// <summary>
    /// Says which parameters of the application change none of its results (where a file lies, how fast it is read): it may be started again with other values of
    /// them, which then replace the old ones. All others are fixed from the first start on. <see cref="ApplicationParameters.Rate"/> need not be named.
    /// </summary>
    /// <param name="parameters">Their names.</param>
    /// <returns>This builder.</returns>
    public StreamsBuilder AllowChanges(params ReadOnlySpan<string> parameters)
    {
        foreach (var parameter in parameters)
        {
            ArgumentException.ThrowIfNullOrEmpty(parameter);
            _changeable.Add(parameter);
        }

        return this;
    }

    /// <summary>Checks the description and cuts it into sub-topologies.</summary>
    /// <exception cref="StreamsException">InvalidConfig: no source, a store's name used twice, a file source merged with another source, a dead-letter topic that it reads or writes otherwise.</exception>
    public Topology Build() => Topology.Of([.. _nodes], [.. _changeable], _errors);

    internal int NextId => _nodes.Count;

    internal string NameOf(string kind) => string.Create(CultureInfo.InvariantCulture, $"{kind}-{_nodes.Count}");

    /// <exception cref="StreamsException">InvalidConfig for another builder.</exception>
    internal void CheckSame(StreamsBuilder other)
    {
        if (other != this)
        {
            throw Topology.Invalid("Streams and tables of two builders cannot meet: describe both with the same StreamsBuilder.");
        }
    }

    internal TNode Add<TNode>(TNode node)
        where TNode : TopologyNode
    {
        _nodes.Add(node);
        return node;
    }
}

/// <summary>The rules of names in topologies.</summary>
internal static class TopologyNames
{
    /// <summary>1 to 249 characters of [A-Za-z0-9._-], as for topics.</summary>
    public static void Check(string name, string what)
    {
        if (string.IsNullOrEmpty(name) || name.Length > 249 || name is "." or ".." || name.Any(c => !char.IsAsciiLetterOrDigit(c) && c is not ('.' or '_' or '-')))
        {
            throw new StreamsException(
                what == "topic" ? StreamsErrorCode.InvalidTopic : StreamsErrorCode.InvalidConfig,
                $"'{name}' cannot name a {what}: use 1 to 249 letters, digits, '.', '_' or '-'.");
        }
    }
}
