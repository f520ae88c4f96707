using OrleansStreams.Errors;
using OrleansStreams.Storage;

namespace OrleansStreams.Tests.Storage;

/// <summary>The faults that the memory storage lends to the tests of what stands on it.</summary>
public sealed class MemoryLogStorageTests
{
    private static readonly LogId Id = new("t");

    [Fact]
    public async Task An_append_beyond_the_capacity_is_refused_until_there_is_room_again()
    {
        var batch = TestBatches.Of("a");
        await using var storage = new MemoryLogStorage { CapacityBytes = batch.Length * 2 };
        await using var log = await storage.OpenAsync(Id, new LogOptions());
        await log.AppendAsync(batch);
        var refused = await Should.ThrowAsync<StreamsException>(async () => await log.AppendAsync(batch, batch));
        (refused.Code, refused.Outcome).ShouldBe((StreamsErrorCode.DiskFull, WriteOutcome.NotWritten));
        (log.NextOffset, log.DurableEndOffset, storage.UsedBytes).ShouldBe((1, 1, batch.Length));
        await log.AppendAsync(batch);
        await log.TruncatePrefixAsync(2);
        storage.UsedBytes.ShouldBe(0);
        await log.AppendAsync(batch, batch);
        await storage.DeleteAsync(Id);
        storage.UsedBytes.ShouldBe(0);
    }

    [Fact]
    public async Task A_held_write_keeps_appends_under_way_and_unread()
    {
        var release = new TaskCompletionSource();
        await using var storage = new MemoryLogStorage { BeforeWrite = _ => release.Task };
        await using var log = await storage.OpenAsync(Id, new LogOptions());
        var appends = Enumerable.Range(0, 3).Select(i => log.AppendAsync(TestBatches.Of($"n{i}")).AsTask()).ToList();
        (log.NextOffset, log.DurableEndOffset).ShouldBe((3, 0));
        appends.ShouldAllBe(append => !append.IsCompleted);
        release.SetResult();
        await Task.WhenAll(appends);
        (await log.ReadAllAsync()).Count.ShouldBe(3);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_failed_write_fails_the_log_with_an_unknown_outcome_until_it_is_opened_again(bool isWritten)
    {
        await using var storage = new MemoryLogStorage();
        var log = await storage.OpenAsync(Id, new LogOptions());
        await log.AppendAsync(TestBatches.Of("kept"));
        Func<LogId, Task> fail = _ => throw new IOException("broken");
        storage.BeforeWrite = isWritten ? null : fail;
        storage.AfterWrite = isWritten ? fail : null;
        var failed = await Should.ThrowAsync<StreamsException>(async () => await log.AppendAsync(TestBatches.Of("unknown")));
        (failed.Code, failed.Outcome).ShouldBe((StreamsErrorCode.StorageError, WriteOutcome.Unknown));
        (storage.BeforeWrite, storage.AfterWrite) = (null, null);
        (await Should.ThrowAsync<StreamsException>(async () => await log.AppendAsync(TestBatches.Of("later")))).Outcome.ShouldBe(WriteOutcome.NotWritten);
        await using var again = await storage.OpenAsync(Id, new LogOptions());
        again.DurableEndOffset.ShouldBe(isWritten ? 2 : 1);
    }

    [Fact]
    public async Task A_disk_full_hook_refuses_what_is_queued_and_leaves_the_log_usable()
    {
        await using var storage = new MemoryLogStorage { BeforeWrite = _ => throw new StreamsException(StreamsErrorCode.DiskFull, "full", WriteOutcome.NotWritten) };
        await using var log = await storage.OpenAsync(Id, new LogOptions());
        (await Should.ThrowAsync<StreamsException>(async () => await log.AppendAsync(TestBatches.Of("a")))).Code.ShouldBe(StreamsErrorCode.DiskFull);
        log.NextOffset.ShouldBe(0);
        storage.BeforeWrite = null;
        await log.AppendAsync(TestBatches.Of("a"));
        log.DurableEndOffset.ShouldBe(1);
    }

    [Fact]
    public async Task A_fenced_openers_queued_appends_are_refused()
    {
        var release = new TaskCompletionSource();
        await using var storage = new MemoryLogStorage { BeforeWrite = _ => release.Task };
        var stale = await storage.OpenAsync(Id, new LogOptions());
        var appends = Enumerable.Range(0, 3).Select(i => stale.AppendAsync(TestBatches.Of($"n{i}")).AsTask()).ToList();
        await using var log = await storage.OpenAsync(Id, new LogOptions());
        release.SetResult();
        foreach (var append in appends)
        {
            (await Should.ThrowAsync<StreamsException>(() => append)).Code.ShouldBe(StreamsErrorCode.FencedLeaderEpoch);
        }

        log.NextOffset.ShouldBe(0);
    }
}
