using Microsoft.Extensions.Logging.Abstractions;
using OrleansStreams.Errors;
using OrleansStreams.Records;
using OrleansStreams.Storage;
using OrleansStreams.Storage.Files;

namespace OrleansStreams.Tests.Storage;

/// <summary>What is special about files: group commit, flush modes, failures, the data folder's lock, the formats.</summary>
public sealed class FileLogStorageTests : IDisposable
{
    private const string Segment = "/data/logs/t~log/00000000000000000000.log";
    private static readonly LogId Id = new("t");
    private readonly SimulatedDisk _disk = new();
    private readonly ManualTimeProvider _clock = new();
    private readonly string _root = Directory.CreateTempSubdirectory("log-storage-").FullName;

    public void Dispose() => Directory.Delete(_root, recursive: true);

    [Fact]
    public async Task All_appends_queued_during_a_flush_are_written_and_flushed_together()
    {
        await using var storage = CreateSimulated();
        await using var log = await storage.OpenAsync(Id, new LogOptions());
        using var gate = new FlushGate(_disk, Segment);
        var first = log.AppendAsync(TestBatches.Of("first")).AsTask();
        await gate.Entered;
        var (writes, flushes) = (_disk.Writes[Segment], _disk.Flushes.GetValueOrDefault(Segment));
        var queued = Enumerable.Range(0, 100).Select(i => log.AppendAsync(TestBatches.Of($"n{i}")).AsTask()).ToList();
        (log.NextOffset, log.DurableEndOffset, first.IsCompleted).ShouldBe((101, 0, false));
        (await log.ReadAsync(0, 100)).Batches.IsEmpty.ShouldBeTrue("nobody reads what is not durable");
        gate.Open();
        await Task.WhenAll([first, .. queued]);
        (_disk.Writes[Segment] - writes, _disk.Flushes[Segment] - flushes).ShouldBe((1, 2), "one write and one flush for 100 appends, and the first one's flush");
        (await log.ReadAllAsync()).Count.ShouldBe(101);
    }

    [Fact]
    public async Task A_stale_openers_queued_appends_are_fenced_and_the_one_being_flushed_is_kept()
    {
        await using var storage = CreateSimulated();
        var stale = await storage.OpenAsync(Id, new LogOptions());
        using var gate = new FlushGate(_disk, Segment);
        var flushing = stale.AppendAsync(TestBatches.Of("flushing")).AsTask();
        await gate.Entered;
        var queued = stale.AppendAsync(TestBatches.Of("queued")).AsTask();
        var opening = storage.OpenAsync(Id, new LogOptions()).AsTask();
        var refused = await Should.ThrowAsync<StreamsException>(() => queued);
        (refused.Code, refused.Outcome).ShouldBe((StreamsErrorCode.FencedLeaderEpoch, WriteOutcome.NotWritten));
        opening.IsCompleted.ShouldBeFalse("the new leader must see what the old one is writing");
        gate.Open();
        await flushing;
        await using var log = await opening;
        log.DurableEndOffset.ShouldBe(1);
        RecordBatchHeader.Read((await log.ReadAsync(0, 1)).Batches.Span).LeaderEpoch.ShouldBe(1);
    }

    [Fact]
    public async Task A_full_disk_refuses_all_queued_appends_cuts_the_tail_and_the_log_works_again_when_there_is_room()
    {
        await using var storage = CreateSimulated();
        await using var log = await storage.OpenAsync(Id, new LogOptions());
        var kept = TestBatches.Of("kept");
        await log.AppendAsync(kept);
        _disk.IsFull = true;
        var size = _disk.Bytes(Segment).Length;
        foreach (var attempt in new[] { "a", "b" })
        {
            var refused = await Should.ThrowAsync<StreamsException>(async () => await log.AppendAsync(TestBatches.Of(attempt, 3, valueBytes: 3000)));
            (refused.Code, refused.Outcome).ShouldBe((StreamsErrorCode.DiskFull, WriteOutcome.NotWritten));
            (log.NextOffset, log.DurableEndOffset, _disk.Bytes(Segment).Length).ShouldBe((1, 1, size));
        }

        (await Should.ThrowAsync<StreamsException>(async () => await log.WriteCheckpointAsync(new byte[1], 1))).Code.ShouldBe(StreamsErrorCode.DiskFull);
        _disk.IsFull = false;
        await log.WriteCheckpointAsync(new byte[1], 1);
        var next = TestBatches.Of("next");
        await log.AppendAsync(next);
        (await log.ReadAllAsync()).ShouldBe([TestBatches.Stamped(kept, 0, 1), TestBatches.Stamped(next, 1, 1)]);
    }

    [Fact]
    public async Task After_a_failed_flush_the_outcome_is_unknown_and_the_log_is_never_flushed_again()
    {
        await using var storage = CreateSimulated();
        var log = await storage.OpenAsync(Id, new LogOptions());
        await log.AppendAsync(TestBatches.Of("kept"));
        _disk.BeforeFlush = path => _disk.FaultAt = path == Segment ? (_disk.Operations + 1, DiskFault.Error) : null;
        var failed = await Should.ThrowAsync<StreamsException>(async () => await log.AppendAsync(TestBatches.Of("unknown")));
        _disk.BeforeFlush = null;
        (failed.Code, failed.Outcome).ShouldBe((StreamsErrorCode.StorageError, WriteOutcome.Unknown));
        var flushes = _disk.Flushes[Segment];
        var later = await Should.ThrowAsync<StreamsException>(async () => await log.AppendAsync(1, [TestBatches.Of("later")]));
        (later.Code, later.Outcome).ShouldBe((StreamsErrorCode.StorageError, WriteOutcome.NotWritten));
        (await log.ReadAllAsync()).Count.ShouldBe(1, "what is durable can still be read");
        await log.DisposeAsync();
        _disk.Flushes[Segment].ShouldBe(flushes);
        var again = await storage.OpenAsync(Id, new LogOptions());
        again.DurableEndOffset.ShouldBe(2, "the bytes are there, as it happens");
        await EndAfterCrashShouldBeAsync(2, "what the next opener served must be on disk, although the system holds it as clean since the failed flush");
    }

    [Fact]
    public async Task What_a_killed_process_wrote_but_did_not_flush_is_durable_once_it_is_served()
    {
        var abandoned = CreateSimulated();
        var log = await abandoned.OpenAsync(Id, new LogOptions());
        using var gate = new FlushGate(_disk, Segment);
        _ = log.AppendAsync(TestBatches.Of("unflushed")).AsTask();
        await gate.Entered;
        _disk.BeforeFlush = null;
        _disk.KillProcess();
        var storage = CreateSimulated();
        (await storage.OpenAsync(Id, new LogOptions())).DurableEndOffset.ShouldBe(1);
        await EndAfterCrashShouldBeAsync(1, "readers have seen it");
    }

    [Fact]
    public async Task What_a_full_disk_refused_does_not_come_back_after_a_power_failure()
    {
        for (var seed = 0; seed < 40; seed++)
        {
            var disk = new SimulatedDisk { Seed = seed };
            var storage = new FileLogStorage(new FileLogStorageOptions { RootPath = "/data", JournalBytes = 0 }, disk, _clock, NullLogger.Instance);
            var log = await storage.OpenAsync(Id, new LogOptions());
            await log.AppendAsync(TestBatches.Of("kept"));
            disk.IsFull = true;
            await Should.ThrowAsync<StreamsException>(async () => await log.AppendAsync([.. Enumerable.Range(0, 10).Select(i => TestBatches.Of($"refused{i}"))]));
            await using var after = new FileLogStorage(new FileLogStorageOptions { RootPath = "/data", JournalBytes = 0 }, disk.AfterCrash(seed), _clock, NullLogger.Instance);
            await using var recovered = await after.OpenAsync(Id, new LogOptions());
            recovered.DurableEndOffset.ShouldBe(1, $"seed {seed}");
        }
    }

    [Fact]
    public async Task In_interval_mode_appends_are_acknowledged_at_once_and_flushed_when_the_interval_is_over()
    {
        await using var storage = CreateSimulated();
        await using var log = await storage.OpenAsync(Id, new LogOptions { Flush = FlushMode.Interval, FlushInterval = TimeSpan.FromSeconds(5) });
        var before = _disk.Flushes.GetValueOrDefault(Segment);
        await log.AppendAsync(TestBatches.Of("a"));
        await log.AppendAsync(TestBatches.Of("b"));
        log.DurableEndOffset.ShouldBe(2);
        _disk.Flushes.GetValueOrDefault(Segment).ShouldBe(before);
        var flushed = new TaskCompletionSource();
        _disk.BeforeFlush = path => (path == Segment ? flushed : new()).TrySetResult();
        _clock.Advance(TimeSpan.FromSeconds(4.9));
        flushed.Task.IsCompleted.ShouldBeFalse();
        _clock.Advance(TimeSpan.FromSeconds(0.2));
        await flushed.Task.WaitAsync(TimeSpan.FromSeconds(30));
    }

    [Fact]
    public async Task Without_a_flush_per_append_a_checkpoint_still_never_outlives_its_records()
    {
        var storage = CreateSimulated();
        var log = await storage.OpenAsync(Id, new LogOptions { Flush = FlushMode.OperatingSystem });
        await log.AppendAsync(TestBatches.Of("a", 10));
        await log.WriteCheckpointAsync(new byte[] { 1 }, 10);
        await log.AppendAsync(TestBatches.Of("b", 10));
        for (var seed = 0; seed < 20; seed++)
        {
            var disk = _disk.AfterCrash(seed);
            await using var after = new FileLogStorage(new FileLogStorageOptions { RootPath = "/data", JournalBytes = 0 }, disk, _clock, NullLogger.Instance);
            await using var recovered = await after.OpenAsync(Id, new LogOptions());
            recovered.DurableEndOffset.ShouldBeOneOf(10, 20);
            recovered.Checkpoint!.Offset.ShouldBe(10);
        }
    }

    [Fact]
    public async Task A_killed_process_loses_nothing_in_any_flush_mode()
    {
        foreach (var mode in Enum.GetValues<FlushMode>())
        {
            var id = new LogId($"killed/{mode}");
            var abandoned = CreateSimulated();
            var log = await abandoned.OpenAsync(id, new LogOptions { Flush = mode, SegmentBytes = 2000, IndexIntervalBytes = 200 });
            for (var i = 0; i < 100; i++)
            {
                await log.AppendAsync(TestBatches.Of($"n{i}"));
            }

            _disk.KillProcess();
            await using var storage = CreateSimulated();
            await using var again = await storage.OpenAsync(id, new LogOptions());
            (await again.ReadAllAsync()).Count.ShouldBe(100);
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1 << 20)]
    public async Task Opening_a_long_log_after_a_kill_reads_its_end_only(long journalBytes)
    {
        var options = new LogOptions { SegmentBytes = 8 << 20 };
        var abandoned = new FileLogStorage(new FileLogStorageOptions { RootPath = "/data", JournalBytes = journalBytes }, _disk, _clock, NullLogger.Instance);
        var log = await abandoned.OpenAsync(Id, options);
        for (var i = 0; i < 200; i++)
        {
            await log.AppendAsync(TestBatches.Of($"n{i}", 10, valueBytes: 10_000));
        }

        log.SizeBytes.ShouldBeGreaterThan(19_000_000);
        _disk.KillProcess();
        await using var storage = new FileLogStorage(new FileLogStorageOptions { RootPath = "/data", JournalBytes = journalBytes }, _disk, _clock, NullLogger.Instance);
        var before = _disk.BytesRead;
        await using var again = await storage.OpenAsync(Id, options);
        again.DurableEndOffset.ShouldBe(2000);
        (_disk.BytesRead - before).ShouldBeLessThan(2_500_000, "what the index does not cover yet, and the block that is read at once");
    }

    [Fact]
    public async Task A_log_that_is_read_from_end_to_end_is_asked_for_ahead()
    {
        var storage = new FileLogStorage(new FileLogStorageOptions { RootPath = "/data", TailCacheBytes = 0 }, _disk, _clock, NullLogger.Instance);
        await using var log = await storage.OpenAsync(Id, new LogOptions());
        for (var i = 0; i < 50; i++)
        {
            await log.AppendAsync(TestBatches.Of($"n{i}", valueBytes: 1000));
        }

        var first = await log.ReadAsync(0, 5000);
        _disk.Prefetched.ShouldBeEmpty("one read is no replay");
        await log.ReadAsync(first.NextOffset, 5000);
        _disk.Prefetched[Segment].ShouldBe(log.SizeBytes);
    }

    [Fact]
    public async Task The_tail_cache_is_bounded_and_reads_beyond_it_come_from_the_segments()
    {
        await using var storage = new FileLogStorage(
            new FileLogStorageOptions { RootPath = _root, TailCacheBytes = 256 * 1024 }, TimeProvider.System, NullLogger<FileLogStorage>.Instance);
        await using var log = await storage.OpenAsync(Id, new LogOptions { SegmentBytes = 500_000 });
        var batches = Enumerable.Range(0, 300).Select(i => TestBatches.Of($"n{i}", valueBytes: 10_000)).ToList();
        foreach (var batch in batches)
        {
            await log.AppendAsync(batch);
        }

        (await log.ReadAllAsync()).ShouldBe(batches.Select((batch, i) => TestBatches.Stamped(batch, i, 1)));
        (await log.ReadAllAsync(from: 150, maxBytes: 1)).Count.ShouldBe(150);
    }

    [Fact]
    public async Task Appends_of_many_logs_share_few_threads()
    {
        await using var storage = new FileLogStorage(
            new FileLogStorageOptions { RootPath = _root, WriterThreads = 2 }, TimeProvider.System, NullLogger<FileLogStorage>.Instance);
        var logs = new List<ILog>();
        for (var i = 0; i < 20; i++)
        {
            logs.Add(await storage.OpenAsync(new LogId($"many/{i}"), new LogOptions()));
        }

        await Task.WhenAll(logs.SelectMany(log => Enumerable.Range(0, 20).Select(i => log.AppendAsync(TestBatches.Of($"n{i}")).AsTask())));
        logs.ShouldAllBe(log => log.DurableEndOffset == 20);
    }

    [Fact]
    public async Task A_data_folder_in_use_is_refused_with_its_name_its_owner_and_what_to_do()
    {
        await using (var first = CreatePhysical())
        {
            var refused = Should.Throw<StreamsException>(CreatePhysical);
            refused.Code.ShouldBe(StreamsErrorCode.DataFolderInUse);
            refused.Message.ShouldBe(
                $"The data folder '{_root}' is in use by process {Environment.ProcessId}. Stop that process, or choose another data folder.");
        }

        await using var second = CreatePhysical();
    }

    [Fact]
    public async Task A_data_folder_held_by_another_process_is_free_again_once_that_was_killed()
    {
        // flock(1) takes the same kind of lock that the storage takes; the kernel drops it with the process, which SIGKILL ends.
        if (!OperatingSystem.IsLinux() || !File.Exists("/usr/bin/flock"))
        {
            return;
        }

        await CreatePhysical().DisposeAsync();
        using var other = System.Diagnostics.Process.Start(new System.Diagnostics.ProcessStartInfo("/usr/bin/flock")
        {
            ArgumentList = { "--no-fork", $"{_root}/lock", "sh", "-c", "echo locked; exec cat" },
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
        })!;
        try
        {
            (await other.StandardOutput.ReadLineAsync()).ShouldBe("locked");
            Should.Throw<StreamsException>(CreatePhysical).Code.ShouldBe(StreamsErrorCode.DataFolderInUse);
        }
        finally
        {
            other.Kill();
            await other.WaitForExitAsync();
        }

        await using var storage = CreatePhysical();
    }

    [Fact]
    public void A_data_folder_that_cannot_be_made_is_a_storage_error_that_names_it()
    {
        File.WriteAllText($"{_root}/file", "x");
        var error = Should.Throw<StreamsException>(() => new FileLogStorage(
            new FileLogStorageOptions { RootPath = $"{_root}/file/data" }, TimeProvider.System, NullLogger<FileLogStorage>.Instance));
        error.Code.ShouldBe(StreamsErrorCode.StorageError);
        error.Message.ShouldContain($"{_root}/file/data");
    }

    [Fact]
    public async Task A_closed_storage_refuses_everything()
    {
        var storage = CreateSimulated();
        var log = await storage.OpenAsync(Id, new LogOptions());
        await storage.DisposeAsync();
        await storage.DisposeAsync();
        foreach (var use in new Func<Task>[]
        {
            async () => await storage.OpenAsync(Id, new LogOptions()),
            async () => await storage.DeleteAsync(Id),
            async () => await storage.ListAsync(string.Empty),
            async () => await log.AppendAsync(TestBatches.Of("a")),
            async () => await log.FindBatchByTimestampAsync(0),
        })
        {
            (await Should.ThrowAsync<StreamsException>(use)).Code.ShouldBe(StreamsErrorCode.Closed);
        }
    }

    [Fact]
    public async Task The_files_have_the_bytes_that_their_formats_say()
    {
        await using (var storage = CreateSimulated())
        {
            await using var log = await storage.OpenAsync(Id, new LogOptions { IndexIntervalBytes = 1 });
            await log.AppendAsync(TestBatches.Of("a", 2, timestamp: 0x0102), TestBatches.Of("b", 1, timestamp: 0x0304));
            await log.WriteCheckpointAsync(new byte[] { 0xAA, 0xBB }, 2);
        }

        var first = TestBatches.Stamped(TestBatches.Of("a", 2, timestamp: 0x0102), 0, 1);
        var second = TestBatches.Stamped(TestBatches.Of("b", 1, timestamp: 0x0304), 2, 1);
        _disk.Bytes(Segment).ShouldBe([.. first, .. second]);
        var state = _disk.Bytes("/data/logs/t~log/checkpoint");
        Convert.ToHexString(state).ShouldBe("4F53535400000001000000000000000200000002" + Crc([.. state[..20], 0xAA, 0xBB]) + "AABB");
        var index = _disk.Bytes(Path.ChangeExtension(Segment, ".index"));
        var size = (first.Length + second.Length).ToString("X16");
        var header = "4F53495800000001" + "0000000000000000" + size + "0000000000000003" + "0000000000000304";
        var entry = "0000000000000002" + first.Length.ToString("X16") + "0000000000000102";
        Convert.ToHexString(index).ShouldBe(
            header + Crc(Convert.FromHexString(header)) + new string('0', 40) + entry + Crc(Convert.FromHexString(entry)) + "00000000");

        static string Crc(byte[] bytes) => Crc32C.Compute(bytes).ToString("X8");
    }

    private async Task EndAfterCrashShouldBeAsync(long end, string why)
    {
        for (var seed = 0; seed < 20; seed++)
        {
            await using var after = new FileLogStorage(new FileLogStorageOptions { RootPath = "/data", JournalBytes = 0 }, _disk.AfterCrash(seed), _clock, NullLogger.Instance);
            await using var recovered = await after.OpenAsync(Id, new LogOptions());
            recovered.DurableEndOffset.ShouldBe(end, why);
        }
    }

    /// <summary>Without the flush journal, which has tests of its own.</summary>
    private FileLogStorage CreateSimulated() => new(new FileLogStorageOptions { RootPath = "/data", JournalBytes = 0 }, _disk, _clock, NullLogger.Instance);

    private FileLogStorage CreatePhysical() =>
        new(new FileLogStorageOptions { RootPath = _root }, TimeProvider.System, NullLogger<FileLogStorage>.Instance);

    /// <summary>A clock that stands still until it is moved.</summary>
    private sealed class ManualTimeProvider : TimeProvider
    {
        private readonly Lock _gate = new();
        private readonly List<ManualTimer> _timers = [];
        private DateTimeOffset _now = DateTimeOffset.UnixEpoch;

        public override DateTimeOffset GetUtcNow() => _now;

        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
        {
            lock (_gate)
            {
                var timer = new ManualTimer(this, () => callback(state));
                _timers.Add(timer);
                timer.Change(dueTime, period);
                return timer;
            }
        }

        public void Advance(TimeSpan time)
        {
            List<ManualTimer> due;
            lock (_gate)
            {
                _now += time;
                due = _timers.FindAll(timer => timer.Due <= _now);
                due.ForEach(timer => timer.Due = DateTimeOffset.MaxValue);
            }

            due.ForEach(timer => timer.Fire());
        }

        private sealed class ManualTimer(ManualTimeProvider clock, Action fire) : ITimer
        {
            public DateTimeOffset Due { get; set; } = DateTimeOffset.MaxValue;

            public Action Fire => fire;

            public bool Change(TimeSpan dueTime, TimeSpan period)
            {
                lock (clock._gate)
                {
                    Due = clock._now + dueTime;
                    return true;
                }
            }

            public void Dispose() => Due = DateTimeOffset.MaxValue;

            public ValueTask DisposeAsync()
            {
                Dispose();
                return ValueTask.CompletedTask;
            }
        }
    }
}
