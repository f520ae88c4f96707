using System.Data.Common;
using Orleans.Runtime;
using OrleansStreams.Clients;
using OrleansStreams.Errors;
using OrleansStreams.Log;

namespace OrleansStreams.Tests.Clients;

public sealed class ClientRetryTests
{
    private static readonly TimeSpan Timeout = TimeSpan.FromSeconds(10);

    private readonly ManualTime time = new();
    private readonly ClientRetry retry;

    public ClientRetryTests() => retry = new ClientRetry(time, new Random(1));

    public static TheoryData<Exception, bool> Failures => new()
    {
        { new StreamsException(StreamsErrorCode.NotLeader, "another leads"), true },
        { new StreamsException(StreamsErrorCode.StorageError, "the disk"), true },
        { new StreamsException(StreamsErrorCode.UnknownTopicOrPartition, "no such topic"), false },
        { new StreamsException(StreamsErrorCode.Unknown, "a fault"), false },
        { new SiloUnavailableException("gone"), true },
        { new OrleansException("any other failure of the way"), true },
        { new TimeoutException("no answer"), true },
        { new TaskCanceledException("the silo stops"), true },
        { new DatabaseAway(passes: true), true },
        { new DatabaseAway(passes: false), false },
        { new InvalidOperationException("a fault of the grain"), false },
        { new ObjectDisposedException("the client"), false },
    };

    [Theory]
    [MemberData(nameof(Failures), DisableDiscoveryEnumeration = true)]
    public void A_failure_is_passing_or_for_good_by_its_code_or_kind(Exception failure, bool isTransient) => ClientRetry.IsTransient(failure).ShouldBe(isTransient);

    [Fact]
    public async Task A_call_is_made_again_until_it_succeeds_and_waits_longer_each_time_up_to_a_bound()
    {
        var calls = new List<long>();
        var call = retry.RunAsync(
            () =>
            {
                calls.Add(time.GetTimestamp());
                return calls.Count < 12 ? Task.FromException<int>(new SiloUnavailableException("gone")) : Task.FromResult(7);
            },
            Timeout,
            CancellationToken.None);
        await AdvanceUntilAsync(call);
        (await call).ShouldBe(7);
        var waits = calls.Zip(calls.Skip(1), (from, to) => (to - from) / TimeSpan.TicksPerMillisecond).ToList();
        waits[0].ShouldBeInRange(10, 20);
        waits[3].ShouldBeInRange(80, 160);
        waits.Skip(5).ShouldAllBe(wait => wait >= 125 && wait <= 250, "a failover is over in a moment");
    }

    [Fact]
    public async Task A_typed_failure_is_given_more_time()
    {
        var calls = new List<long>();
        var call = retry.RunAsync<int>(
            () =>
            {
                calls.Add(time.GetTimestamp());
                return Task.FromException<int>(new StreamsException(StreamsErrorCode.PartitionBusy, "full"));
            },
            Timeout,
            CancellationToken.None);
        await AdvanceUntilAsync(call);
        (await call.ShouldThrowAsync<StreamsException>()).Code.ShouldBe(StreamsErrorCode.PartitionBusy, "the grain has said what it is");
        var last = (calls[^1] - calls[^2]) / TimeSpan.TicksPerMillisecond;
        last.ShouldBeInRange(500, 1000);
    }

    [Fact]
    public async Task At_the_bound_a_call_that_no_silo_answered_says_that_its_outcome_is_unknown()
    {
        var call = retry.RunAsync<int>(() => Task.FromException<int>(new SiloUnavailableException("the silo is gone")), Timeout, CancellationToken.None);
        await AdvanceUntilAsync(call);
        var failure = await call.ShouldThrowAsync<StreamsException>();
        (failure.Code, failure.Outcome).ShouldBe((StreamsErrorCode.RequestTimedOut, WriteOutcome.Unknown));
        failure.Message.ShouldContain("within 10 s (the silo is gone)");
        failure.InnerException.ShouldBeOfType<SiloUnavailableException>();
    }

    [Fact]
    public async Task What_fails_for_good_is_not_tried_again()
    {
        var calls = 0;
        await retry.RunAsync<int>(
            () =>
            {
                calls++;
                return Task.FromException<int>(new StreamsException(StreamsErrorCode.InvalidTopic, "no"));
            },
            Timeout,
            CancellationToken.None).ShouldThrowAsync<StreamsException>();
        calls.ShouldBe(1);
    }

    [Fact]
    public async Task A_caller_that_gives_up_is_told_so_and_not_that_the_time_is_over()
    {
        using var giving = new CancellationTokenSource();
        var call = retry.RunAsync<int>(() => Task.FromException<int>(new TimeoutException("slow")), Timeout, giving.Token);
        await giving.CancelAsync();
        await call.ShouldThrowAsync<OperationCanceledException>();
    }

    /// <summary>Each step lets the continuations of timers run to their next wait.</summary>
    private async Task AdvanceUntilAsync(Task call)
    {
        for (var step = 0; step < 20_000 && !call.IsCompleted; step++)
        {
            time.Advance(TimeSpan.FromMilliseconds(1));
            for (var turn = 0; turn < 100 && time.ArmedTimers == 0 && !call.IsCompleted; turn++)
            {
                await Task.Yield();
            }
        }

        call.IsCompleted.ShouldBeTrue("it ends");
    }

    private sealed class DatabaseAway(bool passes) : DbException("the database is away")
    {
        public override bool IsTransient => passes;
    }
}
