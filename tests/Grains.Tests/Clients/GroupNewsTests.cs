using OrleansStreams.Clients;
using OrleansStreams.Errors;
using OrleansStreams.Groups;
using OrleansStreams.Log;
using OrleansStreams.Records;

namespace OrleansStreams.Tests.Clients;

/// <summary>What a consumer makes of what its group says when something goes wrong meanwhile.</summary>
public sealed class GroupNewsTests
{
    private static readonly TopicPartition T0 = new("t", 0);
    private static readonly TopicPartition T1 = new("t", 1);
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private readonly ScriptedGroup _group = new();
    private readonly UnreliableCluster _cluster;

    public GroupNewsTests() => _cluster = new UnreliableCluster(1, partitions: 2, faults: 0) { Calm = true, Group = _group };

    private static StreamsException Passing => new(StreamsErrorCode.UnknownTopicOrPartition, "not now");

    [Fact]
    public async Task A_membership_that_failed_while_a_record_was_worked_on_takes_its_partitions_with_it()
    {
        await FillAsync(100);
        await using var consumer = Subscribed();
        await using (var loop = consumer.ConsumeAsync().GetAsyncEnumerator())
        {
            var joined = loop.MoveNextAsync().AsTask();
            await _group.NextAsync();
            _group.Answer(1, [T0]);
            (await joined).ShouldBeTrue();
            await _group.NextAsync();
            _group.Refuse(new StreamsException(StreamsErrorCode.InvalidRequest, "refused"));
        }

        // Another has the partition by now.
        using var stop = new CancellationTokenSource(Patience);
        await using var next = consumer.ConsumeAsync(stop.Token).GetAsyncEnumerator();
        var waiting = next.MoveNextAsync().AsTask();
        StreamsException? failure = null;
        if (await Task.WhenAny(waiting, _group.NextAsync()) == waiting)
        {
            // The failure came after the loop had begun: it is said once, to the loop. On a busy machine some records come before it.
            while (waiting.Exception is null && await waiting)
            {
                next.Current.Partition.ShouldBe(T0);
                waiting = next.MoveNextAsync().AsTask();
                await Task.WhenAny(waiting);
            }

            failure = await Should.ThrowAsync<StreamsException>(() => waiting);
            failure.Code.ShouldBe(StreamsErrorCode.InvalidRequest);
        }

        _group.Rest(2, [T1]);
        if (failure is not null)
        {
            await Collect.FirstAsync(consumer, 1, record => record.Partition.ShouldBe(T1));
        }
        else
        {
            (await waiting).ShouldBeTrue();
            next.Current.Partition.ShouldBe(T1);
        }

        consumer.Assignment.ShouldBe([T1]);
    }

    [Fact]
    public async Task Partitions_that_were_assigned_as_the_loop_was_cancelled_are_read_by_the_next()
    {
        await FillAsync(10);
        _group.Rest(1, [T0]);
        await using var consumer = Subscribed();
        using var stop = new CancellationTokenSource();
        _group.FetchingOffsets = stop.Cancel;
        await Should.ThrowAsync<OperationCanceledException>(async () =>
        {
            await foreach (var record in consumer.ConsumeAsync(stop.Token))
            {
                record.Partition.ShouldBe(T0);
            }
        });
        _group.FetchingOffsets = null;
        (await Collect.FirstAsync(consumer, 1))[0].Partition.ShouldBe(T0);
    }

    [Fact]
    public async Task Revoked_partitions_are_given_up_by_the_next_loop_when_the_application_fails_to_commit_them()
    {
        await FillAsync(1_000);
        await using var consumer = Subscribed();
        var asked = new List<IReadOnlyList<TopicPartition>>();
        consumer.PartitionsRevoked = partitions =>
        {
            asked.Add(partitions);
            return asked.Count == 1 ? throw Passing : Task.CompletedTask;
        };
        await using var loop = consumer.ConsumeAsync().GetAsyncEnumerator();
        var joined = loop.MoveNextAsync().AsTask();
        await _group.NextAsync();
        _group.Answer(1, [T0, T1]);
        (await joined).ShouldBeTrue();
        await _group.NextAsync();
        _group.Answer(1, [T0]);
        await _group.NextAsync();
        (await Should.ThrowAsync<StreamsException>(async () => await loop.MoveNextAsync())).Message.ShouldBe(Passing.Message);
        consumer.Assignment.ShouldBe([T0, T1]);
        _group.Rest(1, [T0]);
        (await Collect.FirstAsync(consumer, 1))[0].Partition.ShouldBe(T0);
        consumer.Assignment.ShouldBe([T0]);
        asked.ShouldBe([[T1], [T1]]);
    }

    [Fact]
    public async Task Revoked_partitions_are_free_for_others_though_those_assigned_instead_cannot_be_begun()
    {
        await FillAsync(1_000);
        await using var consumer = Subscribed();
        await using var loop = consumer.ConsumeAsync().GetAsyncEnumerator();
        var joined = loop.MoveNextAsync().AsTask();
        await _group.NextAsync();
        _group.Answer(1, [T0]);
        (await joined).ShouldBeTrue();
        await _group.NextAsync();
        _cluster.RefuseOffsets = () => Passing;
        _group.Answer(2, [T1]);
        (await _group.NextAsync()).Heartbeat.Owned.ShouldContain(T0);
        (await Should.ThrowAsync<StreamsException>(async () => await loop.MoveNextAsync())).Message.ShouldBe(Passing.Message);
        _group.Answer(2, [T1]);
        (await _group.NextAsync()).Heartbeat.Owned.ShouldBe([T1]);
        _cluster.RefuseOffsets = null;
        _group.Rest(2, [T1]);
        (await Collect.FirstAsync(consumer, 1))[0].Partition.ShouldBe(T1);
    }

    [Fact]
    public async Task Partitions_that_could_not_be_begun_are_begun_by_the_next_loop()
    {
        await FillAsync(10);
        await using var consumer = Client.CreateConsumer(Serdes.Int32, Serdes.Int32);
        consumer.Assign((T0, StartPosition.AtOffset(3)), (T1, StartPosition.Earliest));
        _cluster.RefuseOffsets = () => Passing;
        (await Should.ThrowAsync<StreamsException>(() => Collect.FirstAsync(consumer, 1))).Message.ShouldBe(Passing.Message);
        consumer.Assignment.ShouldBe([T0]);
        _cluster.RefuseOffsets = null;
        var records = await Collect.FirstAsync(consumer, 7);
        records.Count(record => record.Partition == T1).ShouldBe(5);
        records.Where(record => record.Partition == T0).Select(record => record.Offset).ShouldBe([3, 4]);
    }

    [Fact]
    public async Task A_partition_out_of_range_is_looked_at_again_by_the_next_loop_when_its_start_was_not_to_be_had()
    {
        await FillAsync(10);
        await using var consumer = Client.CreateConsumer(Serdes.Int32, Serdes.Int32, new ConsumerOptions { AutoOffsetReset = AutoOffsetReset.Earliest });
        consumer.Assign((T0, StartPosition.AtOffset(5_000)));
        _cluster.RefuseOffsets = () => Passing;
        (await Should.ThrowAsync<StreamsException>(() => Collect.FirstAsync(consumer, 1))).Message.ShouldBe(Passing.Message);
        _cluster.RefuseOffsets = null;
        (await Collect.FirstAsync(consumer, 1))[0].Offset.ShouldBe(0);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task What_was_read_before_a_loss_is_not_committed_after_joining_again(bool byHand)
    {
        await FillAsync(1_000);
        var consumer = Subscribed();
        var loop = consumer.ConsumeAsync().GetAsyncEnumerator();
        var joined = loop.MoveNextAsync().AsTask();
        await _group.NextAsync();
        _group.Answer(1, [T0]);
        (await joined).ShouldBeTrue();
        for (var read = 1; read < 120; read++)
        {
            (await loop.MoveNextAsync()).ShouldBeTrue();
        }

        // The member sleeps for longer than its session; another reads up to 500; the member joins again and gets the partition back.
        await _group.NextAsync();
        _group.Refuse(new StreamsException(StreamsErrorCode.UnknownMemberId, "removed"));
        _group.Offsets = [new CommittedOffset(T0, 450)];
        (await _group.NextAsync()).Heartbeat.MemberEpoch.ShouldBe(0);
        _group.Answer(7, [T0]);
        (await _group.NextAsync()).Heartbeat.MemberEpoch.ShouldBe(7);
        _group.Rest(7, [T0]);
        if (byHand)
        {
            (await Should.ThrowAsync<StreamsException>(() => consumer.CommitAsync())).Code.ShouldBe(StreamsErrorCode.FencedMemberEpoch);
            _group.Commits.ShouldBeEmpty();
            (await loop.MoveNextAsync()).ShouldBeTrue();
            loop.Current.Offset.ShouldBe(450);
            (await loop.MoveNextAsync()).ShouldBeTrue();
            await consumer.CommitAsync();
            _group.Commits[^1].ShouldSatisfyAllConditions(
                commit => commit.MemberEpoch.ShouldBe(7),
                commit => commit.Offsets.ShouldBe([new CommittedOffset(T0, 451)]));
        }

        await loop.DisposeAsync();
        await consumer.DisposeAsync();
        _group.Commits.SelectMany(commit => commit.Offsets).ShouldAllBe(offset => offset.Offset > 450);
        _group.Leaves.ShouldBe(1);
    }

    [Fact]
    public void Options_that_would_make_a_consumer_spin_or_its_calls_time_out_are_refused()
    {
        foreach (var wait in (int[])[0, -1, 20_001])
        {
            var refused = Should.Throw<StreamsException>(() => Client.CreateConsumer(Serdes.Int32, Serdes.Int32, new ConsumerOptions { FetchMaxWaitMs = wait }));
            refused.Code.ShouldBe(StreamsErrorCode.InvalidConfig);
            refused.Message.ShouldContain("FetchMaxWaitMs");
        }

        var consumer = Client.CreateConsumer(Serdes.Int32, Serdes.Int32, new ConsumerOptions { FetchMaxWaitMs = 1 });
        Should.Throw<StreamsException>(() => consumer.Assign((T0, StartPosition.Earliest), (T0, StartPosition.Latest))).Code.ShouldBe(StreamsErrorCode.InvalidRequest);
    }

    private StreamsClient Client => new(_cluster.Grains, TimeProvider.System, new Random(2));

    private Consumer<int, int> Subscribed()
    {
        var consumer = Client.CreateConsumer(Serdes.Int32, Serdes.Int32, new ConsumerOptions { GroupId = "g", AutoOffsetReset = AutoOffsetReset.Earliest });
        consumer.Subscribe("t");
        return consumer;
    }

    private async Task FillAsync(int records)
    {
        await using var producer = Client.CreateProducer(Serdes.Int32, Serdes.Int32);
        for (var record = 0; record < records; record++)
        {
            await producer.EnqueueAsync(new ProducerRecord<int, int>("t", record, record) { Partition = record % 2 });
        }
    }
}
