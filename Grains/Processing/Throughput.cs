namespace OrleansStreams.Processing;

/// <summary>Records per second over the last seconds.</summary>
internal sealed class Throughput(TimeProvider time)
{
    private static readonly TimeSpan s_window = TimeSpan.FromSeconds(5);

    private readonly Queue<(long At, long Records)> _samples = new();
    private (long At, long Records) _last;

    public double PerSecond
    {
        get
        {
            if (_samples.Count == 0 || time.GetElapsedTime(_last.At) > s_window)
            {
                return 0;
            }

            var first = _samples.Peek();
            var seconds = time.GetElapsedTime(first.At).TotalSeconds;
            return seconds <= 0 ? 0 : (_last.Records - first.Records) / seconds;
        }
    }

    public void Add(long records)
    {
        _last = (time.GetTimestamp(), records);
        _samples.Enqueue(_last);
        while (_samples.Count > 1 && time.GetElapsedTime(_samples.Peek().At) > s_window)
        {
            _samples.Dequeue();
        }
    }
}
