using OrleansStreams.Clients;
using OrleansStreams.Errors;

namespace OrleansStreams.Tests.Clients;

public sealed class BufferMemoryTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    [Fact]
    public async Task Who_waits_is_served_in_order_of_arrival_and_before_those_who_come_later()
    {
        var memory = new BufferMemory(100, TimeProvider.System);
        memory.TryTake(90).ShouldBeTrue();
        var large = memory.TakeAsync(60, Patience, CancellationToken.None).AsTask();
        var small = memory.TakeAsync(30, Patience, CancellationToken.None).AsTask();
        memory.TryTake(1).ShouldBeFalse();
        memory.Release(40);
        large.IsCompleted.ShouldBeFalse();
        small.IsCompleted.ShouldBeFalse();
        memory.Release(50);
        await large.WaitAsync(Patience);
        await small.WaitAsync(Patience);
        memory.TryTake(11).ShouldBeFalse();
        memory.TryTake(10).ShouldBeTrue();
    }

    [Fact]
    public async Task More_than_the_whole_buffer_passes_alone()
    {
        var memory = new BufferMemory(100, TimeProvider.System);
        memory.TryTake(1).ShouldBeTrue();
        memory.TryTake(500).ShouldBeFalse();
        var waiting = memory.TakeAsync(500, Patience, CancellationToken.None).AsTask();
        memory.Release(1);
        await waiting.WaitAsync(Patience);
        memory.TryTake(1).ShouldBeFalse();
        memory.Release(500);
        memory.TryTake(100).ShouldBeTrue();
    }

    [Fact]
    public async Task Who_gives_up_waiting_takes_nothing_and_lets_the_next_through()
    {
        var time = new OrleansStreams.Log.ManualTime();
        var memory = new BufferMemory(100, time);
        memory.TryTake(90).ShouldBeTrue();
        var impatient = memory.TakeAsync(50, TimeSpan.FromSeconds(1), CancellationToken.None).AsTask();
        var next = memory.TakeAsync(10, TimeSpan.FromSeconds(100), CancellationToken.None).AsTask();
        time.Advance(TimeSpan.FromSeconds(2));
        (await Should.ThrowAsync<StreamsException>(() => impatient.WaitAsync(Patience))).Code.ShouldBe(StreamsErrorCode.BufferExhausted);
        await next.WaitAsync(Patience);
        memory.TryTake(1).ShouldBeFalse();
    }

    [Fact]
    public async Task The_bound_holds_and_everybody_is_served_when_many_threads_take_and_release()
    {
        const long Bound = 1_000;
        var memory = new BufferMemory(Bound, TimeProvider.System);
        long held = 0;
        long most = 0;
        await Task.WhenAll(Enumerable.Range(0, 8).Select(worker => Task.Run(async () =>
        {
            var random = new Random(worker);
            for (var round = 0; round < 2_000; round++)
            {
                var bytes = random.Next(1, 400);
                await memory.TakeAsync(bytes, Patience, CancellationToken.None);
                var now = Interlocked.Add(ref held, bytes);
                for (var seen = Volatile.Read(ref most); now > seen; seen = Volatile.Read(ref most))
                {
                    Interlocked.CompareExchange(ref most, now, seen);
                }

                // Holds it over a turn, so that others come and find the room taken.
                await Task.Yield();
                Interlocked.Add(ref held, -bytes);
                memory.Release(bytes);
            }
        })));

        most.ShouldBeLessThanOrEqualTo(Bound);
        memory.TryTake(Bound).ShouldBeTrue();
    }
}
