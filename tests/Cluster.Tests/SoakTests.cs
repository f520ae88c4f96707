using System.Diagnostics;
using System.Globalization;
using OrleansStreams.Tests.Cluster;
using Xunit.Abstractions;

namespace OrleansStreams.Cluster.Tests;

/// <summary>Faults of all kinds in seeded order, also before the last one is over. For longer: CLUSTER_SOAK_SECONDS=600; to repeat: CLUSTER_SOAK_SEED.</summary>
public sealed class SoakTests(ITestOutputHelper output)
{
    private const int SilosMin = 2;
    private const int SilosMax = 4;

    [Fact]
    public async Task Nothing_acknowledged_is_lost_or_done_twice_over_faults_at_random_moments()
    {
        var seed = Number("CLUSTER_SOAK_SEED") ?? Random.Shared.Next();
        var duration = TimeSpan.FromSeconds(Number("CLUSTER_SOAK_SECONDS") ?? 15);
        output.WriteLine($"seed {seed}; to repeat: CLUSTER_SOAK_SEED={seed} dotnet test tests/Cluster.Tests --filter {nameof(SoakTests)}");

        // So that the sample's 20,000 flights last for longer than the faults.
        var flightsPerSecond = Math.Max(1, (int)(10_000 / (duration.TotalSeconds + 20)));
        await ClusterScenario.RunAsync(output, flightsPerSecond, async scenario =>
        {
            var random = new Random(seed);
            var began = Stopwatch.GetTimestamp();
            while (Stopwatch.GetElapsedTime(began) < duration)
            {
                var fault = await HurtAsync(scenario, random);
                if (scenario.Cluster.Silos.Count > 0 && random.Next(3) > 0)
                {
                    await scenario.ServedAsync(fault);
                }
                else
                {
                    scenario.Say($"{fault}, and on");
                }

                await FillUpAsync(scenario.Cluster, random);
            }

            await scenario.ServedAsync("the faults are over");
        });
    }

    private static int? Number(string variable) => Environment.GetEnvironmentVariable(variable) is { Length: > 0 } text ? int.Parse(text, CultureInfo.InvariantCulture) : null;

    private static async Task<string> HurtAsync(ClusterScenario scenario, Random random)
    {
        var silos = scenario.Cluster.Silos;
        var silo = silos[random.Next(silos.Count)];
        switch (random.Next(5))
        {
            case 0:
                silo.Kill();
                await silo.EndedAsync();
                return $"{silo.Name} killed";
            case 1:
                await SiloCluster.StopAsync(silo);
                return $"{silo.Name} stopped";
            case 2:
                // Around the time that it takes to be declared dead: it may go on as a member, or as a zombie.
                var paused = random.Next(100, 4_000);
                silo.Pause();
                await Task.Delay(paused);
                silo.Resume();
                return $"{silo.Name} paused for {paused} ms";
            case 3:
                var away = random.Next(0, 3_000);
                await scenario.Cluster.Database.KillAsync();
                await Task.Delay(away);
                await scenario.Cluster.Database.RestartAsync();
                return $"PostgreSQL killed, away for {away} ms";
            default:
                silos.ToList().ForEach(each => each.Kill());
                await Task.WhenAll(silos.Select(each => each.EndedAsync()));
                return "all silos killed";
        }
    }

    private static async Task FillUpAsync(SiloCluster cluster, Random random)
    {
        var wanted = random.Next(SilosMin, SilosMax + 1);
        if (cluster.Silos.Count < wanted)
        {
            await cluster.AddAsync(wanted - cluster.Silos.Count);
        }
    }
}
