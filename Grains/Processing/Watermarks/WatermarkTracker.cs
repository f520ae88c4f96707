using OrleansStreams.Topologies;

namespace OrleansStreams.Processing.Watermarks;

/// <summary>
/// The event-time watermarks of a task's inputs. An input's watermark is its largest event time minus the bounded out-of-orderness, minus one: no event
/// at or before it is expected any more. The task's watermark is the minimum over the inputs that are neither idle nor at their end, and never goes back.
/// An input is idle when it has been read to its end and nothing came for its idle timeout: records that wait to be read are no silence, however long the task is
/// held up. Pure: wall-clock time comes in as an argument.
/// </summary>
internal sealed class WatermarkTracker
{
    /// <summary>The watermark before the first event.</summary>
    public const long None = long.MinValue;

    /// <summary>The watermark after the end of input.</summary>
    public const long End = long.MaxValue;

    private readonly Input[] _inputs;
    private long _watermark = None;

    private const long NotSilent = long.MaxValue;

    public WatermarkTracker(IReadOnlyList<WatermarkStrategy> strategies)
    {
        _inputs = new Input[strategies.Count];
        for (var i = 0; i < _inputs.Length; i++)
        {
            _inputs[i] = new Input
            {
                OutOfOrdernessMs = strategies[i].OutOfOrdernessMs,
                IdlenessMs = strategies[i].IdlenessMs ?? long.MaxValue,
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
        if (observed.Watermark == End)
        {
            return false;
        }

        observed.Watermark = eventTime - observed.OutOfOrdernessMs - 1;
        if (_inputs.Length > 1)
        {
            return Raise();
        }

        if (observed.Watermark <= _watermark)
        {
            // The bound was raised since the journal was written: windows that have closed stay closed.
            return false;
        }

        _watermark = observed.Watermark;
        return true;
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
        _inputs[input].SilentSinceMs = NotSilent;
        _inputs[input].IsIdle = false;
    }

    /// <summary>The input was read to its end: its silence begins, if it has not yet.</summary>
    public void MarkSilent(int input, long nowMs) => _inputs[input].SilentSinceMs = Math.Min(_inputs[input].SilentSinceMs, nowMs);

    /// <summary>Lets inputs that were silent for their idle timeout step aside. True when the task's watermark rose.</summary>
    public bool Advance(long nowMs)
    {
        foreach (ref var input in _inputs.AsSpan())
        {
            input.IsIdle |= input.SilentSinceMs != NotSilent && nowMs - input.SilentSinceMs >= input.IdlenessMs;
        }

        return Raise();
    }

    /// <summary>Takes up what a journal remembers of an input.</summary>
    public void RestoreInput(int input, long maxEventTime, bool isEnded)
    {
        ref var restored = ref _inputs[input];
        restored.MaxEventTime = maxEventTime;
        restored.Watermark = isEnded ? End : maxEventTime == None ? None : maxEventTime - restored.OutOfOrdernessMs - 1;
    }

    /// <summary>Takes up the task's watermark, which an idle input may have let run ahead of the minimum.</summary>
    public void RestoreTask(long watermark) => _watermark = watermark;

    private bool Raise()
    {
        var minimum = End;
        var isHeld = true;
        foreach (ref readonly var input in _inputs.AsSpan())
        {
            if (!input.IsIdle || input.Watermark == End)
            {
                minimum = Math.Min(minimum, input.Watermark);
                isHeld &= input.Watermark == End;
            }
        }

        // Idle inputs alone say nothing: the end is reached only when every input has ended.
        if (isHeld && !AllEnded())
        {
            return false;
        }

        if (minimum <= _watermark)
        {
            return false;
        }

        _watermark = minimum;
        return true;
    }

    private bool AllEnded()
    {
        foreach (ref readonly var input in _inputs.AsSpan())
        {
            if (input.Watermark != End)
            {
                return false;
            }
        }

        return true;
    }

    private struct Input
    {
        public long OutOfOrdernessMs;
        public long IdlenessMs;
        public long MaxEventTime;
        public long Watermark;
        public long SilentSinceMs;
        public bool IsIdle;
    }
}
