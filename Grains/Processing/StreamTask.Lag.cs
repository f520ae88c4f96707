namespace OrleansStreams.Processing;

/// <summary>
/// How far the task is behind its inputs. Their ends come with what is fetched; before the first fetch, and while an input is held (a pause, an input too far ahead), they are asked for, as
/// long as somebody asks for the status: who waits for a version to catch up must not take one for up to date that has read nothing yet.
/// </summary>
internal sealed partial class StreamTask
{
    private const long Unknown = -1;

    private static readonly TimeSpan s_lookInterval = TimeSpan.FromSeconds(1);

    private long[] _highWatermarks = [];
    private Task _look = Task.CompletedTask;
    private long? _lookedAt;

    private void BeginLag()
    {
        _highWatermarks = new long[_plan.SubTopology.Sources.Length];
        Array.Fill(_highWatermarks, Unknown);
    }

    private void NoteHighWatermark(int input, long highWatermark) => _highWatermarks[input] = Math.Max(_highWatermarks[input], highWatermark);

    /// <summary>Asks for the ends of inputs that no fetch tells, now and then.</summary>
    private void LookAfterLag()
    {
        var isDue = _lookedAt is not { } at || Time.GetElapsedTime(at) >= s_lookInterval;
        if (!isDue || !_look.IsCompleted || _engine is null || State is not (StreamTaskState.Restoring or StreamTaskState.Running))
        {
            return;
        }

        int[] untold = [.. Enumerable.Range(0, _highWatermarks.Length).Where(IsToldByNoFetch)];
        if (untold.Length > 0)
        {
            _lookedAt = Time.GetTimestamp();
            _look = Task.WhenAll(untold.Select(LookAsync).ToArray());
        }
    }

    private bool IsToldByNoFetch(int input) => _highWatermarks[input] == Unknown || IsHeld(input);

    private async Task LookAsync(int input)
    {
        try
        {
            NoteHighWatermark(input, (await _environment.Topics.GetOffsetsAsync(_plan.PartitionOf(input))).HighWatermark);
        }
        catch (Exception)
        {
            // The partition does not answer: what is known stays so, and the next look asks again.
        }
    }

    /// <summary>Records before the ends of the inputs that are not committed; -1 while an end is not known.</summary>
    private long Lag(TaskProgress? progress)
    {
        if (progress is null || _highWatermarks.Length == 0)
        {
            return Unknown;
        }

        var lag = 0L;
        for (var input = 0; input < _highWatermarks.Length && !progress.IsCompleted; input++)
        {
            var (position, end) = (progress.Positions[input], _plan.EndOffsetOf(input));
            if (_highWatermarks[input] == Unknown && position < end)
            {
                return Unknown;
            }

            lag += Math.Max(0, Math.Min(_highWatermarks[input], end) - position);
        }

        return lag;
    }
}
