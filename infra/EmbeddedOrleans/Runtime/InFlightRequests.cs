namespace EmbeddedOrleans.Runtime;

/// <summary>
/// All calls that somebody waits for, so that they can time out, and fail when their silo crashes. Intrusive lists, sharded by thread,
/// because every call goes in and out; one timer set to the earliest deadline, because nearly no call ever reaches its own.
/// </summary>
internal sealed class InFlightRequests : IDisposable
{
    // After a sweep the next one waits at least this long, so that many deadlines close together cost one sweep.
    private static readonly TimeSpan s_sweepSpacing = TimeSpan.FromMilliseconds(10);

    private readonly TimeProvider _time;
    private readonly Shard[] _shards;
    private readonly Lock _timerLock = new();
    private ITimer? _timer;
    private long _armedFor = long.MaxValue;
    private bool _disposed;

    internal InFlightRequests(TimeProvider time)
    {
        _time = time;
        _shards = new Shard[Math.Min(64, (int)System.Numerics.BitOperations.RoundUpToPowerOf2((uint)Environment.ProcessorCount) * 2)];
        for (int i = 0; i < _shards.Length; i++)
        {
            _shards[i] = new Shard();
        }
    }

    internal void Add(Request request, TimeSpan timeout)
    {
        request.Deadline = timeout == Timeout.InfiniteTimeSpan ? long.MaxValue : request.Started + (long)(timeout.TotalSeconds * _time.TimestampFrequency);
        int index = Environment.CurrentManagedThreadId & (_shards.Length - 1);
        Shard shard = _shards[index];
        lock (shard.Lock)
        {
            request.Shard = index;
            request.Previous = shard.Last;
            if (shard.Last is null)
            {
                shard.First = request;
            }
            else
            {
                shard.Last.Next = request;
            }

            shard.Last = request;
        }

        if (request.Deadline < Volatile.Read(ref _armedFor))
        {
            Arm(request.Deadline);
        }
    }

    internal void Remove(Request request)
    {
        int index = Volatile.Read(ref request.Shard);
        if (index < 0)
        {
            return;
        }

        Shard shard = _shards[index];
        lock (shard.Lock)
        {
            if (request.Shard >= 0)
            {
                shard.Unlink(request);
            }
        }
    }

    /// <summary>Takes out and returns the calls that match, in the order in which each thread made them.</summary>
    internal List<Request> Take(Func<Request, bool> match)
    {
        List<Request> taken = [];
        foreach (Shard shard in _shards)
        {
            lock (shard.Lock)
            {
                for (Request? request = shard.First; request is not null;)
                {
                    Request? next = request.Next;
                    if (match(request))
                    {
                        shard.Unlink(request);
                        taken.Add(request);
                    }

                    request = next;
                }
            }
        }

        return taken;
    }

    public void Dispose()
    {
        lock (_timerLock)
        {
            _disposed = true;
            _timer?.Dispose();
        }
    }

    private void Arm(long deadline)
    {
        lock (_timerLock)
        {
            if (_disposed || deadline >= _armedFor)
            {
                return;
            }

            Volatile.Write(ref _armedFor, deadline);
            long now = _time.GetTimestamp();
            // Rounded up to whole milliseconds: a timer that fires early would only be armed again.
            TimeSpan due = deadline <= now ? TimeSpan.Zero : TimeSpan.FromMilliseconds(Math.Ceiling(_time.GetElapsedTime(now, deadline).TotalMilliseconds));
            if (_timer is null)
            {
                _timer = _time.CreateTimer(static state => ((InFlightRequests)state!).Sweep(), this, due, Timeout.InfiniteTimeSpan);
            }
            else
            {
                _timer.Change(due, Timeout.InfiniteTimeSpan);
            }
        }
    }

    private void Sweep()
    {
        lock (_timerLock)
        {
            Volatile.Write(ref _armedFor, long.MaxValue);
        }

        long now = _time.GetTimestamp();
        long earliest = long.MaxValue;
        List<Request> late = Take(request =>
        {
            if (request.Deadline <= now)
            {
                return true;
            }

            earliest = Math.Min(earliest, request.Deadline);
            return false;
        });
        foreach (Request request in late)
        {
            request.TimeOut(_time.GetElapsedTime(request.Started, request.Deadline));
        }

        if (earliest != long.MaxValue)
        {
            Arm(Math.Max(earliest, now + (long)(s_sweepSpacing.TotalSeconds * _time.TimestampFrequency)));
        }
    }

    private sealed class Shard
    {
        internal readonly Lock Lock = new();
        internal Request? First;
        internal Request? Last;

        internal void Unlink(Request request)
        {
            if (request.Previous is null)
            {
                First = request.Next;
            }
            else
            {
                request.Previous.Next = request.Next;
            }

            if (request.Next is null)
            {
                Last = request.Previous;
            }
            else
            {
                request.Next.Previous = request.Previous;
            }

            request.Previous = null;
            request.Next = null;
            Volatile.Write(ref request.Shard, -1);
        }
    }
}
