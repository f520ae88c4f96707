using System.Threading.Tasks.Sources;

namespace OrleansStreams.Clients;

/// <summary>
/// Something has changed: wakes the one who waits, or the next who comes. Set from any thread, any number of times; waited for by one at a time, who
/// goes on in the context in which it waits. Allocates nothing, because a sender waits once or twice a batch.
/// </summary>
internal sealed class AsyncSignal : IValueTaskSource
{
    private const int Idle = 0;
    private const int Waiting = 1;
    private const int IsSet = 2;

    private ManualResetValueTaskSourceCore<bool> _source = new() { RunContinuationsAsynchronously = true };
    private int _state;

    public void Set()
    {
        while (true)
        {
            var seen = Volatile.Read(ref _state);
            if (seen == IsSet)
            {
                return;
            }

            if (Interlocked.CompareExchange(ref _state, seen == Idle ? IsSet : Idle, seen) == seen)
            {
                if (seen == Waiting)
                {
                    _source.SetResult(true);
                }

                return;
            }
        }
    }

    public ValueTask WaitAsync()
    {
        if (Interlocked.CompareExchange(ref _state, Idle, IsSet) == IsSet)
        {
            return ValueTask.CompletedTask;
        }

        _source.Reset();
        if (Interlocked.CompareExchange(ref _state, Waiting, Idle) == Idle)
        {
            return new ValueTask(this, _source.Version);
        }

        // Set between the two looks.
        Volatile.Write(ref _state, Idle);
        return ValueTask.CompletedTask;
    }

    void IValueTaskSource.GetResult(short token) => _source.GetResult(token);

    ValueTaskSourceStatus IValueTaskSource.GetStatus(short token) => _source.GetStatus(token);

    void IValueTaskSource.OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        _source.OnCompleted(continuation, state, token, flags);
}
