using OrleansStreams.Clients;
using OrleansStreams.Log;
using OrleansStreams.Records;

namespace OrleansStreams.Silo.Http.Records;

/// <summary>
/// The producers behind the HTTP API: all requests for a topic share one, so that records of many requests travel in one batch. A producer belongs to
/// one version of its topic; when the topic was made anew or has other partitions or limits, requests get a new one and the old one is closed after
/// its last user.
/// </summary>
internal sealed class SharedProducers(StreamsClient client, IGrainFactory grains) : IAsyncDisposable
{
    private const int ProducersMax = 256;
    private const int BatchBytes = 64 * 1024;

    // Long enough to gather the records of one request, too short to be noticed in its answer.
    private const int LingerMs = 1;

    private readonly Dictionary<(string Topic, Acks Acks), Entry> entries = [];
    private readonly Lock gate = new();
    private long uses;

    /// <summary>Lends the topic's producer; give it back by disposing the lease.</summary>
    /// <exception cref="StreamsException">UnknownTopicOrPartition.</exception>
    public async Task<Lease> RentAsync(string topic, Acks acks)
    {
        var description = await grains.GetGrain<ITopicGrain>(topic).DescribeAsync();
        List<Entry> retired = [];
        Entry entry;
        lock (gate)
        {
            if (!entries.TryGetValue((topic, acks), out entry!) || !entry.Serves(description))
            {
                if (entry is not null)
                {
                    RetireLocked(entry, retired);
                }

                RetireOldestLocked(retired);
                entries[(topic, acks)] = entry = new Entry(description, acks, CreateProducer(description, acks));
            }

            entry.Users++;
            entry.LastUse = ++uses;
        }

        foreach (var old in retired)
        {
            await CloseAsync(old);
        }

        return new Lease(this, entry);
    }

    public async ValueTask DisposeAsync()
    {
        Entry[] all;
        lock (gate)
        {
            all = [.. entries.Values];
            entries.Clear();
        }

        await Task.WhenAll(all.Select(CloseAsync));
    }

    private Producer<byte[], byte[]> CreateProducer(TopicDescription topic, Acks acks) => client.CreateProducer(
        Serdes.Bytes,
        Serdes.Bytes,
        new ProducerOptions
        {
            Acks = acks,
            LingerMs = LingerMs,

            // A batch must never be larger than the topic takes because small records were put together.
            BatchBytes = Math.Max(256, Math.Min(BatchBytes, topic.Config.MaxMessageBytes)),
            DeliveryTimeoutMs = 30_000,
            MaxBlockMs = 10_000,
        });

    private void RetireOldestLocked(List<Entry> retired)
    {
        if (entries.Count >= ProducersMax && entries.Values.Where(entry => entry.Users == 0).MinBy(entry => entry.LastUse) is { } oldest)
        {
            RetireLocked(oldest, retired);
        }
    }

    private void RetireLocked(Entry entry, List<Entry> retired)
    {
        entries.Remove((entry.Topic.Name, entry.Acks));
        entry.Retired = true;
        if (entry.Users == 0)
        {
            retired.Add(entry);
        }
    }

    private async Task GiveBackAsync(Entry entry)
    {
        lock (gate)
        {
            if (--entry.Users > 0 || !entry.Retired)
            {
                return;
            }
        }

        await CloseAsync(entry);
    }

    private static async Task CloseAsync(Entry entry)
    {
        try
        {
            await entry.Producer.DisposeAsync();
        }
        catch (StreamsException)
        {
            // Whoever sent the record was told.
        }
    }

    /// <summary>A producer in use by one request.</summary>
    public readonly struct Lease(SharedProducers owner, Entry entry) : IAsyncDisposable
    {
        public TopicDescription Topic => entry.Topic;

        public Producer<byte[], byte[]> Producer => entry.Producer;

        public async ValueTask DisposeAsync() => await owner.GiveBackAsync(entry);
    }

    /// <summary>A producer and the version of the topic that it was made for.</summary>
    internal sealed class Entry(TopicDescription topic, Acks acks, Producer<byte[], byte[]> producer)
    {
        public TopicDescription Topic { get; } = topic;

        public Acks Acks { get; } = acks;

        public Producer<byte[], byte[]> Producer { get; } = producer;

        public int Users { get; set; }

        public long LastUse { get; set; }

        public bool Retired { get; set; }

        public bool Serves(TopicDescription now) =>
            now.TopicId == Topic.TopicId && now.PartitionCount == Topic.PartitionCount && now.Config.MaxMessageBytes == Topic.Config.MaxMessageBytes;
    }
}
