using OrleansStreams.Topologies;

namespace OrleansStreams.Processing.Watermarks;

/// <summary>What an input's watermark follows from.</summary>
internal enum WatermarkOrigin
{
    /// <summary>The largest event time, minus the bounded out-of-orderness, minus one.</summary>
    EventTimes,

    /// <summary>A generator, or the clock.</summary>
    Generator,

    /// <summary>The markers of the tasks that write the topic.</summary>
    Markers,
}

/// <summary>An input, as the tracker sees it.</summary>
/// <param name="Strategy">How its watermark follows from event times.</param>
/// <param name="Origin">What its watermark follows from.</param>
/// <param name="IsInCircle">Whether its topic is made of what the task's sub-topology writes: then it comes behind the others always, and they must not wait for it.</param>
/// <param name="IsLookUp">Whether it feeds nothing but tables that others are joined with: then no result waits for its event time, only the end for its end.</param>
internal readonly record struct TrackedInput(WatermarkStrategy? Strategy, WatermarkOrigin Origin, bool IsInCircle = false, bool IsLookUp = false);

/// <summary>
/// The event-time watermarks of a task's inputs. An input's watermark says that no event at or before it is expected any more. The task's watermark is the
/// minimum over the inputs that count, and never goes back. An input counts when it is neither idle nor at its end nor, after it was idle, still behind the task's watermark: one that
/// comes back with old events holds nobody up before it has caught up (as in Flink's status and watermark valve), because what it brings until then is late anyway.
/// When all that have not ended are idle, the watermark is their maximum, as in Flink too: what it would be if the furthest had been the last to fall silent, so that it does not depend on which did.
/// But while it is not known what such an input has (<see cref="Await"/>: it has records that are not processed yet, or it was not asked since a restart) the watermark stands: those may be
/// newer than it.
/// An input is idle when it has been read to its end and nothing came for its idle timeout: records that wait to be read are no silence, however long the task is
/// held up. An input of markers is idle when the tasks that write it say so. Pure: wall-clock time comes in as an argument.
/// </summary>
internal sealed class WatermarkTracker
{
    /// <summary>The watermark before the first event.</summary>
    public const long None = long.MinValue;

    /// <summary>The watermark after the end of input.</summary>
    public const long End = long.MaxValue;

    private const long NotSilent = long.MaxValue;

    private readonly Input[] _inputs;
    private readonly int[] _all;
    private long _watermark = None;
    private long _slowestOther = End;

    public WatermarkTracker(IReadOnlyList<WatermarkStrategy> strategies)
        : this([.. strategies.Select(strategy => new TrackedInput(strategy, WatermarkOrigin.EventTimes))])
    {
    }

    public WatermarkTracker(IReadOnlyList<TrackedInput> inputs)
    {
        _inputs = new Input[inputs.Count];
        _all = [.. Enumerable.Range(0, inputs.Count)];
        for (var i = 0; i < _inputs.Length; i++)
        {
            var isMarked = inputs[i].Origin == WatermarkOrigin.Markers;
            _inputs[i] = new Input
            {
                Origin = inputs[i].Origin,
                IsInCircle = inputs[i].IsInCircle,
                IsLookUp = inputs[i].IsLookUp,
                OutOfOrdernessMs = inputs[i].Strategy?.OutOfOrdernessMs ?? 0,
                IdlenessMs = isMarked ? long.MaxValue : inputs[i].Strategy?.IdlenessMs ?? long.MaxValue,
                MaxDriftMs = isMarked ? long.MaxValue : inputs[i].Strategy?.MaxDriftMs ?? long.MaxValue,
                MaxEventTime = None,
                Watermark = None,
                SilentSinceMs = NotSilent,
            };
        }
    }

    /// <summary>The task's watermark.</summary>
    public long Watermark => _watermark;

    /// <summary>The largest event time seen on any input, or <see cref="None"/>.</summary>
    public long MaxEventTime
    {
        get
        {
            var max = None;
            foreach (ref readonly var input in _inputs.AsSpan())
            {
                max = Math.Max(max, input.MaxEventTime);
            }

            return max;
        }
    }

    /// <summary>Whether every input came to its end.</summary>
    public bool IsAtEnd => _watermark == End;

    public int InputCount => _inputs.Length;

    /// <summary>Whether inputs can become idle by the clock.</summary>
    public bool HasIdleness => Array.Exists(_inputs, input => input.IdlenessMs != long.MaxValue);

    public long WatermarkOf(int input) => _inputs[input].Watermark;

    public long MaxEventTimeOf(int input) => _inputs[input].MaxEventTime;

    public bool IsEnded(int input) => _inputs[input].Watermark == End;

    public bool IsIdle(int input) => _inputs[input].IsIdle;

    /// <summary>Takes an event's time into its input's watermark. True when the task's watermark rose.</summary>
    public bool Observe(int input, long eventTime)
    {
        ref var observed = ref _inputs[input];
        if (eventTime <= observed.MaxEventTime)
        {
            return false;
        }

        observed.MaxEventTime = eventTime;
        var watermark = eventTime - observed.OutOfOrdernessMs - 1;
        if (watermark <= observed.Watermark || observed.Origin != WatermarkOrigin.EventTimes)
        {
            // Not above the watermark: the bound was raised since the journal was written, and windows that have closed stay closed; or the input has ended.
            return false;
        }

        observed.Watermark = watermark;
        if (_inputs.Length > 1)
        {
            return Raise();
        }

        if (watermark <= _watermark)
        {
            return false;
        }

        _watermark = watermark;
        return true;
    }

    /// <summary>An input's watermark is known from elsewhere; a lower one than before is ignored. True when the task's watermark rose.</summary>
    public bool RaiseInput(int input, long watermark)
    {
        if (watermark <= _inputs[input].Watermark)
        {
            return false;
        }

        _inputs[input].Watermark = watermark;
        return Raise();
    }

    /// <summary>What the tasks say that write an input. True when the task's watermark rose.</summary>
    public bool SetUpstream(int input, long watermark, bool isIdle)
    {
        ref var marked = ref _inputs[input];
        marked.Watermark = Math.Max(marked.Watermark, watermark);
        marked.IsIdle = isIdle;
        return Raise();
    }

    /// <summary>The input came to its end. True when the task's watermark rose.</summary>
    public bool EndInput(int input)
    {
        _inputs[input].Watermark = End;
        return Raise();
    }

    /// <summary>Records arrived on an input: it is not idle.</summary>
    public void MarkActive(int input)
    {
        ref var active = ref _inputs[input];
        active.SilentSinceMs = NotSilent;

        // Whether an input of markers is idle is for those who write it to say.
        active.IsIdle &= active.Origin == WatermarkOrigin.Markers;
    }

    /// <summary>What the input has is not known, or not processed, from here on until <see cref="Release"/>: the watermark does not pass it by, however far behind it the input was.</summary>
    public void Await(int input) => _inputs[input].IsAwaited = _inputs[input].Origin != WatermarkOrigin.Markers;

    /// <summary>What the input had when it was awaited is processed.</summary>
    public void Release(int input) => _inputs[input].IsAwaited = false;

    /// <summary>The input was read to its end: its silence begins, if it has not yet.</summary>
    public void MarkSilent(int input, long nowMs)
    {
        ref var silent = ref _inputs[input];
        silent.SilentSinceMs = Math.Min(silent.SilentSinceMs, nowMs);
        silent.IsAwaited = false;
    }

    /// <summary>Lets inputs that were silent for their idle timeout step aside. True when the task's watermark rose.</summary>
    public bool Advance(long nowMs)
    {
        foreach (ref var input in _inputs.AsSpan())
        {
            input.IsIdle |= input.SilentSinceMs != NotSilent && nowMs - input.SilentSinceMs >= input.IdlenessMs;
        }

        return Raise();
    }

    /// <summary>
    /// Whether an input is so far ahead of the slowest that it should not be read now. One without any event yet is the slowest of all; idle and ended ones hold nobody
    /// up, nor do look-ups and those that are fed by what they would hold up, so the slowest itself can always be read, and there is no deadlock.
    /// </summary>
    public bool IsAhead(int input)
    {
        ref readonly var fast = ref _inputs[input];
        if (fast.MaxDriftMs == long.MaxValue || fast.Watermark is None or End)
        {
            return false;
        }

        if (IsAheadOfOtherTasks(input))
        {
            return true;
        }

        for (var other = 0; other < _inputs.Length; other++)
        {
            ref readonly var slow = ref _inputs[other];
            if (other != input && !slow.IsIdle && !slow.IsInCircle && !slow.IsLookUp && slow.Watermark != End && (slow.Watermark == None || fast.Watermark - slow.Watermark > fast.MaxDriftMs))
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>Whether an input is so far ahead of the slowest of the application's other tasks that it should not be read now.</summary>
    public bool IsAheadOfOtherTasks(int input)
    {
        ref readonly var fast = ref _inputs[input];
        return _slowestOther != End && fast.MaxDriftMs != long.MaxValue && fast.Watermark is not (None or End) &&
            (_slowestOther == None || fast.Watermark - _slowestOther > fast.MaxDriftMs);
    }

    /// <summary>Takes what the slowest aligned input of the application's other tasks has come to (<see cref="SlowestAligned"/>); <see cref="End"/> to wait for none.</summary>
    public void AlignWith(long slowestOther) => _slowestOther = slowestOther;

    /// <summary>The least watermark of the aligned inputs that count; <see cref="End"/> when none does.</summary>
    public long SlowestAligned
    {
        get
        {
            var slowest = End;
            foreach (ref readonly var input in _inputs.AsSpan())
            {
                slowest = input.MaxDriftMs == long.MaxValue || input.IsIdle || input.IsInCircle || input.IsLookUp ? slowest : Math.Min(slowest, input.Watermark);
            }

            return slowest;
        }
    }

    /// <summary>The watermark of some inputs together, which was <paramref name="floor"/> before and does not go back.</summary>
    public long MinimumOf(ReadOnlySpan<int> inputs, long floor)
    {
        var minimum = End;
        var furthestIdle = None;
        var (isEnded, areIdle) = (true, true);
        foreach (var index in inputs)
        {
            ref readonly var input = ref _inputs[index];
            if (input.Watermark == End)
            {
                continue;
            }

            isEnded = false;
            if (input.IsLookUp)
            {
                continue;
            }

            areIdle &= input.IsIdle;
            furthestIdle = input.IsIdle ? Math.Max(furthestIdle, input.Watermark) : furthestIdle;
            minimum = input.IsIdle || (input.Watermark < floor && !input.IsAwaited) ? minimum : Math.Min(minimum, Math.Max(floor, input.Watermark));
        }

        // The end is reached only when every input has ended.
        return isEnded ? End : Math.Max(floor, minimum != End ? minimum : areIdle ? furthestIdle : None);
    }

    /// <summary>Whether some of the inputs have not ended, and all of those are idle.</summary>
    public bool AreIdle(ReadOnlySpan<int> inputs)
    {
        var isIdle = false;
        foreach (var index in inputs)
        {
            ref readonly var input = ref _inputs[index];
            if (input.Watermark != End && !input.IsLookUp)
            {
                if (!input.IsIdle)
                {
                    return false;
                }

                isIdle = true;
            }
        }

        return isIdle;
    }

    /// <summary>Takes up what a journal remembers of an input.</summary>
    /// <param name="input">Which.</param>
    /// <param name="maxEventTime">Its largest event time.</param>
    /// <param name="watermark">Its watermark; it stays even when the bound of out-of-orderness was raised since.</param>
    /// <param name="isIdle">Whether it was idle.</param>
    public void RestoreInput(int input, long maxEventTime, long watermark, bool isIdle)
    {
        ref var restored = ref _inputs[input];
        restored.MaxEventTime = maxEventTime;
        restored.Watermark = watermark;
        restored.IsIdle = isIdle && (restored.Origin == WatermarkOrigin.Markers || restored.IdlenessMs != long.MaxValue);
    }

    /// <summary>Takes up the task's watermark, which an idle input may have let run ahead of the minimum.</summary>
    public void RestoreTask(long watermark) => _watermark = watermark;

    private bool Raise()
    {
        var minimum = MinimumOf(_all, _watermark);
        if (minimum <= _watermark)
        {
            return false;
        }

        _watermark = minimum;
        return true;
    }

    private struct Input
    {
        public WatermarkOrigin Origin;
        public long OutOfOrdernessMs;
        public long IdlenessMs;
        public long MaxDriftMs;
        public long MaxEventTime;
        public long Watermark;
        public long SilentSinceMs;
        public bool IsIdle;
        public bool IsAwaited;
        public bool IsInCircle;
        public bool IsLookUp;
    }
}
