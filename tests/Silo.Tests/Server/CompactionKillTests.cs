using System.Collections.Concurrent;
using OrleansStreams.Storage.Files.Inspection;
using Xunit.Abstractions;

namespace OrleansStreams.Silo.Tests.Server;

/// <summary>SIGKILL of the real server while tiny segments are appended to, flushed, rolled, compacted and checkpointed all the time.</summary>
[Collection(ServerCollection.Name)]
public sealed class CompactionKillTests(ITestOutputHelper output) : IDisposable
{
    private const string Topic = "prices";
    private const int Partitions = 2;
    private const int Clients = 3;
    private const int KeysOfClient = 12;
    private const int Kills = 8;

    private readonly TemporaryFolder folder = new();

    // Each key has one writer, which numbers its values.
    private readonly ConcurrentDictionary<string, (int Partition, long Offset, long Number)> acknowledged = new();
    private readonly ConcurrentDictionary<(int Partition, long Offset), string> read = new();
    private readonly long[] acknowledgedEnd = new long[Partitions];
    private int passes;

    public void Dispose() => folder.Dispose();

    [Fact]
    public async Task The_latest_value_of_each_key_survives_kills_in_the_middle_of_compaction()
    {
        var data = folder.In("data");
        await using var killed = new KilledSilo(
            data, output, nameof(The_latest_value_of_each_key_survives_kills_in_the_middle_of_compaction), "--maintenance-ms", "50");
        await killed.StartAsync();
        await killed.Silo.PostAsync("/topics", new
        {
            name = Topic,
            partitions = Partitions,
            config = new Dictionary<string, object>
            {
                ["cleanup.policy"] = "compact", ["segment.bytes"] = 1024, ["min.cleanable.dirty.ratio"] = 0, ["min.compaction.lag.ms"] = 0,
            },
        });
        for (var client = 0; client < Clients; client++)
        {
            killed.AddClient(ProducerStep(killed, client));
        }

        for (var partition = 0; partition < Partitions; partition++)
        {
            var number = partition;
            killed.AddClient((silo, _) => ReadPassAsync(silo, number));
        }

        await killed.KillAsync(Kills);

        for (var partition = 0; partition < Partitions; partition++)
        {
            await ReadPassAsync(killed.Silo, partition);
        }

        passes.ShouldBeGreaterThan(Kills);
        acknowledged.Count.ShouldBe(Clients * KeysOfClient);
        await killed.Silo.KillAsync();
        await VerifyFilesAsync(data);
    }

    private static string ValueOf(string key, long number) => $"{key}={number}={new string('.', 60)}";

    private static (string Key, long Number) Parse(string value)
    {
        var parts = value.Split('=');
        return (parts[0], long.Parse(parts[1]));
    }

    /// <summary>The next values of some keys. What a kill leaves unanswered may be there or not; its numbers are not used again.</summary>
    private Func<SiloProcess, CancellationToken, Task> ProducerStep(KilledSilo killed, int client)
    {
        var sent = 0L;
        return async (silo, _) =>
        {
            var ends = acknowledgedEnd.Select((_, partition) => Interlocked.Read(ref acknowledgedEnd[partition])).ToArray();
            var numbers = Enumerable.Range(0, 1 + (int)(sent % 7)).Select(_ => ++sent).ToList();
            var answer = await silo.PostAsync(
                $"/topics/{Topic}/records", new { records = numbers.Select(number => new { key = KeyOf(number), value = ValueOf(KeyOf(number), number) }) });
            foreach (var (number, place) in numbers.Zip(answer.EnumerateArray()))
            {
                var (partition, offset) = (place.GetProperty("partition").GetInt32(), place.GetProperty("offset").GetInt64());
                offset.ShouldBeGreaterThanOrEqualTo(ends[partition], "offsets only grow");
                acknowledged.AddOrUpdate(KeyOf(number), (partition, offset, number), (key, before) =>
                {
                    partition.ShouldBe(before.Partition, $"{key} has one partition");
                    offset.ShouldBeGreaterThan(before.Offset);
                    return (partition, offset, number);
                });
                RaiseTo(ref acknowledgedEnd[partition], offset + 1);
            }

            killed.Progress();
        };

        string KeyOf(long number) => $"c{client}-{number % KeysOfClient}";
    }

    private static void RaiseTo(ref long place, long value)
    {
        for (var before = Interlocked.Read(ref place); before < value;)
        {
            before = Interlocked.CompareExchange(ref place, value, before);
        }
    }

    /// <summary>Reads a partition from its start to its end: what was acknowledged before must be there, or a later value of its key.</summary>
    private async Task ReadPassAsync(SiloProcess silo, int partition)
    {
        var before = acknowledged.Where(entry => entry.Value.Partition == partition).ToList();
        var latest = new Dictionary<string, (long Offset, long Number)>();
        var last = -1L;
        foreach (var (offset, value) in await silo.ReadAllAsync(Topic, partition))
        {
            offset.ShouldBeGreaterThan(last, $"partition {partition}");
            last = offset;
            read.GetOrAdd((partition, offset), value).ShouldBe(value, $"{partition}:{offset} was another record before");
            var (key, number) = Parse(value);
            value.ShouldBe(ValueOf(key, number));
            number.ShouldBeGreaterThan(latest.GetValueOrDefault(key).Number, $"{key} at {partition}:{offset}");
            latest[key] = (offset, number);
        }

        foreach (var (key, place) in before)
        {
            var found = latest.GetValueOrDefault(key);
            found.Number.ShouldBeGreaterThanOrEqualTo(place.Number, $"{key} was acknowledged at {partition}:{place.Offset}");
            if (found.Number == place.Number)
            {
                found.Offset.ShouldBe(place.Offset, $"{key}={place.Number} is elsewhere than acknowledged");
            }
        }

        Interlocked.Increment(ref passes);
    }

    private async Task VerifyFilesAsync(string data)
    {
        await using var inspector = LogInspector.Open(data, TimeProvider.System);
        var logs = await inspector.ListAsync("topics/");
        logs.Count.ShouldBe(Partitions);
        foreach (var id in logs)
        {
            var report = await inspector.InspectAsync(id);
            report.Problems.ShouldBeEmpty();
            var records = report.Segments.Sum(segment => segment.Records);
            output.WriteLine($"{id}: offsets to {report.EndOffset}, {records} records in {report.Segments.Count} segments, leader epoch {report.LeaderEpoch}");
            records.ShouldBeLessThan(report.EndOffset / 2, "it was compacted");
            report.CheckpointOffset.ShouldNotBeNull();
        }
    }
}
