using System.Collections.Concurrent;
using Xunit.Abstractions;

namespace OrleansStreams.Silo.Tests.Server;

/// <summary>SIGKILL of the real server while clients publish messages with idempotency keys, again and again until each is acknowledged.</summary>
[Collection(ServerCollection.Name)]
public sealed class IdempotencyKillTests(ITestOutputHelper output) : IDisposable
{
    private const string Topic = "payments";
    private const int Partitions = 2;

    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Fact]
    public async Task Messages_with_idempotency_keys_stand_in_the_log_once_over_kills_at_random_moments()
    {
        await using var killed = new KilledSilo(folder.In("data"), output, nameof(Messages_with_idempotency_keys_stand_in_the_log_once_over_kills_at_random_moments));
        await killed.StartAsync();
        await killed.Silo.PostAsync(
            "/topics", new { name = Topic, partitions = Partitions, config = new Dictionary<string, object> { ["dedup.window.ms"] = 3_600_000, ["cleanup.policy"] = "delete" } });
        var acknowledged = new ConcurrentDictionary<string, (int Partition, long Offset)>();
        for (var client = 0; client < 4; client++)
        {
            var name = client;
            var number = 0;
            killed.AddClient(async (silo, _) =>
            {
                // A message that was not acknowledged comes again with its key, beside one that was acknowledged long ago.
                string[] keys = [$"c{name}-{number}", $"c{name}-{Math.Max(0, number - 7)}"];
                var answer = await silo.PostAsync($"/topics/{Topic}/records", new { records = keys.Select(RecordOf) });
                for (var i = 0; i < keys.Length; i++)
                {
                    var place = (answer[i].GetProperty("partition").GetInt32(), answer[i].GetProperty("offset").GetInt64());
                    acknowledged.GetOrAdd(keys[i], place).ShouldBe(place, $"{keys[i]} has one place for ever");
                }

                number++;
                killed.Progress();
            });
        }

        await killed.KillAsync(5);

        var there = new Dictionary<string, (int Partition, long Offset)>();
        for (var partition = 0; partition < Partitions; partition++)
        {
            foreach (var (offset, value) in await killed.Silo.ReadAllAsync(Topic, partition))
            {
                there.TryAdd(value, (partition, offset)).ShouldBeTrue($"{value} is there twice");
            }
        }

        output.WriteLine($"{acknowledged.Count} acknowledged, {there.Count} there");
        acknowledged.Count.ShouldBeGreaterThan(100);
        acknowledged.Where(message => there.GetValueOrDefault(message.Key) != message.Value).ShouldBeEmpty("acknowledged at another place than it is");
        foreach (var (key, place) in there.Take(200))
        {
            var answer = (await killed.Silo.PostAsync($"/topics/{Topic}/records", RecordOf(key)))[0];
            answer.GetProperty("duplicate").GetBoolean().ShouldBeTrue();
            (answer.GetProperty("partition").GetInt32(), answer.GetProperty("offset").GetInt64()).ShouldBe(place);
        }
    }

    private static object RecordOf(string key) => new { value = key, headers = new Dictionary<string, string> { ["idempotency-key"] = key } };
}
