using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;
using Orleans.Runtime;
using OrleansStreams.Errors;
using OrleansStreams.Hosts;
using OrleansStreams.Records;
using OrleansStreams.Storage;
using OrleansStreams.Storage.Files;
using static OrleansStreams.Log.LogFixture;

namespace OrleansStreams.Log;

public sealed class PartitionGrainTests
{
    [Theory]
    [InlineData("missing/0")]
    [InlineData("a/1")]
    [InlineData("a/-1")]
    [InlineData("a/x")]
    [InlineData("a")]
    [InlineData("/0")]
    [InlineData("a/99999999999")]
    public async Task A_partition_that_does_not_exist_is_refused_by_every_call(string key)
    {
        await using var cluster = await ClusterFixture.StartAsync();
        await cluster.Topic("a").CreateAsync(1, TopicConfig.Default);
        var partition = cluster.Grains.GetGrain<IPartitionGrain>(key);
        Func<Task>[] calls =
        [
            () => partition.AppendAsync(new ProduceRequest(Batch("x"))), () => partition.FetchAsync(new FetchRequest(0, 1, 1, 0), default),
            partition.GetOffsetsAsync, () => partition.OffsetForTimestampAsync(0), () => partition.DeleteRecordsAsync(0),
        ];
        foreach (var call in calls)
        {
            (await RefusedAsync(call())).Code.ShouldBe(StreamsErrorCode.UnknownTopicOrPartition);
        }

        (await cluster.LogStorage.ListAsync("")).ShouldBeEmpty();
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task What_was_acknowledged_is_there_after_a_crash(bool files)
    {
        await using var cluster = await ClusterFixture.StartAsync(files: files);
        await cluster.Topic("a").CreateAsync(1, TopicConfig.Default);
        await cluster.Partition("a").AppendAsync(new ProduceRequest(Sequenced(7, 0, 2)));
        var before = await cluster.Partition("a").GetOffsetsAsync();
        await cluster.RestartAsync();

        (await cluster.Partition("a").AppendAsync(new ProduceRequest(Sequenced(7, 0, 2)))).ShouldBe(new ProduceResult(0, -1, 0, true));
        var after = await cluster.Partition("a").GetOffsetsAsync();
        after.HighWatermark.ShouldBe(2);
        after.LeaderEpoch.ShouldBeGreaterThan(before.LeaderEpoch);
    }

    [Fact]
    public async Task Appends_that_meet_a_partition_while_it_is_opened_keep_the_order_in_which_they_were_sent()
    {
        // On pool threads, where some requests come just as the opening ends.
        for (var round = 0; round < 10; round++)
        {
            var folder = Directory.CreateTempSubdirectory("streams-opening-");
            await SendWhileItOpensAsync(folder.FullName);
            folder.Delete(recursive: true);
        }
    }

    private static async Task SendWhileItOpensAsync(string folder)
    {
        await using var storage = new FileLogStorage(new FileLogStorageOptions { RootPath = folder }, TimeProvider.System, NullLogger<FileLogStorage>.Instance);
        await using var cluster = await GrainCluster.StartAsync(new GrainClusterSetup(
            new GatedStateStore(), services => services.AddSingleton<ILogStorage>(new SharedLogStorage(storage)).AddStreamsGrains()));
        var topic = await cluster.Grains.GetGrain<ITopicGrain>("a").CreateAsync(1, TopicConfig.Default);

        // Called inside its silo, where it is known already: a host may let calls overtake each other that are on their way between silos, or look for their grain.
        var partition = cluster.InnerGrains.GetGrain<IPartitionGrain>(new TopicPartition("a", 0).GrainKey);
        await partition.TopicChangedAsync(topic);

        var sent = new List<Task<ProduceResult>> { partition.AppendAsync(new ProduceRequest(Sequenced(7, 0))) };
        while (!sent[0].IsCompleted && sent.Count < 20_000)
        {
            sent.Add(partition.AppendAsync(new ProduceRequest(Sequenced(7, sent.Count))));
        }

        var results = await Task.WhenAll(sent).WaitAsync(TimeSpan.FromSeconds(60));
        results.Select(result => result.BaseOffset).ShouldBe(Enumerable.Range(0, sent.Count).Select(offset => (long)offset));
    }

    [Fact]
    public async Task A_failed_write_ends_the_activation_and_the_next_one_goes_on()
    {
        await using var cluster = await ClusterFixture.StartAsync();
        await cluster.Topic("a").CreateAsync(1, TopicConfig.Default);
        await cluster.Partition("a").AppendAsync(new ProduceRequest(Sequenced(7, 0)));
        var epoch = (await cluster.Partition("a").GetOffsetsAsync()).LeaderEpoch;
        cluster.Memory.AfterWrite = _ => throw new IOException("answer lost");
        (await RefusedAsync(cluster.Partition("a").AppendAsync(new ProduceRequest(Sequenced(7, 1))))).IsRetriable.ShouldBeTrue();
        cluster.Memory.AfterWrite = null;

        (await ClusterFixture.EventuallyAsync(() => cluster.Partition("a").AppendAsync(new ProduceRequest(Sequenced(7, 1))))).ShouldBe(new ProduceResult(1, -1, 0, true));
        (await cluster.Partition("a").GetOffsetsAsync()).LeaderEpoch.ShouldBeGreaterThan(epoch);
    }

    [Fact]
    public async Task A_full_disk_is_said_and_writing_goes_on_when_there_is_room_again()
    {
        await using var cluster = await ClusterFixture.StartAsync();
        await cluster.Topic("a").CreateAsync(1, TopicConfig.Default);
        await cluster.Partition("a").AppendAsync(new ProduceRequest(Batch("x")));
        cluster.Memory.CapacityBytes = cluster.Memory.UsedBytes;
        (await RefusedAsync(cluster.Partition("a").AppendAsync(new ProduceRequest(Batch("y"))))).Code.ShouldBe(StreamsErrorCode.DiskFull);
        cluster.Memory.CapacityBytes = long.MaxValue;
        (await ClusterFixture.EventuallyAsync(() => cluster.Partition("a").AppendAsync(new ProduceRequest(Batch("y"))))).BaseOffset.ShouldBe(1);
    }

    [Fact]
    public async Task Readers_wait_while_writers_write()
    {
        await using var cluster = await ClusterFixture.StartAsync();
        await cluster.Topic("a").CreateAsync(1, TopicConfig.Default);
        var partition = cluster.Partition("a");
        var polls = Enumerable.Range(0, 10).Select(_ => partition.FetchAsync(new FetchRequest(0, 1000, 1, 20_000), default)).ToArray();
        await partition.AppendAsync(new ProduceRequest(Batch("x")));
        foreach (var poll in polls)
        {
            (await poll).NextOffset.ShouldBe(1);
        }
    }

    [Fact]
    public async Task A_reader_that_gives_up_is_let_go()
    {
        await using var cluster = await ClusterFixture.StartAsync();
        await cluster.Topic("a").CreateAsync(1, TopicConfig.Default);
        using var cancellation = new CancellationTokenSource();
        var poll = cluster.Partition("a").FetchAsync(new FetchRequest(0, 1000, 1, 20_000), cancellation.Token);
        await cancellation.CancelAsync();
        await Should.ThrowAsync<OperationCanceledException>(() => poll);
    }

    [Fact]
    public async Task A_batch_without_acknowledgement_is_appended_and_a_bad_one_dropped()
    {
        await using var cluster = await ClusterFixture.StartAsync();
        await cluster.Topic("a").CreateAsync(1, TopicConfig.Default);
        var partition = cluster.Partition("a");
        await partition.AppendOneWayAsync(new ProduceRequest("rubbish"u8.ToArray()));
        await partition.AppendOneWayAsync(new ProduceRequest(Batch("x")));
        (await partition.FetchAsync(new FetchRequest(0, 1000, 1, 20_000), default)).NextOffset.ShouldBe(1);
    }

    [Fact]
    public async Task Old_records_go_by_the_timer()
    {
        var time = new ManualTime();
        await using var cluster = await ClusterFixture.StartAsync(time: time);
        await cluster.Topic("a").CreateAsync(1, new TopicConfig { RetentionMs = 60_000 });
        var partition = cluster.Partition("a");
        await partition.AppendAsync(new ProduceRequest(BatchAt(time.GetUtcNow().ToUnixTimeMilliseconds(), "old")));
        time.Advance(TimeSpan.FromSeconds(59));
        (await partition.GetOffsetsAsync()).LogStartOffset.ShouldBe(0);
        var deadline = DateTime.UtcNow + TimeSpan.FromSeconds(20);
        while ((await partition.GetOffsetsAsync()).LogStartOffset == 0)
        {
            DateTime.UtcNow.ShouldBeLessThan(deadline, "retention never ran");
            time.Advance(cluster.Options.MaintenanceInterval);
            await Task.Yield();
        }

        (await partition.AppendAsync(new ProduceRequest(Batch("new")))).BaseOffset.ShouldBe(1);
    }

    [Fact]
    public async Task Control_batches_are_stored_like_others_and_never_found_by_timestamp()
    {
        await using var cluster = await ClusterFixture.StartAsync();
        await cluster.Topic("a").CreateAsync(1, TopicConfig.Default);
        var builder = new RecordBatchBuilder();
        builder.Append(5000, [0, 0, 0, 100], false, default, true);
        await cluster.Partition("a").AppendAsync(new ProduceRequest(builder.Build(isControl: true)));
        await cluster.Partition("a").AppendAsync(new ProduceRequest(BatchAt(6000, "x")));
        (await cluster.Partition("a").OffsetForTimestampAsync(1)).ShouldBe(new TimestampOffset(1, 6000));
    }
}
