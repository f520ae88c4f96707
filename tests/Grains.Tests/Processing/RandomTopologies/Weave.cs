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
    private readonly bool _areTablesFirst;
    private readonly int _idlenessMs;
    private readonly List<WovenStream> _streams = [];
    private readonly List<WovenStream> _changelogs = [];
    private readonly List<WovenTable> _tables = [];
    private StepKind? _maker;
    private int _number;

    public Weave(Scenario scenario, Random world)
    {
        _scenario = scenario;
        _world = world;
        _areTablesFirst = world.Next(3) == 0;
        _idlenessMs = world.Next(3) == 0 ? world.Next(1, 60) : 0;
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

    /// <summary>By result topic, the step that has made what is written to it; null for what was read.</summary>
    public Dictionary<string, StepKind?> Makers { get; } = [];

    /// <summary>The streams that are read, in a world that reads its tables first: only there it is known what a record finds in a table.</summary>
    public HashSet<string> HeldBack => _areTablesFirst ? [.. _scenario.Sources.Index().Where(source => !source.Item.IsTable).Select(source => NameOf(source.Index))] : [];

    /// <summary>The timeout of idleness of the sources that have one; 0 when none has.</summary>
    public long IdlenessMs => _idlenessMs;

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
            _tables.Add(new(_builder.Table(NameOf(topic), Consuming(), Materialized.As(Next("table"), Serdes.Utf8)), KnownTable.Of(source.Records), place) { IsSettled = true, Maker = _maker });
        }
        else
        {
            _streams.Add(new(_builder.Stream(NameOf(topic), Consuming()), new Exact(source.Records, IsOrdered: true), KeepsKey: true, place) { IsHeld = true, Maker = _maker });
        }
    }

    private Consumed<string, string> Consuming()
    {
        var watermarks = WatermarkStrategy.BoundedOutOfOrderness(Ms(_scenario.Bound));
        watermarks = _idlenessMs == 0 || _world.Next(3) == 0 ? watermarks : watermarks.WithIdleness(Ms(_idlenessMs));

        // A table would wait for the streams that wait for it.
        watermarks = _areTablesFirst || _world.Next(3) > 0 ? watermarks : watermarks.WithAlignment(Ms(_world.Next(60)));
        return Consumed.With(Serdes.Utf8, Serdes.Utf8).AllowTimesBefore1970().WithWatermarks(watermarks);
    }

    private void Add(Step step)
    {
        var (streams, changelogs, tables) = (_streams.Count, _changelogs.Count, _tables.Count);
        _maker = step.Kind;
        AddWhatIs(step);
        _streams.Skip(streams).Concat(_changelogs.Skip(changelogs)).ToList().ForEach(stream => stream.Maker = step.Kind);
        _tables.Skip(tables).ToList().ForEach(table => table.Maker = step.Kind);
    }

    private void AddWhatIs(Step step)
    {
        switch (step.Kind)
        {
            case <= StepKind.Read:
                AddStateless(step);
                break;
            case <= StepKind.Sliding:
                AddWindows(step);
                break;
            case StepKind.CogroupWindows:
                AddCogroupedWindows(step);
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
        _streams.Add(new(stream, new Exact([.. records], isOrdered), keepsKey, from.Place) { IsHeld = from.IsHeld });
    }

    /// <summary>A stream whose equal keys lie in one task: itself or, behind the topic that a step makes for itself, what it has become.</summary>
    private static Partitioning PlaceByKey(WovenStream stream) => stream.KeepsKey ? stream.Place : new Partitioning(null);

    private WovenStream Repartitioned(WovenStream stream, int? partitions)
    {
        stream.IsUsed = true;
        var repartitioned = Topologies.Repartitioned.With(Serdes.Utf8, Serdes.Utf8).WithName(Next("moved"));
        repartitioned = partitions is { } count ? repartitioned.WithNumberOfPartitions(count) : repartitioned;
        return new(stream.Stream.Repartition(repartitioned), stream.Known, KeepsKey: true, new Partitioning(partitions)) { IsHeld = stream.IsHeld };
    }

    private void WriteResults()
    {
        foreach (var stream in _streams.Concat(_changelogs).Where(stream => !stream.IsUsed || _world.Next(4) == 0).ToArray())
        {
            Write(stream.Stream, stream.Known, stream.Maker);
        }

        foreach (var table in _tables.Where(table => !table.IsUsed || _world.Next(4) == 0).ToArray())
        {
            Write(table.Table.ToStream(), OfTable(table.Known), table.Maker);
        }
    }

    private static Known OfTable(KnownTable table) => table.Changes is null ? new Changelog(table.Final) : new Exact(table.Changes, IsOrdered: true);

    private void Write(KStream<string, string> stream, Known known, StepKind? maker)
    {
        var topic = NewResults(known, maker);
        if (_world.Next(4) > 0)
        {
            stream.To(topic, s_produced);
            return;
        }

        stream.To((_, _) => topic, [topic], s_produced);
    }

    private string NewResults(Known known, StepKind? maker)
    {
        var topic = Next("results");
        Results.Add(topic, known);
        Makers.Add(topic, maker);
        Topics.Add(topic, _world.Next(1, 4));
        return topic;
    }
}
