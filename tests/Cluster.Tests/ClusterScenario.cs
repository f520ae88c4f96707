using OrleansStreams.Cluster.Tests.Load;
using OrleansStreams.Tests.Cluster;
using Xunit.Abstractions;

namespace OrleansStreams.Cluster.Tests;

/// <summary>A cluster of three silos under load, for faults to be done to.</summary>
internal sealed class ClusterScenario
{
    private readonly ITestOutputHelper _output;

    private ClusterScenario(ITestOutputHelper output, SiloCluster cluster, ClusterClient client, ClusterLoad load, FlightsRun flights)
    {
        _output = output;
        Cluster = cluster;
        Client = client;
        Load = load;
        Flights = flights;
    }

    public SiloCluster Cluster { get; }

    public ClusterClient Client { get; }

    public ClusterLoad Load { get; }

    public FlightsRun Flights { get; }

    /// <summary>Starts cluster and load, has faults done, ends the load and checks every promise. When anything fails the silos' logs are printed.</summary>
    /// <param name="output">The test's.</param>
    /// <param name="flightsPerSecond">The sample's rate, so that it is at work all the time; it is lifted after the faults.</param>
    /// <param name="faults">What happens.</param>
    public static async Task RunAsync(ITestOutputHelper output, int flightsPerSecond, Func<ClusterScenario, Task> faults)
    {
        await using var cluster = await SiloCluster.StartAsync(3, "--sample", "true", "--sample-rate", $"{flightsPerSecond}");
        try
        {
            await using var client = await cluster.ConnectAsync();
            await using var load = await ClusterLoad.StartAsync(client.Streams);
            var scenario = new ClusterScenario(output, cluster, client, load, new FlightsRun(client.Streams));
            await load.ServedAsync();
            await scenario.Flights.UnderWayAsync();
            await faults(scenario);
            await scenario.Flights.IsRunningAsync();
            output.WriteLine(await load.CheckAsync());
            output.WriteLine(await scenario.Flights.CheckAsync());
        }
        catch
        {
            output.WriteLine(cluster.Logs);
            throw;
        }
    }

    /// <summary>Waits until every partition serves again.</summary>
    public async Task ServedAsync(string after) => _output.WriteLine($"{after}: every partition has acknowledged after {(await Load.ServedAsync()).TotalMilliseconds:0} ms");

    /// <summary>The silo that holds the most partitions of the load.</summary>
    public async Task<SiloProcess> BusiestAsync()
    {
        var partitions = await Client.PartitionsAsync(ClusterLoad.Topic);
        return Cluster.Silos.MaxBy(silo => partitions[silo.Port].Count())!;
    }

    public void Say(string text) => _output.WriteLine(text);
}
