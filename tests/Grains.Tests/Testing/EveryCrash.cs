using OrleansStreams.Topologies;

namespace OrleansStreams.Testing;

/// <summary>Runs a script once without a crash, and then with one before each of its steps and behind the last: of each kind, with commits after every record and after several.</summary>
internal static class EveryCrash
{
    /// <param name="describe">Describes the topology, anew for each run.</param>
    /// <param name="steps">The script.</param>
    /// <param name="read">What came out, as text, from the beginning.</param>
    /// <param name="partitions">Of every topic.</param>
    /// <returns>What came out in every run.</returns>
    public static List<string> Run(
        Func<StreamsBuilder> describe, IReadOnlyList<Action<TopologyTestDriver>> steps, Func<TopologyTestDriver, IEnumerable<string>> read, int partitions = 1)
    {
        var expected = Run(describe, steps, read, new() { Partitions = partitions }, null, -1);
        foreach (var crash in Enum.GetValues<TestCrash>())
        {
            foreach (var commitEvery in (int[])[1, 3])
            {
                for (var at = 0; at <= steps.Count; at++)
                {
                    var options = new TopologyTestDriverOptions { Partitions = partitions, CommitEvery = commitEvery, SnapshotBytesMin = 300 };
                    Run(describe, steps, read, options, crash, at).ShouldBe(expected, $"a crash {crash} before step {at}, commits after {commitEvery}");
                }
            }
        }

        return expected;
    }

    private static List<string> Run(
        Func<StreamsBuilder> describe,
        IReadOnlyList<Action<TopologyTestDriver>> steps,
        Func<TopologyTestDriver, IEnumerable<string>> read,
        TopologyTestDriverOptions options,
        TestCrash? crash,
        int at)
    {
        var driver = new TopologyTestDriver(describe().Build(), options);
        for (var step = 0; step <= steps.Count; step++)
        {
            if (step == at)
            {
                driver.Restart(crash!.Value);
            }

            if (step < steps.Count)
            {
                steps[step](driver);
            }
        }

        driver.Commit();
        return [.. read(driver)];
    }
}
