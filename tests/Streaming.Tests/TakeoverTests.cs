using Microsoft.Extensions.Hosting;

namespace OrleansStreams.Streaming;

/// <summary>Agents that die or move.</summary>
public sealed class TakeoverTests
{
    [Fact]
    public async Task When_a_silo_dies_in_the_middle_of_deliveries_others_take_its_queues_over_and_no_event_is_lost()
    {
        await using var silos = await StreamSilos.StartAsync(3, "crash", options =>
        {
            options.Partitions = 6;
            options.CheckpointIntervalMs = 20;
        });
        var streams = Enumerable.Range(0, 24).Select(i => $"crash-{i}").ToList();
        var gate = new TaskCompletionSource();
        foreach (var stream in streams)
        {
            Probe.For(stream).Handler = item => item == "10" ? gate.Task : Task.CompletedTask;
        }

        foreach (var stream in streams)
        {
            await Task.WhenAll(Enumerable.Range(0, 20).Select(i => silos.Stream<string>("crash", ImplicitConsumer.Namespace, stream).OnNextAsync($"{i}")));
        }

        foreach (var stream in streams)
        {
            await Probe.For(stream).UntilAsync(p => p.Items.Contains("10"), $"the event of {stream} at which all stand");
        }

        var victim = silos.Silos[^1];
        var name = victim.Services.GetRequiredService<ILocalSiloDetails>().Name;
        streams.ShouldContain(stream => Probe.For(stream).Taken.Any(taken => taken.Silo == name), "a consumer on the silo that dies");
        await silos.KillAsync(victim);
        gate.SetResult();
        foreach (var stream in streams)
        {
            await Probe.For(stream).UntilAsync(p => p.Completed.Contains("19"), $"the last event of {stream}");
            Probe.For(stream).Completed.Distinct().ShouldBe(Enumerable.Range(0, 20).Select(i => $"{i}"));
        }

        for (var partition = 0; partition < 6; partition++)
        {
            await Wait.UntilAsync(
                async () => await silos.CheckpointAsync("crash", partition) is var checkpoint && checkpoint == Math.Max(checkpoint, await silos.EndAsync("crash", partition)),
                $"the checkpoint of queue {partition} at its end");
        }
    }

    [Fact]
    public async Task What_was_not_completed_when_its_agent_died_is_delivered_again_and_what_was_is_not()
    {
        await using var silos = await StreamSilos.StartAsync(2, "again", options =>
        {
            options.Partitions = 2;
            options.CheckpointIntervalMs = 20;
        });

        // Streams of both queues: one of them has its agent on the silo that dies.
        string[] streams = [.. Enumerable.Range(0, 8).Select(i => $"again-{i}")];
        var gate = new TaskCompletionSource();
        foreach (var stream in streams)
        {
            Probe.For(stream).Handler = item => item == "open" ? gate.Task : Task.CompletedTask;
            await silos.Stream<string>("again", ImplicitConsumer.Namespace, stream).OnNextAsync("done");
        }

        foreach (var stream in streams)
        {
            await Probe.For(stream).UntilAsync(p => p.Completed.Length == 1, $"the first event of {stream}");
        }

        long[] ends = [await silos.EndAsync("again", 0), await silos.EndAsync("again", 1)];
        ends.ShouldAllBe(end => end > 0);
        await Wait.UntilAsync(async () => await silos.CheckpointAsync("again", 0) == ends[0] && await silos.CheckpointAsync("again", 1) == ends[1], "both checkpoints");
        foreach (var stream in streams)
        {
            await silos.Stream<string>("again", ImplicitConsumer.Namespace, stream).OnNextAsync("open");
        }

        foreach (var stream in streams)
        {
            await Probe.For(stream).UntilAsync(p => p.Items.Length == 2, $"the second event of {stream}");
        }

        var name = silos.Silos[1].Services.GetRequiredService<ILocalSiloDetails>().Name;
        var victims = streams.Where(stream => Probe.For(stream).Taken[1].Silo == name).ToList();
        victims.ShouldNotBeEmpty();
        await silos.KillAsync(silos.Silos[1]);
        foreach (var stream in victims)
        {
            await Probe.For(stream).UntilAsync(p => p.Items.Count(item => item == "open") >= 2, $"the open event of {stream} again");
        }

        gate.SetResult();
        foreach (var stream in streams)
        {
            await silos.Stream<string>("again", ImplicitConsumer.Namespace, stream).OnNextAsync("last");
            await Probe.For(stream).UntilAsync(p => p.Completed.Contains("last"), $"the last event of {stream}");
            Probe.For(stream).Items.Count(item => item == "done").ShouldBe(1);
        }
    }

    [Fact]
    public async Task A_silo_that_stops_commits_first_and_nothing_completed_comes_again_on_the_next()
    {
        await using var silos = await StreamSilos.StartAsync(2, "stop", options =>
        {
            options.Partitions = 4;
            options.CheckpointIntervalMs = 3_600_000;
        });
        string[] streams = [.. Enumerable.Range(0, 8).Select(i => $"stop-{i}")];
        foreach (var stream in streams)
        {
            await silos.Stream<string>("stop", ImplicitConsumer.Namespace, stream).OnNextAsync("one");
        }

        foreach (var stream in streams)
        {
            await Probe.For(stream).UntilAsync(p => p.Completed.Length == 1, $"the event of {stream}");
        }

        (await CheckpointsAsync(silos, "stop", 4)).ShouldAllBe(checkpoint => checkpoint <= 0);
        await silos.StopAsync(silos.Silos[1]);
        (await CheckpointsAsync(silos, "stop", 4)).ShouldContain(checkpoint => checkpoint > 0);
        foreach (var stream in streams)
        {
            await silos.Stream<string>("stop", ImplicitConsumer.Namespace, stream).OnNextAsync("two");
        }

        foreach (var stream in streams)
        {
            await Probe.For(stream).UntilAsync(p => p.Completed.Contains("two"), $"the second event of {stream}");
            Probe.For(stream).Items.ShouldBe(["one", "two"]);
        }
    }

    [Fact]
    public async Task A_silo_that_joins_gets_its_share_of_the_queues_without_an_event_lost()
    {
        await using var silos = await StreamSilos.StartAsync(1, "join", options =>
        {
            options.Partitions = 4;
            options.CheckpointIntervalMs = 20;
        });
        string[] streams = [.. Enumerable.Range(0, 8).Select(i => $"join-{i}")];
        await SendAsync("one");
        var added = await silos.AddSiloAsync();
        await Wait.UntilAsync(async () => await AgentsAsync(added) == 2 && await AgentsAsync(silos.Silos[0]) == 2, "two agents on each silo");
        await SendAsync("two");
        foreach (var stream in streams)
        {
            Probe.For(stream).Completed.Distinct().ShouldBe(["one", "two"]);
        }

        async Task SendAsync(string item)
        {
            foreach (var stream in streams)
            {
                await silos.Stream<string>("join", ImplicitConsumer.Namespace, stream).OnNextAsync(item);
            }

            foreach (var stream in streams)
            {
                await Probe.For(stream).UntilAsync(p => p.Completed.Contains(item), $"{item} of {stream}");
            }
        }

        static async Task<int> AgentsAsync(IHost silo) => (int)(await silo.Services.GetRequiredKeyedService<Orleans.Providers.IControllable>("join")
            .ExecuteCommand((int)PersistentStreamProviderCommand.GetNumberRunningAgents, null!))!;
    }

    private static async Task<long[]> CheckpointsAsync(StreamSilos silos, string provider, int partitions) =>
        await Task.WhenAll(Enumerable.Range(0, partitions).Select(partition => silos.CheckpointAsync(provider, partition)));
}
