using Microsoft.Extensions.DependencyInjection;
using Orleans;
using Orleans.Runtime;
using Orleans.Serialization;
using OrleansStreams.Clients;
using OrleansStreams.Errors;
using OrleansStreams.Groups;
using OrleansStreams.Log;
using OrleansStreams.Records;

namespace OrleansStreams.TwoSilos;

/// <summary>The grains over two silos of the official runtime.</summary>
public sealed class TwoSiloTests(TwoSiloCluster cluster) : IClassFixture<TwoSiloCluster>
{
    // With this many partitions placed at random, all on one silo is out of the question.
    private const int Partitions = 32;

    private readonly StreamsClient _client = cluster.Client;

    [Fact]
    public async Task Partitions_live_on_both_silos_and_every_record_comes_back_from_each()
    {
        await _client.Admin.CreateTopicAsync("both", Partitions);
        await ProduceAsync("both", 1000);
        var statistics = await cluster.Grains.GetGrain<IManagementGrain>(0).GetDetailedGrainStatistics();
        statistics.Where(grain => grain.GrainId.Type.ToString() == "partition").Select(grain => grain.SiloAddress).Distinct().Count().ShouldBe(2);

        await using var consumer = _client.CreateConsumer(Serdes.Utf8, Serdes.Utf8, new ConsumerOptions { GroupId = "both", AutoOffsetReset = AutoOffsetReset.Earliest });
        consumer.Subscribe("both");
        var values = new List<string>();
        var next = new Dictionary<TopicPartition, long>();
        using var limit = new CancellationTokenSource(TimeSpan.FromMinutes(1));
        await foreach (var record in consumer.ConsumeAsync(limit.Token))
        {
            values.Add(record.Value!);
            next[record.Partition] = record.Offset + 1;
            if (values.Count == 1000)
            {
                break;
            }
        }

        await consumer.CommitAsync([.. next.Select(position => new CommittedOffset(position.Key, position.Value))], limit.Token);
        values.Order(StringComparer.Ordinal).ShouldBe(Enumerable.Range(0, 1000).Select(i => $"v{i}").Order(StringComparer.Ordinal));
        var group = await _client.Admin.DescribeGroupAsync("both", limit.Token);
        group.Offsets.Sum(offset => offset.Offset).ShouldBe(1000);
        group.Members.ShouldHaveSingleItem().Owned.Length.ShouldBe(Partitions);
    }

    [Fact]
    public async Task A_refusal_by_a_partition_on_either_silo_arrives_with_its_code_and_outcome()
    {
        await _client.Admin.CreateTopicAsync("refusing", Partitions);
        for (var partition = 0; partition < Partitions; partition++)
        {
            var grain = cluster.Grains.GetGrain<IPartitionGrain>(new TopicPartition("refusing", partition).GrainKey);
            var corrupt = await Should.ThrowAsync<StreamsException>(() => grain.AppendAsync(new ProduceRequest(new byte[] { 1, 2, 3 })));
            corrupt.Code.ShouldBe(StreamsErrorCode.CorruptBatch);
            corrupt.Outcome.ShouldBe(WriteOutcome.NotWritten);
            var beyond = await Should.ThrowAsync<StreamsException>(() => grain.FetchAsync(new FetchRequest(99, 1000, 1, 0), CancellationToken.None));
            beyond.Code.ShouldBe(StreamsErrorCode.OffsetOutOfRange);
            beyond.Message.ShouldNotBeEmpty();
        }
    }

    [Fact]
    public async Task A_cancelled_long_poll_ends_on_either_silo()
    {
        await _client.Admin.CreateTopicAsync("waiting", Partitions);
        using var cancellation = new CancellationTokenSource();
        var polls = Enumerable.Range(0, Partitions)
            .Select(partition => cluster.Grains.GetGrain<IPartitionGrain>(new TopicPartition("waiting", partition).GrainKey))
            .Select(grain => grain.FetchAsync(new FetchRequest(0, 1000, 1, 15_000), cancellation.Token))
            .ToList();
        polls.ShouldAllBe(poll => !poll.IsCompleted);
        await cancellation.CancelAsync();
        foreach (var poll in polls)
        {
            await Should.ThrowAsync<OperationCanceledException>(() => poll.WaitAsync(TimeSpan.FromSeconds(10)));
        }
    }

    [Fact]
    public void An_exception_with_a_cause_survives_the_serializer()
    {
        var serializer = ((IServiceProvider)new ServiceCollection().AddSerializer().BuildServiceProvider()).GetRequiredService<Serializer>();
        var sent = new StreamsException(StreamsErrorCode.StorageError, "the disk is gone", WriteOutcome.Unknown, new StreamsException(StreamsErrorCode.DiskFull, "no space"));
        var received = serializer.Deserialize<Exception>(serializer.SerializeToArray<Exception>(sent)).ShouldBeOfType<StreamsException>();
        (received.Code, received.Outcome, received.Message).ShouldBe((sent.Code, sent.Outcome, sent.Message));
        received.InnerException.ShouldBeOfType<StreamsException>().Code.ShouldBe(StreamsErrorCode.DiskFull);
    }

    private async Task ProduceAsync(string topic, int count)
    {
        await using var producer = _client.CreateProducer(Serdes.Utf8, Serdes.Utf8);
        for (var i = 0; i < count; i++)
        {
            await producer.EnqueueAsync(new ProducerRecord<string, string>(topic, $"k{i}", $"v{i}"));
        }

        await producer.FlushAsync();
    }
}
