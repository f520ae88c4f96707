using System.Globalization;
using System.Text;
using FsCheck;
using FsCheck.Fluent;
using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.Processing.RandomTopologies;

/// <summary>
/// Random steps over a topic that is out of order by more than its bound. A record is late by the watermark that its own partition has come to before it, whatever has been done to it since and wherever
/// batches were cut: so the model knows which ones are, as long as nothing is repartitioned.
/// </summary>
public sealed class LateTopologyTests
{
    private int _late;
    private int _taken;

    [Fact]
    public void What_is_late_and_what_is_made_of_the_rest_is_decided_by_each_partition_alone_whatever_the_batches_and_the_crashes()
    {
        Check.One(PropertyRuns.OfSeed(300, 5), Prop.ForAll(ArbMap.Default.ArbFor<int>(), seed => RunAsync(new Random(seed)).GetAwaiter().GetResult()));
        if (!PropertyRuns.IsOther)
        {
            _late.ShouldBeGreaterThan(1000);
            _taken.ShouldBeGreaterThan(1000);
        }
    }

    private async Task RunAsync(Random random)
    {
        var bound = random.Next(0, 15);
        var partitions = Enumerable.Range(0, random.Next(1, 4)).Select(partition => Events(random, partition, bound)).ToArray();
        var builder = new StreamsBuilder();
        var stream = builder.Stream(
            "in", Consumed.With(Serdes.Utf8, Serdes.Utf8).AllowTimesBefore1970().WithWatermarks(WatermarkStrategy.BoundedOutOfOrderness(TimeSpan.FromMilliseconds(bound))));
        IEnumerable<Seen> records = partitions.SelectMany(partition => partition);
        for (var steps = random.Next(4); steps > 0; steps--)
        {
            (stream, records) = Stateless(stream, records, random.Next(3), random.Next(1000));
        }

        var expected = new Dictionary<string, List<string>>();
        var late = 0L;
        for (var number = random.Next(1, 4); number > 0; number--)
        {
            var topic = $"out{number}";
            var (results, lines, lateHere) = Windowed(stream, [.. records], $"store{number}", random);
            results.To(topic, Produced.With(Serdes.Utf8, Serdes.Utf8));
            expected.Add(topic, lines);
            late += lateHere;
            _taken += lines.Count;
        }

        _late += (int)late;
        var sources = new Dictionary<string, List<SimulatedRecord>[]>
        {
            ["in"] = [.. partitions.Select(partition => partition.ConvertAll(seen => new SimulatedRecord(Bytes(seen.Record.Key), Bytes(seen.Record.Value!), seen.Record.Time)))],
        };
        var simulation = await TopologySimulation.CreateAsync(builder.Build(), sources, expected.Keys.ToDictionary(topic => topic, _ => random.Next(1, 3)), random);
        simulation.Run();
        foreach (var (topic, lines) in expected)
        {
            simulation.ReadRecords(topic).Select(record => new ModelRecord(Encoding.UTF8.GetString(record.Key), Encoding.UTF8.GetString(record.Value!), record.Time).ToString())
                .Order(StringComparer.Ordinal).ShouldBe(lines.Order(StringComparer.Ordinal));
        }

        simulation.LateRecords.ShouldBe(late);
    }

    /// <summary>Each partition has keys of its own, and each record the watermark that it meets.</summary>
    private static List<Seen> Events(Random random, int partition, int bound)
    {
        var now = (long)random.Next(-60, 60);
        var watermark = long.MinValue;
        var events = new List<Seen>();
        for (var number = random.Next(0, 50); number > 0; number--)
        {
            now += random.Next(20) == 0 ? random.Next(200) : random.Next(8);
            var time = now - random.Next(bound + 40);
            events.Add(new Seen(new ModelRecord(string.Create(CultureInfo.InvariantCulture, $"p{partition}k{random.Next(3)}"), string.Create(CultureInfo.InvariantCulture, $"v{number}"), time), watermark));
            watermark = Math.Max(watermark, time - bound - 1);
        }

        return events;
    }

    private static (KStream<string, string> Stream, IEnumerable<Seen> Records) Stateless(KStream<string, string> stream, IEnumerable<Seen> records, int kind, int salt) => kind switch
    {
        0 => (stream.Filter((key, value) => Functions.IsKept(key, value, salt)), records.Where(seen => Functions.IsKept(seen.Record.Key, seen.Record.Value, salt))),
        1 => (stream.MapValues(value => Functions.Short($"m{value}")), records.Select(seen => seen with { Record = seen.Record with { Value = Functions.Short($"m{seen.Record.Value}") } })),
        _ => (
            stream.FlatMapValues(value => Functions.Many(value, salt)),
            records.SelectMany(seen => Functions.Many(seen.Record.Value, salt).Select(value => seen with { Record = seen.Record with { Value = value } }))),
    };

    private static (KStream<string, string> Results, List<string> Lines, long Late) Windowed(KStream<string, string> stream, Seen[] records, string store, Random random)
    {
        var (size, grace) = (random.Next(1, 25), random.Next(0, 15));
        var advance = random.Next(2) == 0 ? size : random.Next(1, size + 1);
        if (random.Next(3) == 0)
        {
            var taken = records.Where(seen => seen.IsTaken(seen.Record.Time + 1 + grace)).Select(seen => seen.Record).ToArray();
            var deduplicated = stream.Deduplicate(DeduplicationWindow.Of(Ms(size)).Grace(Ms(grace)), Grouped.With(Serdes.Utf8, Serdes.Utf8), store);
            return (deduplicated, [.. Models.Deduplicate(taken, size).Select(record => record.ToString())], records.Length - taken.Length);
        }

        var grouped = stream.GroupByKey(Grouped.With(Serdes.Utf8, Serdes.Utf8));
        var materialized = Materialized.As(store, Serdes.Utf8);
        var results = advance == size
            ? grouped.WindowedBy(TumblingWindows.Of(Ms(size)).Grace(Ms(grace))).Aggregate(() => string.Empty, (_, value, chain) => Functions.Chain(chain, value), materialized)
            : grouped.WindowedBy(HoppingWindows.Of(Ms(size), Ms(advance)).Grace(Ms(grace))).Aggregate(() => string.Empty, (_, value, chain) => Functions.Chain(chain, value), materialized);
        var lines =
            from window in Models.Hopping([.. records.Select(seen => seen.Record)], size, advance)
            let taken = records.Where(seen => seen.Record.Key == window.Key && seen.Record.Time >= window.Start && seen.Record.Time < window.End && seen.IsTaken(window.End + grace)).ToArray()
            where taken.Length > 0
            select new ModelRecord(window.Name, Aggregators.Model(AggregatorKind.Chain, taken.Select(seen => seen.Record)), window.End - 1).ToString();

        // Late is what comes into no window at all; the last one that holds it is open longest.
        var late = records.Count(seen => !seen.IsTaken(LastStart(seen.Record.Time, advance) + size + grace));
        return (results.Map((window, chain) => (new ModelWindow(window.Key, window.WindowStartMs, window.WindowEndMs, []).Name, chain)), [.. lines], late);
    }

    private static long LastStart(long time, long advance) => (long)Math.Floor((double)time / advance) * advance;

    private static TimeSpan Ms(long ms) => TimeSpan.FromMilliseconds(ms);

    private static byte[] Bytes(string text) => Encoding.UTF8.GetBytes(text);

    /// <param name="Record">The record.</param>
    /// <param name="Watermark">Its partition's before it.</param>
    private sealed record Seen(ModelRecord Record, long Watermark)
    {
        /// <summary>Whether it comes before what it belongs to is over.</summary>
        public bool IsTaken(long overAt) => overAt > Watermark;
    }
}
