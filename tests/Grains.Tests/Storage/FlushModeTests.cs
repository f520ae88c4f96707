using Microsoft.Extensions.Logging.Abstractions;
using OrleansStreams.Log;
using OrleansStreams.Storage;
using OrleansStreams.Storage.Files;

namespace OrleansStreams.Tests.Storage;

/// <summary>What each flush mode survives, exactly as the README says it.</summary>
public sealed class FlushModeTests
{
    private const int Seeds = 40;
    private static readonly LogId Id = new("t");
    private readonly SimulatedDisk _disk = new();
    private readonly ManualTime _clock = new();

    [Theory]
    [InlineData(0)]
    [InlineData(1 << 20)]
    public async Task Always_loses_nothing_when_power_fails(long journalBytes)
    {
        var log = await OpenAsync(FlushMode.Always, journalBytes);
        await AppendAsync(log, 0, 20);
        foreach (var end in await EndsAfterPowerFailureAsync())
        {
            end.ShouldBe(20);
        }
    }

    [Fact]
    public async Task Interval_loses_at_most_what_was_acknowledged_since_the_last_flush_and_never_from_the_middle()
    {
        var log = await OpenAsync(FlushMode.Interval);
        await AppendAsync(log, 0, 10);
        var ends = await EndsAfterPowerFailureAsync();
        ends.ShouldContain(end => end < 10, "nothing is flushed before the interval is over");

        await FlushedByTheIntervalAsync();
        await AppendAsync(log, 10, 20);
        ends = await EndsAfterPowerFailureAsync();
        ends.ShouldAllBe(end => end >= 10 && end <= 20);
        ends.ShouldContain(end => end < 20);

        await FlushedByTheIntervalAsync();
        (await EndsAfterPowerFailureAsync()).ShouldAllBe(end => end == 20);
    }

    [Fact]
    public async Task Interval_flushes_in_time_under_appends_that_never_cease()
    {
        var log = await OpenAsync(FlushMode.Interval, segmentBytes: 1 << 30);
        using var stop = new CancellationTokenSource();
        var gate = new Lock();
        var producers = Enumerable.Range(0, 20).Select(_ => Task.Run(async () =>
        {
            while (!stop.IsCancellationRequested)
            {
                ValueTask append;
                lock (gate)
                {
                    append = log.AppendAsync(TestBatches.Of("n"));
                }

                await append;
            }
        })).ToList();
        await FlushedByTheIntervalAsync();
        await FlushedByTheIntervalAsync();
        await stop.CancelAsync();
        await Task.WhenAll(producers);
    }

    [Fact]
    public async Task Interval_has_a_timer_only_from_the_first_unflushed_append_to_its_flush()
    {
        var log = await OpenAsync(FlushMode.Interval);
        _clock.ArmedTimers.ShouldBe(0);
        await AppendAsync(log, 0, 10);
        await Turns.UntilAsync(() => _clock.ArmedTimers == 1);
        await FlushedByTheIntervalAsync();
        _clock.ArmedTimers.ShouldBe(0);
        await AppendAsync(log, 10, 11);
        await Turns.UntilAsync(() => _clock.ArmedTimers == 1);
        await log.DisposeAsync();
        _clock.ArmedTimers.ShouldBe(0);
    }

    [Fact]
    public async Task Os_loses_what_the_system_had_not_written_but_no_segment_before_the_last()
    {
        var log = await OpenAsync(FlushMode.OperatingSystem, segmentBytes: 2000);
        await AppendAsync(log, 0, 60);
        var last = log.Segments[^1].BaseOffset;
        last.ShouldBeGreaterThan(20);
        _clock.ArmedTimers.ShouldBe(0);
        var ends = await EndsAfterPowerFailureAsync();
        ends.ShouldAllBe(end => end >= last && end <= 60);
        ends.ShouldContain(end => end < 60);
    }

    [Theory]
    [InlineData(FlushMode.Always)]
    [InlineData(FlushMode.Interval)]
    [InlineData(FlushMode.OperatingSystem)]
    public async Task No_mode_loses_anything_when_the_process_is_killed(FlushMode mode)
    {
        var log = await OpenAsync(mode);
        await AppendAsync(log, 0, 20);
        _disk.KillProcess();
        await using var storage = Create(_disk);
        await using var again = await storage.OpenAsync(Id, new LogOptions());
        (await again.ReadAllAsync()).Count.ShouldBe(20);
    }

    [Theory]
    [InlineData(FlushMode.Always)]
    [InlineData(FlushMode.Interval)]
    [InlineData(FlushMode.OperatingSystem)]
    public async Task An_orderly_close_leaves_everything_on_disk(FlushMode mode)
    {
        var log = await OpenAsync(mode);
        await AppendAsync(log, 0, 20);
        await log.DisposeAsync();
        (await EndsAfterPowerFailureAsync()).ShouldAllBe(end => end == 20);
    }

    private static async Task AppendAsync(ILog log, int from, int to)
    {
        for (var i = from; i < to; i++)
        {
            await log.AppendAsync(TestBatches.Of($"n{i}", valueBytes: 100));
        }
    }

    private static FileLogStorage Create(SimulatedDisk disk, TimeProvider? clock = null, long journalBytes = 1 << 20) =>
        new(new FileLogStorageOptions { RootPath = "/data", JournalBytes = journalBytes }, disk, clock ?? TimeProvider.System, NullLogger.Instance);

    private async Task<ILog> OpenAsync(FlushMode mode, long journalBytes = 1 << 20, long segmentBytes = 1 << 20) => await Create(_disk, _clock, journalBytes)
        .OpenAsync(Id, new LogOptions { Flush = mode, FlushInterval = TimeSpan.FromMilliseconds(250), SegmentBytes = segmentBytes });

    private async Task FlushedByTheIntervalAsync()
    {
        await Turns.UntilAsync(() => _clock.ArmedTimers == 1);
        var flushes = _disk.Flushes.Values.Sum();
        _clock.Advance(TimeSpan.FromMilliseconds(251));
        await Turns.UntilAsync(() => _disk.Flushes.Values.Sum() > flushes);
    }

    /// <summary>Where the log ends after power failures of many kinds at this moment; what is left is a prefix of what was appended.</summary>
    private async Task<List<long>> EndsAfterPowerFailureAsync()
    {
        var ends = new List<long>();
        for (var seed = 0; seed < Seeds; seed++)
        {
            await using var storage = Create(_disk.CopyAfterCrash(seed));
            await using var log = await storage.OpenAsync(Id, new LogOptions());
            var read = await log.ReadAllAsync();
            read.ShouldBe(Enumerable.Range(0, read.Count).Select(i => TestBatches.Stamped(TestBatches.Of($"n{i}", valueBytes: 100), i, 1)));
            ends.Add(log.DurableEndOffset);
        }

        return ends;
    }
}
