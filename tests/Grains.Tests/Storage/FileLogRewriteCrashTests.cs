using Microsoft.Extensions.Logging.Abstractions;
using OrleansStreams.Errors;
using OrleansStreams.Records;
using OrleansStreams.Storage;
using OrleansStreams.Storage.Files;

namespace OrleansStreams.Tests.Storage;

/// <summary>Rewrites among appends, truncations and restarts on the simulated disk, with a fault at every operation, one after the other.</summary>
public sealed class FileLogRewriteCrashTests
{
    private static readonly LogId Id = new("topics/compacted.1/0");

    [Fact]
    public Task A_power_failure_at_any_operation_leaves_the_old_batches_or_the_new_ones_and_never_a_mixture() => FaultEverywhereAsync(DiskFault.Crash);

    [Fact]
    public Task A_medium_error_at_any_operation_leaves_the_old_batches_or_the_new_ones_and_never_a_mixture() => FaultEverywhereAsync(DiskFault.Error);

    [Fact]
    public Task A_full_disk_at_any_operation_leaves_the_old_batches_or_the_new_ones_and_never_a_mixture() => FaultEverywhereAsync(DiskFault.Full);

    [Fact]
    public async Task A_crash_that_meets_a_recovery_again_and_again_still_ends_with_old_or_new()
    {
        for (var seed = 0; seed < 80; seed++)
        {
            var random = new Random(seed);
            var disk = new SimulatedDisk { Seed = seed, FaultAt = (random.Next(40, 140), DiskFault.Crash) };
            var run = new Workload(disk);
            await run.RunAsync();
            for (var crash = 0; crash < 4; crash++)
            {
                disk = disk.AfterCrash(random.Next());
                disk.FaultAt = (random.Next(1, 10), DiskFault.Crash);
                try
                {
                    await using var storage = Workload.CreateStorage(disk);
                    await using var log = await storage.OpenAsync(Id, Workload.Options);
                }
                catch (StreamsException exception) when (exception.Code == StreamsErrorCode.StorageError)
                {
                    // Down again.
                }
            }

            await run.RecoverAsync(disk.AfterCrash(seed));
        }
    }

    /// <summary>An index of the same size and end as before, but of other batches, must never be believed.</summary>
    [Fact]
    public async Task A_power_failure_while_batches_of_other_sizes_fill_the_same_bytes_leaves_no_index_that_misleads()
    {
        var options = new LogOptions { SegmentBytes = 100_000, IndexIntervalBytes = 1 };
        for (var operation = 1; ; operation++)
        {
            var disk = new SimulatedDisk { Seed = operation };
            var isOver = false;
            try
            {
                await using var storage = Workload.CreateStorage(disk);
                await using var log = await storage.OpenAsync(Id, options);
                await log.AppendAsync(TestBatches.Sparse(0, 2, 1, 1000, 0));
                await log.AppendAsync(TestBatches.Sparse(2, 8, 1, 1000, 2, 3, 4, 5, 6));
                await log.RollAsync();
                await using var rewrite = await log.BeginRewriteAsync(0, 8);
                await rewrite.AppendAsync(TestBatches.Sparse(0, 6, 1, 1000, 0, 1, 2, 3, 4));
                await rewrite.AppendAsync(TestBatches.Sparse(6, 8, 1, 1000, 6));
                disk.FaultAt = (disk.Operations + operation, DiskFault.Crash);
                await rewrite.CommitAsync();
                isOver = !disk.IsDown;
                disk.FaultAt = null;
            }
            catch (StreamsException exception) when (exception.Code == StreamsErrorCode.StorageError && disk.IsDown)
            {
                // Power failed somewhere in the commit, or when the files were closed after it.
            }

            await using var again = Workload.CreateStorage(disk.AfterCrash(operation));
            await using var recovered = await again.OpenAsync(Id, options);
            for (var offset = 0L; offset < 8; offset++)
            {
                var header = RecordBatchHeader.Read((await recovered.ReadAsync(offset, 1)).Batches.Span);
                offset.ShouldBeInRange(header.BaseOffset, header.LastOffset, $"power failure at operation {operation} of the commit");
            }

            if (isOver)
            {
                operation.ShouldBeGreaterThan(6);
                return;
            }
        }
    }

    /// <summary>One crash, many disks: which of the names of a swap survive is all that differs.</summary>
    [Fact]
    public async Task Whatever_names_a_power_failure_takes_from_a_swap_of_several_segments_the_batches_are_the_old_or_the_new()
    {
        byte[][] old = [.. Enumerable.Range(0, 4).Select(i => TestBatches.Sparse(2 * i, (2 * i) + 2, 1, 1000, 2 * i, (2 * i) + 1))];
        var fresh = TestBatches.Sparse(0, 6, 1, 1000, 1, 3, 5);
        for (var operation = 1; ; operation++)
        {
            var disk = new SimulatedDisk { Seed = operation };
            try
            {
                await using var storage = Workload.CreateStorage(disk);
                await using var log = await storage.OpenAsync(Id, Workload.Options);
                foreach (var batch in old)
                {
                    await log.AppendAsync(batch);
                    await log.RollAsync();
                }

                await using var rewrite = await log.BeginRewriteAsync(0, 6);
                await rewrite.AppendAsync(fresh);
                disk.FaultAt = (disk.Operations + operation, DiskFault.Crash);
                await rewrite.CommitAsync();
                disk.FaultAt = null;
            }
            catch (StreamsException exception) when (exception.Code == StreamsErrorCode.StorageError && disk.IsDown)
            {
                // Power failed somewhere in the commit.
            }

            if (!disk.IsDown)
            {
                operation.ShouldBeGreaterThan(8);
                return;
            }

            for (var seed = 0; seed < 40; seed++)
            {
                await using var again = Workload.CreateStorage(disk.AfterCrash(seed));
                await using var recovered = await again.OpenAsync(Id, Workload.Options);
                var found = await recovered.ReadAllAsync();
                found.Count.ShouldBeOneOf(2, 4);
                found.SequenceEqual(found.Count == 4 ? old : [fresh, old[3]], ByteComparer.Instance).ShouldBeTrue($"power failure at operation {operation} of the commit, disk {seed}");
            }
        }
    }

    private static async Task FaultEverywhereAsync(DiskFault fault)
    {
        for (var operation = 1; ; operation++)
        {
            for (var seed = 0; seed < (fault == DiskFault.Crash ? 3 : 1); seed++)
            {
                var disk = new SimulatedDisk { Seed = seed, FaultAt = (operation, fault) };
                var run = new Workload(disk);
                try
                {
                    await run.RunAsync();
                    if (disk.Operations < operation)
                    {
                        operation.ShouldBeGreaterThan(100, "the workload must be worth it");
                        return;
                    }

                    await run.RecoverAsync(disk.AfterCrash((operation * 7) + seed));
                }
                catch (Exception exception)
                {
                    throw new InvalidOperationException($"{fault} at operation {operation}, seed {seed}: {exception.Message}", exception);
                }
            }
        }
    }

    /// <summary>Knows what the log must hold: after a failure one of two things, and reading tells which.</summary>
    private sealed class Workload(SimulatedDisk disk)
    {
        private List<List<byte[]>> _candidates = [[]];
        private long _start;
        private long _startAtLeast;
        private ILogStorage? _storage;
        private ILog? _log;

        public static LogOptions Options { get; } = new() { SegmentBytes = 600, IndexIntervalBytes = 100 };

        public static ILogStorage CreateStorage(SimulatedDisk disk) =>
            new FileLogStorage(new FileLogStorageOptions { RootPath = "/data", TailCacheBytes = 0 }, disk, TimeProvider.System, NullLogger.Instance);

        public async Task RunAsync()
        {
            for (var round = 0; round < 26 && !disk.IsDown; round++)
            {
                await TryAsync(round switch
                {
                    9 => () => RewriteAsync(0, 2, 1),
                    12 => () => RewriteAsync(1, 3, 2),
                    15 => () => _log!.TruncatePrefixAsync(_start = Math.Max(_start, _log.Segments[0].BaseOffset + 1)).AsTask(),
                    17 => () => RewriteAsync(0, 3, 3),
                    18 => RestartAsync,
                    20 => () => RewriteAsync(0, 1, 2),
                    21 => () => _log!.TruncatePrefixAsync(_start = Math.Max(_start, _log.Segments[1].BaseOffset)).AsTask(),
                    24 => () => _log!.RollAsync().AsTask(),
                    _ => () => AppendAsync(round),
                });
            }

            try
            {
                await (_storage?.DisposeAsync() ?? ValueTask.CompletedTask);
            }
            catch (StreamsException) when (disk.IsDown)
            {
                // No orderly close on a disk that is down.
            }
        }

        /// <summary>Opens the log from a disk and checks all of it.</summary>
        public async Task RecoverAsync(SimulatedDisk after)
        {
            await using var storage = CreateStorage(after);
            await using var log = await storage.OpenAsync(Id, Options);
            await CheckAsync(log);
            after.AllFiles.ShouldAllBe(path => !path.EndsWith(".cleaned") && !path.EndsWith(".swap"));
            await log.AppendAsync(TestBatches.Of("after"));
            foreach (var segment in log.Segments)
            {
                if (segment.EndOffset > log.StartOffset)
                {
                    (await log.ReadAllAsync(Math.Max(log.StartOffset, segment.BaseOffset))).ShouldNotBeEmpty();
                }
            }
        }

        private async Task CheckAsync(ILog log)
        {
            log.StartOffset.ShouldBeInRange(_startAtLeast, _start);
            var found = await log.ReadAllAsync();
            var match = _candidates.FirstOrDefault(candidate =>
                candidate.Where(batch => RecordBatchHeader.Read(batch).NextOffset > log.StartOffset).SequenceEqual(found, ByteComparer.Instance));
            match.ShouldNotBeNull("the log is none of what it may be");
            _candidates = [match];
            (_startAtLeast, _start) = (log.StartOffset, log.StartOffset);
        }

        private async Task TryAsync(Func<Task> step)
        {
            for (var attempt = 0; attempt < 3 && !disk.IsDown; attempt++)
            {
                try
                {
                    _storage ??= CreateStorage(disk);
                    if (_log is null)
                    {
                        _log = await _storage.OpenAsync(Id, Options);
                        await CheckAsync(_log);
                    }

                    await step();
                    _candidates = [_candidates[^1]];
                    _startAtLeast = _start;
                    return;
                }
                catch (StreamsException exception) when (exception.Code is StreamsErrorCode.DiskFull)
                {
                    // Nothing happened: that is checked at once, on the log as it is.
                    _candidates = [_candidates[0]];
                    if (_log is not null)
                    {
                        await CheckAsync(_log);
                    }
                }
                catch (StreamsException exception) when (exception.Code is StreamsErrorCode.StorageError)
                {
                    _log = null;
                }
            }
        }

        private async Task RestartAsync()
        {
            var closing = _storage!;
            (_storage, _log) = (null, null);
            await closing.DisposeAsync();
            _storage = CreateStorage(disk);
            _log = await _storage.OpenAsync(Id, Options);
            await CheckAsync(_log);
        }

        private async Task AppendAsync(int round)
        {
            var batch = TestBatches.Of($"r{round}", 1 + (round % 3), valueBytes: 40 * (round % 4));
            _candidates = [_candidates[0], [.. _candidates[0], TestBatches.Stamped(batch, _log!.NextOffset, _log.LeaderEpoch)]];
            await _log.AppendAsync(batch);
        }

        private async Task RewriteAsync(int first, int segments, int keptEvery)
        {
            var infos = _log!.Segments;
            var last = Math.Min(first + segments, infos.Count - 1) - 1;
            if (last < first)
            {
                return;
            }

            var (from, end) = (infos[first].BaseOffset, infos[last].EndOffset);
            var fresh = new List<byte[]>();
            for (var offset = from; offset < end; offset += 5)
            {
                var to = Math.Min(end, offset + 5);
                fresh.Add(TestBatches.Sparse(offset, to, 1, 1000, [.. Enumerable.Range(0, (int)(to - offset)).Where(i => i % keptEvery == 0).Select(i => offset + i)]));
            }

            _candidates =
            [
                _candidates[0],
                [
                    .. _candidates[0].Where(batch => RecordBatchHeader.Read(batch).NextOffset <= from), .. fresh,
                    .. _candidates[0].Where(batch => RecordBatchHeader.Read(batch).BaseOffset >= end),
                ],
            ];
            await using var rewrite = await _log.BeginRewriteAsync(from, end);
            foreach (var batch in fresh)
            {
                await rewrite.AppendAsync(batch);
            }

            (await rewrite.CommitAsync()).ShouldBeTrue();
        }
    }

    private sealed class ByteComparer : IEqualityComparer<byte[]>
    {
        public static ByteComparer Instance { get; } = new();

        public bool Equals(byte[]? x, byte[]? y) => x.AsSpan().SequenceEqual(y);

        public int GetHashCode(byte[] bytes) => bytes.Length;
    }
}
