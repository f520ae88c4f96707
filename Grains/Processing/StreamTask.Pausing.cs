namespace OrleansStreams.Processing;

/// <summary>Pausing: nothing is read and no time passes, while commits, queries and status go on.</summary>
internal sealed partial class StreamTask
{
    private bool _isPaused;

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

    /// <summary>Whether an input is not to be read now.</summary>
    private bool IsHeld(int input) => _isPaused || IsHeldForTable(input) || _engine!.IsInputAhead(input);
}
