using OrleansStreams.Silo.Http.Health;
using OrleansStreams.Storage;

namespace OrleansStreams.Silo.Tests.Http.Health;

public class StorageProbeTests
{
    private readonly SteppedTime time = new();

    [Fact]
    public async Task A_storage_that_fails_is_told_and_asked_again_after_a_second()
    {
        var storage = new FailingStorage { Failure = new StreamsException(StreamsErrorCode.DiskFull, "The disk is full; free some space.") };
        await using var probe = Probe(storage);

        (await probe.CheckAsync(CancellationToken.None))!.ShouldContain("free some space");
        var asked = storage.Asked;
        storage.Failure = null;
        (await probe.CheckAsync(CancellationToken.None)).ShouldNotBeNull("the answer is kept for a second");
        storage.Asked.ShouldBe(asked);

        time.Now += TimeSpan.FromSeconds(2).Ticks;
        (await probe.CheckAsync(CancellationToken.None)).ShouldBeNull();
    }

    [Fact]
    public async Task A_log_fenced_by_another_silo_of_this_name_is_opened_again()
    {
        await using var storage = new MemoryLogStorage();
        await using var probe = Probe(storage);
        (await probe.CheckAsync(CancellationToken.None)).ShouldBeNull();
        var id = (await storage.ListAsync("health/")).Single();

        await using var other = await storage.OpenAsync(id, new LogOptions());
        time.Now += TimeSpan.FromSeconds(2).Ticks;

        (await probe.CheckAsync(CancellationToken.None)).ShouldBeNull();
        var fenced = await Should.ThrowAsync<StreamsException>(() => other.WriteCheckpointAsync(new byte[1], 0).AsTask());
        fenced.Code.ShouldBe(StreamsErrorCode.FencedLeaderEpoch);
    }

    [Fact]
    public async Task Nothing_of_it_stays_after_an_orderly_stop()
    {
        await using var storage = new MemoryLogStorage();
        await using (var probe = Probe(storage))
        {
            (await probe.CheckAsync(CancellationToken.None)).ShouldBeNull();
            (await storage.ListAsync("health/")).ShouldNotBeEmpty();
        }

        (await storage.ListAsync("health/")).ShouldBeEmpty();
    }

    private StorageProbe Probe(ILogStorage storage) => new(new ServiceCollection().AddSingleton(storage).BuildServiceProvider(), time);

    private sealed class SteppedTime : TimeProvider
    {
        public long Now { get; set; } = 1;

        public override long TimestampFrequency => TimeSpan.TicksPerSecond;

        public override long GetTimestamp() => Now;
    }

    private sealed class FailingStorage : ILogStorage
    {
        private readonly MemoryLogStorage inner = new();

        public StreamsException? Failure { get; set; }

        public int Asked { get; private set; }

        public ValueTask<ILog> OpenAsync(LogId id, LogOptions options, CancellationToken cancellationToken = default)
        {
            Asked++;
            return Failure is null ? inner.OpenAsync(id, options, cancellationToken) : throw Failure;
        }

        public ValueTask DeleteAsync(LogId id, CancellationToken cancellationToken = default) => inner.DeleteAsync(id, cancellationToken);

        public ValueTask<IReadOnlyList<LogId>> ListAsync(string prefix, CancellationToken cancellationToken = default) => inner.ListAsync(prefix, cancellationToken);

        public ValueTask DisposeAsync() => inner.DisposeAsync();
    }
}
