namespace OrleansStreams.Processing;

/// <summary>How long the last commits took, in ms.</summary>
internal sealed class CommitTimes
{
    private readonly double[] _last = new double[128];
    private long _count;

    /// <summary>The last one, or -1.</summary>
    public double Last => _count == 0 ? -1 : _last[(_count - 1) % _last.Length];

    /// <summary>The median of the last 128, or -1.</summary>
    public double Median
    {
        get
        {
            if (_count == 0)
            {
                return -1;
            }

            var times = _last[..(int)Math.Min(_count, _last.Length)];
            Array.Sort(times);
            return times[(times.Length - 1) / 2];
        }
    }

    public void Add(double milliseconds) => _last[_count++ % _last.Length] = milliseconds;
}
