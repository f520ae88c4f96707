using Orleans;
using Orleans.Concurrency;

namespace EmbeddedOrleans.Tests.Fixture;

/// <summary>A grain with something of everything.</summary>
internal interface IProbeGrain : IGrainWithStringKey
{
    Task<string> Echo(string text);

    ValueTask<int> Add(int a, int b);

    Task Note(string text);

    ValueTask NoteLater(string text, string gate);

    Task Wait(string gate);

    [ReadOnly]
    Task Read(string gate);

    [AlwaysInterleave]
    Task Interleave(string gate);

    [OneWay]
    Task Fire(string text);

    [OneWay]
    Task FireAndThrow();

    Task ThrowLater(string message);

    Task ThrowAtOnce(string message);

    ValueTask<int> ThrowValue(string message);

    Task Cancelled();

    [ResponseTimeout("00:00:05")]
    Task WaitShort(string gate);

    Task CallAndComeBack(string other);

    Task WaitForCancel(string name, CancellationToken token);

    Task EndSelf();

    Task Keep(TimeSpan time);

    Task<Guid> ActivationId();

    Task<string> Key();

    Task Background(string gate);

    Task<string> Silo();
}

internal interface IReentrantProbeGrain : IProbeGrain
{
}

internal sealed class ProbeException(string message) : Exception(message)
{
    public int Code { get; init; }
}

internal abstract class ProbeBase(Journal journal, Gates gates) : Grain, IProbeGrain
{
    private readonly Guid _id = Guid.NewGuid();
    private int _turnDepth;

    public override Task OnActivateAsync(CancellationToken cancellationToken)
    {
        journal.Write($"activate {this.GetPrimaryKeyString()}");
        return Task.CompletedTask;
    }

    public override Task OnDeactivateAsync(DeactivationReason reason, CancellationToken cancellationToken)
    {
        journal.Write($"deactivate {this.GetPrimaryKeyString()} {reason.ReasonCode}");
        return Task.CompletedTask;
    }

    public Task<string> Echo(string text) => Task.FromResult(text);

    public ValueTask<int> Add(int a, int b) => new(a + b);

    public Task Note(string text)
    {
        journal.Write(text);
        return Task.CompletedTask;
    }

    public async ValueTask NoteLater(string text, string gate)
    {
        await gates.At(gate);
        journal.Write(text);
    }

    public Task Wait(string gate) => Pass(gate);

    public Task Read(string gate) => Pass(gate);

    public Task Interleave(string gate) => Pass(gate);

    public Task WaitShort(string gate) => Pass(gate);

    public Task Fire(string text)
    {
        journal.Write(text);
        return Task.CompletedTask;
    }

    public Task FireAndThrow() => throw new ProbeException("nobody hears this");

    public async Task ThrowLater(string message)
    {
        await Task.Yield();
        throw new ProbeException(message) { Code = 7 };
    }

    public Task ThrowAtOnce(string message) => throw new ProbeException(message) { Code = 7 };

    public async ValueTask<int> ThrowValue(string message)
    {
        await Task.Yield();
        throw new ProbeException(message) { Code = 7 };
    }

    public async Task Cancelled()
    {
        await Task.Yield();
        throw new OperationCanceledException("changed my mind");
    }

    public async Task CallAndComeBack(string other)
    {
        string me = this.GetPrimaryKeyString();
        journal.Write($"{me} calls {other}");
        if (other.Length == 0)
        {
            return;
        }

        IProbeGrain target = this is IReentrantProbeGrain ? GrainFactory.GetGrain<IReentrantProbeGrain>(other) : GrainFactory.GetGrain<IProbeGrain>(other);
        await target.CallAndComeBack(other == "a" ? "" : me == "a" ? "a" : "");
    }

    public async Task WaitForCancel(string name, CancellationToken token)
    {
        var cancelled = new TaskCompletionSource();
        using CancellationTokenRegistration registration = token.Register(() =>
        {
            journal.Write($"{name} token cancelled, in a turn: {TaskScheduler.Current != TaskScheduler.Default}");
            cancelled.SetResult();
        });
        journal.Write($"{name} waits");
        await cancelled.Task;
        journal.Write($"{name} ends");
        token.ThrowIfCancellationRequested();
    }

    public Task EndSelf()
    {
        DeactivateOnIdle();
        return Task.CompletedTask;
    }

    public Task Keep(TimeSpan time)
    {
        DelayDeactivation(time);
        return Task.CompletedTask;
    }

    public Task<Guid> ActivationId() => Task.FromResult(_id);

    public Task<string> Key() => Task.FromResult(this.GetPrimaryKeyString());

    public Task Background(string gate)
    {
        _ = Loop();
        return Task.CompletedTask;

        async Task Loop()
        {
            TaskScheduler own = TaskScheduler.Current;
            await gates.At(gate);
            journal.Write($"background on the grain's scheduler: {TaskScheduler.Current == own && own != TaskScheduler.Default}");
        }
    }

    public Task<string> Silo() => Task.FromResult(((EmbeddedOrleans.Runtime.Activation)GrainContext).Silo.Name);

    private async Task Pass(string gate)
    {
        Interlocked.Increment(ref _turnDepth).ShouldBe(1, "two turns of one activation overlap");
        journal.Write($"begin {gate}");
        Interlocked.Decrement(ref _turnDepth);
        await gates.At(gate);
        journal.Write($"end {gate}");
    }
}

internal sealed class ProbeGrain(Journal journal, Gates gates) : ProbeBase(journal, gates);

[Reentrant]
internal sealed class ReentrantProbeGrain(Journal journal, Gates gates) : ProbeBase(journal, gates), IReentrantProbeGrain;
