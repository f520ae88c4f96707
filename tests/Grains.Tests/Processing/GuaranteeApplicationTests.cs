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
        await using var cluster = await ProcessingCluster.StartAsync(
            (builder, _) => builder.Stream("events", Topologies.Consumed.With(Serdes.Utf8, Serdes.Utf8)).To("copies", Topologies.Produced.With(Serdes.Utf8, Serdes.Utf8)),
            silos: 2,
            options: new() { Guarantee = guarantee });
        await cluster.CreateTopicAsync("events", Partitions);
        await cluster.CreateTopicAsync("copies", Partitions);
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
        await EventuallyAsync(async () => { await cluster.App.StopAsync(); return true; }, _ => true);
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

    private static Task<ProduceResult> AppendAsync(ProcessingCluster cluster, int batch)
    {
        var builder = new RecordBatchBuilder();
        foreach (var name in Names(batch))
        {
            builder.Append(batch, Encoding.UTF8.GetBytes(name), false, "x"u8, false);
        }

        // Sent again after a crash, it stands there once.
        var bytes = builder.Build(Producer, 0, batch / Partitions * BatchRecords);
        var partition = cluster.Grains.GetGrain<IPartitionGrain>(new TopicPartition("events", batch % Partitions).GrainKey);
        return EventuallyAsync(() => partition.AppendAsync(new ProduceRequest(bytes.ToArray())), _ => true);
    }

    private static IEnumerable<string> Names(int batch) => Enumerable.Range(0, BatchRecords).Select(record => $"{batch}-{record}");

    private static async Task<List<string>> CopiesAsync(ProcessingCluster cluster) =>
        [.. (await cluster.ReadAsync("copies", Partitions)).Select(text => text[(text.IndexOf(':', StringComparison.Ordinal) + 1)..text.IndexOf('=', StringComparison.Ordinal)])];
}
