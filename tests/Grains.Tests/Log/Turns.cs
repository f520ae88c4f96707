using System.Collections.Concurrent;
using System.Runtime.CompilerServices;

namespace OrleansStreams.Log;

/// <summary>Runs a test as a grain would run it: one turn at a time, on one thread. Fails, and says so, when the next turn never comes.</summary>
internal sealed class Turns : SynchronizationContext
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private readonly BlockingCollection<(SendOrPostCallback Callback, object? State)> _turns = [];

    public static void Run(Func<Task> test)
    {
        var before = Current;
        var turns = new Turns();
        SetSynchronizationContext(turns);
        try
        {
            var running = test();
            running.ContinueWith(_ => turns.Post(static _ => { }, null), TaskScheduler.Default);
            while (!running.IsCompleted)
            {
                if (!turns._turns.TryTake(out var turn, Patience))
                {
                    throw new TimeoutException("the test waits for something that never came");
                }

                turn.Callback(turn.State);
            }

            running.GetAwaiter().GetResult();
        }
        finally
        {
            SetSynchronizationContext(before);
        }
    }

    /// <summary>Lets everything run that can run now.</summary>
    public static async Task Settle()
    {
        for (var i = 0; i < 10; i++)
        {
            await Task.Yield();
        }
    }

    /// <summary>Lets everything run until a condition holds. Bounded by time, not by turns: a part of the way goes through the thread pool, which other tests keep busy.</summary>
    public static async Task UntilAsync(Func<bool> holds, [CallerArgumentExpression(nameof(holds))] string what = "")
    {
        for (var began = TimeProvider.System.GetTimestamp(); !holds(); await Task.Yield())
        {
            TimeProvider.System.GetElapsedTime(began).ShouldBeLessThan(Patience, $"it never came: {what}");
        }
    }

    public override void Post(SendOrPostCallback d, object? state) => _turns.Add((d, state));
}
