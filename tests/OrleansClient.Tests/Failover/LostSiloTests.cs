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
        var acknowledged = new Acknowledgements();
        var producing = Enumerable.Range(0, Partitions).Select(partition => ProduceAsync(producer, partition, acknowledged, stopping.Token)).ToArray();
        var read = new ConcurrentDictionary<(int Partition, int Value), int>();
        var reading = ReadAsync(client, read, stopping.Token);
        await UntilAsync(() => acknowledged.Counts.All(count => count >= 20) && read.Select(record => record.Key.Partition).Distinct().Count() == Partitions, producing, reading);

        acknowledged.ForgetPauses();
        lost.Signal(signal);
        var listing = Stopwatch.StartNew();
        (await client.Admin.ListTopicsAsync()).ShouldContain("t");
        var listed = listing.Elapsed;
        if (signal != "STOP")
        {
            await lost.EndAsync();
        }

        // More than one each, because the first may have been on its way back already.
        var gone = acknowledged.Counts;
        await UntilAsync(() => acknowledged.Counts.Zip(gone).All(counts => counts.First >= counts.Second + 2), producing, reading);
        var expected = acknowledged.Counts;
        await UntilAsync(() => expected.Index().All(count => read.ContainsKey((count.Index, count.Item - 1))), producing, reading);
        output.WriteLine($"{signal}: the longest that a partition acknowledged nothing: {acknowledged.LongestPause.TotalMilliseconds:0} ms; topics listed after {listed.TotalMilliseconds:0} ms");
        acknowledged.LongestPause.ShouldBeLessThan(AtMost);
        listed.ShouldBeLessThan(AtMost);

        await stopping.CancelAsync();
        await Task.WhenAll(producing);
        await reading;
        await AllAreThereOnceAsync(client, acknowledged.Counts);
    }

    private static async Task ProduceAsync(Producer<string, int> producer, int partition, Acknowledgements acknowledged, CancellationToken stopping)
    {
        for (var value = 0; !stopping.IsCancellationRequested; value++)
        {
            await producer.ProduceAsync(new ProducerRecord<string, int>("t", null, value) { Partition = partition }, CancellationToken.None);
            acknowledged.Add(partition);
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

    /// <summary>Counts by partition, and the longest time between two of one.</summary>
    private sealed class Acknowledgements
    {
        private readonly Lock gate = new();
        private readonly int[] counts = new int[Partitions];
        private readonly long[] last = new long[Partitions];
        private TimeSpan longest;

        public int[] Counts
        {
            get
            {
                lock (gate)
                {
                    return [.. counts];
                }
            }
        }

        public TimeSpan LongestPause
        {
            get
            {
                lock (gate)
                {
                    return longest;
                }
            }
        }

        public void Add(int partition)
        {
            lock (gate)
            {
                var pause = counts[partition]++ == 0 ? TimeSpan.Zero : Stopwatch.GetElapsedTime(last[partition]);
                longest = pause > longest ? pause : longest;
                last[partition] = Stopwatch.GetTimestamp();
            }
        }

        public void ForgetPauses()
        {
            lock (gate)
            {
                longest = TimeSpan.Zero;
            }
        }
    }
}
