using System.Globalization;
using System.Text;
using FsCheck;
using FsCheck.Fluent;
using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.Testing;

/// <summary>Joins of random records against nested loops over all of them, whatever the interleaving, the commits and the crashes.</summary>
public sealed class JoinPropertyTests
{
    private static readonly Consumed<string, string> s_texts = Consumed.With(Serdes.Utf8, Serdes.Utf8);
    private static readonly Produced<string, string> s_toTexts = Produced.With(Serdes.Utf8, Serdes.Utf8);

    [Fact]
    public void A_join_of_streams_is_a_nested_loop_over_the_records_that_are_not_late_in_their_partition() => Check.One(
        PropertyRuns.Of(400), Prop.ForAll(ArbMap.Default.ArbFor<int>(), RunStreams));

    [Fact]
    public void A_join_of_tables_has_at_any_time_what_a_join_of_dictionaries_has() => Check.One(
        PropertyRuns.Of(200), Prop.ForAll(ArbMap.Default.ArbFor<int>(), RunTables));

    private static void RunStreams(int seed)
    {
        var random = new Random(seed);
        var (kind, partitions, bound, grace) = ((StreamKind)random.Next(3), random.Next(1, 4), random.Next(0, 20), random.Next(0, 3) * random.Next(0, 20));
        var lower = random.Next(-30, 30);
        var upper = lower + random.Next(0, 40);
        var (lefts, rights) = (Events(random), Events(random));
        var expected = Pairs(kind, lower, upper, Taken(lefts, partitions, bound, grace), Taken(rights, partitions, bound, grace)).Order(StringComparer.Ordinal).ToArray();

        // Any two interleavings give the same, which is the model's.
        for (var interleaving = 0; interleaving < 2; interleaving++)
        {
            var builder = new StreamsBuilder();
            var consumed = s_texts.WithWatermarks(WatermarkStrategy.BoundedOutOfOrderness(TimeSpan.FromMilliseconds(bound)));
            StreamJoinTopologies.Join(
                kind,
                builder.Stream("left", consumed),
                builder.Stream("right", consumed),
                JoinWindows.Between(TimeSpan.FromMilliseconds(lower), TimeSpan.FromMilliseconds(upper)).Grace(TimeSpan.FromMilliseconds(grace)),
                StreamJoined.With(Serdes.Utf8, Serdes.Utf8, Serdes.Utf8)).To("out", s_toTexts);
            var driver = new TopologyTestDriver(builder.Build(), new() { Partitions = partitions, CommitEvery = random.Next(1, 6), SnapshotBytesMin = 300 });
            Pipe(driver, random, lefts, rights);
            driver.CloseInputs();
            var results = driver.CreateOutput("out", Serdes.Utf8, Serdes.Utf8).ReadAll().Select(record => Text(record.Key!, record.Value!, record.Timestamp));
            results.Order(StringComparer.Ordinal).ToArray().ShouldBe(expected, $"{kind} from {lower} to {upper} grace {grace} bound {bound} partitions {partitions}");
            driver.Tasks.Sum(task => task.StateEntries).ShouldBe(0);
            driver.LateRecords.ShouldBe(lefts.Count + rights.Count - Taken(lefts, partitions, bound, grace).Count - Taken(rights, partitions, bound, grace).Count);
        }
    }

    private static void Pipe(TopologyTestDriver driver, Random random, List<Event> lefts, List<Event> rights)
    {
        var (left, right) = (driver.CreateInput("left", Serdes.Utf8, Serdes.Utf8), driver.CreateInput("right", Serdes.Utf8, Serdes.Utf8));
        var (leftAt, rightAt) = (0, 0);
        var favour = random.Next(1, 10);
        while (leftAt < lefts.Count || rightAt < rights.Count)
        {
            var isLeft = rightAt == rights.Count || (leftAt < lefts.Count && random.Next(10) < favour);
            var next = isLeft ? lefts[leftAt++] : rights[rightAt++];
            (isLeft ? left : right).Pipe(next.Key, next.Value, next.Time);
            if (random.Next(12) == 0)
            {
                driver.Restart((TestCrash)random.Next(4));
            }
        }
    }

    private static List<Event> Events(Random random)
    {
        var now = 100L;
        return
        [
            .. Enumerable.Range(0, random.Next(0, 40)).Select(number =>
            {
                now += random.Next(0, 12);
                return new Event($"k{random.Next(3)}", $"{number}", now - random.Next(0, 25));
            }),
        ];
    }

    /// <summary>The records that are not late by the watermark of their partition before them.</summary>
    private static List<Event> Taken(List<Event> events, int partitions, int bound, int grace)
    {
        var largest = new Dictionary<int, long>();
        var taken = new List<Event>();
        foreach (var record in events)
        {
            var partition = KeyHash.PartitionFor(Encoding.UTF8.GetBytes(record.Key), partitions);
            if (!largest.TryGetValue(partition, out var max) || record.Time + grace >= max - bound - 1)
            {
                taken.Add(record);
            }

            largest[partition] = Math.Max(largest.GetValueOrDefault(partition, long.MinValue), record.Time);
        }

        return taken;
    }

    private static IEnumerable<string> Pairs(StreamKind kind, int lower, int upper, List<Event> lefts, List<Event> rights)
    {
        var matched = new HashSet<Event>(ReferenceEqualityComparer.Instance);
        foreach (var left in lefts)
        {
            foreach (var right in rights)
            {
                if (left.Key == right.Key && right.Time >= left.Time + lower && right.Time <= left.Time + upper)
                {
                    matched.Add(left);
                    matched.Add(right);
                    yield return Text(left.Key, $"{left.Value}+{right.Value}", Math.Max(left.Time, right.Time));
                }
            }
        }

        foreach (var left in lefts.Where(left => kind != StreamKind.Inner && !matched.Contains(left)))
        {
            yield return Text(left.Key, $"{left.Value}+_", left.Time);
        }

        foreach (var right in rights.Where(right => kind == StreamKind.Outer && !matched.Contains(right)))
        {
            yield return Text(right.Key, $"_+{right.Value}", right.Time);
        }
    }

    private static string Text(string key, string value, long time) => string.Create(CultureInfo.InvariantCulture, $"{key} {value}@{time}");

    private static void RunTables(int seed)
    {
        var random = new Random(seed);
        var (kind, isKept) = ((StreamKind)random.Next(3), random.Next(2) == 0);
        var builder = new StreamsBuilder();
        var (left, right) = (builder.Table("left", s_texts).Filter((_, value) => value != "7"), builder.Table("right", s_texts));
        var materialized = isKept ? Materialized.As("kept", Serdes.Utf8) : null;
        var joined = kind switch
        {
            StreamKind.Inner => left.Join(right, (one, two) => $"{one}+{two}", materialized),
            StreamKind.Left => left.LeftJoin(right, (one, two) => $"{one}+{two}", materialized),
            _ => left.OuterJoin(right, (one, two) => $"{one}+{two}", materialized),
        };
        joined.ToStream().To("out", s_toTexts);
        var driver = new TopologyTestDriver(builder.Build(), new() { Partitions = random.Next(1, 3), SnapshotBytesMin = 300 });
        var output = driver.CreateOutput("out", Serdes.Utf8, Serdes.Utf8);
        var tables = new Dictionary<string, string>[] { [], [] };
        var results = new Dictionary<string, string>();
        for (var step = 0; step < 60; step++)
        {
            var (side, key, value) = (random.Next(2), $"k{random.Next(4)}", random.Next(3) == 0 ? null : $"{random.Next(10)}");
            driver.CreateInput(side == 0 ? "left" : "right", Serdes.Utf8, Serdes.Utf8).Pipe(key, value, step);
            if (random.Next(6) == 0)
            {
                driver.Restart((TestCrash)random.Next(4));
            }

            tables[side].Remove(key);
            if (value is not null && (side == 1 || value != "7"))
            {
                tables[side].Add(key, value);
            }

            foreach (var record in output.ReadAll())
            {
                (record.Value is null && !results.ContainsKey(record.Key!)).ShouldBeFalse("what is not there is deleted");
                results.Remove(record.Key!);
                if (record.Value is not null)
                {
                    results.Add(record.Key!, record.Value);
                }
            }

            results.OrderBy(pair => pair.Key, StringComparer.Ordinal).ToArray().ShouldBe(Join(kind, tables[0], tables[1]), $"{kind}, kept: {isKept}");
        }
    }

    private static KeyValuePair<string, string>[] Join(StreamKind kind, Dictionary<string, string> left, Dictionary<string, string> right) =>
        [.. left.Keys.Union(right.Keys).Order(StringComparer.Ordinal)
            .Where(key => kind == StreamKind.Outer || (left.ContainsKey(key) && (kind == StreamKind.Left || right.ContainsKey(key))))
            .Select(key => KeyValuePair.Create(key, $"{left.GetValueOrDefault(key)}+{right.GetValueOrDefault(key)}"))];

    private sealed record Event(string Key, string Value, long Time);
}
