using Microsoft.Extensions.Logging.Abstractions;
using OrleansStreams.Errors;
using static OrleansStreams.Log.LogFixture;

namespace OrleansStreams.Log;

public sealed class PartitionMaintenanceTests
{
    [Fact]
    public async Task A_thousand_partitions_have_one_timer_and_none_is_left_when_they_are_closed()
    {
        var time = new ManualTime();
        using var maintenance = new PartitionMaintenance(new StreamsOptions(), time);
        var rounds = new int[1000];
        var registrations = Enumerable.Range(0, rounds.Length).Select(i => maintenance.Register(() =>
        {
            Interlocked.Increment(ref rounds[i]);
            return Task.CompletedTask;
        })).ToList();
        (time.ArmedTimers, maintenance.OpenCount).ShouldBe((1, 1000));
        time.Advance(TimeSpan.FromSeconds(31));
        await Turns.UntilAsync(() => rounds.All(count => count == 1));
        registrations.ForEach(registration => registration.Dispose());
        (time.ArmedTimers, maintenance.OpenCount).ShouldBe((0, 0));
    }

    [Fact]
    public async Task A_partition_whose_round_still_runs_is_passed_over()
    {
        var time = new ManualTime();
        using var maintenance = new PartitionMaintenance(new StreamsOptions(), time);
        var (slow, rounds, others) = (new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously), 0, 0);
        maintenance.Register(() =>
        {
            Interlocked.Increment(ref rounds);
            return slow.Task;
        });
        maintenance.Register(() =>
        {
            Interlocked.Increment(ref others);
            return Task.CompletedTask;
        });

        // The other one may not yet have ended its round when the clock moves on, and is then passed over once itself.
        for (var i = 0; i < 3; i++)
        {
            var before = Volatile.Read(ref others);
            await Turns.UntilAsync(() =>
            {
                time.Advance(TimeSpan.FromSeconds(30));
                return Volatile.Read(ref others) > before;
            });
        }

        Volatile.Read(ref rounds).ShouldBe(1);
        slow.SetResult();
    }

    [Fact]
    public async Task An_idle_partition_is_closed_and_the_next_request_finds_everything_in_it()
    {
        var time = new ManualTime();
        await using var cluster = await ClusterFixture.StartAsync(files: true, time: time);
        await cluster.Topic("a").CreateAsync(1, new TopicConfig { RetentionMs = -1 });
        await cluster.Partition("a").AppendAsync(new ProduceRequest(Sequenced(7, 0, 2)));
        var epoch = (await cluster.Partition("a").GetOffsetsAsync()).LeaderEpoch;

        await AdvanceUntilAsync(cluster, time, () => cluster.Maintenance.OpenCount == 0);
        (await cluster.Partition("a").GetOffsetsAsync()).LeaderEpoch.ShouldBeGreaterThan(epoch);
        (await cluster.Partition("a").AppendAsync(new ProduceRequest(Sequenced(7, 0, 2)))).ShouldBe(new ProduceResult(0, -1, 0, true), "its producer is remembered");
        (await cluster.Partition("a").AppendAsync(new ProduceRequest(Sequenced(7, 2)))).BaseOffset.ShouldBe(2);
    }

    [Fact]
    public async Task A_partition_is_not_idle_while_somebody_waits_or_shortly_after()
    {
        var fixture = new LogFixture();
        var log = await fixture.OpenAsync();
        await log.AppendAsync(Batch("x"));
        fixture.Time.Advance(TimeSpan.FromSeconds(10));
        log.IdleTime.ShouldBe(TimeSpan.FromSeconds(10));
        var waiting = log.FetchAsync(new FetchRequest(1, 100, 1, 20_000), default);
        fixture.Time.Advance(TimeSpan.FromSeconds(5));
        log.IdleTime.ShouldBe(TimeSpan.Zero);
        await log.AppendAsync(Batch("y"));
        (await waiting).NextOffset.ShouldBe(2);
        fixture.Time.Advance(TimeSpan.FromSeconds(3));
        log.IdleTime.ShouldBe(TimeSpan.FromSeconds(3));
        await log.DisposeAsync();
        (await RefusedAsync(log.AppendAsync(Batch("z")))).Code.ShouldBe(StreamsErrorCode.NotLeader);
    }

    [Fact]
    public async Task A_partition_that_is_only_asked_for_its_offsets_is_not_opened_again_and_again()
    {
        var time = new ManualTime();
        await using var cluster = await ClusterFixture.StartAsync(time: time);
        await cluster.Topic("a").CreateAsync(1, TopicConfig.Default);
        var epoch = (await cluster.Partition("a").GetOffsetsAsync()).LeaderEpoch;
        for (var i = 0; i < 20; i++)
        {
            time.Advance(cluster.Options.MaintenanceInterval);
            (await cluster.Partition("a").GetOffsetsAsync()).LeaderEpoch.ShouldBe(epoch);
        }
    }

    [Fact]
    public async Task An_idle_partition_s_old_records_go_without_any_request_and_then_it_sleeps_for_good()
    {
        var time = new ManualTime();
        await using var cluster = await ClusterFixture.StartAsync(time: time);
        await cluster.Topic("a").CreateAsync(1, new TopicConfig { RetentionMs = 3_600_000 });
        await cluster.Partition("a").AppendAsync(new ProduceRequest(BatchAt(time.GetUtcNow().ToUnixTimeMilliseconds(), "old")));
        var due = time.GetUtcNow() + TimeSpan.FromHours(1);
        await AdvanceUntilAsync(cluster, time, () => cluster.Maintenance is { OpenCount: 0, SleepingCount: 1 });
        var opened = cluster.LogStorage.Opened;
        await AdvanceUntilAsync(cluster, time, () => time.GetUtcNow() > due);
        await AdvanceUntilAsync(cluster, time, () => cluster.Memory.UsedBytes == 0 && cluster.Maintenance is { OpenCount: 0, SleepingCount: 0 });

        // The clock may overtake a call on a busy machine, which is then repeated.
        cluster.LogStorage.Opened.ShouldBeInRange(opened + 1, opened + 3);
        (await cluster.Partition("a").GetOffsetsAsync()).LogStartOffset.ShouldBe(1);
    }

    [Fact]
    public async Task An_idle_partition_is_compacted_without_any_request()
    {
        var time = new ManualTime();
        await using var cluster = await ClusterFixture.StartAsync(time: time);
        var config = Compaction.CompactionFixture.Compacted with { SegmentMs = 3_600_000, MinCompactionLagMs = 7_200_000 };
        await cluster.Topic("a").CreateAsync(1, config);
        for (var i = 0; i < 8; i++)
        {
            var batch = Compaction.CompactionFixture.Keyed(time.GetUtcNow().ToUnixTimeMilliseconds(), ("key", new string('.', 500)));
            await cluster.Partition("a").AppendAsync(new ProduceRequest(batch));
        }

        await AdvanceUntilAsync(cluster, time, () => cluster.Maintenance is { OpenCount: 0, SleepingCount: 1 });
        cluster.Memory.UsedBytes.ShouldBeGreaterThan(4000);
        await AdvanceUntilAsync(cluster, time, () => cluster.Memory.UsedBytes < 1500 && cluster.Maintenance is { OpenCount: 0, SleepingCount: 0 });
    }

    [Fact]
    public async Task A_partition_that_keeps_its_records_for_ever_is_never_woken()
    {
        var time = new ManualTime();
        await using var cluster = await ClusterFixture.StartAsync(time: time);
        await cluster.Topic("a").CreateAsync(1, new TopicConfig { RetentionMs = -1 });
        await cluster.Partition("a").AppendAsync(new ProduceRequest(Batch("x")));
        await AdvanceUntilAsync(cluster, time, () => cluster.Maintenance.OpenCount == 0);
        cluster.Maintenance.SleepingCount.ShouldBe(0);
        (await SweepAsync(cluster)).ShouldBe(0);
    }

    [Fact]
    public async Task A_deleted_topic_leaves_nothing_to_wake_and_one_that_comes_to_forget_is_woken()
    {
        var time = new ManualTime();
        await using var cluster = await ClusterFixture.StartAsync(time: time);
        await cluster.Topic("a").CreateAsync(2, new TopicConfig { RetentionMs = 3_600_000 });
        await cluster.Topic("b").CreateAsync(1, new TopicConfig { RetentionMs = -1 });
        var old = BatchAt(time.GetUtcNow().ToUnixTimeMilliseconds(), "x");
        await cluster.Partition("a").AppendAsync(new ProduceRequest(old));
        await cluster.Partition("b").AppendAsync(new ProduceRequest(old));
        await AdvanceUntilAsync(cluster, time, () => cluster.Maintenance.OpenCount == 0);
        cluster.Maintenance.SleepingCount.ShouldBe(1);
        await cluster.Topic("a").DeleteAsync();
        cluster.Maintenance.SleepingCount.ShouldBe(0);

        await cluster.Topic("b").AlterConfigAsync(new TopicConfig { RetentionMs = 1000 });
        await AdvanceUntilAsync(cluster, time, () => cluster.Memory.UsedBytes == 0);
    }

    [Fact]
    public async Task After_a_restart_old_records_go_from_partitions_that_nobody_uses_and_those_never_used_stay_unopened()
    {
        var time = new ManualTime();
        await using var cluster = await ClusterFixture.StartAsync(time: time);
        await cluster.Topic("a").CreateAsync(5, new TopicConfig { RetentionMs = 3_600_000 });
        for (var partition = 0; partition < 3; partition++)
        {
            await cluster.Partition("a", partition).AppendAsync(new ProduceRequest(BatchAt(time.GetUtcNow().ToUnixTimeMilliseconds(), "old")));
        }

        await cluster.RestartAsync();
        time.Advance(TimeSpan.FromHours(2));
        (await SweepAsync(cluster)).ShouldBe(3);
        await AdvanceUntilAsync(cluster, time, () => cluster.Memory.UsedBytes == 0 && cluster.Maintenance is { OpenCount: 0, SleepingCount: 0 });
        (await cluster.LogStorage.ListAsync("")).Count.ShouldBe(3);
    }

    [Fact]
    public async Task Partitions_that_are_due_together_are_woken_one_after_the_other_and_not_too_many_at_a_time()
    {
        var time = new ManualTime();
        using var maintenance = new PartitionMaintenance(new StreamsOptions(), time);
        var (woken, answer) = (new List<string>(), new TaskCompletionSource());
        Task Wake(string partition)
        {
            woken.Add(partition);
            return answer.Task;
        }

        for (var i = 0; i < 1000; i++)
        {
            maintenance.WakeAt($"a/{i}", time.GetUtcNow().ToUnixTimeMilliseconds(), Wake);
        }

        time.Advance(TimeSpan.FromSeconds(90));
        woken.Count.ShouldBe(1, "it has not answered");
        answer.SetResult();
        await Turns.UntilAsync(() => woken.Count == PartitionMaintenance.WakesPerInterval);
        for (var i = 0; i < 3; i++)
        {
            time.Advance(TimeSpan.FromSeconds(30));
        }

        woken.Distinct().Count().ShouldBe(1000);
        (time.ArmedTimers, maintenance.SleepingCount).ShouldBe((0, 0));
    }

    [Fact]
    public void A_partition_that_cannot_be_woken_is_tried_again_later()
    {
        var time = new ManualTime();
        using var maintenance = new PartitionMaintenance(new StreamsOptions(), time);
        var tries = 0;
        maintenance.WakeAt("a/0", 0, _ => ++tries == 1 ? throw new StreamsException(StreamsErrorCode.StorageError, "no disk") : Task.CompletedTask);
        time.Advance(TimeSpan.FromMinutes(5));
        tries.ShouldBe(1);
        time.Advance(TimeSpan.FromMinutes(10));
        (tries, maintenance.SleepingCount, time.ArmedTimers).ShouldBe((2, 0, 0));
    }

    private static Task<int> SweepAsync(ClusterFixture cluster) =>
        new UpkeepSweep(cluster.Grains, cluster.LogStorage, cluster.Maintenance, cluster.Time, NullLogger<UpkeepSweep>.Instance).SweepAsync();

    /// <summary>Moves the clock whenever the rounds that the last step began have had the time to end.</summary>
    private static async Task AdvanceUntilAsync(ClusterFixture cluster, ManualTime time, Func<bool> happened)
    {
        var deadline = DateTime.UtcNow + TimeSpan.FromSeconds(20);
        while (!happened())
        {
            DateTime.UtcNow.ShouldBeLessThan(deadline, $"it did not happen until {time.GetUtcNow()}; {cluster.Maintenance.OpenCount} open, {cluster.Maintenance.SleepingCount} sleeping");
            time.Advance(cluster.Options.MaintenanceInterval);
            for (var i = 0; i < 200 && !happened(); i++)
            {
                await Task.Yield();
            }
        }
    }
}
