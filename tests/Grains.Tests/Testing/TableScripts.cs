using OrleansStreams.Records;
using OrleansStreams.Topologies;

namespace OrleansStreams.Testing;

/// <summary>Drives topologies of string topics by scripts: "topic.key=value" or "topic.key=value@time" pipes a record ("-" is null), "!" lets all tasks crash.</summary>
internal static class TableScripts
{
    public static readonly Consumed<string, string> Texts = Consumed.With(Serdes.Utf8, Serdes.Utf8);
    public static readonly Produced<string, string> ToTexts = Produced.With(Serdes.Utf8, Serdes.Utf8);

    /// <summary>The results of a script, and that they are the same however often and wherever tasks crash.</summary>
    /// <param name="topology">Describes the topology anew for each run; it writes topic "out".</param>
    /// <param name="script">The steps.</param>
    /// <param name="close">Whether the inputs end behind it.</param>
    public static string Run(Func<Topology> topology, string script, bool close = false)
    {
        var expected = Results(Drive(topology(), script, [], close));
        foreach (var (commitEvery, crash) in ((int, TestCrash)[])
            [(1, TestCrash.BeforeCommit), (1, TestCrash.BeforeDelivery), (1, TestCrash.DuringDelivery), (1, TestCrash.AfterDelivery), (2, TestCrash.BeforeCommit), (3, TestCrash.BeforeDelivery), (2, TestCrash.DuringDelivery)])
        {
            var options = new TopologyTestDriverOptions { CommitEvery = commitEvery, SnapshotBytesMin = 200 };
            Results(Drive(topology(), script, [crash], close, options)).ShouldBe(expected, $"commit every {commitEvery}, crash {crash} after every step");
        }

        return expected;
    }

    /// <summary>Pipes a script.</summary>
    public static TopologyTestDriver Drive(Topology topology, string script, TestCrash[] crashes, bool close = false, TopologyTestDriverOptions? options = null)
    {
        var driver = new TopologyTestDriver(topology, options);
        foreach (var step in script.Split(' ', StringSplitOptions.RemoveEmptyEntries))
        {
            Pipe(driver, step);
            foreach (var crash in crashes)
            {
                driver.Restart(crash);
            }
        }

        driver.Commit();
        if (close)
        {
            driver.CloseInputs();
            driver.Tasks.ShouldAllBe(task => task.IsCompleted);
        }

        return driver;
    }

    public static void Pipe(TopologyTestDriver driver, string step)
    {
        if (step == "!")
        {
            driver.Restart();
            return;
        }

        var parts = step.Split('.', '=', '@');
        driver.CreateInput(parts[0], Serdes.Utf8, Serdes.Utf8).Pipe(parts[1], parts[2] == "-" ? null : parts[2], parts.Length > 3 ? WindowTopologies.Number(parts[3]) : 1);
    }

    /// <summary>Topic "out" as "key=value", with "-" for null.</summary>
    public static string Results(TopologyTestDriver driver) =>
        string.Join(' ', driver.CreateOutput("out", Serdes.Utf8, Serdes.Utf8).ReadAll().Select(record => $"{record.Key}={record.Value ?? "-"}"));
}
