using Orleans;
using Orleans.Concurrency;
using Orleans.Runtime;

namespace EmbeddedOrleans.Tests.Fixture;

internal interface ISlowGrain : IGrainWithStringKey
{
    Task Note(string text);
}

/// <summary>Takes its time to activate.</summary>
internal sealed class SlowGrain(Journal journal, Gates gates) : Grain, ISlowGrain
{
    public override async Task OnActivateAsync(CancellationToken cancellationToken)
    {
        journal.Write("activating");
        await gates.At("activate");
    }

    public Task Note(string text)
    {
        journal.Write(text);
        return Task.CompletedTask;
    }
}

internal interface IHandoffGrain : IGrainWithStringKey
{
    [ReadOnly]
    Task WaitForHandoff();

    [AlwaysInterleave]
    Task HandOff();

    Task Next();
}

/// <summary>One request completes another's wait inside its own code.</summary>
internal sealed class HandoffGrain(Journal journal) : Grain, IHandoffGrain
{
    private readonly TaskCompletionSource _handoff = new();

    public async Task WaitForHandoff()
    {
        journal.Write("waiting");
        await _handoff.Task;
    }

    public Task HandOff()
    {
        journal.Write("hand off begins");
        _handoff.SetResult();
        journal.Write("hand off ends");
        return Task.CompletedTask;
    }

    public Task Next()
    {
        journal.Write("next");
        return Task.CompletedTask;
    }
}

/// <summary>Lets a test decide what an activation does.</summary>
internal sealed class Script
{
    public int ActivationFailures { get; set; }

    public int EndInActivation { get; set; }

    public string? DeactivationGate { get; set; }

    public bool DeactivationThrows { get; set; }
}

internal interface IScriptedGrain : IGrainWithStringKey
{
    Task<int> Number();

    Task Wait(string gate);

    [AlwaysInterleave]
    Task End();
}

internal sealed class ScriptedGrain : Grain, IScriptedGrain, IDisposable
{
    private static int s_count;
    private readonly Script _script;
    private readonly Journal _journal;
    private readonly Gates _gates;
    private readonly int _number = Interlocked.Increment(ref s_count);

    public ScriptedGrain(Script script, Journal journal, Gates gates)
    {
        _script = script;
        _journal = journal;
        _gates = gates;
    }

    public override async Task OnActivateAsync(CancellationToken cancellationToken)
    {
        await Task.Yield();
        if (_script.ActivationFailures > 0)
        {
            _script.ActivationFailures--;
            _journal.Write("activation fails");
            throw new ProbeException("cannot activate");
        }

        if (_script.EndInActivation > 0)
        {
            _script.EndInActivation--;
            DeactivateOnIdle();
        }

        _journal.Write("activated");
    }

    public override async Task OnDeactivateAsync(DeactivationReason reason, CancellationToken cancellationToken)
    {
        _journal.Write($"deactivating {reason.ReasonCode}");
        if (_script.DeactivationGate is { } gate)
        {
            await _gates.At(gate).WaitAsync(cancellationToken);
        }

        if (_script.DeactivationThrows)
        {
            throw new ProbeException("cannot deactivate");
        }
    }

    public Task<int> Number() => Task.FromResult(_number);

    public async Task Wait(string gate)
    {
        _journal.Write($"begin {gate}");
        await _gates.At(gate);
        _journal.Write($"end {gate}");
    }

    public Task End()
    {
        DeactivateOnIdle();
        return Task.CompletedTask;
    }

    public void Dispose() => _journal.Write("disposed");
}

internal sealed record TimerPlan(TimeSpan Due, TimeSpan Period, bool Interleave = false, bool KeepAlive = false, string? Gate = null, bool Throws = false);

internal interface ITimerGrain : IGrainWithStringKey
{
    Task Start(TimerPlan plan);

    Task Change(TimeSpan due, TimeSpan period);

    Task Stop();

    Task Wait(string gate);
}

internal sealed class TimerGrain(Journal journal, Gates gates, TimeProvider time) : Grain, ITimerGrain
{
    private readonly DateTimeOffset _start = time.GetUtcNow();
    private IGrainTimer? _timer;
    private int _tick;

    public override Task OnDeactivateAsync(DeactivationReason reason, CancellationToken cancellationToken)
    {
        journal.Write("deactivate");
        return Task.CompletedTask;
    }

    public Task Start(TimerPlan plan)
    {
        _timer = this.RegisterGrainTimer(
            OnTick, plan, new GrainTimerCreationOptions(plan.Due, plan.Period) { Interleave = plan.Interleave, KeepAlive = plan.KeepAlive });
        return Task.CompletedTask;
    }

    public Task Change(TimeSpan due, TimeSpan period)
    {
        _timer!.Change(due, period);
        return Task.CompletedTask;
    }

    public Task Stop()
    {
        _timer!.Dispose();
        return Task.CompletedTask;
    }

    public async Task Wait(string gate)
    {
        journal.Write($"begin {gate}");
        await gates.At(gate);
        journal.Write($"end {gate}");
    }

    private async Task OnTick(TimerPlan plan, CancellationToken token)
    {
        int tick = ++_tick;
        using CancellationTokenRegistration registration = token.Register(() => journal.Write("tick token cancelled"));
        journal.Write($"tick {tick} at {(time.GetUtcNow() - _start).TotalSeconds}");
        if (plan.Gate is { } gate)
        {
            await gates.At($"{gate}{tick}");
            journal.Write($"tick {tick} ends");
        }

        if (plan.Throws)
        {
            throw new ProbeException("tick");
        }
    }
}
