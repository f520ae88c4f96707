using System.Globalization;
using Orleans.Runtime;
using OrleansStreams.Clients;
using OrleansStreams.Errors;
using OrleansStreams.Records;

namespace OrleansStreams.Log;

/// <summary>Invariants 1 to 5 with real clients, grains and storage, while silos crash.</summary>
public sealed class ClusterInvariantTests
{
    private const int Records = 20_000;
    private const int Partitions = 3;

    [Theory]
    [InlineData(false, 1)]
    [InlineData(false, 3)]
    [InlineData(true, 1)]
    [InlineData(true, 3)]
    public async Task While_silos_crash_an_idempotent_producers_records_are_stored_once_in_order_and_none_is_lost(bool files, int silos)
    {
        var random = new Random(42);
        await using var cluster = await ClusterFixture.StartAsync(silos, files);
        await cluster.Topic("t").CreateAsync(Partitions, TopicConfig.Default);
        using var done = new CancellationTokenSource();
        var readers = Enumerable.Range(0, Partitions).Select(partition => ReadAsync(cluster, partition, done.Token)).ToArray();

        var deliveries = new List<PendingDelivery>(Records);
        await using (var producer = cluster.Client.CreateProducer(Serdes.Int32, Serdes.Int32, new ProducerOptions { BatchBytes = 1024, LingerMs = 1 }))
        {
            for (var record = 0; record < Records; record++)
            {
                deliveries.Add(await producer.EnqueueAsync(new ProducerRecord<int, int>("t", record % 50, record)));
                if (record % 2000 == 1999)
                {
                    // Let some of it arrive, so that crashes meet batches in all states.
                    await deliveries[^1500].AsTask();
                    await cluster.CrashOneAsync(random);
                }
            }
        }

        await done.CancelAsync();
        var logs = await Task.WhenAll(readers);
        for (var record = 0; record < Records; record++)
        {
            var metadata = await deliveries[record].AsTask();
            logs[metadata.Partition.Partition][(int)metadata.Offset].ShouldBe(record);
        }

        logs.Sum(log => log.Count).ShouldBe(Records);
        foreach (var log in logs)
        {
            log.ShouldBeInOrder(SortDirection.Ascending);
        }
    }

    /// <summary>Follows a partition as a consumer would; fails when an offset is skipped, repeated, changed, or beyond the high watermark.</summary>
    private static async Task<List<int>> ReadAsync(ClusterFixture cluster, int partition, CancellationToken done)
    {
        var seen = new List<int>();
        while (true)
        {
            var isLast = done.IsCancellationRequested;
            FetchResult result;
            try
            {
                result = await cluster.Partition("t", partition).FetchAsync(new FetchRequest(seen.Count, 20_000, 1, isLast ? 0 : 20), default);
            }
            catch (Exception exception) when (exception is OrleansException or TimeoutException or StreamsException { IsRetriable: true })
            {
                await Task.Yield();
                continue;
            }

            for (var rest = result.Batches; !rest.IsEmpty; rest = rest[RecordBatchHeader.Read(rest.Span).TotalBytes..])
            {
                Take(rest, seen);
            }

            seen.Count.ShouldBeLessThanOrEqualTo((int)result.HighWatermark);
            if (isLast && seen.Count == result.HighWatermark)
            {
                return seen;
            }
        }
    }

    private static void Take(ReadOnlyMemory<byte> batch, List<int> seen)
    {
        RecordBatch.Validate(batch.Span, out _).ShouldBe(StreamsErrorCode.None);
        var reader = new RecordBatchReader(batch);
        while (reader.TryRead(out var record))
        {
            var value = Serdes.Int32.Deserialize(record.Value);
            if (record.Offset < seen.Count)
            {
                seen[(int)record.Offset].ShouldBe(value, string.Create(CultureInfo.InvariantCulture, $"offset {record.Offset} changed"));
                continue;
            }

            record.Offset.ShouldBe(seen.Count);
            seen.Add(value);
        }
    }
}
