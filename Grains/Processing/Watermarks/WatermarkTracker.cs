namespace OrleansStreams.Processing.Watermarks;

/// <summary>
/// The watermarks of a task's inputs. An input's watermark is its largest event time minus the bounded out-of-orderness, minus 1, and advances record by
/// record. The task's is the minimum over its inputs, of which those that ended stand at the end of time and those that are idle step aside; it never goes
/// back.
/// </summary>
internal sealed class WatermarkTracker(int inputs)
{
    private readonly long[] _watermarks = [.. Enumerable.Repeat(long.MinValue, inputs)];
    private readonly bool[] _idle = new bool[inputs];

    /// <summary>The task's event-time watermark; long.MinValue before the first event, long.MaxValue after the end of all inputs.</summary>
    public long Watermark { get; private set; } = long.MinValue;

    /// <summary>One input's watermark.</summary>
    public long Of(int input) => _watermarks[input];

    /// <summary>Whether an input has ended.</summary>
    public bool HasEnded(int input) => _watermarks[input] == long.MaxValue;

    /// <summary>An event was handled. Answers whether the task's watermark has advanced.</summary>
    public bool Observe(int input, long eventTime, long outOfOrdernessMs)
    {
        _idle[input] = false;
        var lowest = long.MinValue + outOfOrdernessMs + 1;
        var watermark = eventTime < lowest ? long.MinValue : eventTime - outOfOrdernessMs - 1;
        return watermark > _watermarks[input] && Raise(input, watermark);
    }

    /// <summary>An input has ended.</summary>
    public bool End(int input) => Raise(input, long.MaxValue);

    /// <summary>An input has been without records for its timeout; it comes back with its next event.</summary>
    public bool SetIdle(int input)
    {
        _idle[input] = true;
        return Recompute();
    }

    /// <summary>Takes up an input's watermark from the journal.</summary>
    public void Restore(int input, long watermark)
    {
        _watermarks[input] = watermark;
        Recompute();
    }

    private bool Raise(int input, long watermark)
    {
        _watermarks[input] = watermark;
        return Recompute();
    }

    private bool Recompute()
    {
        var lowest = long.MaxValue;
        var any = false;
        for (var input = 0; input < _watermarks.Length; input++)
        {
            if (!_idle[input])
            {
                any = true;
                lowest = Math.Min(lowest, _watermarks[input]);
            }
        }

        // All idle: event time stands still; nobody knows what comes next.
        if (!any || lowest <= Watermark)
        {
            return false;
        }

        Watermark = lowest;
        return true;
    }
}
