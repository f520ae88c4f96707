using System.Collections.Concurrent;
using System.Reflection;
using Orleans;

namespace OrleansStreams.Hosts;

/// <summary>Knows which calls between grains are on their way, and when the activations that took calls or timer ticks have come to rest.</summary>
internal sealed class OrleansCalls : IOutgoingGrainCallFilter, IIncomingGrainCallFilter
{
    // Work may hop from one activation to the next, or over the thread pool, between two looks.
    private const int QuietLooks = 5;

    private readonly ConcurrentDictionary<TaskScheduler, bool> _activations = new();
    private int _onTheirWay;
    private int _begun;
    private int _ended;

    public async Task Invoke(IOutgoingGrainCallContext context)
    {
        if (IsOurs(context))
        {
            Interlocked.Increment(ref _onTheirWay);
        }

        await context.Invoke();
    }

    public async Task Invoke(IIncomingGrainCallContext context)
    {
        _activations.TryAdd(TaskScheduler.Current, true);
        Interlocked.Increment(ref _begun);
        if (IsOurs(context))
        {
            Interlocked.Decrement(ref _onTheirWay);
        }

        try
        {
            await context.Invoke();
        }
        finally
        {
            Interlocked.Increment(ref _ended);
        }
    }

    /// <summary>Completes when every call has begun, and several looks at all activations in turn have found nothing more begun or ended.</summary>
    public async Task IdleAsync()
    {
        var patience = System.Diagnostics.Stopwatch.StartNew();
        for (var (quiet, last) = (0, (-1, -1)); quiet < QuietLooks;)
        {
            patience.Elapsed.ShouldBeLessThan(TimeSpan.FromMinutes(1), "the grains never come to rest");
            foreach (var activation in _activations.Keys)
            {
                // Behind all that the activation has to do now.
                await Task.Factory.StartNew(() => { }, CancellationToken.None, TaskCreationOptions.None, activation);
            }

            await Task.Yield();
            var now = (Volatile.Read(ref _begun), Volatile.Read(ref _ended));
            quiet = now == last && Volatile.Read(ref _onTheirWay) == 0 ? quiet + 1 : 0;
            last = now;
        }
    }

    private static bool IsOurs(IGrainCallContext context) => context.InterfaceMethod?.DeclaringType?.Assembly is Assembly assembly && assembly == typeof(Log.IPartitionGrain).Assembly;
}
