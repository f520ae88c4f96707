using Microsoft.Extensions.Logging.Abstractions;
using Orleans.Runtime;
using OrleansStreams.Cluster.Failover;
using OrleansStreams.Log;

namespace OrleansStreams.Cluster.Tests.Failover;

public sealed class CallsUnderWayTests : IDisposable
{
    private readonly ManualTime time = new();
    private readonly CallsUnderWay calls;

    public CallsUnderWayTests() => calls = new CallsUnderWay(time, NullLogger<CallsUnderWay>.Instance);

    [Fact]
    public async Task A_call_that_is_answered_ends_with_its_answer_and_another_with_its_failure()
    {
        var answer = new TaskCompletionSource();
        var (call, failing) = (calls.RunAsync(() => answer.Task), calls.RunAsync(() => Task.FromException(new FormatException("no"))));
        answer.SetResult();
        await call;
        (await failing.ShouldThrowAsync<FormatException>()).Message.ShouldBe("no");
    }

    [Fact]
    public void Without_a_loss_a_call_waits_however_long_it_takes()
    {
        var call = calls.RunAsync(NeverAnswered);
        time.Advance(TimeSpan.FromHours(1));
        call.IsCompleted.ShouldBeFalse();
    }

    [Fact]
    public async Task A_call_under_way_at_a_loss_is_given_up_as_if_its_silo_had_said_so()
    {
        var call = calls.RunAsync(NeverAnswered);
        calls.SiloLost();
        call.IsCompleted.ShouldBeFalse("it may be answered yet");
        time.Advance(TimeSpan.FromMilliseconds(100));
        (await call.ShouldThrowAsync<SiloUnavailableException>()).Message.ShouldContain("not known");
    }

    [Fact]
    public async Task A_call_that_is_answered_in_the_moment_after_a_loss_is_not_given_up()
    {
        var answer = new TaskCompletionSource();
        var call = calls.RunAsync(() => answer.Task);
        calls.SiloLost();
        time.Advance(TimeSpan.FromMilliseconds(99));
        answer.SetResult();
        time.Advance(TimeSpan.FromSeconds(10));
        await call;
    }

    [Fact]
    public async Task A_call_sent_after_a_loss_is_given_up_only_when_it_is_old_and_the_loss_is_recent()
    {
        calls.SiloLost();
        time.Advance(TimeSpan.FromMilliseconds(200));
        var soon = calls.RunAsync(NeverAnswered);
        time.Advance(TimeSpan.FromMilliseconds(799));
        soon.IsCompleted.ShouldBeFalse();
        var later = calls.RunAsync(NeverAnswered);
        time.Advance(TimeSpan.FromMilliseconds(1));
        await soon.ShouldThrowAsync<SiloUnavailableException>();
        later.IsCompleted.ShouldBeFalse("it had no time to be answered");
        time.Advance(TimeSpan.FromMilliseconds(1_500));
        await later.ShouldThrowAsync<SiloUnavailableException>();

        time.Advance(TimeSpan.FromMilliseconds(2_400));
        var last = calls.RunAsync(NeverAnswered);
        time.Advance(TimeSpan.FromHours(1));
        last.IsCompleted.ShouldBeFalse("the loss is over");
        time.ArmedTimers.ShouldBe(0);
    }

    [Fact]
    public async Task Losses_one_after_the_other_do_not_put_the_giving_up_off()
    {
        var call = calls.RunAsync(NeverAnswered);
        calls.SiloLost();
        time.Advance(TimeSpan.FromMilliseconds(90));
        calls.SiloLost();
        time.Advance(TimeSpan.FromMilliseconds(10));
        await call.ShouldThrowAsync<SiloUnavailableException>();

        var second = calls.RunAsync(NeverAnswered);
        calls.SiloLost();
        time.Advance(TimeSpan.FromMilliseconds(100));
        await second.ShouldThrowAsync<SiloUnavailableException>();
    }

    [Fact]
    public async Task The_list_of_gateways_tells_a_loss_when_one_is_gone_or_was_started_anew_and_not_when_one_came()
    {
        var list = new ListedGateways();
        var gateways = new WatchedGateways(list, calls);
        list.Gateways = ["gwy.tcp://127.0.0.1:1/7"];
        await gateways.GetGateways();
        list.Gateways = ["gwy.tcp://127.0.0.1:1/7", "gwy.tcp://127.0.0.1:2/7"];
        await gateways.GetGateways();
        time.ArmedTimers.ShouldBe(0);

        list.Gateways = ["gwy.tcp://127.0.0.1:1/8", "gwy.tcp://127.0.0.1:2/7"];
        (await gateways.GetGateways()).Count.ShouldBe(2);
        time.ArmedTimers.ShouldBe(1);
        time.Advance(TimeSpan.FromMinutes(1));
        list.Gateways = ["gwy.tcp://127.0.0.1:1/8"];
        await gateways.GetGateways();
        time.ArmedTimers.ShouldBe(1);
    }

    [Fact]
    public void A_closed_connection_tells_a_loss_and_an_opened_one_does_not()
    {
        var connections = new LostConnections(calls);
        connections.NotifyGatewayCountChanged(2, 1, connectionRecovered: false);
        time.ArmedTimers.ShouldBe(0);
        connections.NotifyGatewayCountChanged(1, 2, connectionRecovered: false);
        time.ArmedTimers.ShouldBe(1);
    }

    public void Dispose() => calls.Dispose();

    private static Task NeverAnswered() => new TaskCompletionSource().Task;

    private sealed class ListedGateways : Orleans.Messaging.IGatewayListProvider
    {
        public string[] Gateways { get; set; } = [];

        public TimeSpan MaxStaleness => TimeSpan.FromSeconds(1);

        public bool IsUpdatable => true;

        public Task InitializeGatewayListProvider() => Task.CompletedTask;

        public Task<IList<Uri>> GetGateways() => Task.FromResult<IList<Uri>>([.. Gateways.Select(gateway => new Uri(gateway))]);
    }
}
