using Xunit.Abstractions;

namespace OrleansStreams.Cluster.Tests;

/// <summary>The one server that all depends on.</summary>
public sealed class DatabaseTests(ITestOutputHelper output)
{
    /// <summary>For so long it is away: more than the silos take to miss its answers, less than requests wait for it (postgres-patience-ms).</summary>
    private static readonly TimeSpan Away = TimeSpan.FromSeconds(4);

    [Fact]
    public Task Nothing_acknowledged_is_lost_or_done_twice_when_PostgreSQL_is_restarted_and_killed() => ClusterScenario.RunAsync(output, 400, async scenario =>
    {
        await scenario.Cluster.Database.StopAsync();
        await scenario.Cluster.Database.RestartAsync();
        await scenario.ServedAsync("PostgreSQL restarted");

        await scenario.Cluster.Database.KillAsync();
        await Task.Delay(Away);
        await scenario.Cluster.Database.RestartAsync();
        await scenario.ServedAsync("PostgreSQL killed and started again");
        scenario.Cluster.Silos.Count.ShouldBe(3, "a database that goes away for seconds costs no silo");
    });
}
