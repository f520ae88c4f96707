using EmbeddedOrleans.Tests.Fixture;

namespace EmbeddedOrleans.Tests.Runtime;

public sealed class CancellationTests
{
    [Fact]
    public void Cancelling_releases_the_caller_at_once_and_reaches_the_callee_in_a_turn()
    {
        using var cluster = new TestCluster();
        using var source = new CancellationTokenSource();
        Task call = cluster.Probe().WaitForCancel("x", source.Token);
        cluster.Run();
        source.Cancel();
        call.IsCanceled.ShouldBeTrue();
        cluster.Fails<OperationCanceledException>(call).CancellationToken.ShouldBe(source.Token);
        cluster.Journal.Entries.ShouldBe(["activate p", "x waits", "x token cancelled, in a turn: True", "x ends"]);
        cluster.Result(cluster.Probe().Echo("free")).ShouldBe("free");
    }

    [Fact]
    public void A_call_with_a_cancelled_token_is_not_sent()
    {
        using var cluster = new TestCluster();
        cluster.Fails<OperationCanceledException>(cluster.Probe().WaitForCancel("x", new CancellationToken(canceled: true)));
        cluster.Journal.Entries.ShouldBeEmpty();
    }

    [Fact]
    public void A_request_cancelled_while_it_waited_is_never_started()
    {
        using var cluster = new TestCluster();
        using var source = new CancellationTokenSource();
        _ = cluster.Probe().Wait("g");
        Task waiting = cluster.Probe().WaitForCancel("x", source.Token);
        cluster.Run();
        source.Cancel();
        cluster.Fails<OperationCanceledException>(waiting);
        cluster.Open("g");
        cluster.Journal.Entries.ShouldBe(["activate p", "begin g", "end g"]);
    }

    [Fact]
    public void The_token_crosses_a_chain_of_calls()
    {
        using var cluster = new TestCluster();
        using var source = new CancellationTokenSource();
        Task call = cluster.Cluster.GrainFactory.GetGrain<IRelayGrain>("r").Relay("p", source.Token);
        cluster.Run();
        source.Cancel();
        cluster.Fails<OperationCanceledException>(call);
        cluster.Journal.Entries.ShouldContain("r token cancelled, in a turn: True");
    }

    [Fact]
    public void Cancelling_after_the_answer_does_nothing()
    {
        using var cluster = new TestCluster();
        using var source = new CancellationTokenSource();
        Task<int> call = cluster.Cluster.GrainFactory.GetGrain<IRelayGrain>("r").Quick(source.Token);
        cluster.Result(call).ShouldBe(1);
        source.Cancel();
        cluster.Result(call).ShouldBe(1);
    }
}

internal interface IRelayGrain : Orleans.IGrainWithStringKey
{
    Task Relay(string probe, CancellationToken token);

    Task<int> Quick(CancellationToken token);
}

internal sealed class RelayGrain : Orleans.Grain, IRelayGrain
{
    public Task Relay(string probe, CancellationToken token) => GrainFactory.GetGrain<IProbeGrain>(probe).WaitForCancel("r", token);

    public Task<int> Quick(CancellationToken token) => Task.FromResult(1);
}
