namespace OrleansStreams.Silo.Http.Metrics;

/// <summary>One series: a value, or a histogram's buckets.</summary>
/// <param name="labels">The labels as text, without braces.</param>
/// <param name="bounds">The upper bounds of a histogram's buckets, or null.</param>
internal sealed class MetricSeries(string labels, double[]? bounds)
{
    private readonly long[] buckets = new long[bounds is null ? 0 : bounds.Length + 1];
    private readonly Lock gate = new();
    private double value;
    private double sum;

    public string Labels { get; } = labels;

    public double Value => Volatile.Read(ref value);

    public void Set(double now) => Volatile.Write(ref value, now);

    public void Add(double delta)
    {
        if (bounds is null)
        {
            var seen = Volatile.Read(ref value);
            while (true)
            {
                var before = Interlocked.CompareExchange(ref value, seen + delta, seen);
                if (before.Equals(seen))
                {
                    return;
                }

                seen = before;
            }
        }

        if (double.IsNaN(delta))
        {
            return;
        }

        var index = Array.BinarySearch(bounds, delta);
        lock (gate)
        {
            // Bounds are inclusive, as the text format's "le" says.
            buckets[index < 0 ? ~index : index]++;
            sum += delta;
        }
    }

    /// <summary>The histogram at one moment: cumulative counts per bound, the last of them being +Inf.</summary>
    public (IReadOnlyList<(double Bound, long Count)> Buckets, double Sum) Histogram()
    {
        var cumulative = new (double, long)[buckets.Length];
        lock (gate)
        {
            var count = 0L;
            for (var i = 0; i < buckets.Length; i++)
            {
                count += buckets[i];
                cumulative[i] = (i < bounds!.Length ? bounds[i] : double.PositiveInfinity, count);
            }

            return (cumulative, sum);
        }
    }
}
