using OrleansStreams.Tests.Cluster;
using Xunit.Abstractions;

namespace OrleansStreams.Cluster.Tests;

/// <summary>Silos that end without a word.</summary>
public sealed class KillTests(ITestOutputHelper output)
{
    [Fact]
    public Task Nothing_acknowledged_is_lost_or_done_twice_when_each_silo_is_killed_in_turn() => ClusterScenario.RunAsync(output, 400, async scenario =>
    {
        foreach (var silo in scenario.Cluster.Silos)
        {
            silo.Kill();
            await scenario.ServedAsync($"{silo.Name} killed");
            await scenario.Cluster.AddAsync();
        }

        await scenario.ServedAsync("the last one replaced");
    });

    [Fact]
    public Task Nothing_acknowledged_is_lost_or_done_twice_when_all_silos_are_killed_at_once() => ClusterScenario.RunAsync(output, 400, async scenario =>
    {
        foreach (var silo in scenario.Cluster.Silos)
        {
            silo.Kill();
        }

        // One alone takes all over, then the others join.
        await scenario.Cluster.AddAsync();
        await scenario.ServedAsync("all killed, one started again");
        await scenario.Cluster.AddAsync(2);
        await scenario.ServedAsync("the others started again");
    });

    [Fact]
    public Task A_silo_that_was_paused_for_longer_than_its_detection_cannot_write_any_more_when_it_goes_on() => ClusterScenario.RunAsync(output, 400, async scenario =>
    {
        var zombie = await scenario.BusiestAsync();
        zombie.Pause();
        await scenario.ServedAsync($"{zombie.Name} paused");

        // The others have taken its partitions over. What it has in its memory and in its sockets it tries to write now.
        zombie.Resume();
        var exitCode = await zombie.EndedAsync();
        scenario.Say($"{zombie.Name} ended itself with {exitCode}");
        await scenario.ServedAsync("the zombie gone");
        await scenario.Cluster.AddAsync();
        await scenario.ServedAsync("it was replaced");
    });
}
