using OrleansStreams.Tests.Cluster;
using Xunit.Abstractions;

namespace OrleansStreams.Cluster.Tests;

/// <summary>
/// How long partitions stay away. Printed, and bounded by the probe's patience only: times depend on the machine. <c>tests/Benchmarks -- cluster</c> measures
/// more of them.
/// </summary>
public sealed class FailoverTests(ITestOutputHelper output)
{
    private const int Partitions = 12;
    private const int Runs = 3;

    [Fact]
    public async Task Every_partition_acknowledges_again_after_a_kill_and_after_a_stop()
    {
        await using var cluster = await SiloCluster.StartAsync(3, "--sample", "false");
        try
        {
            await using var client = await cluster.ConnectAsync();
            await using var probe = await FailoverProbe.StartAsync(client.Streams, "probed", Partitions);
            await MeasureAsync("SIGKILL", cluster, client, probe, silo => silo.Kill());
            await MeasureAsync("SIGTERM", cluster, client, probe, silo => silo.Terminate());
        }
        catch
        {
            output.WriteLine(cluster.Logs);
            throw;
        }
    }

    private async Task MeasureAsync(string how, SiloCluster cluster, ClusterClient client, FailoverProbe probe, Action<SiloProcess> fault)
    {
        var times = new List<double>();
        for (var run = 0; run < Runs; run++)
        {
            // The oldest: partitions were spread over it and the others when an earlier one went.
            var silo = cluster.Silos[0];
            var held = (await client.PartitionsAsync("probed"))[silo.Port].Count();
            held.ShouldBeGreaterThan(0, $"{silo.Name} holds nothing that could fail over");
            times.Add((await probe.MeasureAsync(() => fault(silo))).TotalMilliseconds);
            await silo.EndedAsync();
            await cluster.AddAsync();
        }

        output.WriteLine($"first acknowledgement on every one of {Partitions} partitions after {how}: {string.Join(", ", times.Select(time => $"{time:0} ms"))}");
    }
}
