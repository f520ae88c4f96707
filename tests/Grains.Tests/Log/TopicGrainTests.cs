using Orleans.Runtime;
using OrleansStreams.Errors;
using OrleansStreams.Records;
using static OrleansStreams.Log.LogFixture;

namespace OrleansStreams.Log;

public sealed class TopicGrainTests : IAsyncLifetime
{
    private ClusterFixture _cluster = null!;

    private ITopicDirectoryGrain Directory => _cluster.Grains.GetGrain<ITopicDirectoryGrain>(ITopicDirectoryGrain.Key);

    public async Task InitializeAsync() => _cluster = await ClusterFixture.StartAsync();

    public Task DisposeAsync() => _cluster.DisposeAsync().AsTask();

    [Fact]
    public async Task A_created_topic_is_described_and_listed()
    {
        var config = new TopicConfig { RetentionMs = 1, RetentionBytes = 2, SegmentBytes = 4096, MaxMessageBytes = 5000, MessageTimestampType = TimestampType.LogAppendTime };
        var created = await _cluster.Topic("b").CreateAsync(3, config);
        await _cluster.Topic("a").CreateAsync(1, TopicConfig.Default);

        created.Config.ShouldBe(config);
        created.PartitionCount.ShouldBe(3);
        (await _cluster.Topic("b").DescribeAsync()).ShouldBe(created);
        (await Directory.ListAsync()).ShouldBe(["a", "b"]);
    }

    [Fact]
    public async Task A_topic_is_the_same_after_a_restart()
    {
        var created = await _cluster.Topic("a").CreateAsync(3, new TopicConfig { RetentionMs = 77 });
        await _cluster.RestartAsync();
        (await _cluster.Topic("a").DescribeAsync()).ShouldBe(created);
        (await Directory.ListAsync()).ShouldBe(["a"]);
    }

    [Theory]
    [InlineData(".")]
    [InlineData("..")]
    [InlineData("with space")]
    [InlineData("with/slash")]
    [InlineData("ümlaut")]
    [InlineData("line\nbreak")]
    public async Task A_name_that_is_none_is_refused(string name)
    {
        (await RefusedAsync(_cluster.Topic(name).CreateAsync(1, TopicConfig.Default))).Code.ShouldBe(StreamsErrorCode.InvalidTopic);
        (await Directory.ListAsync()).ShouldBeEmpty();
    }

    [Fact]
    public async Task The_longest_name_is_taken_and_a_longer_one_refused()
    {
        await _cluster.Topic(new string('x', 249)).CreateAsync(1, TopicConfig.Default);
        await _cluster.Partition(new string('x', 249)).AppendAsync(new ProduceRequest(Batch("a")));
        (await RefusedAsync(_cluster.Topic(new string('x', 250)).CreateAsync(1, TopicConfig.Default))).Code.ShouldBe(StreamsErrorCode.InvalidTopic);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(-1)]
    [InlineData(10_001)]
    public async Task An_impossible_number_of_partitions_is_refused(int count) =>
        (await RefusedAsync(_cluster.Topic("a").CreateAsync(count, TopicConfig.Default))).Code.ShouldBe(StreamsErrorCode.InvalidPartitions);

    [Fact]
    public async Task An_impossible_configuration_is_refused_and_named()
    {
        TopicConfig[] impossible =
        [
            new() { RetentionMs = -2 }, new() { RetentionBytes = -2 }, new() { SegmentBytes = 0 }, new() { MaxMessageBytes = 0 }, new() { MessageTimestampType = (TimestampType)9 },
            new() { CleanupPolicy = 0 }, new() { SegmentMs = 0 }, new() { DeleteRetentionMs = -1 }, new() { MinCompactionLagMs = -1 },
            new() { MinCompactionLagMs = 5, MaxCompactionLagMs = 4 }, new() { MinCleanableDirtyRatio = 1.5 }, new() { MinCleanableDirtyRatio = double.NaN },
            new() { DedupWindowMs = -1 }, new() { DedupKeysMax = 0 }, new() { DedupKeysMax = 1_000_001 },
        ];
        string[] names =
        [
            "retention.ms", "retention.bytes", "segment.bytes", "max.message.bytes", "message.timestamp.type", "cleanup.policy", "segment.ms", "delete.retention.ms",
            "min.compaction.lag.ms", "max.compaction.lag.ms cannot be 4", "min.cleanable.dirty.ratio cannot be 1.5", "min.cleanable.dirty.ratio", "dedup.window.ms",
            "dedup.keys.max cannot be 0: take 1 to 1000000", "dedup.keys.max",
        ];
        await _cluster.Topic("exists").CreateAsync(1, TopicConfig.Default);
        for (var i = 0; i < impossible.Length; i++)
        {
            var refused = await RefusedAsync(_cluster.Topic("a").CreateAsync(1, impossible[i]));
            refused.Code.ShouldBe(StreamsErrorCode.InvalidConfig);
            refused.Message.ShouldContain(names[i]);
            (await RefusedAsync(_cluster.Topic("exists").AlterConfigAsync(impossible[i]))).Code.ShouldBe(StreamsErrorCode.InvalidConfig);
        }

        (await _cluster.Topic("exists").DescribeAsync()).Config.ShouldBe(TopicConfig.Default);
    }

    [Fact]
    public async Task A_topic_that_exists_is_not_created_again()
    {
        var first = await _cluster.Topic("a").CreateAsync(1, TopicConfig.Default);
        (await RefusedAsync(_cluster.Topic("a").CreateAsync(2, TopicConfig.Default))).Code.ShouldBe(StreamsErrorCode.TopicAlreadyExists);
        (await _cluster.Topic("a").DescribeAsync()).ShouldBe(first);
    }

    [Fact]
    public async Task A_topic_that_does_not_exist_is_refused_everywhere()
    {
        var topic = _cluster.Topic("missing");
        Task[] calls = [topic.DescribeAsync(), topic.DeleteAsync(), topic.IncreasePartitionsAsync(2), topic.AlterConfigAsync(TopicConfig.Default)];
        foreach (var call in calls)
        {
            (await RefusedAsync(call)).Code.ShouldBe(StreamsErrorCode.UnknownTopicOrPartition);
        }
    }

    [Fact]
    public async Task Partitions_become_more_and_never_fewer()
    {
        await _cluster.Topic("a").CreateAsync(2, TopicConfig.Default);
        (await RefusedAsync(_cluster.Partition("a", 2).GetOffsetsAsync())).Code.ShouldBe(StreamsErrorCode.UnknownTopicOrPartition);
        (await RefusedAsync(_cluster.Topic("a").IncreasePartitionsAsync(2))).Code.ShouldBe(StreamsErrorCode.InvalidPartitions);
        (await _cluster.Topic("a").IncreasePartitionsAsync(3)).PartitionCount.ShouldBe(3);
        (await _cluster.Partition("a", 2).AppendAsync(new ProduceRequest(Batch("x")))).BaseOffset.ShouldBe(0);
    }

    [Fact]
    public async Task A_changed_configuration_holds_at_once()
    {
        await _cluster.Topic("a").CreateAsync(1, TopicConfig.Default);
        var large = Batch(new string('x', 1000));
        await _cluster.Partition("a").AppendAsync(new ProduceRequest(large));
        await _cluster.Topic("a").AlterConfigAsync(new TopicConfig { MaxMessageBytes = 500 });
        (await RefusedAsync(_cluster.Partition("a").AppendAsync(new ProduceRequest(large)))).Code.ShouldBe(StreamsErrorCode.RecordTooLarge);
    }

    [Fact]
    public async Task A_deleted_topic_is_gone_with_its_records_and_a_new_one_of_its_name_is_empty()
    {
        var first = await _cluster.Topic("a").CreateAsync(2, TopicConfig.Default);
        await _cluster.Partition("a").AppendAsync(new ProduceRequest(Batch("x")));
        await _cluster.Topic("a").DeleteAsync();

        (await Directory.ListAsync()).ShouldBeEmpty();
        (await _cluster.LogStorage.ListAsync("topics/")).ShouldBeEmpty();
        (await RefusedAsync(_cluster.Partition("a").AppendAsync(new ProduceRequest(Batch("x"))))).Code.ShouldBe(StreamsErrorCode.UnknownTopicOrPartition);

        var second = await _cluster.Topic("a").CreateAsync(1, TopicConfig.Default);
        second.TopicId.ShouldNotBe(first.TopicId);
        (await _cluster.Partition("a").GetOffsetsAsync()).LogEndOffset.ShouldBe(0);
    }

    [Fact]
    public async Task A_reader_that_waits_is_told_when_its_topic_is_deleted()
    {
        await _cluster.Topic("a").CreateAsync(1, TopicConfig.Default);
        await _cluster.Partition("a").GetOffsetsAsync();
        var poll = _cluster.Partition("a").FetchAsync(new FetchRequest(0, 1000, 1, 20_000), default);
        await _cluster.Topic("a").DeleteAsync();
        (await RefusedAsync(poll)).Code.ShouldBeOneOf(StreamsErrorCode.NotLeader, StreamsErrorCode.UnknownTopicOrPartition);
    }

    [Fact]
    public async Task A_topic_whose_silo_died_while_it_was_deleted_is_deleted_by_the_next_activation()
    {
        await _cluster.Topic("a").CreateAsync(3, TopicConfig.Default);
        for (var partition = 0; partition < 3; partition++)
        {
            await _cluster.Partition("a", partition).AppendAsync(new ProduceRequest(Batch("x")));
        }

        var reached = new TaskCompletionSource();
        _cluster.LogStorage.BeforeDelete = id =>
        {
            if (id.Path.EndsWith("/1", StringComparison.Ordinal))
            {
                reached.TrySetResult();
                return new TaskCompletionSource().Task;
            }

            return Task.CompletedTask;
        };
        var deleting = _cluster.Topic("a").DeleteAsync();
        await reached.Task;
        (await RefusedAsync(_cluster.Topic("a").DescribeAsync())).Code.ShouldBe(StreamsErrorCode.UnknownTopicOrPartition);
        (await _cluster.LogStorage.ListAsync("topics/")).Count.ShouldBe(2);
        _cluster.LogStorage.BeforeDelete = null;
        await _cluster.RestartAsync();
        await Should.ThrowAsync<OrleansException>(() => deleting);

        (await RefusedAsync(_cluster.Topic("a").DescribeAsync())).Code.ShouldBe(StreamsErrorCode.UnknownTopicOrPartition);
        (await _cluster.LogStorage.ListAsync("topics/")).ShouldBeEmpty();
        (await Directory.ListAsync()).ShouldBeEmpty();
    }

    [Fact]
    public async Task A_topic_whose_silo_died_while_it_was_created_is_there_and_listed()
    {
        var reached = new TaskCompletionSource();
        _cluster.States.BeforeWrite = address =>
        {
            if (address.StateName == "topics")
            {
                reached.TrySetResult();
                return new TaskCompletionSource().Task;
            }

            return Task.CompletedTask;
        };
        var creating = _cluster.Topic("a").CreateAsync(2, TopicConfig.Default);
        await reached.Task;
        (await RefusedAsync(_cluster.Topic("a").DescribeAsync())).Code.ShouldBe(StreamsErrorCode.UnknownTopicOrPartition);
        _cluster.States.BeforeWrite = null;
        await _cluster.RestartAsync();
        await Should.ThrowAsync<OrleansException>(() => creating);

        (await _cluster.Topic("a").DescribeAsync()).PartitionCount.ShouldBe(2);
        (await Directory.ListAsync()).ShouldBe(["a"]);
    }

    [Fact]
    public async Task A_state_that_cannot_be_stored_is_said_and_can_be_tried_again()
    {
        _cluster.States.BeforeWrite = _ => throw new IOException("no disk");
        var refused = await RefusedAsync(_cluster.Topic("a").CreateAsync(1, TopicConfig.Default));
        refused.Code.ShouldBe(StreamsErrorCode.StorageError);
        refused.IsRetriable.ShouldBeTrue();
        _cluster.States.BeforeWrite = null;
        (await ClusterFixture.EventuallyAsync(() => _cluster.Topic("a").CreateAsync(1, TopicConfig.Default))).PartitionCount.ShouldBe(1);
    }

    [Fact]
    public async Task Producer_ids_are_never_given_twice_whatever_crashes()
    {
        var ids = new HashSet<long>();
        for (var round = 0; round < 5; round++)
        {
            var grain = _cluster.Grains.GetGrain<IProducerIdGrain>(IProducerIdGrain.Key);
            for (var i = 0; i < 700; i++)
            {
                ids.Add(await grain.AllocateAsync()).ShouldBeTrue();
            }

            await _cluster.RestartAsync();
        }
    }

    [Fact]
    public async Task Every_configuration_value_is_stored()
    {
        var config = new TopicConfig
        {
            RetentionMs = 1, RetentionBytes = 2, SegmentBytes = 3000, MaxMessageBytes = 4000, MessageTimestampType = TimestampType.LogAppendTime,
            CleanupPolicy = CleanupPolicy.CompactAndDelete, SegmentMs = 5, DeleteRetentionMs = 6, MinCompactionLagMs = 7, MaxCompactionLagMs = 8,
            MinCleanableDirtyRatio = 0.9, DedupWindowMs = 10, DedupKeysMax = 11,
        };
        await _cluster.Topic("t").CreateAsync(1, config);
        await _cluster.RestartAsync();
        (await _cluster.Topic("t").DescribeAsync()).Config.ShouldBe(config);
        typeof(TopicConfig).GetProperties().Where(property => property.PropertyType != typeof(TopicConfig))
            .ShouldAllBe(property => !Equals(property.GetValue(config), property.GetValue(TopicConfig.Default)), "a new value must be set here too");
    }
}
