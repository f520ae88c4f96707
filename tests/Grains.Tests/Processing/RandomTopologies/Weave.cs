using System.Globalization;
using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.Processing.RandomTopologies;

/// <summary>
/// Makes of a scenario's steps a topology and, beside each step, what its result must be by the model. What must not matter is drawn from the world: partitions, names, which
/// results are written to a topic although another step takes them, what is kept in a store.
/// </summary>
internal sealed partial class Weave
{
    // A join of joins would be all that a run does.
    private const int RecordsMax = 250;

    private static readonly Produced<string, string> s_produced = Produced.With(Serdes.Utf8, Serdes.Utf8);
    private static readonly Grouped<string, string> s_grouped = Grouped.With(Serdes.Utf8, Serdes.Utf8);

    private readonly StreamsBuilder _builder = new();
    private readonly Scenario _scenario;
    private readonly Random _world;
    private readonly int[] _partitions;
    private readonly List<WovenStream> _streams = [];
    private readonly List<WovenStream> _changelogs = [];
    private readonly List<WovenTable> _tables = [];
    private int _number;

    public Weave(Scenario scenario, Random world)
    {
        _scenario = scenario;
        _world = world;
        var partitions = world.Next(1, 5);
        _partitions = [.. scenario.Sources.Select(_ => world.Next(2) == 0 ? partitions : world.Next(1, 5))];
        for (var topic = 0; topic < scenario.Sources.Length; topic++)
        {
            Read(topic);
        }

        foreach (var step in scenario.Steps)
        {
            Add(step);
        }

        WriteResults();
        Topology = _builder.Build();
    }

    public Topology Topology { get; }

    /// <summary>What every result topic must hold, by its name.</summary>
    public Dictionary<string, Known> Results { get; } = [];

    /// <summary>The partitions of all topics that are no source.</summary>
    public Dictionary<string, int> Topics { get; } = [];

    /// <summary>The records of each source topic by partition.</summary>
    public Dictionary<string, List<SimulatedRecord>[]> Sources()
    {
        var sources = new Dictionary<string, List<SimulatedRecord>[]>();
        for (var topic = 0; topic < _partitions.Length; topic++)
        {
            List<SimulatedRecord>[] partitions = [.. Enumerable.Range(0, _partitions[topic]).Select(_ => new List<SimulatedRecord>())];
            foreach (var record in _scenario.Sources[topic].Records)
            {
                var (key, value) = (Bytes(record.Key), record.Value is null ? null : Bytes(record.Value));
                partitions[KeyHash.PartitionFor(key, partitions.Length)].Add(new SimulatedRecord(key, value, record.Time));
            }

            sources.Add(NameOf(topic), partitions);
        }

        return sources;
    }

    private static byte[] Bytes(string text) => System.Text.Encoding.UTF8.GetBytes(text);

    private static string NameOf(int topic) => string.Create(CultureInfo.InvariantCulture, $"topic-{topic}");

    private static TimeSpan Ms(long ms) => TimeSpan.FromMilliseconds(ms);

    private string Next(string what) => string.Create(CultureInfo.InvariantCulture, $"{what}{_number++}");

    private void Read(int topic)
    {
        var source = _scenario.Sources[topic];
        var place = new Partitioning(_partitions[topic]);
        if (source.IsTable)
        {
            _tables.Add(new(_builder.Table(NameOf(topic), Consuming(), Materialized.As(Next("table"), Serdes.Utf8)), KnownTable.Of(source.Records), place));
        }
        else
        {
            _streams.Add(new(_builder.Stream(NameOf(topic), Consuming()), new Exact(source.Records, IsOrdered: true), KeepsKey: true, place));
        }
    }

    private Consumed<string, string> Consuming()
    {
        var watermarks = WatermarkStrategy.BoundedOutOfOrderness(Ms(_scenario.Bound));
        return Consumed.With(Serdes.Utf8, Serdes.Utf8).AllowTimesBefore1970().WithWatermarks(_world.Next(3) > 0 ? watermarks : watermarks.WithAlignment(Ms(_world.Next(60))));
    }

    private void Add(Step step)
    {
        switch (step.Kind)
        {
            case <= StepKind.Read:
                AddStateless(step);
                break;
            case <= StepKind.Sliding:
                AddWindows(step);
                break;
            case <= StepKind.LookUpGlobal:
                AddJoin(step);
                break;
            default:
                AddTable(step);
                break;
        }
    }

    /// <summary>A stream of which all records are known, counted back from the last one.</summary>
    private WovenStream? Stream(int back)
    {
        if (_streams.Count == 0)
        {
            return null;
        }

        return _streams[_streams.Count - 1 - (back % _streams.Count)];
    }

    private WovenTable? Table(int back) => _tables.Count == 0 ? null : _tables[_tables.Count - 1 - (back % _tables.Count)];

    private void Add(WovenStream from, KStream<string, string> stream, IEnumerable<ModelRecord> records, bool isOrdered, bool keepsKey)
    {
        from.IsUsed = true;
        _streams.Add(new(stream, new Exact([.. records], isOrdered), keepsKey, from.Place));
    }

    /// <summary>A stream whose equal keys lie in one task: itself or, behind the topic that a step makes for itself, what it has become.</summary>
    private static Partitioning PlaceByKey(WovenStream stream) => stream.KeepsKey ? stream.Place : new Partitioning(null);

    private WovenStream Repartitioned(WovenStream stream, int? partitions)
    {
        stream.IsUsed = true;
        var repartitioned = Topologies.Repartitioned.With(Serdes.Utf8, Serdes.Utf8).WithName(Next("moved"));
        repartitioned = partitions is { } count ? repartitioned.WithNumberOfPartitions(count) : repartitioned;
        return new(stream.Stream.Repartition(repartitioned), stream.Known, KeepsKey: true, new Partitioning(partitions));
    }

    private void WriteResults()
    {
        foreach (var stream in _streams.Concat(_changelogs).Where(stream => !stream.IsUsed || _world.Next(4) == 0).ToArray())
        {
            Write(stream.Stream, stream.Known);
        }

        foreach (var table in _tables.Where(table => !table.IsUsed || _world.Next(4) == 0).ToArray())
        {
            Write(table.Table.ToStream(), OfTable(table.Known));
        }
    }

    private static Known OfTable(KnownTable table) => table.Changes is null ? new Changelog(table.Final) : new Exact(table.Changes, IsOrdered: true);

    private void Write(KStream<string, string> stream, Known known)
    {
        var topic = Next("results");
        Results.Add(topic, known);
        Topics.Add(topic, _world.Next(1, 4));
        if (_world.Next(4) > 0)
        {
            stream.To(topic, s_produced);
            return;
        }

        stream.To((_, _) => topic, [topic], s_produced);
    }
}
