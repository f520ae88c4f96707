using System.Collections.Concurrent;
using System.Diagnostics;
using OrleansStreams.Clients;
using OrleansStreams.Records;
using Xunit.Abstractions;

namespace OrleansStreams.Cluster.Tests.Failover;

/// <summary>
/// Producers, a member of a group and an administrator while a silo is lost: what they had under way goes on elsewhere long before Orleans' response timeout
/// (30 s), nothing that was acknowledged is missing, and nothing is there twice.
/// </summary>
[Collection(ProcessCollection.Name)]
public sealed class LostSiloTests(ITestOutputHelper output)
{
    private const int Partitions = 12;

    /// <summary>Far above what it takes on a machine of its own (the time is printed), and far below the response timeout.</summary>
    private static readonly TimeSpan AtMost = TimeSpan.FromSeconds(12);
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    [Theory]
    [InlineData("KILL")]
    [InlineData("STOP")]
    [InlineData("TERM")]
    public async Task What_was_under_way_at_a_lost_silo_goes_on_at_the_others(string signal)
    {
        await using var cluster = await TestCluster.CreateAsync();
        var lost = await cluster.StartSiloAsync();
        await cluster.StartSiloAsync();
        await cluster.StartSiloAsync();
        var client = await cluster.ConnectAsync();
        await client.Admin.CreateTopicAsync("t", Partitions);
        await using var producer = client.CreateProducer(Serdes.Utf8, Serdes.Int32, new ProducerOptions { LingerMs = 0 });
        using var stopping = new CancellationTokenSource();
        var acknowledged = new int[Partitions];
        var producing = Enumerable.Range(0, Partitions).Select(partition => ProduceAsync(producer, partition, acknowledged, stopping.Token)).ToArray();
        var read = new ConcurrentDictionary<(int Partition, int Value), int>();
        var reading = ReadAsync(client, read, stopping.Token);
        await UntilAsync(() => acknowledged.All(count => count >= 20) && read.Select(record => record.Key.Partition).Distinct().Count() == Partitions, producing, reading);

        var before = acknowledged.ToArray();
        var clock = Stopwatch.StartNew();
        lost.Signal(signal);

        // More than one each, because the first may have been on its way back already.
        await UntilAsync(() => acknowledged.Zip(before).All(counts => counts.First >= counts.Second + 2), producing, reading);
        var produced = clock.Elapsed;
        (await client.Admin.ListTopicsAsync()).ShouldContain("t");
        var described = clock.Elapsed;
        await UntilAsync(() => acknowledged.Select((count, partition) => read.ContainsKey((partition, count - 1))).All(is_there => is_there) || stopping.IsCancellationRequested, producing, reading);
        output.WriteLine($"{signal}: every partition acknowledged again after {produced.TotalMilliseconds:0} ms, topics listed after {described.TotalMilliseconds:0} ms, read again after {clock.ElapsedMilliseconds} ms");
        produced.ShouldBeLessThan(AtMost);
        described.ShouldBeLessThan(AtMost);

        await stopping.CancelAsync();
        await Task.WhenAll(producing);
        await reading;
        await AllAreThereOnceAsync(client, acknowledged);
    }

    private static async Task ProduceAsync(Producer<string, int> producer, int partition, int[] acknowledged, CancellationToken stopping)
    {
        for (var value = 0; !stopping.IsCancellationRequested; value++)
        {
            await producer.ProduceAsync(new ProducerRecord<string, int>("t", null, value) { Partition = partition }, CancellationToken.None);
            Interlocked.Increment(ref acknowledged[partition]);
            await Task.Delay(5, CancellationToken.None);
        }
    }

    private static async Task ReadAsync(StreamsClient client, ConcurrentDictionary<(int, int), int> read, CancellationToken stopping)
    {
        var options = new ConsumerOptions { GroupId = "g", AutoOffsetReset = AutoOffsetReset.Earliest };
        await using var consumer = client.CreateConsumer(Serdes.Utf8, Serdes.Int32, options);
        consumer.Subscribe("t");
        try
        {
            await foreach (var record in consumer.ConsumeAsync(stopping))
            {
                read.AddOrUpdate((record.Partition.Partition, record.Value), 1, (_, times) => times + 1);
            }
        }
        catch (OperationCanceledException) when (stopping.IsCancellationRequested)
        {
            // The end.
        }
    }

    /// <summary>Reads every partition from its start: 0, 1, 2 ... as far as was acknowledged, each once and in order.</summary>
    private static async Task AllAreThereOnceAsync(StreamsClient client, int[] acknowledged)
    {
        for (var partition = 0; partition < Partitions; partition++)
        {
            var key = new Log.TopicPartition("t", partition);
            await using var consumer = client.CreateConsumer(Serdes.Utf8, Serdes.Int32, new ConsumerOptions { AutoOffsetReset = AutoOffsetReset.Earliest });
            consumer.Assign((key, StartPosition.Earliest));
            var values = new List<int>();
            using var patience = new CancellationTokenSource(Patience);
            await foreach (var record in consumer.ConsumeAsync(patience.Token))
            {
                values.Add(record.Value);
                if (values.Count == acknowledged[partition])
                {
                    break;
                }
            }

            values.ShouldBe(Enumerable.Range(0, acknowledged[partition]));
            (await client.Admin.GetOffsetsAsync(key)).HighWatermark.ShouldBe(acknowledged[partition], "nothing more stands there");
        }
    }

    private static async Task UntilAsync(Func<bool> holds, Task[] producing, Task reading)
    {
        var clock = Stopwatch.StartNew();
        while (!holds())
        {
            foreach (var task in producing.Append(reading).Where(task => task.IsFaulted))
            {
                await task;
            }

            clock.Elapsed.ShouldBeLessThan(Patience, "it never came");
            await Task.Delay(5);
        }
    }
}
