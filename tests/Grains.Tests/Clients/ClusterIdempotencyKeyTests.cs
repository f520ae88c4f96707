using OrleansStreams.Clients;
using OrleansStreams.Log;
using OrleansStreams.Records;

namespace OrleansStreams.Tests.Clients;

/// <summary>Idempotency keys through producers and real grains.</summary>
public sealed class ClusterIdempotencyKeyTests : IAsyncLifetime
{
    private ClusterFixture _cluster = null!;

    public async Task InitializeAsync()
    {
        _cluster = await ClusterFixture.StartAsync(silos: 2);
        await _cluster.Client.Admin.CreateTopicAsync("t", 8, new TopicConfig { DedupWindowMs = 600_000 });
    }

    public Task DisposeAsync() => _cluster.DisposeAsync().AsTask();

    [Fact]
    public async Task Another_producer_that_sends_the_same_key_meets_the_original_in_its_partition()
    {
        var originals = new Dictionary<string, RecordMetadata>();
        await using (var first = _cluster.Client.CreateProducer(Serdes.Utf8, Serdes.Utf8))
        {
            foreach (var key in Keys)
            {
                originals[key] = await first.ProduceAsync(Message(key, 5000));
            }
        }

        originals.Values.Select(original => original.Partition.Partition).Distinct().Count().ShouldBeGreaterThan(3, "keys spread");
        await _cluster.RestartAsync(silos: 2);
        await using var second = _cluster.Client.CreateProducer(Serdes.Utf8, Serdes.Utf8, new ProducerOptions { LingerMs = 50 });
        var again = new List<(string Key, PendingDelivery Delivery)>();
        foreach (var key in Keys.Append("new"))
        {
            again.Add((key, await second.EnqueueAsync(Message(key, 6000))));
        }

        foreach (var (key, delivery) in again)
        {
            var metadata = await delivery;
            metadata.IsDuplicate.ShouldBe(key != "new");
            if (key != "new")
            {
                metadata.ShouldBe(originals[key] with { IsDuplicate = true });
            }
        }
    }

    [Fact]
    public async Task The_record_key_decides_over_the_idempotency_key_and_a_given_partition_over_both()
    {
        await using var producer = _cluster.Client.CreateProducer(Serdes.Utf8, Serdes.Utf8);
        var byKey = await producer.ProduceAsync(new ProducerRecord<string, string>("t", "k", "v"));
        var keyed = await producer.ProduceAsync(Message("some", 5000) with { Key = "k" });
        keyed.Partition.ShouldBe(byKey.Partition);
        var given = await producer.ProduceAsync(Message("some", 5000) with { Partition = (byKey.Partition.Partition + 1) % 8 });
        (given.Partition.Partition, given.IsDuplicate).ShouldBe(((byKey.Partition.Partition + 1) % 8, false));
    }

    private static IEnumerable<string> Keys => Enumerable.Range(0, 30).Select(i => $"order-{i}");

    private static ProducerRecord<string, string> Message(string key, long timestamp) => new("t", null, $"value of {key}")
    {
        Timestamp = timestamp, Headers = [IdempotencyKey.Header(key)],
    };
}
