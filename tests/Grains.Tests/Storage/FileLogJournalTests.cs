using Microsoft.Extensions.Logging.Abstractions;
using OrleansStreams.Errors;
using OrleansStreams.Log;
using OrleansStreams.Records;
using OrleansStreams.Storage;
using OrleansStreams.Storage.Files;

namespace OrleansStreams.Tests.Storage;

/// <summary>The flush journal: one flush for all logs, and what it brings back after a crash.</summary>
public sealed class FileLogJournalTests
{
    private const string First = "/data/journal/0.frames";
    private const string Second = "/data/journal/1.frames";
    private const string Segment = "/data/logs/t~log/00000000000000000000.log";
    private const long Small = 64 * 1024;
    private static readonly LogId Id = new("t");
    private readonly SimulatedDisk _disk = new();
    private readonly ManualTime _clock = new();

    [Fact]
    public async Task Appends_of_a_hundred_logs_queued_during_a_flush_cost_one_flush()
    {
        await using var storage = Create(_disk, 8 << 20);
        var logs = new List<ILog>();
        for (var i = 0; i < 101; i++)
        {
            logs.Add(await storage.OpenAsync(new LogId($"many/{i}"), new LogOptions()));
        }

        var flushes = Flushed();
        using var gate = new FlushGate(_disk, First);
        var first = logs[0].AppendAsync(TestBatches.Of("first")).AsTask();
        await gate.Entered;
        var queued = logs.Skip(1).Select(log => log.AppendAsync(TestBatches.Of("x")).AsTask()).ToList();

        // In the round once its bytes stand in the segment.
        await Turns.UntilAsync(() => logs.Skip(1).All(log => _disk.Writes.ContainsKey($"/data/logs/{log.Id}~log/00000000000000000000.log")));
        queued.ShouldAllBe(append => !append.IsCompleted);
        gate.Open();
        await Task.WhenAll([first, .. queued]);

        // The last of them may have been written but not queued when the gate opened.
        (Flushed() - flushes).ShouldBeInRange(2, 4, "the first one's and the others', not one each");
        logs.ShouldAllBe(log => log.DurableEndOffset == 1);
    }

    [Fact]
    public async Task What_stands_only_in_the_journal_is_there_after_a_power_failure_in_every_log()
    {
        var storage = Create(_disk, 1 << 20);
        for (var i = 0; i < 8; i++)
        {
            var log = await storage.OpenAsync(new LogId($"l/{i}"), new LogOptions());
            await log.AppendAsync(TestBatches.Of($"a{i}", 3));
            await log.AppendAsync(TestBatches.Of($"b{i}", 2));
        }

        _disk.Flushes.Keys.ShouldNotContain(path => path.EndsWith(".log", StringComparison.Ordinal), "segments are flushed later");
        for (var seed = 0; seed < 20; seed++)
        {
            await using var after = Create(_disk.AfterCrash(seed), 1 << 20);
            for (var i = 0; i < 8; i++)
            {
                await using var log = await after.OpenAsync(new LogId($"l/{i}"), new LogOptions());
                (await log.ReadAllAsync()).ShouldBe([TestBatches.Stamped(TestBatches.Of($"a{i}", 3), 0, 1), TestBatches.Stamped(TestBatches.Of($"b{i}", 2), 3, 1)], $"seed {seed}");
            }
        }
    }

    [Fact]
    public async Task The_halves_take_turns_and_the_journal_stays_as_large_as_it_may_be()
    {
        var storage = Create(_disk, Small);
        var log = await storage.OpenAsync(Id, new LogOptions());
        for (var i = 0; i < 200; i++)
        {
            await log.AppendAsync(TestBatches.Of($"n{i}", valueBytes: 1000));
        }

        _disk.Bytes(First).Length.ShouldBeLessThanOrEqualTo((int)Small / 2);
        _disk.Bytes(Second).Length.ShouldBeLessThanOrEqualTo((int)Small / 2);
        _disk.Flushes[First].ShouldBeGreaterThan(10);
        _disk.Flushes[Second].ShouldBeGreaterThan(10);
        for (var seed = 0; seed < 10; seed++)
        {
            await using var after = Create(_disk.AfterCrash(seed), Small);
            await using var again = await after.OpenAsync(Id, new LogOptions());
            (await again.ReadAllAsync()).Count.ShouldBe(200);
        }
    }

    [Fact]
    public async Task A_large_append_is_flushed_by_itself()
    {
        await using var storage = Create(_disk, 8 << 20);
        await using var log = await storage.OpenAsync(Id, new LogOptions());
        await log.AppendAsync(TestBatches.Of("large", valueBytes: FlushJournal.EntryBytesMax));
        (_disk.Flushes.GetValueOrDefault(First), _disk.Flushes[Segment]).ShouldBe((0, 1));
        await log.AppendAsync(TestBatches.Of("small"));
        (_disk.Flushes.GetValueOrDefault(First), _disk.Flushes[Segment]).ShouldBe((1, 1));
    }

    [Theory]
    [InlineData(FlushMode.Interval)]
    [InlineData(FlushMode.OperatingSystem)]
    public async Task The_other_flush_modes_have_no_use_for_it(FlushMode mode)
    {
        await using var storage = Create(_disk, Small);
        await using var log = await storage.OpenAsync(Id, new LogOptions { Flush = mode });
        await log.AppendAsync(TestBatches.Of("a"));
        _disk.FileExists(First).ShouldBeFalse();
    }

    [Fact]
    public async Task A_deleted_log_does_not_come_back_into_a_new_one_of_its_name()
    {
        var storage = Create(_disk, Small);
        var old = await storage.OpenAsync(Id, new LogOptions());
        await old.AppendAsync(TestBatches.Of("old", 5, valueBytes: 300));
        await old.AppendAsync(TestBatches.Of("older", 5, valueBytes: 300));
        await storage.DeleteAsync(Id);
        var log = await storage.OpenAsync(Id, new LogOptions());
        await log.AppendAsync(TestBatches.Of("new"));
        for (var seed = 0; seed < 20; seed++)
        {
            await using var after = Create(_disk.AfterCrash(seed), Small);
            await using var again = await after.OpenAsync(Id, new LogOptions());
            (await again.ReadAllAsync()).ShouldBe([TestBatches.Stamped(TestBatches.Of("new"), 0, 1)], $"seed {seed}");
        }
    }

    [Fact]
    public async Task A_failed_flush_of_the_journal_leaves_the_outcome_unknown_and_ends_its_use()
    {
        var storage = Create(_disk, Small);
        var log = await storage.OpenAsync(Id, new LogOptions());
        await log.AppendAsync(TestBatches.Of("kept"));
        _disk.BeforeFlush = path => _disk.FaultAt = path == First ? (_disk.Operations + 1, DiskFault.Error) : null;
        var failed = await Should.ThrowAsync<StreamsException>(async () => await log.AppendAsync(TestBatches.Of("unknown")));
        (failed.Code, failed.Outcome).ShouldBe((StreamsErrorCode.StorageError, WriteOutcome.Unknown));
        _disk.BeforeFlush = null;
        _disk.FaultAt = null;
        var flushes = _disk.Flushes[First];
        var again = await storage.OpenAsync(Id, new LogOptions());
        var end = again.DurableEndOffset;
        end.ShouldBeInRange(1, 2);
        await again.AppendAsync(TestBatches.Of("next"));
        _disk.Flushes[First].ShouldBe(flushes);
        for (var seed = 0; seed < 20; seed++)
        {
            await using var after = Create(_disk.AfterCrash(seed), Small);
            await using var recovered = await after.OpenAsync(Id, new LogOptions());
            recovered.DurableEndOffset.ShouldBe(end + 1, $"seed {seed}");
        }
    }

    [Fact]
    public async Task A_segment_that_cannot_be_flushed_fails_its_log_and_the_next_opener_gets_everything_from_the_journal()
    {
        var storage = Create(_disk, Small);
        var log = await storage.OpenAsync(Id, new LogOptions());
        _disk.BeforeFlush = path => _disk.FaultAt = path == Segment ? (_disk.Operations + 1, DiskFault.Error) : null;
        var acknowledged = 0;
        try
        {
            for (; acknowledged < 10_000; acknowledged++)
            {
                await log.AppendAsync(TestBatches.Of($"n{acknowledged}", valueBytes: 1000));
            }
        }
        catch (StreamsException exception) when (exception.Code == StreamsErrorCode.StorageError)
        {
            // The half was full, its log was flushed in the background, and that failed.
        }

        acknowledged.ShouldBeInRange(1, 9_999);
        _disk.BeforeFlush = null;
        _disk.FaultAt = null;
        var again = await storage.OpenAsync(Id, new LogOptions());
        again.DurableEndOffset.ShouldBeGreaterThanOrEqualTo(acknowledged);
        for (var seed = 0; seed < 10; seed++)
        {
            await using var after = Create(_disk.AfterCrash(seed), Small);
            await using var recovered = await after.OpenAsync(Id, new LogOptions());
            (await recovered.ReadAllAsync()).Count.ShouldBeGreaterThanOrEqualTo(acknowledged, $"seed {seed}");
        }
    }

    [Fact]
    public async Task After_an_orderly_close_there_is_nothing_to_replay()
    {
        await using (var storage = Create(_disk, Small))
        {
            var log = await storage.OpenAsync(Id, new LogOptions());
            await log.AppendAsync(TestBatches.Of("a"));
        }

        var writes = _disk.Writes[Segment];
        await using var next = Create(_disk, Small);
        await using var again = await next.OpenAsync(Id, new LogOptions());
        _disk.Writes[Segment].ShouldBe(writes);
        again.DurableEndOffset.ShouldBe(1);
    }

    [Fact]
    public async Task A_rotten_frame_is_reported_by_the_log_that_lost_it_and_costs_the_others_nothing()
    {
        var storage = Create(_disk, Small);
        var log = await storage.OpenAsync(Id, new LogOptions());
        var other = await storage.OpenAsync(new LogId("other"), new LogOptions());
        await log.AppendAsync(TestBatches.Of("kept"));
        await log.AppendAsync(TestBatches.Of("lost"));
        await log.AppendAsync(TestBatches.Of("behind it"));
        await other.AppendAsync(TestBatches.Of("fine"));
        _disk.KillProcess();

        // Power failed before the segments were written, and a byte of the second frame has rotted.
        _disk.Overwrite(Segment, []);
        _disk.Overwrite("/data/logs/other~log/00000000000000000000.log", []);
        var frames = _disk.Bytes(First);
        frames[JournalFrame.Alignment + 100] ^= 1;
        _disk.Overwrite(First, frames);
        await using var after = Create(_disk, Small);
        (await Should.ThrowAsync<StreamsException>(async () => await after.OpenAsync(Id, new LogOptions()).AsTask())).Code.ShouldBe(StreamsErrorCode.CorruptLog);
        await using var again = await after.OpenAsync(new LogId("other"), new LogOptions());
        again.DurableEndOffset.ShouldBe(1);
    }

    [Fact]
    public async Task A_torn_last_frame_is_no_frame()
    {
        var storage = Create(_disk, Small);
        var log = await storage.OpenAsync(Id, new LogOptions());
        await log.AppendAsync(TestBatches.Of("kept"));
        await log.AppendAsync(TestBatches.Of("torn", valueBytes: 6000));
        var whole = _disk.Bytes(Segment);
        _disk.KillProcess();
        var frames = _disk.Bytes(First);
        frames.AsSpan(JournalFrame.Alignment * 2, JournalFrame.Alignment).Clear();
        _disk.Overwrite(First, frames);
        _disk.Overwrite(Segment, whole[..RecordBatchHeader.Read(whole).TotalBytes]);
        await using var after = Create(_disk, Small);
        await using var again = await after.OpenAsync(Id, new LogOptions());
        again.DurableEndOffset.ShouldBe(1);
    }

    [Fact]
    public async Task Frames_of_an_earlier_run_are_never_taken_for_those_of_this_one_even_when_the_clock_stands_still()
    {
        // A first run leaves many frames; the second one tears its first frame; the third one writes a single frame before them.
        var first = Create(_disk, Small);
        var log = await first.OpenAsync(Id, new LogOptions());
        for (var i = 0; i < 6; i++)
        {
            await log.AppendAsync(TestBatches.Of($"first{i}"));
        }

        await first.DisposeAsync();
        _disk.Overwrite(First, [.. new byte[JournalFrame.Alignment], .. _disk.Bytes(First)[JournalFrame.Alignment..]]);
        var third = Create(_disk, Small);
        log = await third.OpenAsync(Id, new LogOptions());
        await log.TruncatePrefixAsync(log.DurableEndOffset);
        await log.AppendAsync(TestBatches.Of("third"));
        var found = JournalReplay.Run(_disk, "/data", NullLogger.Instance, new LogId("nobody"));
        var generations = Enumerable.Range(0, 7).Select(i => JournalFrame.ReadHeader(_disk.Bytes(First).AsSpan(i * JournalFrame.Alignment))?.Generation).ToList();
        generations[0].ShouldBe(found);
        generations.Skip(1).ShouldAllBe(generation => generation == null || generation < found);
    }

    [Fact]
    public async Task A_frame_has_the_bytes_that_its_format_says()
    {
        var storage = Create(_disk, Small);
        var log = await storage.OpenAsync(Id, new LogOptions());
        var batch = TestBatches.Of("a", 2, timestamp: 0x0102);
        await log.AppendAsync(batch);
        var stamped = TestBatches.Stamped(batch, 0, 1);
        var length = stamped.Length;
        var entry = "01" + "0001" + "74" + Hex(0, 8) + Hex(0, 8) + Hex(length, 4) + Hex(length, 8) + Hex(2, 8) + Hex(0x0102, 8);
        var body = Hex(_clock.GetUtcNow().Ticks, 8) + Hex(0, 8) + Hex(entry.Length / 2, 4) + Hex(1, 4) + Hex(length, 8) + entry + Convert.ToHexString(stamped);
        var frame = "4F53464A" + Hex(Crc32C.Compute(Convert.FromHexString(body)), 4) + body;
        Convert.ToHexString(_disk.Bytes(First).AsSpan(0, frame.Length / 2)).ShouldBe(frame);
        _disk.Bytes(First).AsSpan(frame.Length / 2).IndexOfAnyExcept((byte)0).ShouldBe(-1, "zeros up to the end");

        static string Hex(long value, int bytes) => value.ToString("X16", System.Globalization.CultureInfo.InvariantCulture)[(16 - (bytes * 2))..];
    }

    private int Flushed() => _disk.Flushes.Where(file => file.Key == First || file.Key.EndsWith(".log", StringComparison.Ordinal)).Sum(file => file.Value);

    private FileLogStorage Create(SimulatedDisk disk, long journalBytes) =>
        new(new FileLogStorageOptions { RootPath = "/data", JournalBytes = journalBytes }, disk, _clock, NullLogger.Instance);
}
