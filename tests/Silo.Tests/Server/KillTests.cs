using System.Collections.Concurrent;
using Xunit.Abstractions;

namespace OrleansStreams.Silo.Tests.Server;

/// <summary>SIGKILL of the real server on real files, in the middle of the work of several clients.</summary>
[Collection(ServerCollection.Name)]
public sealed class KillTests(ITestOutputHelper output) : IDisposable
{
    private const string Topic = "orders";
    private const string Group = "readers";
    private const int Partitions = 3;
    private const int Kills = 6;

    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Fact]
    public async Task Acknowledged_records_and_all_that_was_ever_read_survive_kills_at_random_moments()
    {
        await using var killed = new KilledSilo(folder.In("data"), output, nameof(Acknowledged_records_and_all_that_was_ever_read_survive_kills_at_random_moments));
        await killed.StartAsync();
        await killed.Silo.PostAsync("/topics", new { name = Topic, partitions = Partitions });
        var acknowledged = new ConcurrentDictionary<(int Partition, long Offset), string>();
        var read = new ConcurrentDictionary<(int Partition, long Offset), string>();
        for (var client = 0; client < 4; client++)
        {
            killed.AddClient(ProducerStep(killed, client, acknowledged));
        }

        for (var partition = 0; partition < Partitions; partition++)
        {
            killed.AddClient(ConsumerStep(partition, read));
        }

        await killed.KillAsync(Kills);

        var there = new Dictionary<(int Partition, long Offset), string>();
        for (var partition = 0; partition < Partitions; partition++)
        {
            var records = await killed.Silo.ReadAllAsync(Topic, partition);
            records.Select(record => record.Offset).ShouldBe(Enumerable.Range(0, records.Count).Select(offset => (long)offset), "offsets are dense");
            foreach (var byClient in records.Select(record => record.Value.Split('-')).GroupBy(value => value[0]))
            {
                var numbers = byClient.Select(value => long.Parse(value[1])).ToList();
                numbers.Zip(numbers.Skip(1)).ShouldAllBe(pair => pair.First < pair.Second, $"client {byClient.Key} sent its records once and in this order");
            }

            records.ForEach(record => there.Add((partition, record.Offset), record.Value));
        }

        output.WriteLine($"{acknowledged.Count} acknowledged, {read.Count} read, {there.Count} there");
        acknowledged.ShouldNotBeEmpty();
        read.ShouldNotBeEmpty();
        acknowledged.Where(record => there.GetValueOrDefault(record.Key) != record.Value).ShouldBeEmpty("acknowledged, but not there");
        read.Where(record => there.GetValueOrDefault(record.Key) != record.Value).ShouldBeEmpty("read once, but not there");
    }

    [Fact]
    public async Task Committed_group_offsets_never_go_back_over_kills_at_random_moments()
    {
        await using var killed = new KilledSilo(folder.In("data"), output, nameof(Committed_group_offsets_never_go_back_over_kills_at_random_moments));
        await killed.StartAsync();
        await killed.Silo.PostAsync("/topics", new { name = Topic, partitions = Partitions });
        var committed = new long[Partitions];
        var reads = 0;
        for (var partition = 0; partition < Partitions; partition++)
        {
            var number = partition;
            var sent = 0L;
            killed.AddClient(async (silo, _) =>
            {
                var offset = ++sent;
                await silo.PostAsync($"/groups/{Group}/offsets", new { offsets = new[] { new { topic = Topic, partition = number, offset } } });
                Interlocked.Exchange(ref committed[number], offset);
                killed.Progress();
            });
        }

        var seen = new long[Partitions];
        killed.AddClient(async (silo, cancellation) =>
        {
            var before = committed.Select((_, partition) => Interlocked.Read(ref committed[partition])).ToArray();
            var now = await OffsetsAsync(silo, cancellation);
            for (var partition = 0; partition < Partitions; partition++)
            {
                now[partition].ShouldBeGreaterThanOrEqualTo(before[partition], $"partition {partition}: acknowledged, then gone");
                now[partition].ShouldBeGreaterThanOrEqualTo(seen[partition], $"partition {partition}: read, then gone");
            }

            seen = now;
            reads++;
        });

        await killed.KillAsync(Kills);

        var last = await OffsetsAsync(killed.Silo);
        output.WriteLine($"committed {string.Join(", ", committed)}; {reads} reads; at the end {string.Join(", ", last)}");
        reads.ShouldBeGreaterThan(Kills);
        for (var partition = 0; partition < Partitions; partition++)
        {
            committed[partition].ShouldBeGreaterThan(0);
            last[partition].ShouldBeGreaterThanOrEqualTo(Math.Max(committed[partition], seen[partition]));
        }
    }

    private static async Task<long[]> OffsetsAsync(SiloProcess silo, CancellationToken cancellation = default)
    {
        var offsets = new long[Partitions];
        foreach (var entry in (await silo.GetAsync($"/groups/{Group}/offsets", cancellation)).GetProperty("offsets").EnumerateArray())
        {
            offsets[entry.GetProperty("partition").GetInt32()] = entry.GetProperty("offset").GetInt64();
        }

        return offsets;
    }

    /// <summary>A batch of new values to all partitions; every value is sent once only.</summary>
    private static Func<SiloProcess, CancellationToken, Task> ProducerStep(
        KilledSilo killed, int client, ConcurrentDictionary<(int Partition, long Offset), string> acknowledged)
    {
        var sent = 0L;
        return async (silo, _) =>
        {
            var batch = Enumerable.Range(0, 1 + (int)(sent % 17)).Select(i => new { partition = (client + i) % Partitions, value = $"c{client}-{++sent}" }).ToList();
            var answer = await silo.PostAsync($"/topics/{Topic}/records", new { records = batch });
            answer.GetArrayLength().ShouldBe(batch.Count);
            foreach (var (record, place) in batch.Zip(answer.EnumerateArray()))
            {
                var partition = place.GetProperty("partition").GetInt32();
                partition.ShouldBe(record.partition);
                var offset = place.GetProperty("offset").GetInt64();
                acknowledged.TryAdd((partition, offset), record.value).ShouldBeTrue($"{partition}:{offset} was acknowledged twice, last for {record.value}");
            }

            killed.Progress();
        };
    }

    /// <summary>Reads from the start to the end, then waits for more; over a kill it begins anew and must see the same again.</summary>
    private static Func<SiloProcess, CancellationToken, Task> ConsumerStep(int partition, ConcurrentDictionary<(int Partition, long Offset), string> read) =>
        async (silo, cancellation) =>
        {
            for (var next = 0L; ;)
            {
                var (records, nextOffset, _) = await silo.FetchAsync(Topic, partition, next, maxWaitMs: 1000, cancellation);
                foreach (var (offset, value) in records)
                {
                    read.GetOrAdd((partition, offset), value).ShouldBe(value, $"{partition}:{offset} was another record before");
                }

                next = nextOffset;
            }
        };
}
