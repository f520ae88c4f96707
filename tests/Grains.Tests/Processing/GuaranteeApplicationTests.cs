using System.Text;
using OrleansStreams.Log;
using OrleansStreams.Records;
using static OrleansStreams.Processing.ProcessingCluster;

namespace OrleansStreams.Processing;

/// <summary>What the guarantees promise on real grains while silos crash; that they differ is shown where every place of a crash is tried (<see cref="GuaranteeTests"/>).</summary>
public sealed class GuaranteeApplicationTests
{
    private const int Partitions = 3;
    private const int Batches = 120;
    private const int BatchRecords = 5;
    private const long Producer = 900_000;

    [Theory]
    [InlineData(ProcessingGuarantee.ExactlyOnce)]
    [InlineData(ProcessingGuarantee.AtLeastOnce)]
    [InlineData(ProcessingGuarantee.AtMostOnce)]
    public async Task While_silos_crash_a_guarantee_holds(ProcessingGuarantee guarantee)
    {
        var random = new Random(17);
        await using var cluster = await ProcessingCluster.StartAsync((builder, _) => Describe(builder), silos: 2, options: new() { Guarantee = guarantee });
        await cluster.CreateTopicAsync("events", Partitions);
        await cluster.CreateTopicAsync("copies", Partitions);
        await cluster.CreateTopicAsync("counts", Partitions);
        await EventuallyAsync(() => cluster.App.StartAsync(NoParameters), _ => true);
        for (var batch = 0; batch < Batches; batch++)
        {
            await AppendAsync(cluster, batch);
            if (batch % 12 == 11)
            {
                await cluster.CrashOneAsync(random);
                await EventuallyAsync(async () => { await cluster.App.EnsureRunningAsync(); return true; }, _ => true);
            }
        }

        // The last batch of each partition comes when nothing crashes any more, and with it everything before.
        for (var batch = Batches; batch < Batches + Partitions; batch++)
        {
            await AppendAsync(cluster, batch);
        }

        string[] last = [.. Enumerable.Range(Batches, Partitions).SelectMany(Names)];
        await EventuallyAsync(() => CopiesAsync(cluster), copies => last.All(copies.Contains));
        if (guarantee != ProcessingGuarantee.AtMostOnce)
        {
            await EventuallyAsync(() => CountsAsync(cluster), counts => counts.Count == BatchRecords && counts.Values.All(count => count >= Batches + Partitions));
        }

        await EventuallyAsync(async () => { await cluster.App.StopAsync(); return true; }, _ => true);
        foreach (var (group, count) in await CountsAsync(cluster))
        {
            (guarantee switch
            {
                ProcessingGuarantee.AtLeastOnce => count >= Batches + Partitions,
                ProcessingGuarantee.AtMostOnce => count is > 0 and <= Batches + Partitions,
                _ => count == Batches + Partitions,
            }).ShouldBeTrue($"{group}: {count} of {Batches + Partitions}");
        }

        var copies = await CopiesAsync(cluster);
        string[] all = [.. Enumerable.Range(0, Batches + Partitions).SelectMany(Names).Order(StringComparer.Ordinal)];
        if (guarantee != ProcessingGuarantee.AtMostOnce)
        {
            copies.Distinct().Order(StringComparer.Ordinal).ShouldBe(all);
        }

        if (guarantee != ProcessingGuarantee.AtLeastOnce)
        {
            copies.Distinct().Count().ShouldBe(copies.Count, "twice");
        }
    }

    /// <summary>Copies records, and counts them in groups that lie in other partitions than the records.</summary>
    private static void Describe(Topologies.StreamsBuilder builder)
    {
        var events = builder.Stream("events", Topologies.Consumed.With(Serdes.Utf8, Serdes.Utf8));
        events.To("copies", Topologies.Produced.With(Serdes.Utf8, Serdes.Utf8));
        events.GroupBy((_, group) => group, Topologies.Grouped.With(Serdes.Utf8, Serdes.Utf8)).Count(Topologies.Materialized.As("counts", Serdes.Int64)).ToStream()
            .MapValues(count => $"{count}").To("counts", Topologies.Produced.With(Serdes.Utf8, Serdes.Utf8));
    }

    private static Task<ProduceResult> AppendAsync(ProcessingCluster cluster, int batch)
    {
        var builder = new RecordBatchBuilder();
        foreach (var name in Names(batch))
        {
            builder.Append(batch, Encoding.UTF8.GetBytes(name), false, Encoding.UTF8.GetBytes(name[(name.IndexOf('-', StringComparison.Ordinal) + 1)..]), false);
        }

        // Sent again after a crash, it stands there once.
        var bytes = builder.Build(Producer, 0, batch / Partitions * BatchRecords);
        var partition = cluster.Grains.GetGrain<IPartitionGrain>(new TopicPartition("events", batch % Partitions).GrainKey);
        return EventuallyAsync(() => partition.AppendAsync(new ProduceRequest(bytes.ToArray())), _ => true);
    }

    private static IEnumerable<string> Names(int batch) => Enumerable.Range(0, BatchRecords).Select(record => $"{batch}-{record}");

    /// <summary>The largest count of each group.</summary>
    private static async Task<Dictionary<string, long>> CountsAsync(ProcessingCluster cluster) =>
        (await cluster.ReadAsync("counts", Partitions)).Select(text => text[(text.IndexOf(':', StringComparison.Ordinal) + 1)..].Split('='))
            .GroupBy(parts => parts[0], parts => long.Parse(parts[1], System.Globalization.CultureInfo.InvariantCulture)).ToDictionary(counts => counts.Key, counts => counts.Max());

    private static async Task<List<string>> CopiesAsync(ProcessingCluster cluster) =>
        [.. (await cluster.ReadAsync("copies", Partitions)).Select(text => text[(text.IndexOf(':', StringComparison.Ordinal) + 1)..text.IndexOf('=', StringComparison.Ordinal)])];
}
