using Microsoft.Extensions.Logging.Abstractions;
using OrleansStreams.Storage;
using OrleansStreams.Storage.Files;

namespace OrleansStreams.Tests.Storage;

/// <summary>Who owns which memory and which handle, and the bounds of both.</summary>
public sealed class FileBuffersTests : IDisposable
{
    private readonly string _root = Directory.CreateTempSubdirectory("log-buffers-").FullName;

    public void Dispose() => Directory.Delete(_root, recursive: true);

    [Fact]
    public void A_buffer_that_comes_back_serves_again_up_to_the_bound()
    {
        var pool = new BufferPool(spareBytesMax: 32 * 1024);
        var (first, second, third) = (pool.Rent(10), pool.Rent(10_000), pool.Rent(16 * 1024));
        (first.Length, second.Length, third.Length).ShouldBe((16 * 1024, 16 * 1024, 16 * 1024));
        pool.Return(first);
        pool.Return(second);
        pool.Return(third);
        pool.Rent(1).ShouldBeSameAs(second);
        pool.Rent(1).ShouldBeSameAs(first);
        pool.Rent(1).ShouldNotBeSameAs(third, "it was one too many to keep");
        pool.Return(third);
        pool.Return(third);
        var large = pool.Rent(30_000);
        pool.Return(large);
        pool.Rent(30_000).ShouldBeSameAs(large, "smaller ones gave way to it");
        pool.Rent(16 * 1024 + 1).Length.ShouldBe(32 * 1024);
        pool.Rent(BufferPool.BytesMax + 1).Length.ShouldBe(BufferPool.BytesMax + 1);
    }

    [Fact]
    public void A_lent_buffer_comes_back_with_its_last_holder_and_only_once()
    {
        var back = 0;
        var lent = new LentBuffer(new byte[10], _ => back++);
        var (first, second) = (lent.Lend(), lent.Lend());
        lent.Release();
        first.Dispose();
        first.Dispose();
        back.ShouldBe(0, "the second reader still reads");
        second.Dispose();
        back.ShouldBe(1);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1 << 20)]
    public async Task What_was_read_stays_unchanged_until_its_loan_is_given_back_whatever_happens_to_the_log(long cacheBytes)
    {
        await using var storage = Create(cacheBytes);
        await using var log = await storage.OpenAsync(new LogId("t"), new LogOptions());
        await log.AppendAsync(TestBatches.Of("kept", valueBytes: 5000));
        var kept = await log.ReadAsync(0, 1);
        var bytes = kept.Batches.ToArray();
        for (var i = 0; i < 500; i++)
        {
            await log.AppendAsync(TestBatches.Of($"n{i}", valueBytes: 5000));
            (await log.ReadAsync(log.DurableEndOffset - 1, 1)).Loan?.Dispose();
        }

        kept.Batches.ToArray().ShouldBe(bytes);
        kept.Loan.ShouldNotBeNull().Dispose();
    }

    [Fact]
    public async Task Readers_that_give_back_what_they_read_make_no_garbage()
    {
        await using var storage = Create(cacheBytes: 0);
        await using var log = await storage.OpenAsync(new LogId("t"), new LogOptions());
        for (var i = 0; i < 20; i++)
        {
            await log.AppendAsync(TestBatches.Of($"n{i}", 100, valueBytes: 1000));
        }

        var used = new HashSet<byte[]>(ReferenceEqualityComparer.Instance);
        for (var i = 0; i < 200; i++)
        {
            var read = await log.ReadAsync(i % 20 * 100, 1);
            System.Runtime.InteropServices.MemoryMarshal.TryGetArray(read.Batches, out var segment).ShouldBeTrue();
            used.Add(segment.Array!);
            read.Loan!.Dispose();
        }

        used.Count.ShouldBeLessThanOrEqualTo(4);
    }

    [Fact]
    public async Task One_bound_holds_for_the_tails_of_all_logs_those_that_are_appended_to_as_well()
    {
        const long Bound = 512 * 1024;
        await using var storage = Create(Bound);
        var logs = new List<ILog>();
        for (var i = 0; i < 100; i++)
        {
            logs.Add(await storage.OpenAsync(new LogId($"l/{i}"), new LogOptions { Flush = FlushMode.OperatingSystem }));
        }

        foreach (var round in Enumerable.Range(0, 20))
        {
            foreach (var log in logs)
            {
                await log.AppendAsync(TestBatches.Of($"r{round}", valueBytes: 3000));
            }
        }

        // A step trims after it has answered.
        foreach (var log in logs)
        {
            await log.DisposeAsync();
        }

        storage.Shared.Cache.Bytes.ShouldBeLessThanOrEqualTo(Bound);
    }

    [Fact]
    public async Task A_closed_log_leaves_nothing_in_the_cache()
    {
        await using var storage = Create(1 << 20);
        for (var i = 0; i < 3; i++)
        {
            await using var log = await storage.OpenAsync(new LogId("t"), new LogOptions());
            await log.AppendAsync(TestBatches.Of("x"));
            storage.Shared.Cache.Bytes.ShouldBeGreaterThan(0);
        }

        storage.Shared.Cache.Bytes.ShouldBe(0);
    }

    [Fact]
    public async Task Many_logs_with_many_segments_share_few_handles()
    {
        await using var storage = new FileLogStorage(
            new FileLogStorageOptions { RootPath = _root, OpenFilesMax = 4, TailCacheBytes = 0 }, TimeProvider.System, NullLogger<FileLogStorage>.Instance);
        var logs = new List<ILog>();
        for (var i = 0; i < 20; i++)
        {
            logs.Add(await storage.OpenAsync(new LogId($"l/{i}"), new LogOptions { SegmentBytes = 300, Flush = FlushMode.Always }));
        }

        foreach (var round in Enumerable.Range(0, 10))
        {
            foreach (var log in logs)
            {
                await log.AppendAsync(TestBatches.Of($"r{round}", valueBytes: 200));
            }
        }

        foreach (var log in logs)
        {
            (await log.ReadAllAsync()).Count.ShouldBe(10);
            await log.TruncatePrefixAsync(log.DurableEndOffset);
        }

        storage.Shared.Handles.OpenCount.ShouldBeLessThanOrEqualTo(4);
    }

    [Fact]
    public void A_file_with_unflushed_bytes_is_not_closed()
    {
        var disk = new SimulatedDisk();
        var handles = new FileHandles(disk, openMax: 1);
        var unflushed = handles.Open("/a", FileOpening.Create);
        unflushed.Write(0, [new byte[] { 1 }]);
        var other = handles.Open("/b", FileOpening.Create, isWatched: false);
        other.Write(0, [new byte[] { 2 }]);
        handles.OpenCount.ShouldBe(1, "the one that may be lost was closed");
        unflushed.Flush();
        other.Length.ShouldBe(1);
        handles.OpenCount.ShouldBe(1);
        Span<byte> read = stackalloc byte[1];
        unflushed.Read(0, read).ShouldBe(1);
        read[0].ShouldBe((byte)1, "opened again, and not emptied");
        unflushed.Dispose();
        Should.Throw<ObjectDisposedException>(() => unflushed.Length);
        other.Dispose();
        handles.OpenCount.ShouldBe(0);
    }

    private FileLogStorage Create(long cacheBytes) =>
        new(new FileLogStorageOptions { RootPath = _root, TailCacheBytes = cacheBytes }, TimeProvider.System, NullLogger<FileLogStorage>.Instance);
}
