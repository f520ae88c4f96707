using EmbeddedOrleans.Runtime;

namespace OrleansStreams.Hosts;

/// <summary>Runs turns on the thread pool as the host does, and knows when none is left to run.</summary>
internal sealed class EmbeddedTurns : ITurnScheduler
{
    private int _busy;

    public void Schedule(ITurnQueue queue)
    {
        Interlocked.Increment(ref _busy);
        ThreadPool.UnsafeQueueUserWorkItem(_ => Run(queue), null);
    }

    /// <summary>Completes when no grain has anything to do until a call or the clock brings something. A turn that wakes another grain counts until it has.</summary>
    public async Task IdleAsync()
    {
        var patience = System.Diagnostics.Stopwatch.StartNew();
        while (Volatile.Read(ref _busy) > 0)
        {
            patience.Elapsed.ShouldBeLessThan(TimeSpan.FromMinutes(1), "the grains never come to rest");
            await Task.Yield();
        }
    }

    private void Run(ITurnQueue queue)
    {
        while (queue.RunTurns(64))
        {
        }

        Interlocked.Decrement(ref _busy);
    }
}
