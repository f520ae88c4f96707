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
        await EventuallyAsync(() => rounds.All(count => count == 1));
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
        for (var i = 1; i <= 3; i++)
        {
            time.Advance(TimeSpan.FromSeconds(30));
            await EventuallyAsync(() => Volatile.Read(ref others) == i);
        }

        Volatile.Read(ref rounds).ShouldBe(1);
        slow.SetResult();
    }

    [Fact]
    public async Task An_idle_partition_is_closed_and_the_next_request_finds_everything_in_it()
    {
        var time = new ManualTime();
        await using var cluster = new ClusterFixture(files: true, time: time);
        await cluster.Topic("a").CreateAsync(1, new TopicConfig { RetentionMs = -1 });
        await cluster.Partition("a").AppendAsync(new ProduceRequest(Sequenced(7, 0, 2)));
        var epoch = (await cluster.Partition("a").GetOffsetsAsync()).LeaderEpoch;

        // A round runs in a turn of its own; asking for the offsets is no use of the log.
        var deadline = DateTime.UtcNow + TimeSpan.FromSeconds(20);
        while ((await cluster.Partition("a").GetOffsetsAsync()).LeaderEpoch == epoch)
        {
            DateTime.UtcNow.ShouldBeLessThan(deadline, "it was never closed");
            time.Advance(cluster.Options.MaintenanceInterval);
            await Task.Yield();
        }

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

    private static async Task EventuallyAsync(Func<bool> happened)
    {
        var deadline = DateTime.UtcNow + TimeSpan.FromSeconds(20);
        while (!happened())
        {
            DateTime.UtcNow.ShouldBeLessThan(deadline);
            await Task.Yield();
        }
    }
}
