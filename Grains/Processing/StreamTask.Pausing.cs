using OrleansStreams.Processing.Watermarks;

namespace OrleansStreams.Processing;

/// <summary>Pausing: nothing is read and no time passes, while commits, queries and status go on. And holding inputs that are too far ahead of the application's other tasks.</summary>
internal sealed partial class StreamTask
{
    // Whoever supervises the tasks may die: then they go on each for itself.
    private static readonly TimeSpan s_alignmentPatience = TimeSpan.FromSeconds(30);

    private bool _isPaused;
    private bool _isAligned;
    private long _alignedAt;

    /// <summary>Pauses the task, or lets it go on.</summary>
    public void SetPaused(bool isPaused)
    {
        if (_isPaused == isPaused)
        {
            return;
        }

        _isPaused = isPaused;
        if (!isPaused && _engine is { } engine)
        {
            // The silence of a pause says nothing of the inputs: who was paused for an hour must not find all of them idle before the first fetch has come back.
            AwaitAll(engine);
        }

        _wake.TrySetResult();
    }

    /// <summary>Hears how far the other tasks' aligned sources have come, and tells how far its own have.</summary>
    /// <param name="slowestOther">The least of their watermarks; long.MaxValue when none counts.</param>
    public long Align(long slowestOther)
    {
        if (_engine is not { } engine || State != StreamTaskState.Running)
        {
            return WatermarkTracker.End;
        }

        _isAligned = slowestOther != WatermarkTracker.End;
        _alignedAt = Time.GetTimestamp();
        engine.Watermarks.AlignWith(slowestOther);
        _wake.TrySetResult();
        return engine.Watermarks.SlowestAligned;
    }

    /// <summary>How long what was told of the other tasks still counts; null when it does not, or nothing was told.</summary>
    private TimeSpan? AlignmentLeft()
    {
        if (!_isAligned)
        {
            return null;
        }

        var left = s_alignmentPatience - Time.GetElapsedTime(_alignedAt);
        if (left > TimeSpan.Zero)
        {
            return left;
        }

        _isAligned = false;
        _engine!.Watermarks.AlignWith(WatermarkTracker.End);
        return null;
    }

    /// <summary>Whether an input is not to be read now.</summary>
    private bool IsHeld(int input) => _isPaused || IsHeldForTable(input) || _engine!.IsInputAhead(input);
}
