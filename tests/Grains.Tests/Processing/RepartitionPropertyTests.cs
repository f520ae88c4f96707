using System.Globalization;
using FsCheck;
using FsCheck.Fluent;
using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.Processing;

/// <summary>Random topologies of one to three stages, each behind a repartition topic or a topic that several tasks write, against one sequential pass.</summary>
public sealed class RepartitionPropertyTests
{
    private int _idleInputs;

    [Fact]
    public void Whatever_the_partitions_the_idleness_the_interleaving_and_the_crashes_several_stages_give_the_result_of_one_pass()
    {
        Check.One(PropertyRuns.OfSeed(250, 3), Prop.ForAll(ArbMap.Default.ArbFor<int>(), seed => RunAsync(seed).GetAwaiter().GetResult()));
        if (!PropertyRuns.IsOther)
        {
            _idleInputs.ShouldBeGreaterThan(20);
        }
    }

    private async Task RunAsync(int seed)
    {
        var random = new Random(seed);
        var bound = random.Next(0, 30);
        var isMerged = random.Next(3) == 0;
        var sources = new Dictionary<string, List<(string Key, long Value, long Time)>[]>
        {
            ["left"] = [.. Enumerable.Range(0, random.Next(1, 5)).Select(_ => Events(random, bound))],
        };
        if (isMerged)
        {
            sources["right"] = [.. Enumerable.Range(0, random.Next(1, 5)).Select(_ => Events(random, bound))];
        }

        var idlenessMs = random.Next(2) * random.Next(1, 60);
        var stages = Enumerable.Range(0, random.Next(1, 4)).Select(index => Stage.Random(random, index)).ToArray();
        var builder = new StreamsBuilder();
        var stream = Sources(builder, isMerged, bound, idlenessMs, random);
        var others = new Dictionary<string, int> { ["out"] = 2 };
        foreach (var stage in stages)
        {
            stream = stage.Describe(builder, stream, others, random);
        }

        stream.MapValues(value => value.ToString(CultureInfo.InvariantCulture)).To("out", Produced.With(Serdes.Utf8, Serdes.Utf8));
        var records = sources.ToDictionary(source => source.Key, source => source.Value.Select(partition => partition.ConvertAll(Record)).ToArray());
        var simulation = await TopologySimulation.CreateAsync(builder.Build(), records, others, random, new SimulationOptions { IdlenessMs = idlenessMs });
        simulation.Run();

        _idleInputs += simulation.IdleInputs;
        simulation.LateRecords.ShouldBe(0, "nothing is out of order by more than the bound");
        var events = sources.Values.SelectMany(partitions => partitions.SelectMany(partition => partition));
        var expected = stages.Aggregate(events, (records, stage) => stage.OnePass(records));
        simulation.Read("out").Order(StringComparer.Ordinal).ShouldBe(expected.Select(record => $"{record.Key} {record.Value}").Order(StringComparer.Ordinal));
    }

    private static SimulatedRecord Record((string Key, long Value, long Time) record)
    {
        var value = new byte[sizeof(long)];
        System.Buffers.Binary.BinaryPrimitives.WriteInt64BigEndian(value, record.Value);
        return new(System.Text.Encoding.UTF8.GetBytes(record.Key), value, record.Time);
    }

    private static KStream<string, long> Sources(StreamsBuilder builder, bool isMerged, int bound, int idlenessMs, Random random)
    {
        var consumed = Consumed.With(Serdes.Utf8, Serdes.Int64).WithWatermarks(WatermarkStrategy.BoundedOutOfOrderness(TimeSpan.FromMilliseconds(bound)));
        consumed = random.Next(2) == 0 ? consumed : consumed.WithWatermarks(consumed.Watermarks.WithAlignment(TimeSpan.FromMilliseconds(random.Next(50))));
        consumed = idlenessMs == 0 ? consumed : consumed.WithWatermarks(consumed.Watermarks.WithIdleness(TimeSpan.FromMilliseconds(idlenessMs)));
        var left = builder.Stream("left", consumed);
        if (!isMerged)
        {
            return left;
        }

        // Two topics of any partition counts can meet only behind topics of one count.
        var repartitioned = Repartitioned.With(Serdes.Utf8, Serdes.Int64);
        var fixedOne = random.Next(2) == 0 ? repartitioned.WithNumberOfPartitions(random.Next(1, 5)) : repartitioned;
        return left.Repartition(fixedOne.WithName("left-by-key")).Merge(builder.Stream("right", consumed).Repartition(repartitioned.WithName("right-by-key")));
    }

    private static List<(string Key, long Value, long Time)> Events(Random random, int bound)
    {
        var now = (long)random.Next(0, 100);
        var events = new List<(string, long, long)>();
        for (var count = random.Next(4) == 0 ? 0 : random.Next(0, 60); count > 0; count--)
        {
            now += random.Next(0, 8);
            events.Add((random.Next(8).ToString(CultureInfo.InvariantCulture), random.Next(1, 100), Math.Max(0, now - random.Next(bound + 1))));
        }

        return events;
    }

    /// <summary>A filter, a new key, a topic between tasks, and perhaps windowed sums.</summary>
    private sealed record Stage(int Index, long Kept, int Keys, int? Partitions, bool IsUserTopic, long? WindowMs, long GraceMs)
    {
        public static Stage Random(Random random, int index) => new(
            index, random.Next(2, 6), random.Next(1, 6), random.Next(3) == 0 ? null : random.Next(1, 5), random.Next(3) == 0, random.Next(4) == 0 ? null : random.Next(1, 60), random.Next(0, 20));

        public KStream<string, long> Describe(StreamsBuilder builder, KStream<string, long> from, Dictionary<string, int> topics, Random random)
        {
            var keyed = from.Filter((_, value) => value % Kept != 1).Map((key, value) => (NewKey(key), value));
            var cut = IsUserTopic ? Through(builder, keyed, topics, random) : Repartition(keyed);
            if (WindowMs is not { } size)
            {
                return cut;
            }

            return cut.GroupByKey()
                .WindowedBy(TumblingWindows.Of(TimeSpan.FromMilliseconds(size)).Grace(TimeSpan.FromMilliseconds(GraceMs)))
                .Aggregate(() => 0L, (_, value, sum) => sum + value, Materialized.As($"store-{Index}", Serdes.Int64))
                .Map((window, sum) => (window.Key, sum));
        }

        public IEnumerable<(string Key, long Value, long Time)> OnePass(IEnumerable<(string Key, long Value, long Time)> records)
        {
            var kept = records.Where(record => record.Value % Kept != 1).Select(record => (Key: NewKey(record.Key), record.Value, record.Time));
            return WindowMs is not { } size
                ? kept
                : kept.GroupBy(record => (record.Key, Start: record.Time / size * size)).Select(group => (group.Key.Key, group.Sum(record => record.Value), group.Key.Start + size - 1));
        }

        private string NewKey(string key) => ((int.Parse(key, CultureInfo.InvariantCulture) + Index) % Keys).ToString(CultureInfo.InvariantCulture);

        private KStream<string, long> Repartition(KStream<string, long> keyed)
        {
            var repartitioned = Repartitioned.With(Serdes.Utf8, Serdes.Int64);
            return keyed.Repartition(Partitions is { } count ? repartitioned.WithNumberOfPartitions(count) : repartitioned);
        }

        /// <summary>By way of a topic of the user's. When one task writes it, nothing but its end says how far it has come.</summary>
        private KStream<string, long> Through(StreamsBuilder builder, KStream<string, long> keyed, Dictionary<string, int> topics, Random random)
        {
            var topic = $"between-{Index}";
            topics.Add(topic, Partitions ?? random.Next(1, 5));
            keyed.To(topic, Produced.With(Serdes.Utf8, Serdes.Int64));
            return builder.Stream(topic, Consumed.With(Serdes.Utf8, Serdes.Int64).WithWatermarks(WatermarkStrategy.BoundedOutOfOrderness(TimeSpan.FromDays(1))));
        }
    }
}
