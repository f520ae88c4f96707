using System.Globalization;
using System.Text;
using FsCheck;
using FsCheck.Fluent;
using OrleansStreams.Errors;
using Xunit.Abstractions;
using Scenarios = FsCheck.Fluent.Arb;

namespace OrleansStreams.Processing.RandomTopologies;

/// <summary>
/// Random topologies over random inputs against naive models of all operators: for any partitions, any batches, any interleaving of tasks and of their inputs and any crash. A failure
/// prints a scenario that has shrunk, and the seed of the original: <c>STREAMS_PROPERTY_SEED=seed</c> runs that one alone, and <see cref="PropertyRuns"/> makes it a soak. The default run is the same
/// every time, and fails when it has tried too little.
/// <para>
/// Left out is what has no exact model under every interleaving: times to live (a task's watermark decides when a key goes; see <c>ProcessorPropertyTests</c>), the wall clock, an idle input that comes back, and
/// late data behind a repartitioning. Late data where they are read: <see cref="LateTopologyTests"/>.
/// </para>
/// </summary>
public sealed class RandomTopologyTests(ITestOutputHelper output)
{
    private const int Runs = 1000;
    private const ulong Seed = 1;

    /// <summary>In so many worlds of the default run, at least, results were compared.</summary>
    private const int LeastWorlds = 1800;

    /// <summary>So many topics, at least, to which the default run has seen each kind of step write something.</summary>
    private const int LeastResults = 30;

    private readonly Dictionary<StepKind, int> _results = Enum.GetValues<StepKind>().ToDictionary(kind => kind, _ => 0);
    private int _worlds;
    private int _refused;
    private int _idleInputs;

    [Fact]
    public void Whatever_the_topology_the_partitions_the_interleaving_and_the_crashes_the_results_are_those_of_the_models()
    {
        if (Environment.GetEnvironmentVariable("STREAMS_PROPERTY_SEED") is { Length: > 0 } seed)
        {
            Run(Scenario.Random(int.Parse(seed, CultureInfo.InvariantCulture)));
            return;
        }

        var scenarios = Scenarios.From(Gen.Choose(int.MinValue, int.MaxValue).Select(Scenario.Random), scenario => scenario.Shrunk());
        Check.One(PropertyRuns.OfSeed(Runs, Seed), Prop.ForAll(scenarios, Run));
        var counts = $"{_worlds} worlds ran, {_refused} were refused; {_idleInputs} idle inputs; results: {string.Join(", ", _results)}";
        output.WriteLine(counts);
        if (PropertyRuns.IsOther)
        {
            return;
        }

        _worlds.ShouldBeGreaterThan(LeastWorlds, counts);
        _idleInputs.ShouldBeGreaterThan(500, counts);
        _results.Where(kind => kind.Value < LeastResults).ShouldBeEmpty(counts);
    }

    private void Run(Scenario scenario)
    {
        for (var world = 0; world < scenario.Worlds; world++)
        {
            RunAsync(scenario, new Random(HashCode(scenario.World, world))).GetAwaiter().GetResult();
        }
    }

    private static int HashCode(int seed, int world) => unchecked((seed * 31) + (world * 1_000_003));

    private async Task RunAsync(Scenario scenario, Random world)
    {
        var weave = new Weave(scenario, world);
        if (EventTimeCircles.IsIn(weave.Topology))
        {
            _refused++;
            return;
        }

        TopologySimulation simulation;
        try
        {
            simulation = await TopologySimulation.CreateAsync(weave.Topology, weave.Sources(), weave.Topics, world, new SimulationOptions { HeldBack = weave.HeldBack, IdlenessMs = weave.IdlenessMs });
        }
        catch (StreamsException error) when (error.Message.Contains("each would wait for the other's time", StringComparison.Ordinal)
            || error.Message.Contains("with event times of its own or in a circle", StringComparison.Ordinal))
        {
            // A circle of event time, which is refused before anything runs.
            _refused++;
            return;
        }

        var described = $"\n{weave.Topology.Describe()}";
        simulation.Run(described);
        simulation.LateRecords.ShouldBe(0, $"nothing is out of order by more than the bound{described}");
        foreach (var (topic, known) in weave.Results)
        {
            var written = simulation.ReadRecords(topic).Select(record => new ModelRecord(Encoding.UTF8.GetString(record.Key), record.Value is null ? null : Encoding.UTF8.GetString(record.Value), record.Time));
            ModelRecord[] records = [.. written];
            known.Check(records, $"{topic}{described}");
            Count(weave.Makers[topic], records);
        }

        _worlds++;
        _idleInputs += simulation.IdleInputs;

        foreach (var (store, entries) in simulation.Stores)
        {
            // What waits for other records or for its time has no reason to any more.
            var isBuffer = store.StartsWith("join", StringComparison.Ordinal) || store.EndsWith("-pending", StringComparison.Ordinal) || store.EndsWith("-events", StringComparison.Ordinal)
                || store.EndsWith("-seen", StringComparison.Ordinal) || store.StartsWith("suppress", StringComparison.Ordinal);
            (isBuffer && entries > 0).ShouldBeFalse($"{store} has {entries} entries after the end{described}");
        }
    }

    private void Count(StepKind? maker, ModelRecord[] written)
    {
        if (maker is { } kind && written.Any(record => record.Value is not null && !record.Value.EndsWith("|_", StringComparison.Ordinal)))
        {
            _results[kind]++;
        }
    }
}
