using Microsoft.Extensions.Logging.Abstractions;
using OrleansStreams.Errors;
using OrleansStreams.Storage;
using OrleansStreams.Storage.Files;
using OrleansStreams.Storage.Files.Inspection;

namespace OrleansStreams.Tests.Storage;

/// <summary>What <c>log dump</c> and <c>log verify</c> stand on. After each look the disk must be as it was.</summary>
public sealed class LogInspectorTests
{
    private const string Root = "/data";
    private static readonly LogId Id = new("t/0");
    private static readonly LogOptions Options = new() { SegmentBytes = 3000, IndexIntervalBytes = 300 };
    private SimulatedDisk _disk = new();

    private List<string> Segments => [.. _disk.AllFiles.Where(file => file.EndsWith(".log", StringComparison.Ordinal))];

    [Fact]
    public async Task A_healthy_log_is_listed_segment_by_segment_and_batch_by_batch()
    {
        var stored = await FillAsync(50);

        var (report, batches) = await InspectAsync();

        report.Problems.ShouldBeEmpty();
        report.Recovery.ShouldBeEmpty();
        (report.LeaderEpoch, report.StartOffset, report.EndOffset, report.CheckpointOffset).ShouldBe((1, 0, 50, 20));
        report.Segments.Count.ShouldBe(Segments.Count);
        report.Segments.Sum(segment => segment.Batches).ShouldBe(50);
        report.Segments.Sum(segment => segment.Bytes).ShouldBe(stored.Sum(batch => batch.Length));
        report.Segments.ShouldAllBe(segment => segment.IndexEntries > 0);
        batches.Select(batch => batch.Header.BaseOffset).ShouldBe(Enumerable.Range(0, 50).Select(offset => (long)offset));
        batches.Select(batch => batch.Header.TotalBytes).ShouldBe(stored.Select(batch => batch.Length));
        batches.Count(batch => batch.Position == 0).ShouldBe(report.Segments.Count);
    }

    [Fact]
    public async Task A_torn_tail_is_what_recovery_would_cut_and_no_damage()
    {
        await FillAsync(10);
        var torn = TestBatches.Stamped(TestBatches.Of("torn", 3, valueBytes: 100), 10, 1)[..100];
        _disk.Overwrite(Segments[^1], [.. _disk.Bytes(Segments[^1]), .. torn]);

        var (report, batches) = await InspectAsync();

        report.Problems.ShouldBeEmpty();
        report.Recovery.ShouldHaveSingleItem().ShouldContain("100 bytes");
        report.EndOffset.ShouldBe(10);
        batches.Count.ShouldBe(10);
    }

    [Fact]
    public async Task A_flipped_byte_anywhere_is_told_with_its_file_and_the_good_batches_are_still_counted()
    {
        await FillAsync(50);
        foreach (var path in Segments)
        {
            var whole = _disk.Bytes(path);
            for (var position = 0; position < whole.Length; position += 131)
            {
                var damaged = whole.ToArray();
                damaged[position] ^= 0x10;
                _disk.Overwrite(path, damaged);

                var (report, batches) = await InspectAsync();

                // The leader epoch lies outside the CRC: a wrong one shows in the list of batches only.
                if (batches.TrueForAll(batch => batch.Header.LeaderEpoch == 1))
                {
                    report.Problems.ShouldContain(problem => problem.Contains(path, StringComparison.Ordinal), $"{path} at {position}");
                    batches.Count.ShouldBeInRange(1, 50);
                }
            }

            _disk.Overwrite(path, whole);
        }
    }

    [Fact]
    public async Task An_index_that_names_a_wrong_place_is_told_and_a_missing_one_would_be_made_anew()
    {
        await FillAsync(50);
        var segment = Segments[1];
        var (baseOffset, index) = (LogPaths.BaseOffsetOf(Path.GetFileName(segment), ".log")!.Value, Path.ChangeExtension(segment, ".index"));
        var right = _disk.Bytes(index);
        var wrong = SegmentIndex.Load(_disk, index, baseOffset);
        var entries = wrong.Entries;
        var rewritten = new SegmentIndex(baseOffset);
        foreach (var entry in entries)
        {
            rewritten.Add(entry with { Position = entry.Position + 1 });
        }

        using (var file = _disk.Open(index, FileOpening.Create))
        {
            rewritten.PersistAll(file, wrong.LoadedMark!.Value);
        }

        (await InspectAsync()).Report.Problems.Count.ShouldBe(entries.Count);

        _disk.Overwrite(index, right[..40]);
        var (report, _) = await InspectAsync();
        report.Problems.ShouldBeEmpty();
        report.Recovery.ShouldHaveSingleItem().ShouldContain("made anew");
    }

    [Fact]
    public async Task A_missing_segment_is_told_with_the_offsets_that_it_had()
    {
        await FillAsync(50);
        var lost = LogPaths.BaseOffsetOf(Path.GetFileName(Segments[1]), ".log");
        _disk.DeleteFile(Segments[1]);

        (await InspectAsync()).Report.Problems.ShouldContain(problem => problem.Contains($"offsets {lost} to", StringComparison.Ordinal));
    }

    [Fact]
    public async Task After_a_crash_it_tells_of_the_flush_journal_and_finds_everything_that_was_acknowledged()
    {
        await using var storage = Create();
        await using var log = await storage.OpenAsync(Id, Options);
        for (var batch = 0; batch < 20; batch++)
        {
            await log.AppendAsync(TestBatches.Of($"b{batch}", valueBytes: 60));
        }

        _disk = _disk.AfterCrash(3);
        await using var inspector = LogInspector.Open(Root, _disk, TimeProvider.System);
        inspector.Recovery.ShouldHaveSingleItem().ShouldContain("flush journal");
        var report = await inspector.InspectAsync(Id);
        report.Problems.ShouldBeEmpty();
        report.EndOffset.ShouldBe(20);
    }

    [Fact]
    public async Task A_folder_in_use_and_one_that_is_none_are_refused()
    {
        Should.Throw<StreamsException>(() => LogInspector.Open("/other", _disk, TimeProvider.System)).Code.ShouldBe(StreamsErrorCode.InvalidInput);
        await using var storage = Create();
        Should.Throw<StreamsException>(() => LogInspector.Open(Root, _disk, TimeProvider.System)).Code.ShouldBe(StreamsErrorCode.DataFolderInUse);
    }

    [Fact]
    public async Task Logs_are_listed_by_prefix_and_each_has_its_own_report()
    {
        await FillAsync(3);
        await using (var storage = Create())
        await using (var other = await storage.OpenAsync(new LogId("other/0"), Options))
        {
            await other.AppendAsync(TestBatches.Of("one"));
        }

        await using var inspector = LogInspector.Open(Root, _disk, TimeProvider.System);
        (await inspector.ListAsync("t/")).ShouldBe([Id]);
        (await inspector.ListAsync(string.Empty)).Count.ShouldBe(2);
        (await inspector.InspectAsync(new LogId("other/0"))).EndOffset.ShouldBe(1);
        (await inspector.InspectAsync(Id)).EndOffset.ShouldBe(3);
    }

    private async Task<(LogReport Report, List<BatchReport> Batches)> InspectAsync()
    {
        var before = _disk.AllFiles.ToDictionary(file => file, _disk.Bytes);
        var batches = new List<BatchReport>();
        LogReport report;
        await using (var inspector = LogInspector.Open(Root, _disk, TimeProvider.System))
        {
            report = await inspector.InspectAsync(Id, batches.Add);
        }

        _disk.AllFiles.ShouldBe(before.Keys, ignoreOrder: true);
        foreach (var (file, bytes) in before)
        {
            _disk.Bytes(file).ShouldBe(bytes, file);
        }

        return (report, batches);
    }

    private async Task<List<byte[]>> FillAsync(int batches)
    {
        await using var storage = Create();
        await using var log = await storage.OpenAsync(Id, Options);
        for (var batch = 0; batch < batches; batch++)
        {
            await log.AppendAsync(TestBatches.Of($"b{batch}", valueBytes: 60));
        }

        await log.WriteCheckpointAsync(new byte[10], Math.Min(20, log.DurableEndOffset));
        return await log.ReadAllAsync();
    }

    private FileLogStorage Create() => new(new FileLogStorageOptions { RootPath = Root }, _disk, TimeProvider.System, NullLogger.Instance);
}
