using Microsoft.Extensions.Logging.Abstractions;
using OrleansStreams.Errors;
using OrleansStreams.Records;
using OrleansStreams.Storage;
using OrleansStreams.Storage.Files;

namespace OrleansStreams.Tests.Storage;

/// <summary>What recovery makes of files that are torn, damaged, missing or left over.</summary>
public sealed class FileLogDamageTests
{
    private const string Folder = "/data/logs/t/0~log";
    private static readonly LogId Id = new("t/0");
    private static readonly LogOptions Options = new() { SegmentBytes = 3000, IndexIntervalBytes = 300 };
    private readonly SimulatedDisk _disk = new();

    private string ActiveSegment => _disk.AllFiles.Last(file => file.EndsWith(".log", StringComparison.Ordinal));

    private string ActiveIndex => Path.ChangeExtension(ActiveSegment, ".index");

    [Fact]
    public async Task A_torn_tail_of_any_length_is_cut_and_the_log_goes_on()
    {
        var batches = await FillAsync(10);
        var whole = _disk.Bytes(ActiveSegment);
        var torn = TestBatches.Stamped(TestBatches.Of("torn", 3, valueBytes: 100), 10, 1);
        for (var length = 1; length < torn.Length; length += 13)
        {
            _disk.Overwrite(ActiveSegment, [.. whole, .. torn[..length]]);
            await using var storage = Create();
            await using var log = await storage.OpenAsync(Id, Options);
            log.DurableEndOffset.ShouldBe(10);
            _disk.Bytes(ActiveSegment).Length.ShouldBe(whole.Length);
            (await log.ReadAllAsync()).ShouldBe(batches);
        }
    }

    [Fact]
    public async Task A_write_torn_in_its_middle_with_whole_batches_behind_the_hole_is_cut()
    {
        await FillAsync(10);
        var whole = _disk.Bytes(ActiveSegment);
        var first = TestBatches.Stamped(TestBatches.Of("first"), 10, 1);
        var second = TestBatches.Stamped(TestBatches.Of("second"), 11, 1);
        _disk.Overwrite(ActiveSegment, [.. whole, .. new byte[first.Length], .. second]);
        await using var storage = Create();
        await using var log = await storage.OpenAsync(Id, Options);
        log.DurableEndOffset.ShouldBe(10);
    }

    [Fact]
    public async Task A_hole_before_a_later_leaders_batch_was_acknowledged_and_is_reported()
    {
        await FillAsync(10);
        var whole = _disk.Bytes(ActiveSegment);
        var first = TestBatches.Stamped(TestBatches.Of("first"), 10, 1);
        var later = TestBatches.Stamped(TestBatches.Of("later"), 11, 2);
        _disk.Overwrite(ActiveSegment, [.. whole, .. new byte[first.Length], .. later]);
        await ShouldBeCorruptAsync();
    }

    [Fact]
    public async Task A_whole_batch_that_was_written_but_never_acknowledged_may_stay()
    {
        await FillAsync(10);
        var extra = TestBatches.Stamped(TestBatches.Of("extra"), 10, 1);
        _disk.Overwrite(ActiveSegment, [.. _disk.Bytes(ActiveSegment), .. extra]);
        await using var storage = Create();
        await using var log = await storage.OpenAsync(Id, Options);
        log.DurableEndOffset.ShouldBe(11);
        _disk.Seed = 5;
        (await log.ReadAllAsync())[^1].ShouldBe(extra);
    }

    [Fact]
    public async Task A_flipped_byte_anywhere_in_acknowledged_data_is_reported_and_nothing_is_changed_or_served()
    {
        await FillAsync(50);
        foreach (var path in _disk.AllFiles.Where(file => file.EndsWith(".log", StringComparison.Ordinal)).ToList())
        {
            var whole = _disk.Bytes(path);
            for (var position = 0; position < whole.Length; position += 37)
            {
                // The leader epoch, stamped outside the CRC, is covered by nothing.
                if (IsLeaderEpoch(whole, position))
                {
                    continue;
                }

                var damaged = whole.ToArray();
                damaged[position] ^= 0x10;
                _disk.Overwrite(path, damaged);
                (await Should.ThrowAsync<StreamsException>(OpenAndReadAsync, $"{path} at {position}")).Code.ShouldBe(StreamsErrorCode.CorruptLog);
                _disk.Bytes(path).ShouldBe(damaged);
            }

            _disk.Overwrite(path, whole);
        }

        await OpenAndReadAsync();
    }

    [Fact]
    public async Task A_damaged_batch_is_not_served_but_the_batches_before_it_are()
    {
        await FillAsync(50);
        var path = _disk.AllFiles.First(file => file.EndsWith(".log", StringComparison.Ordinal));
        var damaged = _disk.Bytes(path);
        damaged[140] ^= 1;
        _disk.Overwrite(path, damaged);
        await using var storage = Create();
        await using var log = await storage.OpenAsync(Id, Options);
        TestBatches.Split((await log.ReadAsync(0, 100_000)).Batches).Count.ShouldBe(1);
        var error = await Should.ThrowAsync<StreamsException>(async () => await log.ReadAsync(1, 1));
        error.Code.ShouldBe(StreamsErrorCode.CorruptLog);
        error.Message.ShouldContain(path);
        TestBatches.Split((await log.ReadAsync(2, 1)).Batches).Count.ShouldBe(1);
    }

    [Fact]
    public async Task A_flipped_byte_without_an_index_is_reported_rather_than_cut()
    {
        await FillAsync(10);
        _disk.DeleteFile(ActiveIndex);
        var damaged = _disk.Bytes(ActiveSegment);
        damaged[100] ^= 1;
        _disk.Overwrite(ActiveSegment, damaged);
        await ShouldBeCorruptAsync();
    }

    [Fact]
    public async Task A_segment_that_became_shorter_than_what_was_flushed_is_reported()
    {
        await FillAsync(10);
        _disk.Overwrite(ActiveSegment, _disk.Bytes(ActiveSegment)[..^1]);
        await ShouldBeCorruptAsync();
    }

    [Fact]
    public async Task A_missing_segment_is_reported()
    {
        await FillAsync(200);
        var segments = _disk.AllFiles.Where(file => file.EndsWith(".log", StringComparison.Ordinal)).ToList();
        segments.Count.ShouldBeGreaterThan(3);
        foreach (var index in new[] { 0, 1, segments.Count - 2 })
        {
            var bytes = _disk.Bytes(segments[index]);
            var indexBytes = _disk.Bytes(Path.ChangeExtension(segments[index], ".index"));
            _disk.DeleteFile(segments[index]);
            await ShouldBeCorruptAsync();
            _disk.Overwrite(segments[index], bytes);
            _disk.Overwrite(Path.ChangeExtension(segments[index], ".index"), indexBytes);
        }

        await OpenAndReadAsync();
    }

    [Theory]
    [InlineData("epoch")]
    [InlineData("start")]
    [InlineData("checkpoint")]
    public async Task A_damaged_state_file_is_reported(string name)
    {
        await FillAsync(10);
        var path = $"{Folder}/{name}";
        var bytes = _disk.Bytes(path);
        for (var position = 0; position < bytes.Length; position++)
        {
            var damaged = bytes.ToArray();
            damaged[position] ^= 4;
            _disk.Overwrite(path, damaged);
            await ShouldBeCorruptAsync();
        }

        _disk.Overwrite(path, []);
        await ShouldBeCorruptAsync();
    }

    [Fact]
    public async Task A_missing_epoch_is_reported()
    {
        await FillAsync(10);
        _disk.DeleteFile($"{Folder}/epoch");
        await ShouldBeCorruptAsync();
    }

    [Theory]
    [InlineData("missing")]
    [InlineData("empty")]
    [InlineData("short")]
    [InlineData("garbage")]
    [InlineData("entry")]
    [InlineData("other")]
    public async Task A_missing_or_damaged_index_is_made_anew(string damage)
    {
        var batches = await FillAsync(200);
        var before = _disk.AllFiles.Where(file => file.EndsWith(".index", StringComparison.Ordinal)).ToDictionary(file => file, _disk.Bytes);
        var other = before.Values.Last();
        foreach (var (path, bytes) in before)
        {
            switch (damage)
            {
                case "missing":
                    _disk.DeleteFile(path);
                    break;
                case "empty":
                    _disk.Overwrite(path, []);
                    break;
                case "short":
                    _disk.Overwrite(path, bytes[..Math.Min(bytes.Length, 70)]);
                    break;
                case "entry" when bytes.Length > 100:
                    bytes[100] ^= 1;
                    _disk.Overwrite(path, bytes);
                    break;
                case "other":
                    _disk.Overwrite(path, other);
                    break;
                default:
                    _disk.Overwrite(path, [.. Enumerable.Range(0, 333).Select(i => (byte)(i * 7))]);
                    break;
            }
        }

        for (var i = 0; i < 2; i++)
        {
            await using var storage = Create();
            await using var log = await storage.OpenAsync(Id, Options);
            (await log.ReadAllAsync()).ShouldBe(batches);
            for (var n = 0; n < 200; n += 9)
            {
                RecordBatchHeader.Read((await log.ReadAsync(n, 1)).Batches.Span).BaseOffset.ShouldBe(n);
                (await log.FindBatchByTimestampAsync(1000 + n)).ShouldBe(n);
            }
        }
    }

    [Fact]
    public async Task What_a_crash_left_over_is_removed()
    {
        await FillAsync(10);
        _disk.Overwrite($"{Folder}/epoch.tmp", [1, 2, 3]);
        _disk.Overwrite($"{Folder}/checkpoint.tmp", []);
        _disk.Overwrite($"{Folder}/00000000000000000999.index", [1, 2, 3]);
        _disk.CreateDirectory("/data/logs/t/7~deleted");
        _disk.Overwrite("/data/logs/t/7~deleted/00000000000000000000.log", [1]);
        await OpenAndReadAsync();
        _disk.AllFiles.ShouldNotContain(file => file.EndsWith(".tmp", StringComparison.Ordinal) || file.Contains("999") || file.Contains("~deleted"));
        _disk.DirectoryExists("/data/logs/t/7~deleted").ShouldBeFalse();
    }

    [Fact]
    public async Task Opening_after_a_clean_close_reads_only_the_end_of_the_log()
    {
        await FillAsync(200);
        var first = _disk.AllFiles.First(file => file.EndsWith(".log", StringComparison.Ordinal));
        var damaged = _disk.Bytes(first);
        damaged[70] ^= 1;
        _disk.Overwrite(first, damaged);
        await using var storage = Create();
        await using var log = await storage.OpenAsync(Id, Options);
        log.DurableEndOffset.ShouldBe(200, "a sealed segment is believed when its index agrees with it, so opening costs the same for any size");
    }

    private static bool IsLeaderEpoch(byte[] segment, int position)
    {
        for (var start = 0; ; )
        {
            var header = RecordBatchHeader.Read(segment.AsSpan(start));
            if (position < start + header.TotalBytes)
            {
                return position - start is >= 12 and < 16;
            }

            start += header.TotalBytes;
        }
    }

    private async Task<List<byte[]>> FillAsync(int batches)
    {
        await using var storage = Create();
        await using var log = await storage.OpenAsync(Id, Options);
        for (var i = 0; i < batches; i++)
        {
            await log.AppendAsync(TestBatches.Of($"n{i}", timestamp: 1000 + i));
        }

        await log.WriteCheckpointAsync(new byte[] { 1, 2, 3 }, batches);
        var all = await log.ReadAllAsync();
        _disk.Overwrite($"{Folder}/start", StateFile.Encode(0, default));
        return all;
    }

    private async Task OpenAndReadAsync()
    {
        await using var storage = Create();
        await using var log = await storage.OpenAsync(Id, Options);
        await log.ReadAllAsync();
    }

    private async Task ShouldBeCorruptAsync()
    {
        var before = _disk.AllFiles.Where(file => file.StartsWith(Folder, StringComparison.Ordinal)).ToDictionary(file => file, _disk.Bytes);
        await using var storage = Create();
        var error = await Should.ThrowAsync<StreamsException>(async () => await storage.OpenAsync(Id, Options));
        error.Code.ShouldBe(StreamsErrorCode.CorruptLog);
        error.Message.ShouldContain("t/0");
        foreach (var (path, bytes) in before.Where(file => file.Key.EndsWith(".log", StringComparison.Ordinal)))
        {
            _disk.Bytes(path).ShouldBe(bytes);
        }
    }

    private FileLogStorage Create() =>
        new(new FileLogStorageOptions { RootPath = "/data", TailCacheBytes = 0 }, _disk, TimeProvider.System, NullLogger.Instance);
}
