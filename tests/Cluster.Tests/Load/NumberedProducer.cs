using System.Collections.Concurrent;
using System.Diagnostics;
using OrleansStreams.Clients;
using OrleansStreams.Records;
using OrleansStreams.Tests.Cluster;

namespace OrleansStreams.Cluster.Tests.Load;

/// <summary>An idempotent producer of numbered, keyed records, with many under way at a time. It remembers what was acknowledged; that a record fails is not foreseen.</summary>
internal sealed class NumberedProducer(StreamsClient client, string topic, int number, int partitions, Changes changes)
{
    private const int Keys = 50;
    private const int BurstMax = 9;
    private const int UnderWayMax = 300;

    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(20);

    private readonly Queue<(string Value, long Sent, Task<RecordMetadata> Delivery)> _underWay = new();
    private readonly long[] _served = new long[partitions];

    public ConcurrentQueue<Stored> Acknowledged { get; } = new();

    /// <summary>When the youngest acknowledged record of a partition was sent, by the stopwatch; 0 before the first.</summary>
    public long ServedSince(int partition) => Volatile.Read(ref _served[partition]);

    /// <summary>Produces until it is told to stop, then waits for all acknowledgements.</summary>
    public async Task RunAsync(CancellationToken stop)
    {
        await using var producer = client.CreateProducer(Serdes.Utf8, Serdes.Utf8, new ProducerOptions { LingerMs = 1 });
        for (var sent = 0L; !stop.IsCancellationRequested;)
        {
            for (var burst = 1 + (sent % BurstMax); burst > 0; burst--, sent++)
            {
                var value = LogCheck.ValueOf(number, sent);
                var delivery = await producer.EnqueueAsync(new ProducerRecord<string, string>(topic, $"key-{sent * 7919 % Keys}", value), CancellationToken.None);
                _underWay.Enqueue((value, Stopwatch.GetTimestamp(), delivery.AsTask()));
            }

            await SettleAsync(all: false);
            await Task.Delay(Pause, stop).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }

        await SettleAsync(all: true);
    }

    private async Task SettleAsync(bool all)
    {
        while (_underWay.TryPeek(out var oldest) && (all || _underWay.Count >= UnderWayMax || oldest.Delivery.IsCompleted))
        {
            var place = await oldest.Delivery;
            _underWay.Dequeue();
            Acknowledged.Enqueue(new Stored(place.Partition.Partition, place.Offset, oldest.Value));
            Volatile.Write(ref _served[place.Partition.Partition], oldest.Sent);
            changes.Tell();
        }
    }
}
