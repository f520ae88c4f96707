using System.Diagnostics;
using Orleans.Runtime;
using OrleansStreams.Cluster.Tests.Load;
using OrleansStreams.Log;
using OrleansStreams.Tests.Cluster;
using Xunit.Abstractions;

namespace OrleansStreams.Cluster.Tests;

/// <summary>Partitions and tasks are where they should be: spread over all silos, and handed over by one that leaves.</summary>
public sealed class SpreadTests(ITestOutputHelper output)
{
    private static readonly TimeSpan SpreadMax = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan StopMax = TimeSpan.FromSeconds(10);

    [Fact]
    public Task Each_topic_is_even_from_the_start_and_all_is_even_again_within_a_minute_after_a_silo_joined() => ClusterScenario.RunAsync(output, 200, async scenario =>
    {
        var atFirst = await GrainsAsync(scenario);
        CountsOf(atFirst, "partition", 3, ClusterLoad.Topic).ShouldBe([4, 4, 4], "partitions of one topic over the silos, as they were placed");

        var (before, _) = await UntilEvenAsync(scenario, 3);
        var epochs = await EpochsAsync(scenario, before);
        await scenario.Cluster.AddAsync();
        var (after, elapsed) = await UntilEvenAsync(scenario, 4);
        scenario.Say($"even over four silos {elapsed.TotalSeconds:0.0} s after the fourth had started: {Text(after)}");

        // A partition that moves is opened once more: nothing else has been opened, and the fourth has just its share.
        var opened = (await EpochsAsync(scenario, before)).Where(partition => partition.Value != epochs[partition.Key]).ToList();
        opened.ShouldAllBe(partition => partition.Value == epochs[partition.Key] + 1);
        opened.Count.ShouldBe(epochs.Count / 4);
        CountsOf(after, "partition", 4, ClusterLoad.Topic).ShouldAllBe(count => count >= 2 && count <= 4);
    });

    [Fact]
    public Task A_silo_that_is_stopped_hands_everything_over_at_once_and_nobody_waits_for_a_timeout() => ClusterScenario.RunAsync(output, 200, async scenario =>
    {
        await using var probe = await FailoverProbe.StartAsync(scenario.Client.Streams, "probed", ClusterLoad.Partitions);
        var times = new List<double>();
        var before = new List<double>();
        for (var run = 0; run < 5; run++)
        {
            var silo = scenario.Cluster.Silos[0];
            before.Add(0);
            for (var round = 0; round < 30; round++)
            {
                // As long as a stop, about, without one: what this machine takes for a record now.
                await probe.MeasureAsync(() => { });
                before[^1] = Math.Max(before[^1], probe.Slowest.TotalMilliseconds);
            }

            var watch = Stopwatch.StartNew();
            await probe.MeasureAsync(silo.Terminate);
            (await silo.EndedAsync()).ShouldBe(0, silo.Log);
            watch.Elapsed.ShouldBeLessThan(StopMax, silo.Log);
            times.Add(probe.Slowest.TotalMilliseconds);
            var handed = silo.Log.Split('\n').Single(line => line.Contains("Handed ", StringComparison.Ordinal)).Trim();
            scenario.Say($"{silo.Name}: a record took {times[^1]:0} ms at most, gone after {watch.ElapsedMilliseconds} ms. {handed}");
            var words = handed.Split(' ');
            words[1].ShouldBe(words[3], handed);
            await scenario.Cluster.AddAsync();
        }

        scenario.Say($"the longest that any partition was away over a graceful stop: median {times.Order().ElementAt(times.Count / 2):0} ms of {string.Join(", ", times.Select(time => $"{time:0}"))}; just before: {string.Join(", ", before.Select(time => $"{time:0}"))}");
    });

    /// <summary>Waits until the product's three kinds of work differ by one at most between silos.</summary>
    private static async Task<(DetailedGrainStatistic[] Grains, TimeSpan Elapsed)> UntilEvenAsync(ClusterScenario scenario, int silos)
    {
        var watch = Stopwatch.StartNew();
        while (true)
        {
            var grains = await GrainsAsync(scenario);
            if (((string[])["partition", "streamtask", "consumergroup"]).All(kind => IsEven(CountsOf(grains, kind, silos))))
            {
                return (grains, watch.Elapsed);
            }

            watch.Elapsed.ShouldBeLessThan(SpreadMax, Text(grains));
            await Task.Delay(250);
        }
    }

    private static Task<DetailedGrainStatistic[]> GrainsAsync(ClusterScenario scenario) => scenario.Client.Grains.GetGrain<IManagementGrain>(0).GetDetailedGrainStatistics();

    private static bool IsEven(int[] counts) => counts.Max() - counts.Min() <= 1;

    /// <summary>How many grains of a kind each silo has, the silos with none too.</summary>
    private static int[] CountsOf(DetailedGrainStatistic[] grains, string kind, int silos, string? topic = null)
    {
        var counts = grains.Where(grain => grain.GrainId.Type.ToString() == kind && (topic is null || grain.GrainId.Key.ToString()!.StartsWith(topic + "/", StringComparison.Ordinal)))
            .GroupBy(grain => grain.SiloAddress).Select(silo => silo.Count()).ToList();
        return [.. counts, .. new int[Math.Max(0, silos - counts.Count)]];
    }

    /// <summary>The leader epoch of each active partition.</summary>
    private static async Task<Dictionary<string, int>> EpochsAsync(ClusterScenario scenario, DetailedGrainStatistic[] grains)
    {
        var epochs = new Dictionary<string, int>(StringComparer.Ordinal);
        foreach (var key in grains.Where(grain => grain.GrainId.Type.ToString() == "partition").Select(grain => grain.GrainId.Key.ToString()!))
        {
            epochs[key] = (int)(await scenario.Client.Grains.GetGrain<IPartitionGrain>(key).GetOffsetsAsync()).LeaderEpoch;
        }

        return epochs;
    }

    private static string Text(DetailedGrainStatistic[] grains) => string.Join("; ", grains.GroupBy(grain => (Silo: grain.SiloAddress.Endpoint.Port, Type: grain.GrainId.Type.ToString()))
        .OrderBy(one => one.Key.Silo).ThenBy(one => one.Key.Type, StringComparer.Ordinal).Select(one => $"{one.Key.Silo} {one.Key.Type} {one.Count()}"));
}
