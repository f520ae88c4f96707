using OrleansStreams.Clients;

namespace OrleansStreams.Tests.Clients;

public sealed class AsyncSignalTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    [Fact]
    public void Sets_before_a_wait_end_one_wait_however_many_they_were()
    {
        var signal = new AsyncSignal();
        signal.Set();
        signal.Set();
        signal.WaitAsync().AsTask().IsCompleted.ShouldBeTrue();
        signal.WaitAsync().AsTask().IsCompleted.ShouldBeFalse();
    }

    [Fact]
    public async Task A_set_wakes_the_one_who_waits()
    {
        var signal = new AsyncSignal();
        for (var round = 0; round < 100; round++)
        {
            var waiting = signal.WaitAsync().AsTask();
            waiting.IsCompleted.ShouldBeFalse();
            signal.Set();
            await waiting.WaitAsync(Patience);
        }
    }

    [Fact]
    public async Task No_set_is_lost_between_threads()
    {
        const int Last = 100_000;
        var signal = new AsyncSignal();
        var told = 0;
        var telling = Task.Run(() =>
        {
            for (var number = 1; number <= Last; number++)
            {
                Volatile.Write(ref told, number);
                signal.Set();
            }
        });

        // A lost set leaves this waiting although everything was told.
        while (Volatile.Read(ref told) < Last)
        {
            await signal.WaitAsync().AsTask().WaitAsync(Patience);
        }

        await telling;
    }
}
