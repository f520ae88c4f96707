using OrleansStreams.Tests.Cluster;
using Xunit.Abstractions;

namespace OrleansStreams.Cluster.Tests;

/// <summary>Silos that come and go in an orderly way.</summary>
public sealed class MembershipTests(ITestOutputHelper output)
{
    [Fact]
    public Task Nothing_acknowledged_is_lost_or_done_twice_over_a_rolling_restart() => ClusterScenario.RunAsync(output, 400, async scenario =>
    {
        foreach (var silo in scenario.Cluster.Silos)
        {
            await SiloCluster.StopAsync(silo);
            await scenario.ServedAsync($"{silo.Name} stopped");
            await scenario.Cluster.AddAsync();
        }

        await scenario.ServedAsync("the last one started again");
    });

    [Fact]
    public Task Nothing_acknowledged_is_lost_or_done_twice_when_a_silo_joins_and_another_leaves() => ClusterScenario.RunAsync(output, 600, async scenario =>
    {
        await scenario.Cluster.AddAsync();
        await scenario.ServedAsync("a silo added");
        var leaving = await scenario.BusiestAsync();
        await SiloCluster.StopAsync(leaving);
        await scenario.ServedAsync($"{leaving.Name} removed");
    });
}
