namespace OrleansStreams.Storage.Postgres;

/// <summary>Waits between attempts, longer each time, until a bound since the first of them is over.</summary>
internal sealed class Patience(TimeProvider time, TimeSpan bound)
{
    private static readonly TimeSpan First = TimeSpan.FromMilliseconds(25);
    private static readonly TimeSpan Longest = TimeSpan.FromSeconds(1);

    private long? _began;
    private TimeSpan _next = First;

    /// <summary>Whether there may be another attempt; the bound begins with the first question.</summary>
    public bool IsLeft => time.GetElapsedTime(_began ??= time.GetTimestamp()) < bound;

    /// <summary>Waits before the next attempt; false when there is to be none.</summary>
    public async Task<bool> WaitAsync(CancellationToken cancellationToken = default)
    {
        _began ??= time.GetTimestamp();
        var left = bound - time.GetElapsedTime(_began.Value);
        if (left <= TimeSpan.Zero)
        {
            return false;
        }

        await Task.Delay(_next < left ? _next : left, time, cancellationToken);
        _next = _next * 2 < Longest ? _next * 2 : Longest;
        return true;
    }
}
