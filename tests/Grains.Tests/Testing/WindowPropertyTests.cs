using FsCheck;
using FsCheck.Fluent;
using OrleansStreams.Records;
using static OrleansStreams.Testing.WindowTopologies;

namespace OrleansStreams.Testing;

/// <summary>Windows of every kind against naive models: for any order, any batch cut, any interleaving of two inputs and any crash.</summary>
public sealed class WindowPropertyTests
{
    [Theory]
    [InlineData("hopping")]
    [InlineData("session")]
    [InlineData("sliding")]
    public void Results_are_those_of_a_naive_model_whatever_the_interleaving_the_commits_and_the_crashes(string kind) => Check.One(
        PropertyRuns.Of(120), Prop.ForAll(ArbMap.Default.ArbFor<int>(), seed => Run(seed, kind)));

    private static void Run(int seed, string kind)
    {
        var random = new Random(seed);
        var size = random.Next(1, 25);
        var grace = random.Next(0, 15);
        var bound = random.Next(0, 10);
        var advance = random.Next(1, size + 1);
        var windows = kind == "hopping" ? $"hopping {size} {advance} {grace}" : $"{kind} {size} {grace}";
        var events = Events(random, bound, kind == "session" ? grace : 40);
        var expected = kind switch
        {
            "hopping" => Hopping(events, size, advance, grace),
            "sliding" => Sliding(events, size, grace),
            _ => Sessions(events, size),
        };

        foreach (var emit in (string[])["close", "update", $"every {random.Next(1, 30)}"])
        {
            var calm = Outputs(windows, emit, bound, events, new() { CommitEvery = 1000 }, null);
            var wild = Outputs(windows, emit, bound, events, new() { CommitEvery = random.Next(1, 8), SnapshotBytesMin = 300 }, random);
            wild.ShouldBe(calm, $"{windows} emit {emit}");
            if (emit == "close")
            {
                calm.Count.ShouldBe(expected.Count, windows);
            }

            var last = calm.Select(line => line.Split('=')).GroupBy(parts => parts[0]).Select(group => $"{group.Key}={group.Last()[1]}").Where(line => !line.EndsWith("=0", StringComparison.Ordinal));
            last.Order(StringComparer.Ordinal).ShouldBe(expected.Order(StringComparer.Ordinal), $"{windows} emit {emit}");
        }
    }

    private static List<string> Outputs(string windows, string emit, long bound, List<Seen> events, TopologyTestDriverOptions options, Random? crashes)
    {
        var driver = new TopologyTestDriver(Counting(windows, emit, bound, inputs: 2), options);
        TestInput<string, long>[] inputs = [driver.CreateInput("in0", Serdes.Utf8, Serdes.Int64), driver.CreateInput("in1", Serdes.Utf8, Serdes.Int64)];
        foreach (var seen in events)
        {
            inputs[seen.Input].Pipe(seen.Key, 0, seen.Time);
            if (crashes?.Next(6) == 0)
            {
                driver.Restart((TestCrash)crashes.Next(4));
            }
        }

        driver.CloseInputs();
        return [.. driver.CreateOutput(Out, Serdes.Utf8, Serdes.Utf8).ReadAll().Select(record => $"{record.Key} {record.Value}")];
    }

    /// <summary>Events of two inputs, each with the watermark of its own input before it, and not further behind that than is said.</summary>
    private static List<Seen> Events(Random random, long bound, int behindMax)
    {
        var events = new List<Seen>();
        long[] now = [random.Next(-50, 50), random.Next(-50, 50)];
        long[] watermark = [long.MinValue, long.MinValue];
        for (var count = random.Next(1, 60); count > 0; count--)
        {
            var input = random.Next(2);
            now[input] += random.Next(12) == 0 ? random.Next(200) : random.Next(8);
            var time = now[input] - random.Next(0, 30);
            time = watermark[input] == long.MinValue ? time : Math.Max(time, watermark[input] - behindMax + 1);
            events.Add(new Seen(input, random.Next(3) == 0 ? "b" : "a", time, watermark[input]));
            watermark[input] = Math.Max(watermark[input], time - bound - 1);
        }

        return events;
    }

    private static List<string> Hopping(List<Seen> events, long size, long advance, long grace)
    {
        var starts = events.SelectMany(seen => Enumerable.Range(0, (int)size).Select(back => seen.Time - back)).Where(start => start % advance == 0).Distinct().ToArray();
        return Results(events, starts, size, (seen, end) => end + grace > seen.Watermark);
    }

    private static List<string> Sliding(List<Seen> events, long difference, long grace)
    {
        bool IsOpen(Seen seen, long end) => end - 1 + grace > seen.Watermark;
        var results = new List<string>();
        foreach (var key in events.GroupBy(seen => seen.Key))
        {
            var own = key.ToList();
            var taken = own.Where(seen => IsOpen(seen, seen.Time + difference + 2)).ToList();
            var starts = taken.Where(seen => IsOpen(seen, seen.Time + 1)).Select(seen => seen.Time - difference).Concat(taken.Select(seen => seen.Time + 1)).Distinct().ToArray();
            results.AddRange(Results(taken, starts, difference + 1, IsOpen));
        }

        return results;
    }

    private static List<string> Sessions(List<Seen> events, long gap)
    {
        var results = new List<string>();
        foreach (var key in events.GroupBy(seen => seen.Key))
        {
            var times = key.Select(seen => seen.Time).Order().ToArray();
            var first = 0;
            for (var i = 1; i <= times.Length; i++)
            {
                if (i == times.Length || times[i] - times[i - 1] > gap)
                {
                    results.Add($"{key.Key} {times[first]}-{times[i - 1] + 1}={i - first}");
                    first = i;
                }
            }
        }

        return results;
    }

    private static List<string> Results(List<Seen> events, long[] starts, long size, Func<Seen, long, bool> isTaken) =>
    [
        .. from key in events.Select(seen => seen.Key).Distinct()
           from start in starts
           let count = events.Count(seen => seen.Key == key && seen.Time >= start && seen.Time < start + size && isTaken(seen, start + size))
           where count > 0
           select $"{key} {start}-{start + size}={count}",
    ];

    private sealed record Seen(int Input, string Key, long Time, long Watermark);
}
