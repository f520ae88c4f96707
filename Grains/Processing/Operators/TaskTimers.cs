using OrleansStreams.Processing.Watermarks;

namespace OrleansStreams.Processing.Operators;

/// <summary>A step that waits for event time. What it waits for is in its stores, so that a restore knows it too.</summary>
internal interface IEventTimeStep
{
    /// <summary>The step's watermark (<see cref="StepClock.Watermark"/>) at which it has something to do; long.MaxValue when it waits for nothing. Looked at after every record: a field, not a search.</summary>
    long NextDue { get; }

    /// <summary>The step's watermark has come to this, at or after <see cref="NextDue"/>, which must be later afterwards.</summary>
    void OnWatermark(long watermark);
}

/// <summary>A step that waits for the wall clock.</summary>
internal interface IWallClockStep
{
    /// <summary>The wall clock, ms since the Unix epoch, at which it has something to do; long.MaxValue when it waits for nothing.</summary>
    long NextDue { get; }

    /// <summary>The wall clock has come to this, at or after <see cref="NextDue"/>, which must be later afterwards.</summary>
    void OnWallClock(long nowMs);
}

/// <summary>A step that keeps something beside its stores that follows from them.</summary>
internal interface IRestoredStep
{
    /// <summary>The stores were restored; called after every entry of the journal.</summary>
    void Restored();
}

/// <summary>A step that begins when all stores have been restored, or are new.</summary>
internal interface IStartedStep
{
    /// <summary>Called once, before anything is processed.</summary>
    void Start();
}

/// <summary>Runs the steps that wait for time: by due time, then in the order of the topology, so that what a step emits meets those behind it before they get to that time.</summary>
internal sealed class TaskTimers(TaskContext context, (IEventTimeStep Step, long DelayMs)[] eventTimeSteps, IWallClockStep[] wallClockSteps)
{
    /// <summary>The task's watermark at which the first step has something to do; long.MaxValue when none waits.</summary>
    public long NextDue
    {
        get
        {
            var next = long.MaxValue;
            foreach (var (step, delay) in eventTimeSteps)
            {
                var due = step.NextDue;
                next = Math.Min(next, due > long.MaxValue - delay ? long.MaxValue : due + delay);
            }

            return next;
        }
    }

    /// <summary>The wall clock at which the first step has something to do; long.MaxValue when none waits.</summary>
    public long NextWallClockDue
    {
        get
        {
            var next = long.MaxValue;
            foreach (var step in wallClockSteps)
            {
                next = Math.Min(next, step.NextDue);
            }

            return next;
        }
    }

    /// <summary>Takes the steps to a watermark, as if it had risen ms by ms.</summary>
    public void RaiseWatermark(long watermark)
    {
        context.WatermarkTarget = watermark;
        context.IsRaising = true;
        for (var due = NextDue; due <= watermark && due != long.MaxValue; due = NextDue)
        {
            BeginTimers();
            context.Watermark = Math.Max(context.Watermark, due);
            foreach (var (step, delay) in eventTimeSteps)
            {
                if (step.NextDue <= context.Watermark - delay)
                {
                    var before = step.NextDue;
                    step.OnWatermark(context.Watermark - delay);
                    if (step.NextDue <= before)
                    {
                        throw new InvalidOperationException($"A step that was due at {before} is due at {step.NextDue} again: its timers would never end.");
                    }
                }
            }
        }

        context.IsRaising = false;
        context.Watermark = Math.Max(context.Watermark, watermark);
    }

    public void AdvanceWallClock(long nowMs)
    {
        foreach (var step in wallClockSteps)
        {
            if (step.NextDue <= nowMs)
            {
                BeginTimers();
                step.OnWallClock(nowMs);
            }
        }
    }

    private void BeginTimers()
    {
        context.InputWatermark = WatermarkTracker.None;
        context.ValueIsNull = false;
        context.Headers = null;
    }
}
