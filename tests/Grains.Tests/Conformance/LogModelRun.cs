using OrleansStreams.Errors;
using OrleansStreams.Records;
using OrleansStreams.Storage;
using OrleansStreams.Tests.Storage;

namespace OrleansStreams.Tests.Conformance;

/// <summary>Random operations on a log and on a list of batches; both must agree after each.</summary>
internal sealed class LogModelRun(int seed, Func<ILogStorage, ValueTask<ILogStorage>> restart)
{
    private readonly Random _random = new(seed);
    private readonly List<byte[]> _batches = [];
    private long _end;
    private long _start;
    private LogCheckpoint? _checkpoint;
    private int _epoch;

    public async Task<ILogStorage> RunAsync(ILogStorage storage, LogId id, int steps)
    {
        var options = new LogOptions
        {
            SegmentBytes = _random.Next(200, 5000),
            IndexIntervalBytes = _random.Next(1, 1000),
            Flush = (FlushMode)_random.Next(3),
        };
        var log = await OpenAsync();
        for (var step = 0; step < steps; step++)
        {
            switch (_random.Next(12))
            {
                case < 5:
                    await AppendAsync(log);
                    break;
                case 5:
                    _start = Math.Max(_start, _random.NextInt64(_end + 1));
                    await log.TruncatePrefixAsync(_start);
                    break;
                case 6:
                    _checkpoint = new LogCheckpoint(_random.NextInt64(_end + 1), Enumerable.Range(0, _random.Next(50)).Select(i => (byte)i).ToArray());
                    await log.WriteCheckpointAsync(_checkpoint.Blob, _checkpoint.Offset);
                    break;
                case 7 when _random.Next(4) == 0:
                    await log.DisposeAsync();
                    storage = await restart(storage);
                    log = await OpenAsync();
                    break;
                case 8 when _random.Next(3) == 0:
                    log = await OpenAsync();
                    break;
                case 9:
                    await FindAsync(log);
                    break;
                default:
                    await ReadAsync(log);
                    break;
            }

            (log.StartOffset, log.DurableEndOffset, log.NextOffset).ShouldBe((_start, _end, _end), $"after step {step}");
            log.Checkpoint?.Offset.ShouldBe(_checkpoint!.Offset);
            (log.Checkpoint?.Blob.ToArray()).ShouldBe(_checkpoint?.Blob.ToArray());
        }

        (await log.ReadAllAsync()).ShouldBe(_batches.Where(batch => RecordBatchHeader.Read(batch).NextOffset > _start));
        await log.DisposeAsync();
        return storage;

        async Task<ILog> OpenAsync()
        {
            var opened = await storage.OpenAsync(id, options);
            opened.LeaderEpoch.ShouldBeGreaterThan(_epoch);
            _epoch = opened.LeaderEpoch;
            return opened;
        }
    }

    private async Task AppendAsync(ILog log)
    {
        var appends = new List<Task>();
        for (var i = _random.Next(1, 4); i > 0; i--)
        {
            var batches = Enumerable.Range(0, _random.Next(1, 4))
                .Select(_ => TestBatches.Of($"v{_random.Next(1000)}", _random.Next(1, 5), _random.Next(1000), _random.Next(4) == 0 ? _random.Next(3000) : 0)).ToArray();
            var offset = log.NextOffset;
            appends.Add(log.AppendAsync(batches).AsTask());
            foreach (var batch in batches)
            {
                _batches.Add(TestBatches.Stamped(batch, offset, log.LeaderEpoch));
                offset += RecordBatchHeader.Read(batch).RecordCount;
            }

            _end = offset;
        }

        await Task.WhenAll(appends);
    }

    private async Task ReadAsync(ILog log)
    {
        var offset = _random.NextInt64(_end + 2);
        if (offset < _start || offset > _end)
        {
            (await Should.ThrowAsync<StreamsException>(async () => await log.ReadAsync(offset, 100))).Code.ShouldBe(StreamsErrorCode.OffsetOutOfRange);
            return;
        }

        var maxBytes = _random.Next(3) == 0 ? 1 : _random.Next(10_000);
        var read = await log.ReadAsync(offset, maxBytes);
        var expected = _batches.Where(batch => RecordBatchHeader.Read(batch).NextOffset > offset).ToList();
        var actual = TestBatches.Split(read.Batches);
        actual.ShouldBe(expected.Take(actual.Count));
        (actual.Count >= Math.Min(1, expected.Count)).ShouldBeTrue();
        (actual.Count <= 1 || read.Batches.Length <= maxBytes).ShouldBeTrue();
        read.NextOffset.ShouldBe(actual.Count == 0 ? offset : RecordBatchHeader.Read(actual[^1]).NextOffset);
    }

    private async Task FindAsync(ILog log)
    {
        var timestamp = _random.Next(-10, 1010);
        var expected = _batches.Select(batch => RecordBatchHeader.Read(batch))
            .Where(header => header.NextOffset > _start && header.MaxTimestamp >= timestamp).Select(header => (long?)header.BaseOffset).FirstOrDefault();
        (await log.FindBatchByTimestampAsync(timestamp)).ShouldBe(expected);
    }
}
