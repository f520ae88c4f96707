using System.Globalization;
using System.Text;
using FsCheck;
using FsCheck.Fluent;
using OrleansStreams.Errors;
using Scenarios = FsCheck.Fluent.Arb;

namespace OrleansStreams.Processing.RandomTopologies;

/// <summary>
/// Random topologies over random inputs against naive models of all operators: for any partitions, any batches, any interleaving of tasks and of their inputs and any crash. A failure
/// prints a scenario that has shrunk, and the seed of the original: <c>STREAMS_PROPERTY_SEED=seed</c> runs that one alone. <c>STREAMS_PROPERTY_RUNS=n</c> makes it a soak.
/// </summary>
public sealed class RandomTopologyTests
{
    private const int Runs = 1000;

    [Fact]
    public void Whatever_the_topology_the_partitions_the_interleaving_and_the_crashes_the_results_are_those_of_the_models()
    {
        if (Environment.GetEnvironmentVariable("STREAMS_PROPERTY_SEED") is { Length: > 0 } seed)
        {
            Run(Scenario.Random(int.Parse(seed, CultureInfo.InvariantCulture)));
            return;
        }

        var runs = Environment.GetEnvironmentVariable("STREAMS_PROPERTY_RUNS") is { Length: > 0 } number ? int.Parse(number, CultureInfo.InvariantCulture) : Runs;
        var scenarios = Scenarios.From(Gen.Choose(int.MinValue, int.MaxValue).Select(Scenario.Random), scenario => scenario.Shrunk());
        Check.One(PropertyRuns.Of(runs), Prop.ForAll(scenarios, Run));
    }

    internal static void Run(Scenario scenario)
    {
        for (var world = 0; world < scenario.Worlds; world++)
        {
            RunAsync(scenario, new Random(HashCode(scenario.World, world))).GetAwaiter().GetResult();
        }
    }

    private static int HashCode(int seed, int world) => unchecked((seed * 31) + (world * 1_000_003));

    private static async Task RunAsync(Scenario scenario, Random world)
    {
        var weave = new Weave(scenario, world);
        if (EventTimeCircles.IsIn(weave.Topology))
        {
            return;
        }

        TopologySimulation simulation;
        try
        {
            simulation = await TopologySimulation.CreateAsync(weave.Topology, weave.Sources(), weave.Topics, world);
        }
        catch (StreamsException error) when (error.Message.Contains("each would wait for the other's time", StringComparison.Ordinal)
            || error.Message.Contains("with event times of its own or in a circle", StringComparison.Ordinal))
        {
            // A circle of event time, which is refused before anything runs.
            return;
        }

        var described = $"\n{weave.Topology.Describe()}";
        simulation.Run(described);
        simulation.LateRecords.ShouldBe(0, $"nothing is out of order by more than the bound{described}");
        foreach (var (topic, known) in weave.Results)
        {
            var written = simulation.ReadRecords(topic).Select(record => new ModelRecord(Encoding.UTF8.GetString(record.Key), record.Value is null ? null : Encoding.UTF8.GetString(record.Value), record.Time));
            known.Check([.. written], $"{topic}{described}");
        }

        foreach (var (store, entries) in simulation.Stores)
        {
            // What waits for other records or for its time has no reason to any more.
            var isBuffer = store.StartsWith("join", StringComparison.Ordinal) || store.EndsWith("-pending", StringComparison.Ordinal) || store.EndsWith("-events", StringComparison.Ordinal)
                || store.EndsWith("-seen", StringComparison.Ordinal) || store.StartsWith("suppress", StringComparison.Ordinal);
            (isBuffer && entries > 0).ShouldBeFalse($"{store} has {entries} entries after the end{described}");
        }
    }
}
