using Microsoft.Extensions.Logging.Abstractions;
using OrleansStreams.Errors;
using OrleansStreams.Records;
using OrleansStreams.Storage;
using OrleansStreams.Storage.Files;

namespace OrleansStreams.Tests.Storage;

/// <summary>A workload on the simulated disk with a fault at every operation of it, one after the other.</summary>
public sealed class FileLogCrashTests
{
    // So small that its halves take turns a few times in the workload.
    private const long JournalBytes = 64 * 1024;
    private static readonly LogId Id = new("journals/app/1-2");

    [Theory]
    [InlineData(0)]
    [InlineData(JournalBytes)]
    public async Task A_power_failure_at_any_operation_loses_nothing_acknowledged_and_leaves_no_garbage(long journalBytes)
    {
        for (var operation = 1; ; operation++)
        {
            for (var seed = 0; seed < 3; seed++)
            {
                var run = new Workload(new SimulatedDisk { Seed = seed, FaultAt = (operation, DiskFault.Crash) }, journalBytes);
                await run.RunAsync();
                if (!run.Disk.IsDown)
                {
                    operation.ShouldBeGreaterThan(100, "the workload must be worth it");
                    return;
                }

                await CheckAsync(run, run.Disk.AfterCrash(seed), $"power failure at operation {operation}, seed {seed}");
            }
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(JournalBytes)]
    public async Task A_medium_error_at_any_operation_loses_nothing_acknowledged_even_when_power_fails_later(long journalBytes)
    {
        for (var operation = 1; ; operation++)
        {
            var run = new Workload(new SimulatedDisk { Seed = operation, FaultAt = (operation, DiskFault.Error) }, journalBytes);
            await run.RunAsync();
            if (run.Disk.Operations < operation)
            {
                return;
            }

            await CheckAsync(run, run.Disk.AfterCrash(operation), $"medium error at operation {operation}");
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(JournalBytes)]
    public async Task A_full_disk_at_any_operation_refuses_without_a_trace_and_the_log_goes_on(long journalBytes)
    {
        var refused = 0;
        for (var operation = 1; ; operation++)
        {
            var run = new Workload(new SimulatedDisk { Seed = operation, FaultAt = (operation, DiskFault.Full) }, journalBytes);
            await run.RunAsync();
            refused += run.Refused;
            if (run.Disk.Operations < operation)
            {
                refused.ShouldBeGreaterThan(operation / 3, "most operations must have room, and their caller must hear of it");
                return;
            }

            await CheckAsync(run, run.Disk.AfterCrash(operation), $"full disk at operation {operation}");
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(JournalBytes)]
    public async Task A_machine_that_fails_again_and_again_while_it_recovers_still_loses_nothing(long journalBytes)
    {
        for (var seed = 0; seed < 60; seed++)
        {
            var random = new Random(seed);
            var disk = new SimulatedDisk { Seed = seed, FaultAt = (random.Next(20, 150), DiskFault.Crash) };
            var run = new Workload(disk, journalBytes);
            await run.RunAsync();
            for (var crash = 0; crash < 5; crash++)
            {
                disk = disk.AfterCrash(random.Next());
                disk.FaultAt = (random.Next(1, 12), DiskFault.Crash);
                try
                {
                    await using var storage = run.CreateStorage(disk);
                    await using var log = await storage.OpenAsync(Id, Workload.Options);
                }
                catch (StreamsException exception) when (exception.Code == StreamsErrorCode.StorageError)
                {
                    // Down again.
                }
            }

            await CheckAsync(run, disk.AfterCrash(seed), $"seed {seed}");
        }
    }

    /// <summary>The invariants of a recovered log.</summary>
    private static async Task CheckAsync(Workload run, SimulatedDisk disk, string when)
    {
        try
        {
            await using var storage = run.CreateStorage(disk);
            await using var log = await storage.OpenAsync(Id, Workload.Options);
            log.LeaderEpoch.ShouldBeGreaterThan(run.LeaderEpoch);
            log.DurableEndOffset.ShouldBeGreaterThanOrEqualTo(run.AcknowledgedEnd);
            run.Starts.ShouldContain(log.StartOffset);
            log.StartOffset.ShouldBeGreaterThanOrEqualTo(run.AcknowledgedStart);
            (log.Checkpoint?.Offset ?? -1).ShouldBeGreaterThanOrEqualTo(run.AcknowledgedCheckpoint);
            if (log.Checkpoint is { } checkpoint)
            {
                checkpoint.Blob.ToArray().ShouldBe(Workload.BlobOf(checkpoint.Offset));
            }

            foreach (var batch in await log.ReadAllAsync())
            {
                // Every batch is one that was appended at that offset, and the acknowledged one where there is one.
                var header = RecordBatchHeader.Read(batch);
                var attempts = run.Attempts[header.BaseOffset];
                var acknowledged = attempts.Where(attempt => attempt.IsAcknowledged).ToList();
                (acknowledged.Count > 0 ? acknowledged : attempts.Where(attempt => !attempt.IsRefused).ToList())
                    .ShouldContain(attempt => attempt.Bytes.SequenceEqual(batch), $"offset {header.BaseOffset}");
            }

            // And it goes on.
            var next = TestBatches.Of("after");
            var offset = log.NextOffset;
            await log.AppendAsync(next);
            TestBatches.Split((await log.ReadAsync(offset, 1)).Batches)[0].ShouldBe(TestBatches.Stamped(next, offset, log.LeaderEpoch));
        }
        catch (Exception exception)
        {
            throw new InvalidOperationException($"{when}: {exception.Message}", exception);
        }
    }

    /// <summary>Appends alone and together, rolls, checkpoints, truncations, reopening, restarts; notes what was acknowledged.</summary>
    private sealed class Workload(SimulatedDisk disk, long journalBytes)
    {
        private ILogStorage? _storage;
        private ILog? _log;

        public static LogOptions Options { get; } = new() { SegmentBytes = 1500, IndexIntervalBytes = 200 };

        public SimulatedDisk Disk => disk;

        public Dictionary<long, List<Attempt>> Attempts { get; } = [];

        public List<long> Starts { get; } = [0];

        public int LeaderEpoch { get; private set; }

        public long AcknowledgedEnd { get; private set; }

        public long AcknowledgedStart { get; private set; }

        public long AcknowledgedCheckpoint { get; private set; } = -1;

        public int Refused { get; private set; }

        public ILogStorage CreateStorage(SimulatedDisk on) =>
            new FileLogStorage(new FileLogStorageOptions { RootPath = "/data", TailCacheBytes = 0, JournalBytes = journalBytes }, on, TimeProvider.System, NullLogger.Instance);

        public static byte[] BlobOf(long offset) => Enumerable.Range(0, 700).Select(i => (byte)(i * offset)).ToArray();

        public async Task RunAsync()
        {
            for (var round = 0; round < 14 && !disk.IsDown; round++)
            {
                await TryAsync(round switch
                {
                    3 or 7 => () => CheckpointAsync(AcknowledgedEnd),
                    5 or 10 => () => TruncateAsync(Math.Max(AcknowledgedStart, AcknowledgedEnd - 8)),
                    12 => () => TruncateAsync(AcknowledgedEnd),
                    6 => ReopenAsync,
                    9 => RestartAsync,
                    _ => () => AppendAsync(round),
                });
            }

            try
            {
                await (_storage?.DisposeAsync() ?? ValueTask.CompletedTask);
            }
            catch (StreamsException) when (disk.IsDown)
            {
                // It could not close its files in an orderly way: that is what this is about.
            }
        }

        private async Task TryAsync(Func<Task> step)
        {
            for (var attempt = 0; attempt < 4 && !disk.IsDown; attempt++)
            {
                try
                {
                    _storage ??= CreateStorage(disk);
                    if (_log is null)
                    {
                        await ReopenAsync();
                    }

                    await step();
                    return;
                }
                catch (StreamsException exception) when (exception.Code == StreamsErrorCode.DiskFull)
                {
                    Refused++;
                }
                catch (StreamsException exception) when (exception.Code == StreamsErrorCode.StorageError)
                {
                    _log = null;
                }
            }
        }

        private async Task ReopenAsync()
        {
            _log = null;
            _log = await _storage!.OpenAsync(Id, Options);
            LeaderEpoch = _log.LeaderEpoch;
        }

        private async Task RestartAsync()
        {
            _log = null;
            await _storage!.DisposeAsync();
            _storage = null;
            _storage = CreateStorage(disk);
            await ReopenAsync();
        }

        private async Task AppendAsync(int round)
        {
            var appends = new List<(Task Task, List<Attempt> Attempts)>();
            for (var i = 0; i < 1 + (round % 4); i++)
            {
                var offset = _log!.NextOffset;
                var attempts = new List<Attempt>();
                var batches = Enumerable.Range(0, 1 + (i % 3)).Select(n => TestBatches.Of($"r{round}.{i}.{n}", 1 + n, valueBytes: 40 * (round % 5) * n)).ToArray();
                var next = offset;
                foreach (var batch in batches)
                {
                    var attempt = new Attempt(TestBatches.Stamped(batch, next, LeaderEpoch));
                    attempts.Add(attempt);
                    (Attempts.TryGetValue(next, out var list) ? list : Attempts[next] = []).Add(attempt);
                    next = RecordBatchHeader.Read(attempt.Bytes).NextOffset;
                }

                try
                {
                    appends.Add((_log.AppendAsync(offset, [.. batches.Select(batch => (ReadOnlyMemory<byte>)batch)]).AsTask(), attempts));
                }
                catch (InvalidOperationException)
                {
                    // An earlier append of this round was refused meanwhile.
                    attempts.ForEach(attempt => attempt.IsRefused = true);
                }
            }

            StreamsException? failure = null;
            foreach (var (task, attempts) in appends)
            {
                try
                {
                    await task;
                    attempts.ForEach(attempt => attempt.IsAcknowledged = true);
                    AcknowledgedEnd = RecordBatchHeader.Read(attempts[^1].Bytes).NextOffset;
                }
                catch (StreamsException exception)
                {
                    attempts.ForEach(attempt => attempt.IsRefused = exception.Outcome == WriteOutcome.NotWritten);
                    failure ??= exception;
                }
            }

            if (failure is not null)
            {
                throw failure;
            }
        }

        private async Task CheckpointAsync(long offset)
        {
            await _log!.WriteCheckpointAsync(BlobOf(offset), offset);
            AcknowledgedCheckpoint = offset;
        }

        private async Task TruncateAsync(long offset)
        {
            Starts.Add(offset);
            await _log!.TruncatePrefixAsync(offset);
            AcknowledgedStart = offset;
        }
    }

    private sealed class Attempt(byte[] bytes)
    {
        public byte[] Bytes => bytes;

        public bool IsAcknowledged { get; set; }

        public bool IsRefused { get; set; }
    }
}
