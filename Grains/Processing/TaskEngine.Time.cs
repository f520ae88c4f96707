using OrleansStreams.Processing.Watermarks;

namespace OrleansStreams.Processing;

/// <content>What happens without a record: clocks, silent inputs, and inputs that are waited for.</content>
internal sealed partial class TaskEngine
{
    /// <summary>Tells the wall clock, for what processing times and ingestion times are taken from it. It never goes back, whatever is told.</summary>
    public void SetClock(long nowMs) => _context.ClockMs = Math.Max(_context.ClockMs, nowMs);

    /// <summary>Records of an input have come and wait to be processed.</summary>
    public void MarkActive(int input) => _watermarks.MarkActive(input);

    /// <summary>Records of an input that was idle have come: they are waited for until <see cref="Release"/>.</summary>
    public void Await(int input) => _watermarks.Await(input);

    /// <summary>What was waited for is processed.</summary>
    public void Release(int input) => _watermarks.Release(input);

    /// <summary>Whether an input steps aside.</summary>
    public bool IsInputIdle(int input) => _watermarks.IsIdle(input);

    /// <summary>
    /// Takes every input for active again, and what it has for not known, when nobody looked for a while: how long says nothing of what waits to be read. Who reads what this task
    /// writes is told so by the next commit.
    /// </summary>
    public void AwaitAll()
    {
        for (var input = 0; input < _sources.Length; input++)
        {
            _watermarks.MarkActive(input);
            _watermarks.Await(input);
        }

        _hasChanges |= _outputWatermarks.IsIdlenessNews;
    }

    /// <summary>An input was read to its end: from here on it is silent.</summary>
    public void MarkSilent(int input, long nowMs) => _watermarks.MarkSilent(input, nowMs);

    /// <summary>The wall clock, ms since the Unix epoch, at which a step wants to be called by <see cref="AdvanceTime"/>; long.MaxValue when none does.</summary>
    public long NextWallClockDue => _timers.NextWallClockDue;

    /// <summary>Lets silent inputs step aside, watermarks follow the clock where they do, and steps that wait for the wall clock run.</summary>
    /// <exception cref="StreamsException">InvalidInput when user code failed on a window that closes or in a punctuator; SerializationFailed, RecordTooLarge.</exception>
    public void AdvanceTime(long nowMs)
    {
        SetClock(nowMs);
        Start();
        if (_watermarks.HasIdleness)
        {
            var hasRisen = _watermarks.Advance(nowMs);
            _hasChanges |= hasRisen || _outputWatermarks.IsIdlenessNews;
            if (hasRisen)
            {
                Guarded("windows that closed because an input is idle", RaiseWatermark);
            }
        }

        if (_hasGenerators)
        {
            Guarded("watermarks that follow the clock", FollowClock);
        }

        if (_timers.NextWallClockDue <= _context.ClockMs)
        {
            _hasChanges = true;
            Guarded("punctuation by the wall clock", () => _timers.AdvanceWallClock(_context.ClockMs));
        }
    }
}
