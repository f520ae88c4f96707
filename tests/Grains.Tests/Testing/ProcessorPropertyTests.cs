using System.Globalization;
using FsCheck;
using FsCheck.Fluent;
using OrleansStreams.Records;
using OrleansStreams.Topologies;
using static OrleansStreams.Testing.ProcessorFixture;

namespace OrleansStreams.Testing;

/// <summary>Deduplication, top lists and times to live against models that forget nothing and search everything: for any events, any cut of commits and any crash.</summary>
public sealed class ProcessorPropertyTests
{
    [Fact]
    public void Deduplication_is_that_of_a_model_that_never_forgets() => Check.One(
        PropertyRuns.Of(300), Prop.ForAll(ArbMap.Default.ArbFor<int>(), Deduplication));

    [Fact]
    public void Top_lists_are_those_of_sorting_all_values_anew() => Check.One(
        PropertyRuns.Of(100), Prop.ForAll(ArbMap.Default.ArbFor<int>(), TopLists));

    [Fact]
    public void Times_to_live_are_those_of_a_model_that_looks_at_every_key() => Check.One(
        PropertyRuns.Of(150), Prop.ForAll(ArbMap.Default.ArbFor<int>(), TimesToLive));

    private static void Deduplication(int seed)
    {
        var random = new Random(seed);
        var most = random.Next(2) == 0 ? 4 : 25;
        var (window, grace, bound) = (random.Next(1, most), random.Next(0, most), random.Next(0, most));
        var events = Events(random);
        var expected = new List<string>();
        var kept = new List<int>();
        var passed = new List<(string Key, long Time)>();
        var (watermark, late) = (long.MinValue, 0);
        foreach (var (key, value, time) in events)
        {
            if (time + 1 + grace <= watermark)
            {
                late++;
            }
            else if (!passed.Exists(other => other.Key == key && Math.Abs(other.Time - time) < window))
            {
                passed.Add((key, time));
                expected.Add($"{key}={value}@{time}");
            }

            watermark = Math.Max(watermark, time - bound - 1);
            kept.Add(passed.Count(entry => entry.Time + window + grace > watermark));
        }

        var builder = new StreamsBuilder();
        builder.Stream("in", Bounded(bound)).Deduplicate(DeduplicationWindow.Of(TimeSpan.FromMilliseconds(window)).Grace(TimeSpan.FromMilliseconds(grace))).To("out", ToTexts);
        var driver = Wild(builder, events, random, (number, driver) => driver.Tasks[0].StateEntries.ShouldBe(kept[number], "what is kept is what can still be met"));
        Read(driver).ShouldBe(expected);
        driver.LateRecords.ShouldBe(late);
    }

    private static void TopLists(int seed)
    {
        var random = new Random(seed);
        var count = random.Next(1, 6);
        var events = Events(random);
        var expected = new List<string>();
        var all = new Dictionary<string, List<string>>();
        foreach (var (key, value, time) in events)
        {
            var values = all.TryGetValue(key, out var found) ? found : all[key] = [];
            var before = Best(values, count);
            values.Add(value);
            if (Best(values, count) != before)
            {
                expected.Add($"{key}={Best(values, count)}@{time}");
            }
        }

        var builder = new StreamsBuilder();
        builder.Stream("in", Bounded(5)).GroupByKey().TopN(count, value => value[0], Materialized.As("best", Serdes.Utf8)).ToStream().MapValues(top => string.Join(',', top)).To("out", ToTexts);
        Read(Wild(builder, events, random)).ShouldBe(expected);
    }

    private static string Best(List<string> values, int count) =>
        string.Join(',', values.OrderByDescending(value => value[0]).ThenBy(value => value, StringComparer.Ordinal).Take(count));

    private static void TimesToLive(int seed)
    {
        var random = new Random(seed);
        var (life, bound) = (random.Next(1, 30), random.Next(0, 20));
        var events = Events(random);
        var expected = new List<string>();
        var table = new SortedDictionary<string, long>(StringComparer.Ordinal);
        var watermark = long.MinValue;
        foreach (var (key, value, time) in events)
        {
            expected.Add($"{key}={value}@{time}");
            table[key] = Math.Max(time, table.GetValueOrDefault(key, long.MinValue));
            if (time - bound - 1 > watermark)
            {
                watermark = time - bound - 1;
                foreach (var (dead, last) in table.Where(entry => entry.Value + life <= watermark).OrderBy(entry => entry.Value).ToList())
                {
                    table.Remove(dead);
                    expected.Add($"{dead}=-@{last + life}");
                }
            }
        }

        var builder = new StreamsBuilder();
        builder.Table("in", Bounded(bound), Materialized.As("table", Serdes.Utf8).WithTimeToLive(TimeSpan.FromMilliseconds(life))).ToStream().To("out", ToTexts);
        var driver = Wild(builder, events, random);
        Read(driver).ShouldBe(expected);
        driver.GetStore("table", Serdes.Utf8, Serdes.Utf8).All().Select(entry => entry.Key).ShouldBe(table.Keys);
    }

    private static Consumed<string, string> Bounded(long bound) => Texts.AllowTimesBefore1970().WithWatermarks(WatermarkStrategy.BoundedOutOfOrderness(TimeSpan.FromMilliseconds(bound)));

    private static List<(string Key, string Value, long Time)> Events(Random random)
    {
        var (keys, step, disorder) = (random.Next(1, 6), random.Next(1, 8), random.Next(0, 40));
        var events = new List<(string, string, long)>();
        for (var number = 0; number < random.Next(1, 80); number++)
        {
            var time = (number * step) - random.Next(0, disorder + 1) + (random.Next(20) == 0 ? random.Next(0, 60) : 0);
            events.Add((((char)('a' + random.Next(keys))).ToString(), string.Create(CultureInfo.InvariantCulture, $"{random.Next(10)}{random.Next(3)}"), time));
        }

        return events;
    }

    private static TopologyTestDriver Wild(StreamsBuilder builder, List<(string Key, string Value, long Time)> events, Random random, Action<int, TopologyTestDriver>? check = null)
    {
        var driver = new TopologyTestDriver(builder.Build(), new() { CommitEvery = random.Next(1, 9), SnapshotBytesMin = random.Next(100, 2000) });
        var input = driver.CreateInput("in", Serdes.Utf8, Serdes.Utf8);
        for (var number = 0; number < events.Count; number++)
        {
            input.Pipe(events[number].Key, events[number].Value, events[number].Time);
            if (random.Next(6) == 0)
            {
                driver.Restart((TestCrash)random.Next(4));
            }

            check?.Invoke(number, driver);
        }

        driver.Commit();
        return driver;
    }
}
